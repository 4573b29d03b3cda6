"""Gathers the changes of connections that come one by one as webhooks, so that a storm of them costs few transactions."""

import asyncio

from sqlalchemy.ext.asyncio import AsyncEngine

from src.events import storing
from src.events.facts import Event
from src.events.storing import Stored

SOURCE = "webhook"
GATHER_CHANGES_SECONDS = 0.25
"""A storm of changes is then at most four transactions a second, however hard it blows."""


class Gathering:
    """Stores together what comes within a moment, one batch after the other; who brought it waits until it is stored."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._events: list[Event] = []
        self._batch: asyncio.Task[list[Stored]] | None = None
        self._storing = asyncio.Lock()

    async def store(self, event: Event) -> Stored:
        """Store an event with those that come meanwhile.

        Raises:
            src.database.DatabaseError: nothing of the batch is stored.
        """
        if self._batch is None:
            self._batch = asyncio.create_task(self._store_batch(), name="a batch of webhooks")
        place = len(self._events)
        self._events.append(event)
        return (await asyncio.shield(self._batch))[place]  # one caller that goes away takes nothing from the others

    async def _store_batch(self) -> list[Stored]:
        await asyncio.sleep(GATHER_CHANGES_SECONDS)
        async with self._storing:
            events, self._events, self._batch = self._events, [], None
            return await storing.store(self._engine, events, SOURCE)
