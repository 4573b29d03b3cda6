"""Messages through a stack's published ports: sent by the application's clients, counted at both ends."""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import asyncpg
import httpx

from bench.figures import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

_ASK_AGAIN_SECONDS = 0.2
_PAGE = 1000
_DONE = frozenset({"sent", "delivered", "read"})
_NUMBER = "5511977776666"
"""The simulated phone's own."""


@dataclass(frozen=True)
class Stack:
    """Where the parts of a running stack are.

    Attributes:
        apps: the application's replicas.
        evolution: Evolution API, which must be the simulator.
        evolution_key: its global key.
        database: a libpq URL of the application's database.
    """

    apps: tuple[str, ...]
    evolution: str
    evolution_key: str
    database: str


@dataclass(frozen=True)
class Sent:
    """One message in the application's database."""

    text: str
    state: str
    created_at: datetime
    delivered_at: datetime | None


@dataclass
class Traffic:
    """The messages of one instance, made anew for it. Every text is another."""

    stack: Stack
    instance: str
    chats: int = 200
    texts: list[str] = field(default_factory=list)
    posted: dict[str, float] = field(default_factory=dict)
    """When the request for each text was begun, on this process's monotonic clock."""
    accepted: set[str] = field(default_factory=set)
    """What the application has answered for."""

    async def pair(self) -> None:
        """Make the instance, pair it with the simulated phone, and wait until the application has heard of it."""
        app, evolution = self.stack.apps[0], self.stack.evolution
        async with httpx.AsyncClient(timeout=30) as client:
            (await client.post(f"{app}/instances", json={"name": self.instance})).raise_for_status()
            path = f"{evolution}/simulator/instances/{self.instance}/pair"
            body = {"number": _NUMBER, "profileName": "Traffic"}
            (await client.post(path, json=body, headers={"apikey": self.stack.evolution_key})).raise_for_status()
            while True:
                answer = (await client.get(f"{app}/instances/{self.instance}/state")).raise_for_status()
                if answer.json()["state"] == "open":
                    return
                await asyncio.sleep(_ASK_AGAIN_SECONDS)

    def more(self, count: int) -> list[str]:
        """New texts."""
        first = len(self.texts)
        new = [f"{self.instance} {number}" for number in range(first, first + count)]
        self.texts += new
        return new

    async def post(self, texts: Sequence[str], concurrency: int = 32, per_second: float | None = None) -> None:
        """Send texts by the replicas in turn, as a careful client does: a request without an answer is repeated with its key.

        Args:
            texts: from `more`.
            concurrency: requests under way at once.
            per_second: an even pace; as fast as they are taken when left out.
        """
        begun = time.monotonic()
        numbered: Iterator[tuple[int, str]] = enumerate(texts)
        limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
        async with httpx.AsyncClient(timeout=30, limits=limits) as client:

            async def work() -> None:
                for number, text in numbered:
                    if per_second:
                        await asyncio.sleep(max(0.0, begun + number / per_second - time.monotonic()))
                    self.posted[text] = time.monotonic()
                    await self._post_one(client, number, text)

            await asyncio.gather(*(work() for _ in range(concurrency)))

    async def _post_one(self, client: httpx.AsyncClient, number: int, text: str) -> None:
        body = {"instance": self.instance, "to": f"55119{number % self.chats:08}", "type": "text", "text": text}
        for attempt in itertools.count(number):
            app = self.stack.apps[attempt % len(self.stack.apps)]
            try:
                answer = await client.post(f"{app}/messages", json=body, headers={"Idempotency-Key": text.replace(" ", "-")})
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code in {httpx.codes.OK, httpx.codes.ACCEPTED}:
                self.accepted.add(text)
                return
            if answer is not None and answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
                raise AssertionError(f"the application refused a message: {answer.status_code} {answer.text}")
            await asyncio.sleep(_ASK_AGAIN_SECONDS)

    async def in_app(self) -> list[Sent]:
        """What the application's database has."""
        connection = await asyncpg.connect(self.stack.database, timeout=10)
        try:
            rows = await connection.fetch(
                "SELECT text, state, created_at, delivered_at FROM messages WHERE instance = $1 AND direction = 'outbound'", self.instance
            )
        finally:
            await connection.close()
        return [Sent(row["text"], row["state"], row["created_at"], row["delivered_at"]) for row in rows]

    async def at_whatsapp(self) -> list[str]:
        """The texts that Evolution API sent, from all pages of its own list, by WhatsApp's ids: what is sent meanwhile moves the pages."""
        found: dict[str, str] = {}
        async with httpx.AsyncClient(timeout=60, headers={"apikey": self.stack.evolution_key}) as client:
            for page in itertools.count(1):
                body = {"where": {"key": {"fromMe": True}}, "page": page, "offset": _PAGE}
                answer = (await client.post(f"{self.stack.evolution}/chat/findMessages/{self.instance}", json=body)).raise_for_status()
                messages: dict[str, Any] = answer.json()["messages"]
                found |= {record["key"]["id"]: record["message"]["conversation"] for record in messages["records"]}
                if page >= messages["pages"]:
                    break
        return list(found.values())

    async def counted(self) -> Tally:
        """What is lost or doubled of all that the application has taken, compared at both ends, and what of all texts is not delivered."""
        stored = await self.in_app()
        done = [sent.text for sent in stored if sent.state in _DONE]
        at_whatsapp = await self.at_whatsapp()
        in_app = Tally.of(self.accepted, (sent.text for sent in stored), known=self.texts)
        outside = Tally.of(done, at_whatsapp, known=self.texts)
        late = set(self.texts) - {sent.text for sent in stored if sent.delivered_at} - in_app.lost
        return Tally(in_app.lost | outside.lost, in_app.doubled | outside.doubled, frozenset(late))

    async def until_delivered(self, seconds: float, seen: Callable[[str, float], None] | None = None, every: float = 0.5) -> bool:
        """Wait until the application has stored the delivery of all texts; whether it did so in time.

        Args:
            seconds: the most to wait.
            seen: called with each text and the moment, on the monotonic clock, at which its stored delivery was first seen.
            every: seconds between two looks.
        """
        limit = time.monotonic() + seconds
        missing = set(self.texts)
        connection = await asyncpg.connect(self.stack.database, timeout=10)
        try:
            while missing and time.monotonic() < limit:
                rows = await connection.fetch(_DELIVERED, self.instance)
                now = time.monotonic()
                for text in missing.intersection(row["text"] for row in rows):
                    missing.discard(text)
                    if seen:
                        seen(text, now)
                await asyncio.sleep(every if missing else 0)
        finally:
            await connection.close()
        return not missing


_DELIVERED = "SELECT text FROM messages WHERE instance = $1 AND direction = 'outbound' AND state IN ('delivered', 'read')"
