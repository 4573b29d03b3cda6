"""A model of Evolution API whose every step a test decides, and the application's sender and consumer driven one step at a time.

What runs is the application's own code against a real Postgres; only time, the network and WhatsApp are the model's.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from src.budget import ByteBudget
from src.events.apply import apply
from src.events.payloads import read_event
from src.evolution.answers import FoundMessage, FoundMessages, SentMessage
from src.evolution.errors import AnswerLostError, EvolutionUnreachableError, InstanceNotConnectedError
from src.faults import Fault, State
from src.messages.claims import Claims
from src.messages.pauses import Pauses
from src.messages.sender import Sender
from src.models import Base
from tests.app.events_support import envelope, new_id

INSTANCE = "support"
LEASE = timedelta(minutes=5)
_FAULT = Fault(State.UNREACHABLE, "the model says so", "nothing")

_END_CLAIMS = text("""
    UPDATE messages SET lease_until = now()
     WHERE state = 'sending' AND NOT id = ANY (CAST(:renewed AS uuid[]))
""")


@dataclass(eq=False)
class Request:
    """A request to send that is under way."""

    sender: int
    chat: str
    content: str
    answer: "asyncio.Future[SentMessage]"
    record: dict[str, Any] | None = None
    """What WhatsApp has got, once Evolution has accepted it."""


@dataclass
class ModelEvolution:
    """Evolution and WhatsApp: what was accepted, and the events that tell of it."""

    requests: list[Request] = field(default_factory=list)
    orphans: list[Request] = field(default_factory=list)
    """Those whose caller died; Evolution may accept them still."""
    accepted: list[dict[str, Any]] = field(default_factory=list)
    events: list[bytes] = field(default_factory=list)
    away: bool = False
    holding: bool = False
    """Whether Redis is away: what it is asked to send waits for that, however long, and whatever becomes of who asked."""

    def accept(self, request: Request) -> None:
        if request.record is None and not self.holding:
            request.record = self.take(request.chat, request.content)

    def end_orphans(self, *, they_arrive: bool) -> None:
        """Be through with what it was at when its callers died."""
        for request in self.orphans:
            if they_arrive:
                self.accept(request)
        self.orphans.clear()

    def lose_redis(self, *, orphans_arrive: bool) -> None:
        """Hold what it is asked from now on; what it was asked long before is through."""
        self.end_orphans(they_arrive=orphans_arrive)
        self.holding = True

    def find_redis_again(self, *, orphans_arrive: bool) -> None:
        """Go on with what was held, in order: before anything that it is asked from now on."""
        self.holding = False
        self.end_orphans(they_arrive=orphans_arrive)

    def take(self, chat: str, content: str) -> dict[str, Any]:
        record = {
            "key": {"remoteJid": chat, "fromMe": True, "id": new_id()},
            "status": "PENDING",
            "message": {"conversation": content},
            "messageType": "conversation",
            "messageTimestamp": int(datetime.now(UTC).timestamp()),
            "instanceId": str(uuid4()),
        }
        self.accepted.append(record)
        marks = ({"keyId": record["key"]["id"], "remoteJid": chat, "fromMe": True, "status": status} for status in ("DELIVERY_ACK", "READ"))  # type: ignore[index]
        self.events += [envelope("send.message", record, INSTANCE), *(envelope("messages.update", mark, INSTANCE) for mark in marks)]
        return record

    def find(self, chat: str | None) -> FoundMessages:
        if self.away:
            raise EvolutionUnreachableError(_FAULT)
        found = [FoundMessage.model_validate(record) for record in reversed(self.accepted) if record["key"]["remoteJid"] == chat]
        return FoundMessages(total=len(found), pages=1, current_page=1, records=found)


@dataclass
class ModelClient:
    """What a sender sees of Evolution."""

    evolution: ModelEvolution
    sender: int

    async def send_text(self, name: str, body: dict[str, Any]) -> SentMessage:
        assert name == INSTANCE
        request = Request(self.sender, f"{body['number']}@s.whatsapp.net", body["text"], asyncio.get_running_loop().create_future())
        self.evolution.requests.append(request)
        try:
            return await request.answer
        except asyncio.CancelledError:
            self.evolution.orphans.append(request)
            raise
        finally:
            self.evolution.requests.remove(request)

    send_media = send_voice = send_text

    async def find_messages(self, name: str, *, chat: str | None = None, **_: object) -> FoundMessages:
        assert name == INSTANCE
        return self.evolution.find(chat)


@dataclass
class World:
    """The application's parts around one database, with a clock that only moves when told."""

    engine: AsyncEngine
    evolution: ModelEvolution = field(default_factory=ModelEvolution)
    posted: list[tuple[str, str, UUID]] = field(default_factory=list)
    tasks: dict[int, list["asyncio.Task[None]"]] = field(default_factory=lambda: {0: [], 1: []})
    senders: dict[int, Sender] = field(default_factory=dict)
    now: float = 0.0
    """What the senders take for the time, in seconds."""

    async def open(self) -> None:
        async with self.engine.begin() as connection:
            await connection.execute(text("TRUNCATE messages, receipts, connection_changes"))
        for sender in self.tasks:
            self._restart(sender)

    def _restart(self, sender: int) -> None:
        """Start a sender's process anew."""
        client: Any = ModelClient(self.evolution, sender)
        claims = Claims(self.engine, f"sender {sender}/{uuid4()}/1", LEASE, lambda: self.now)
        self.senders[sender] = Sender(self.engine, client, claims, Pauses(), 24, ByteBudget(10**9), settle=lambda _: 0.0)
        self.tasks[sender] = []

    async def post(self, chat: str, content: str) -> None:
        message_id = uuid4()
        values = {
            "id": message_id,
            "instance": INSTANCE,
            "chat": chat,
            "direction": "outbound",
            "type": "text",
            "state": "queued",
            "text": content,
            "payload": {"number": chat.partition("@")[0], "text": content},
        }
        async with self.engine.begin() as connection:
            await connection.execute(Base.metadata.tables["messages"].insert(), values)
        self.posted.append((chat, content, message_id))

    async def claim(self, sender: int, count: int) -> None:
        self.senders[sender].pauses = Pauses()
        for claim in await self.senders[sender].claims.claim(count, in_hand=self.in_hand(sender)):
            self.tasks[sender].append(asyncio.create_task(self.senders[sender].process(claim), name=str(claim.id)))
        await self.settle()

    def in_hand(self, sender: int) -> list[UUID]:
        """The messages that a sender is at."""
        return [UUID(task.get_name()) for task in self.tasks[sender]]

    async def settle(self) -> None:
        """Let all senders go on until each of their messages waits for Evolution, or is done."""
        while sum(not task.done() for tasks in self.tasks.values() for task in tasks) > len(self.evolution.requests):  # noqa: ASYNC110
            await asyncio.sleep(0.0005)
        for tasks in self.tasks.values():
            for task in [task for task in tasks if task.done()]:
                tasks.remove(task)
                task.result()

    async def crash(self, sender: int, after_turns: int = 0) -> None:
        """Kill a sender's process in the middle of whatever it does, after some more turns of its loop; and start it again."""
        for _ in range(after_turns):
            await asyncio.sleep(0)
        tasks = self.tasks[sender]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._restart(sender)

    async def answer(self, request: Request, how: str) -> None:
        if not request.answer.done():
            if how == "tell":
                self.evolution.accept(request)
                if request.record is not None:
                    request.answer.set_result(SentMessage.model_validate(request.record))
            elif how == "refuse" and request.record is None:
                request.answer.set_exception(InstanceNotConnectedError(_FAULT))
            else:
                request.answer.set_exception(AnswerLostError(_FAULT))

    async def deliver(self, bodies: Sequence[bytes], *, commits: bool = True) -> None:
        """Have a consumer store a batch of events; one that dies before it commits stores nothing, and the broker keeps them."""
        async with self.engine.begin() as connection:
            await apply(connection, [read_event(body, ZoneInfo("UTC")).fact for body in bodies])
            if not commits:
                await connection.rollback()

    async def pass_time(self, orphans_arrive: bool) -> None:
        """Let all waits end, and the claims of dead senders, while the others renew theirs.

        What Evolution was at, when its caller died, has long ended then, unless it holds it.
        """
        if not self.evolution.holding:
            self.evolution.end_orphans(they_arrive=orphans_arrive)
        for _ in range(4):
            for sender in self.tasks:
                await self.senders[sender].claims.renew(self.in_hand(sender))
            self.now += LEASE.total_seconds() / 3
        async with self.engine.begin() as connection:
            await connection.execute(_END_CLAIMS, {"renewed": [each for sender in self.tasks for each in self.in_hand(sender)]})
            await connection.execute(text("UPDATE messages SET next_attempt_at = now() WHERE state = 'queued'"))

    async def lose_database(self) -> None:
        """Let all claims run out, those of living senders too: nobody could renew any."""
        self.now += 2 * LEASE.total_seconds()
        async with self.engine.begin() as connection:
            await connection.execute(_END_CLAIMS, {"renewed": []})

    async def rows(self) -> list[dict[str, Any]]:
        async with self.engine.connect() as connection:
            return [dict(row) for row in (await connection.execute(text("SELECT * FROM messages ORDER BY seq"))).mappings()]

    async def waiting_receipts(self) -> int:
        async with self.engine.connect() as connection:
            return int((await connection.execute(text("SELECT count(*) FROM receipts"))).scalar_one())

    async def finish(self) -> None:
        """Let everything work again, and go on until nothing is left to do; nobody waits any more for what is not held."""
        self.evolution.away = False
        self.evolution.find_redis_again(orphans_arrive=True)
        for sender in self.senders.values():
            sender.held_seconds = 0.0
        for _ in range(4 * len(self.posted) + 10):
            for request in list(self.evolution.requests):
                await self.answer(request, "tell")
            await self.settle()
            if not any(row["state"] in {"queued", "sending"} for row in await self.rows()):
                break
            await self.pass_time(orphans_arrive=True)
            await self.claim(0, 10)
        if self.evolution.events:
            await self.deliver(self.evolution.events)
