"""As much of AMQP 0-9-1 as Evolution API 2.2.3 uses, as its amqplib 0.10.5 does it: one channel, nothing waited for, no reconnecting.

A library for Python would offer the broker another frame size and add properties to messages, and just these differ visibly.
"""

import asyncio
import struct
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from pamqp import commands, frame
from pamqp.base import Frame
from pamqp.body import ContentBody
from pamqp.common import FieldTable
from pamqp.exceptions import PAMQPException
from pamqp.header import ContentHeader, ProtocolHeader
from pamqp.heartbeat import Heartbeat

DEFAULT_FRAME_MAX = 4096
"""Bytes that amqplib 0.10.5 offers unless the URI says `?frameMax=`; RabbitMQ 4.1 and later demand 8192."""

_PORTS = {"amqp": 5672, "amqps": 5671}
_NAMES = {320: "CONNECTION-FORCED", 402: "INVALID-PATH", 403: "ACCESS-REFUSED", 530: "NOT-ALLOWED", 541: "INTERNAL-ERROR"}
_CHANNEL = 1
_FRAME_OVERHEAD = 8
_QUORUM: FieldTable = {"x-queue-type": "quorum"}
_PROPERTIES: FieldTable = {"product": "Evolution API simulator", "capabilities": {"authentication_failure_close": True}}

Expected = TypeVar("Expected", bound=Frame)
Sendable = Frame | ContentHeader | ContentBody | Heartbeat


class AmqpError(Exception):
    """There is no connection. The text is amqplib's or node's."""


@dataclass(frozen=True)
class Address:
    """What a `RABBITMQ_URI` says. `frame_max` is in bytes and 0 for no limit, `heartbeat` in seconds and 0 for the broker's wish."""

    host: str
    port: int
    tls: bool
    user: str
    password: str
    vhost: str
    frame_max: int
    heartbeat: int


def parse_uri(uri: str) -> Address:
    """Read a URI as amqplib does.

    Raises:
        AmqpError: it is no AMQP URI.
    """
    try:
        parts = urlsplit(uri)
        query = parse_qs(parts.query)
        if parts.scheme not in _PORTS:
            raise AmqpError(f"Expected amqp: or amqps: as the protocol; got {parts.scheme}:")
        return Address(
            host=parts.hostname or "localhost",
            port=parts.port or _PORTS[parts.scheme],
            tls=parts.scheme == "amqps",
            user=unquote(parts.username or "guest"),
            password=unquote(parts.password or "guest"),
            vhost=unquote(parts.path.removeprefix("/")) or "/",
            frame_max=int(query.get("frameMax", [str(DEFAULT_FRAME_MAX)])[0]),
            heartbeat=int(query.get("heartbeat", ["0"])[0]),
        )
    except ValueError as error:
        raise AmqpError(f"{error} in RABBITMQ_URI") from None


class Connection:
    """A connection with one channel. When it is gone, what is sent goes nowhere."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._frame_max = DEFAULT_FRAME_MAX
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def open(cls, uri: str) -> "Connection":
        """Connect, agree with the broker and open the channel.

        Raises:
            AmqpError: the broker can't be reached, or ends the handshake.
        """
        address = parse_uri(uri)
        try:
            connection = cls(*await asyncio.open_connection(address.host, address.port, ssl=address.tls or None))
        except ConnectionRefusedError:
            raise AmqpError(f"connect ECONNREFUSED {address.host}:{address.port}") from None
        except OSError as error:
            raise AmqpError(f"{error} ({address.host}:{address.port})") from None
        try:
            await connection._shake_hands(address)
        except (EOFError, OSError, PAMQPException):
            connection.close()
            raise AmqpError("Socket closed abruptly during opening handshake") from None
        except AmqpError:
            connection.close()
            raise
        return connection

    @property
    def is_open(self) -> bool:
        """Whether what is sent reaches the broker."""
        return not self._writer.is_closing()

    def declare_exchange(self, name: str) -> None:
        """Declare a durable topic exchange."""
        self._write(_exchange_declaration(name))

    def declare_queue(self, name: str, exchange: str, key: str) -> None:
        """Declare a durable quorum queue, and bind it."""
        self._write(
            _marshalled(
                commands.Queue.Declare(queue=name, durable=True, nowait=True, arguments=_QUORUM),
                commands.Queue.Bind(queue=name, exchange=exchange, routing_key=key, nowait=True),
            )
        )

    def publish(self, exchange: str, key: str, body: bytes) -> None:
        """Publish a message without any properties."""
        size = self._frame_max - _FRAME_OVERHEAD
        header = ContentHeader(body_size=len(body), properties=commands.Basic.Properties())
        parts = (ContentBody(body[start : start + size]) for start in range(0, len(body), size))
        self._write(_publication(exchange, key) + _marshalled(header, *parts))

    def close(self) -> None:
        """Let go of the connection."""
        for task in self._tasks:
            task.cancel()
        self._writer.close()

    async def _shake_hands(self, address: Address) -> None:
        self._writer.write(ProtocolHeader().marshal())
        await self._receive(commands.Connection.Start)
        response = f"\0{address.user}\0{address.password}"
        self._send(commands.Connection.StartOk(client_properties=_PROPERTIES, mechanism="PLAIN", response=response), channel=0)
        tune = await self._receive(commands.Connection.Tune)
        self._frame_max = negotiated(tune.frame_max, address.frame_max) or 2**32 - 1
        heartbeat = negotiated(tune.heartbeat, address.heartbeat)
        tuned = commands.Connection.TuneOk(tune.channel_max, negotiated(tune.frame_max, address.frame_max), heartbeat)
        self._send(tuned, commands.Connection.Open(virtual_host=address.vhost), channel=0)
        await self._receive(commands.Connection.OpenOk)
        self._send(commands.Channel.Open())
        await self._receive(commands.Channel.OpenOk)
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._beat(heartbeat))]

    async def _receive(self, expected: type[Expected]) -> Expected:
        received = await self._next()
        if isinstance(received, expected):
            return received
        wanted = expected.name.replace(".", "")
        if isinstance(received, commands.Connection.Close):
            if expected is commands.Connection.Tune:
                code = f"{received.reply_code} ({_NAMES.get(received.reply_code or 0, '')})"
                raise AmqpError(f'Handshake terminated by server: {code} with message "{received.reply_text}"')
            raise AmqpError(f"Expected {wanted}; got <ConnectionClose channel:0> ({received.reply_code}: {received.reply_text})")
        raise AmqpError(f"Expected {wanted}; got {received}")

    async def _next(self) -> object:
        head = await self._reader.readexactly(7)
        (size,) = struct.unpack(">I", head[3:])
        return frame.unmarshal(head + await self._reader.readexactly(size + 1))[2]

    def _send(self, *frames: Sendable, channel: int = _CHANNEL) -> None:
        self._write(_marshalled(*frames, channel=channel))

    def _write(self, data: bytes) -> None:
        """Put it into the buffer, as amqplib does: however slow the broker is, nothing waits for it."""
        if self.is_open:
            self._writer.write(data)

    async def _read(self) -> None:
        """Take what the broker says, until it closes the channel or the connection, or is gone."""
        with suppress(EOFError, OSError, PAMQPException):
            while True:
                received = await self._next()
                if isinstance(received, commands.Channel.Close):
                    self._send(commands.Channel.CloseOk())
                    break
                if isinstance(received, commands.Connection.Close):
                    self._send(commands.Connection.CloseOk(), channel=0)
                    break
        self._writer.close()

    async def _beat(self, interval: int) -> None:
        while interval and not self._writer.is_closing():
            await asyncio.sleep(interval / 2)
            self._send(Heartbeat(), channel=0)


def _marshalled(*frames: Sendable, channel: int = _CHANNEL) -> bytes:
    return b"".join(frame.marshal(each, channel) for each in frames)


@lru_cache(maxsize=1024)
def _exchange_declaration(name: str) -> bytes:
    return _marshalled(commands.Exchange.Declare(exchange=name, exchange_type="topic", durable=True, nowait=True))


@lru_cache(maxsize=1024)
def _publication(exchange: str, key: str) -> bytes:
    return _marshalled(commands.Basic.Publish(exchange=exchange, routing_key=key))


def negotiated(server: int, wanted: int) -> int:
    """Give the smaller limit; 0 is none."""
    return max(server, wanted) if 0 in {server, wanted} else min(server, wanted)
