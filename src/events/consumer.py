"""Consumes Evolution API's events from RabbitMQ, for as long as the application runs, whatever happens to the broker."""

import asyncio
import logging
import random
from asyncio import FIRST_COMPLETED
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import aio_pika
from aio_pika import exceptions as amqp
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import ChannelAccessRefused

from src import metrics
from src.background import STOP_LIMIT_SECONDS
from src.events.facts import ConnectionSeen, ConnectionState, Event, MarkSeen, MessageSeen
from src.events.gathering import GATHER_CHANGES_SECONDS
from src.events.reader import QueueReader
from src.events.topology import CONNECTIONS, MESSAGES, declare, declare_dead_letters
from src.faults import Fault, State
from src.resources import Resources

if TYPE_CHECKING:
    from collections.abc import Callable

DEPENDENCY = "rabbitmq"
"""The name under which readiness shows it."""

_CONNECT_SECONDS = 5.0
_HEARTBEAT_SECONDS = 15
"""A broker that says nothing, not even goodbye, is held to be gone after at most twice this."""
_DECLARE_AGAIN_SECONDS = 30.0
"""A binding that somebody removed, alone or with its exchange, is told to nobody."""
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 10.0
_FINISH_SECONDS = STOP_LIMIT_SECONDS - 2
"""How long a stop waits for the batches in hand; the rest is for closing the connection."""

_ERRORS = (amqp.AMQPError, amqp.ChannelInvalidStateError, OSError, TimeoutError)
_log = logging.getLogger("app.events")


class _EndedError(amqp.AMQPError):
    """The broker ended the connection, a channel or a consumer."""


class Consumer:
    """A background service: while it is entered it consumes, on a connection that it makes anew as often as needed.

    Attributes:
        may_have_missed: called when messages may have come without an event: with None each time that consuming begins, with an
            instance's name when that one has connected.
    """

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self.may_have_missed: Callable[[str | None], None] = lambda _: None
        self._heard_at: datetime | None = None
        url = resources.settings.rabbitmq_url
        self._url = url.get_secret_value() if url else ""
        parts = urlsplit(self._url)
        self._where = f"{parts.hostname}:{parts.port or 5672}"
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._declaring: AbstractChannel | None = None

    async def __aenter__(self) -> Self:
        self._resources.faults[DEPENDENCY] = Fault(State.UNREACHABLE, f"RabbitMQ at {self._where} is not connected yet.", "wait a moment.")
        self._task = asyncio.create_task(self._run(), name="event consumer")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._stopping.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=STOP_LIMIT_SECONDS)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        metrics.CONSUMER_CONNECTED.set(0)

    @property
    def heard_at(self) -> datetime | None:
        """When the last event of a message came to this replica."""
        return self._heard_at

    def _heard(self, event: Event) -> None:
        match event.fact:
            case MessageSeen() | MarkSeen():
                self._heard_at = datetime.now(UTC)
            case ConnectionSeen(state=ConnectionState.OPEN, instance=instance):
                self.may_have_missed(instance)

    async def backlog(self) -> int | None:
        """Return how many events of messages wait in the broker; None when that can't be known."""
        if self._declaring is None:
            return None
        try:
            queue = await self._declaring.declare_queue(MESSAGES.name, passive=True, timeout=_CONNECT_SECONDS)
        except _ERRORS:
            return None
        return queue.declaration_result.message_count

    async def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                await self._session()
            except Exception as error:  # noqa: BLE001  # nothing may end the consuming for good
                failures = 1 if self._resources.faults.get(DEPENDENCY) is None else failures + 1
                self._say(self._explain(error), error)
            metrics.CONSUMER_CONNECTED.set(0)
            pause = min(_FIRST_PAUSE_SECONDS * 2 ** min(failures, 10), _LONGEST_PAUSE_SECONDS)
            await self._sleep(pause * random.uniform(0.75, 1.25))  # noqa: S311  # keeps replicas apart

    async def _sleep(self, seconds: float) -> None:
        stopping = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait({stopping}, timeout=seconds)
        stopping.cancel()

    async def _session(self) -> None:
        """Connect and consume until it is time to stop; ends with an error when the broker ends it."""
        connection = await aio_pika.connect(
            self._url, timeout=_CONNECT_SECONDS, heartbeat=_HEARTBEAT_SECONDS, client_properties={"connection_name": "app"}
        )
        try:
            await self._consume(connection)
        finally:
            self._declaring = None
            async with asyncio.timeout(_CONNECT_SECONDS):
                await connection.close()

    async def _consume(self, connection: AbstractConnection) -> None:
        exchange = self._resources.settings.rabbitmq_exchange
        await declare_dead_letters(connection)
        self._declaring = await connection.channel()
        await declare(self._declaring, exchange)
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        stopping = asyncio.create_task(self._stopping.wait())
        readers: dict[asyncio.Task[None], QueueReader] = {}
        try:
            for queue, gather_seconds in ((MESSAGES, 0.0), (CONNECTIONS, GATHER_CHANGES_SECONDS)):
                reader = QueueReader(
                    queue, self._resources.engine, self._resources.settings, gather_seconds=gather_seconds, heard=self._heard
                )
                channel = await self._watched_channel(connection, ended)
                readers[asyncio.create_task(reader.run(channel), name=f"reader of {queue.name}")] = reader
            self._say(None)
            self.may_have_missed(None)
            while not stopping.done():
                watched: set[asyncio.Future[Any]] = {ended, stopping, *readers}
                done, _ = await asyncio.wait(watched, timeout=_DECLARE_AGAIN_SECONDS, return_when=FIRST_COMPLETED)
                for each in done:
                    each.result()
                if not done:
                    await declare(self._declaring, exchange)
            for reader in readers.values():
                reader.stop()
            await asyncio.wait(readers, timeout=_FINISH_SECONDS)
        finally:
            open_ends: list[asyncio.Future[Any]] = [ended, stopping, *readers]
            for each in open_ends:
                each.cancel()
            await asyncio.gather(stopping, *readers, return_exceptions=True)

    @staticmethod
    async def _watched_channel(connection: AbstractConnection, ended: "asyncio.Future[None]") -> AbstractChannel:
        """Open a channel; `ended` gets the error when the broker ends it or its consumer, as when the queue is deleted."""

        def end(why: str) -> None:
            if not ended.done():
                ended.set_exception(_EndedError(why))

        channel = await connection.channel()
        channel.close_callbacks.add(lambda _, error: end(_words(error) if error else "it was closed"))
        underlay = await channel.get_underlay_channel()
        underlay.on_consumer_cancel_callbacks.add(lambda _: end("a queue was deleted"))
        return channel

    def _say(self, fault: Fault | None, error: Exception | None = None) -> None:
        """Show the state to readiness and metrics, and log it when it is another than before."""
        before = self._resources.faults.get(DEPENDENCY)
        self._resources.faults[DEPENDENCY] = fault
        metrics.CONSUMER_CONNECTED.set(fault is None)
        if fault is None:
            _log.info("events are consumed from RabbitMQ", extra={"broker": self._where})
        elif before is None or before.problem != fault.problem:
            unforeseen = not isinstance(error, _ERRORS)
            _log.warning(fault.problem, exc_info=error if unforeseen else None, extra={"dependency": DEPENDENCY, "state": fault.state})

    def _explain(self, error: BaseException) -> Fault:
        """Say in words why nothing is consumed, without the password."""
        if isinstance(error, (amqp.AuthenticationError, amqp.ProbableAuthenticationError, ChannelAccessRefused)):
            return Fault(
                State.CREDENTIALS_REFUSED,
                f"RabbitMQ at {self._where} refused the user of RABBITMQ_URL, its password or its rights.",
                "give the application the user and the password that the broker has; both take them from RABBITMQ_DEFAULT_USER and "
                "RABBITMQ_DEFAULT_PASS when the stack is brought up.",
            )
        if isinstance(error, amqp.ChannelPreconditionFailed):
            return Fault(
                State.UNEXPECTED_ANSWER,
                f"RabbitMQ at {self._where} has something of this name with other properties: {error}",
                "remove what the text names, on RabbitMQ's page or by rabbitmqctl; the application declares it anew. "
                "The events that wait in a queue are lost with it; catch-up fetches their messages from Evolution API.",
            )
        return Fault(
            State.UNREACHABLE,
            f"No events are consumed: RabbitMQ at {self._where} can't be reached, or ended the connection ({_words(error)}).",
            "start the service rabbitmq, and look at its log.",
        )


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
