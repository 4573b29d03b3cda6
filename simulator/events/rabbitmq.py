"""Events to RabbitMQ, as 2.2.3 and its amqplib 0.10.5 do it: frame size, declarations, keys, and what happens without a broker.

A connection is tried once, at start. Whether that fails or the broker goes away later: HTTP goes on, events are dropped without a word, and
nothing connects again until the process restarts.
"""

import asyncio
import logging
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import aiormq
from aiormq.abc import AbstractChannel
from pamqp import commands as amqp
from pamqp.common import FieldValue
from pamqp.frame import marshal
from yarl import URL

from simulator.environment import EVENT_KEYS
from simulator.events.event import Event
from simulator.journal import Journal
from simulator.settings import Rabbitmq as RabbitmqSettings
from simulator.store import Target

DEFAULT_FRAME_MAX = 4096
"""Bytes that amqplib 0.10.5 offers unless the URI says `?frameMax=`; RabbitMQ 4.1 and later demand 8192."""

_QUORUM: dict[str, FieldValue] = {"x-queue-type": "quorum"}
_HEARTBEAT_S = 60

# aiormq prints what 2.2.3 keeps quiet about.
logging.getLogger("aiormq").setLevel(logging.CRITICAL)


class HandshakeError(Exception):
    """The broker ended the handshake. The text is amqplib's."""


class Connection(aiormq.Connection):
    """A connection that offers the frame size which amqplib would, instead of taking the broker's."""

    def __init__(self, uri: str) -> None:
        parts = urlsplit(uri)
        if parts.scheme not in {"amqp", "amqps"}:
            raise HandshakeError(f"Expected amqp: or amqps: as the protocol; got {parts.scheme}:")
        vhost = unquote(parts.path.removeprefix("/")) or "/"
        self.offered_frame_max = int(parse_qs(parts.query).get("frameMax", [str(DEFAULT_FRAME_MAX)])[-1])
        super().__init__(
            URL.build(
                scheme=parts.scheme,
                user=unquote(parts.username or "guest"),
                password=unquote(parts.password or "guest"),
                host=parts.hostname or "localhost",
                port=parts.port or (5671 if parts.scheme == "amqps" else 5672),
                path="/" if vhost == "/" else f"/{vhost}",
                query={"heartbeat": str(_HEARTBEAT_S)},
            )
        )

    async def _rpc(self, request: Any, writer: asyncio.StreamWriter, frame_receiver: Any, wait_response: bool = True) -> Any:  # type: ignore[override]  # noqa: ANN401
        """Do one step of the handshake: take part in the size's negotiation, and word a refusal as amqplib does."""
        writer.write(marshal(request, 0))
        await writer.drain()
        if not wait_response:
            return None
        _, _, reply = await frame_receiver.get_frame()
        if isinstance(reply, amqp.Connection.Tune):
            reply.frame_max = _negotiated(reply.frame_max, self.offered_frame_max)
        if isinstance(reply, amqp.Connection.Close):
            raise HandshakeError(_refusal(request, reply))
        return reply


def _negotiated(server: int, wanted: int) -> int:
    """The smaller one; 0 is no limit."""
    return max(server, wanted) if 0 in {server, wanted} else min(server, wanted)


def _refusal(request: object, reply: amqp.Connection.Close) -> str:
    if isinstance(request, amqp.Connection.Open):
        return f"Expected ConnectionOpenOk; got <ConnectionClose channel:0> ({reply.reply_code}: {reply.reply_text})"
    return f'Handshake terminated by server: {reply.reply_code} with message "{reply.reply_text}"'


class RabbitMQ:
    """The way to the broker."""

    def __init__(self, settings: RabbitmqSettings, journal: Journal) -> None:
        self._settings = settings
        self._journal = journal.named("RabbitmqController")
        self._connection: Connection | None = None
        self._channel: AbstractChannel | None = None
        self._in_order = asyncio.Lock()

    async def start(self) -> None:
        """Connect, once, and declare the global queues. A failure is one line in the log."""
        if not self._settings.enabled:
            return
        try:
            self._connection = Connection(self._settings.uri)
            await self._connection.connect()
            channel = await self._connection.channel(publisher_confirms=False)
            await channel.exchange_declare(self._settings.exchange, exchange_type="topic", durable=True)
        except Exception as error:  # noqa: BLE001  (2.2.3 ends here with an unhandled rejection, whatever the reason)
            self._journal.named("unhandledRejection").error(self._reason(error))
            return
        self._channel = channel
        self._journal.info("AMQP initialized")
        if self._settings.globally:
            await self._declare_global_queues(channel)

    async def deliver(self, event: Event, targets: dict[str, Target]) -> None:
        """Publish to the instance's own exchange, to the global one, to both or to none."""
        own = targets.get("rabbitmq")
        async with self._in_order:
            if own and own.enabled and event.switch in own.events:
                await self._publish(event, event.instance, event.instance)
            if self._settings.globally and event.switch in self._settings.events:
                await self._publish(event, self._settings.exchange, self._settings.prefix)

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            with suppress(Exception):
                await self._connection.close()

    async def _publish(self, event: Event, exchange: str, prefix: str) -> None:
        """Declare, bind and publish without waiting for answers; a channel that is gone takes the event with it."""
        if self._channel is None or self._channel.is_closed:
            return
        queue = f"{prefix}.{event.name.replace('_', '.').lower()}"
        with suppress(Exception):
            await self._channel.exchange_declare(exchange, exchange_type="topic", durable=True, nowait=True)
            await self._channel.queue_declare(queue, durable=True, arguments=_QUORUM, nowait=True)
            await self._channel.queue_bind(queue, exchange, event.name, nowait=True)
            await self._channel.basic_publish(event.body(), exchange=exchange, routing_key=event.name)

    async def _declare_global_queues(self, channel: AbstractChannel) -> None:
        """Bind them with upper-case keys, which nothing is ever published with: the right binding comes with the first event."""
        self._journal.info("Initializing global queues")
        with suppress(Exception):
            for key in EVENT_KEYS:
                if key in self._settings.events:
                    queue = f"{self._settings.prefix}.{key.replace('_', '.').lower()}"
                    await channel.queue_declare(queue, durable=True, arguments=_QUORUM, nowait=True)
                    await channel.queue_bind(queue, self._settings.exchange, key, nowait=True)

    def _reason(self, error: BaseException) -> str:
        if "frame_max" in str(error):
            return f"{error}; mend it with ?frameMax=131072 at the end of RABBITMQ_URI"
        if isinstance(error, ConnectionRefusedError | aiormq.exceptions.AMQPConnectionError) and "refused" in str(error).lower():
            parts = urlsplit(self._settings.uri)
            return f"connect ECONNREFUSED {parts.hostname}:{parts.port or 5672}"
        return str(error) or type(error).__name__
