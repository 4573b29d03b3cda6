"""Reads one queue in batches: as large as what has come meanwhile, so that a busy queue costs few transactions and a calm one no wait."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from zoneinfo import ZoneInfo

from aio_pika import Message
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, DeliveryMode
from sqlalchemy.ext.asyncio import AsyncEngine

from src.database import DatabaseError, explain
from src.events import storing
from src.events.facts import Event
from src.events.outcome import Outcome
from src.events.payloads import EventError, read_event
from src.events.topology import DEAD, OwnQueue
from src.settings import Settings

SOURCE = "rabbitmq"
PREFETCH = 100
"""Deliveries that this replica holds at most; the rest is left to others, or waits in the broker."""
_MOST_IN_BATCH = 100
_FIRST_RETRY_SECONDS = 0.2
_LONGEST_RETRY_SECONDS = 5.0

_log = logging.getLogger("app.events")


class QueueReader:
    """Takes events from a queue, stores them, and only then acknowledges them. Serves one channel, and ends with it."""

    def __init__(
        self, queue: OwnQueue, engine: AsyncEngine, settings: Settings, *, gather_seconds: float, heard: Callable[[Event], None]
    ) -> None:
        """Make a reader.

        Args:
            queue: what to read.
            engine: where to store.
            settings: the application's.
            gather_seconds: how long to let more come before storing; 0 for what is wanted at once.
            heard: is told of each event that was stored or was known.
        """
        self._queue = queue
        self._engine = engine
        self._settings = settings
        self._zone = ZoneInfo(settings.tz)
        self._gather_seconds = gather_seconds
        self._heard = heard
        self._come: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Have `run` return once the batch in hand is stored. What is left goes back to the queue with the end of the channel."""
        self._stopping.set()

    async def run(self, channel: AbstractChannel) -> None:
        """Consume until `stop`; else end with the error of a channel that is gone."""
        await channel.set_qos(prefetch_count=PREFETCH)
        queue = await channel.get_queue(self._queue.name, ensure=False)
        tag = await queue.consume(self._come.put)
        while batch := await self._next_batch():
            await self._handle(channel, batch)
        await queue.cancel(tag)

    async def _next_batch(self) -> list[AbstractIncomingMessage]:
        """Wait for deliveries and return them in their order; nothing when it is time to stop."""
        stopping = asyncio.ensure_future(self._stopping.wait())
        coming = asyncio.ensure_future(self._come.get())
        try:
            await asyncio.wait({stopping, coming}, return_when=asyncio.FIRST_COMPLETED)
            if self._stopping.is_set():
                return []
            if self._gather_seconds:
                await asyncio.wait({stopping}, timeout=self._gather_seconds)
            batch = [coming.result()]
        finally:
            stopping.cancel()
            coming.cancel()
        while len(batch) < _MOST_IN_BATCH and not self._come.empty():
            batch.append(self._come.get_nowait())
        return batch

    async def _handle(self, channel: AbstractChannel, batch: list[AbstractIncomingMessage]) -> None:
        readable: list[tuple[AbstractIncomingMessage, Event]] = []
        dead: list[tuple[AbstractIncomingMessage, str]] = []
        for each in batch:
            try:
                readable.append((each, read_event(each.body, self._zone)))
            except EventError as error:
                storing.count(SOURCE, each.routing_key or "", Outcome.DEAD)
                dead.append((each, str(error)))
        stored = await self._store([event for _, event in readable])
        if stored is None:
            return  # stopping; nothing is acknowledged
        dead += [(each, result.reason) for (each, _), result in zip(readable, stored, strict=True) if result.reason is not None]
        for each, reason in dead:
            await self._bury(channel, each, reason)
        # One acknowledgement for all: deliveries are numbered in their order, and all earlier ones were handled before.
        await batch[-1].ack(multiple=True)
        for _, event in readable:
            self._heard(event)

    async def _store(self, events: list[Event]) -> list[storing.Stored] | None:
        """Store for as long as it takes. The deliveries are held meanwhile, so that an absent database costs none of their attempts."""
        if not events:
            return []
        pause = _FIRST_RETRY_SECONDS
        while True:
            try:
                return await storing.store(self._engine, events, SOURCE)
            except DatabaseError as error:
                fault = explain(error, self._settings)
                _log.warning("events wait for the database: %s", fault.problem, extra={"queue": self._queue.name, "state": fault.state})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
            if self._stopping.is_set():
                return None
            pause = min(pause * 2, _LONGEST_RETRY_SECONDS)

    async def _bury(self, channel: AbstractChannel, message: AbstractIncomingMessage, reason: str) -> None:
        """Put aside what can't be read or stored, with the reason, which the broker's own dead-lettering would not tell."""
        _log.error(
            "an event was put aside in %s: %s",
            DEAD,
            reason,
            extra={"queue": self._queue.name, "routing_key": message.routing_key, "bytes": message.body_size},
        )
        exchange = await channel.get_exchange(DEAD, ensure=False)
        headers = {"reason": reason[:1000], "queue": self._queue.name, "event": message.routing_key or ""}
        await exchange.publish(Message(message.body, headers=dict(headers), delivery_mode=DeliveryMode.PERSISTENT), routing_key="")
