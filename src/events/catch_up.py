"""Fetches from Evolution API what no event brought.

Evolution 2.2.3 never reconnects to a broker that it lost, and drops events without a word; but it stores messages in its own database,
where they can be asked for. So that is done again and again, for the time since the last look.
"""

import asyncio
import logging
import random
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Protocol, Self

from sqlalchemy import text

from src import metrics
from src.database import DatabaseError
from src.events import storing
from src.events.facts import ConnectionSeen, ConnectionState, Event, MessageSeen
from src.events.finding import facts_of, found_between
from src.events.outcome import Outcome
from src.evolution import EvolutionError, InstanceUnknownError
from src.evolution.answers import FoundMessage, InstanceSummary
from src.faults import Fault, State
from src.resources import Resources

NOTE = "events"
"""The name under which readiness shows that events are missing; the application can work on, so it stays ready."""

INTERVAL_SECONDS = 30.0
_OVERLAP = timedelta(seconds=60)
"""How far a look reaches back behind the one before: marks follow their message, and Evolution stores some things late."""
_WIDE_OVERLAP = timedelta(minutes=2)
_LOOKS_AFTER_OPENING = 3
"""What was sent to a phone while it was away comes with old times, and only bit by bit after it is back."""
_FIRST_LOOK = timedelta(days=1)
"""How far back to look for an instance of which no message is known."""
_MISSED_AFTER = timedelta(seconds=30)
"""An event that takes longer, with none waiting in the broker, does not come any more. What is younger is left for the next look, so that
each message that comes without an event is noticed as one."""
_TRUST_EVENTS = timedelta(seconds=60)
"""How long an event about a connection is believed more than what Evolution answers about it."""
_SETTLE_SECONDS = 1.0
_RETRY_SECONDS = 10.0
_HOUSEKEEPING = timedelta(minutes=10)

_log = logging.getLogger("app.events")


class Deliveries(Protocol):
    """The way on which events come."""

    @property
    def heard_at(self) -> datetime | None:
        """When the last event of a message came."""

    async def backlog(self) -> int | None:
        """Return how many events are still to come; None when that can't be known."""


class CatchUp:
    """A background service: while it is entered, it looks twice a minute, and at once when something may have been missed."""

    def __init__(self, resources: Resources, deliveries: Deliveries | None) -> None:
        """`deliveries` is None where events come as webhooks."""
        self._resources = resources
        self._deliveries = deliveries
        self._hurry = asyncio.Event()
        self._looked_until: dict[str, datetime] = {}
        self._wide: dict[str, int] = {}
        self._wide_all = True
        self._noted_at: datetime | None = None
        self._cleaned_at: datetime | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._hurry.set()
        self._task = asyncio.create_task(self._run(), name="catch-up")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._task is not None:
            self._task.cancel()  # what is half done is done again by whoever looks next
            await asyncio.gather(self._task, return_exceptions=True)

    def hurry(self, instance: str | None = None) -> None:
        """Look at once, and further back: at an instance that has just connected, or at all."""
        if instance is None:
            self._wide_all = True
        else:
            self._wide[instance] = _LOOKS_AFTER_OPENING
        self._hurry.set()

    async def _run(self) -> None:
        wait = INTERVAL_SECONDS
        while True:
            hurried = await self._hurried_within(wait * random.uniform(0.9, 1.1))  # noqa: S311  # keeps replicas apart
            wait = INTERVAL_SECONDS
            try:
                await self.look(quiet=hurried)
                await self._clean_up()
            except (EvolutionError, *DatabaseError) as error:
                _log.info("catch-up tries again soon", extra={"error": type(error).__name__})  # readiness says what is wrong
                self._wide_all |= hurried
                wait = _RETRY_SECONDS
            except Exception:  # noqa: BLE001  # logged with its trace
                _log.exception("catch-up goes on after an error")

    async def _hurried_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._hurry.wait()
        except TimeoutError:
            return False
        await asyncio.sleep(_SETTLE_SECONDS)  # several reasons to hurry come together
        self._hurry.clear()
        return True

    async def look(self, *, quiet: bool = False) -> int:
        """Look once at all instances, and return how many messages were found that should have come as events.

        While events wait in the broker nothing is looked for: they are about to come.

        Args:
            quiet: take the youngest messages too, and call none missed: perhaps the application itself was away.
        """
        if not quiet and self._deliveries is not None and await self._deliveries.backlog():
            return 0
        wide_all, self._wide_all = self._wide_all, False
        missed = 0
        now = datetime.now(UTC)
        for instance in await self._resources.evolution.instances():
            try:
                wide = wide_all or self._wide.get(instance.name, 0) > 0
                missed += await self._look_at(instance, wide=wide, until=now if quiet else now - _MISSED_AFTER)
            except InstanceUnknownError:
                continue  # deleted meanwhile
            self._wide[instance.name] = max(0, self._wide.get(instance.name, 0) - 1)
        if not quiet:
            self._note(missed)
        return missed

    async def _look_at(self, instance: InstanceSummary, *, wide: bool, until: datetime) -> int:
        await self._follow_state(instance, datetime.now(UTC))
        since = await self._since(instance.name, until, wide=wide)
        missed = 0
        if since < until:
            async for records in found_between(self._resources.evolution, instance.name, since, until):
                missed += await self._store(instance.name, records)
        self._looked_until[instance.name] = until
        return missed

    async def _since(self, instance: str, until: datetime, *, wide: bool) -> datetime:
        looked_until = self._looked_until.get(instance)
        if looked_until is not None and not wide:
            return looked_until - _OVERLAP
        async with self._resources.engine.connect() as connection:
            newest = (await connection.execute(_NEWEST, {"instance": instance})).scalar()
        since = newest - _WIDE_OVERLAP if newest is not None else until - _FIRST_LOOK
        return min(since, looked_until - _OVERLAP) if looked_until is not None else since

    async def _store(self, instance: str, records: list[FoundMessage]) -> int:
        now = datetime.now(UTC)
        facts = [fact for record in records for fact in facts_of(instance, record, now)]
        async with self._resources.engine.connect() as connection:
            heard = set((await connection.execute(_HEARD, {"instance": instance, "ids": [each.key.id for each in records]})).scalars())
        events = [Event("messages.upsert" if isinstance(fact, MessageSeen) else "messages.update", fact) for fact in facts]
        stored = await storing.store(self._resources.engine, events, storing.CATCH_UP)
        missed = 0
        for fact, each in zip(facts, stored, strict=True):
            if isinstance(fact, MessageSeen) and each.outcome is Outcome.STORED:
                missed += fact.evolution_id not in heard
        return missed

    async def _follow_state(self, summary: InstanceSummary, now: datetime) -> None:
        """Take Evolution's word for a connection of which no event has told for a while."""
        async with self._resources.engine.connect() as connection:
            row = (await connection.execute(_STATE, {"instance": summary.name})).first()
        if row is None or row.state == summary.connection_status:
            return
        if row.state_changed_at is not None and row.state_changed_at > now - _TRUST_EVENTS:
            return
        state = await self._resources.evolution.state(summary.name)
        if state != row.state:
            seen = ConnectionSeen(summary.name, ConnectionState(state), now, phone=summary.phone, profile_name=summary.profile_name)
            await storing.store(self._resources.engine, [Event("connection.update", seen)], storing.CATCH_UP)

    def _note(self, missed: int) -> None:
        """Say that events are missing, until one comes again."""
        now = datetime.now(UTC)
        if missed:
            metrics.CATCH_UP_FOUND.inc(missed)
            fault = _lost(missed) if self._deliveries is not None else _not_delivered(missed)
            _log.warning("%s To mend it: %s", fault.problem, fault.mend, extra={"missed": missed})
            self._noted_at = now
            self._resources.faults[NOTE] = fault
        elif self._noted_at is not None:
            heard_at = now if self._deliveries is None else self._deliveries.heard_at
            if heard_at is not None and heard_at > self._noted_at:
                self._noted_at = None
                self._resources.faults[NOTE] = None
        metrics.EVENTS_LOST.set(self._noted_at is not None)

    async def _clean_up(self) -> None:
        """Forget what is kept for a time only."""
        now = datetime.now(UTC)
        if self._cleaned_at is not None and now - self._cleaned_at < _HOUSEKEEPING:
            return
        async with self._resources.engine.begin() as connection:
            await connection.execute(_FORGET_RECEIPTS)
            await connection.execute(_FORGET_CHANGES)
        self._cleaned_at = now


def _lost(missed: int) -> Fault:
    return Fault(
        State.UNREACHABLE,
        f"Evolution API has lost its connection to RabbitMQ: {missed} message(s) came without an event and were fetched from it.",
        "restart evolution-api (make restart SERVICE=evolution-api); it never reconnects by itself. If that changes nothing, see that "
        "RABBITMQ_EVENTS_MESSAGES_UPSERT, RABBITMQ_EVENTS_MESSAGES_UPDATE and RABBITMQ_EVENTS_SEND_MESSAGE are on.",
    )


def _not_delivered(missed: int) -> Fault:
    return Fault(
        State.UNREACHABLE,
        f"Evolution API's webhooks don't arrive: {missed} message(s) came without one and were fetched from it.",
        "see that the instance's webhook is set (GET /webhook/find/<instance> at Evolution API), that its URL is WEBHOOK_URL, and what "
        "evolution-api logs about it.",
    )


_NEWEST = text("""
    SELECT max(whatsapp_timestamp) FROM (
        SELECT whatsapp_timestamp FROM messages WHERE instance = :instance ORDER BY created_at DESC, seq DESC LIMIT 100
    ) AS newest
""")
_HEARD = text("SELECT evolution_id FROM receipts WHERE instance = :instance AND evolution_id = ANY(CAST(:ids AS text[]))")
_STATE = text("SELECT state, state_changed_at FROM instances WHERE name = :instance")
_FORGET_RECEIPTS = text("DELETE FROM receipts WHERE created_at < now() - interval '7 days'")
_FORGET_CHANGES = text("""
    DELETE FROM connection_changes USING (
        SELECT id, row_number() OVER (PARTITION BY instance ORDER BY at DESC, id DESC) AS age FROM connection_changes
    ) AS ranked
    WHERE ranked.id = connection_changes.id AND ranked.age > 1000
""")
