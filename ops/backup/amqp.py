"""As much of AMQP 0-9-1 as a backup needs: look at the messages of a queue without taking them, and put messages into a queue.

A client library would want a socket of its own; here the connection is a tunnel into the broker's container.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeVar

from pamqp import commands, frame
from pamqp.body import ContentBody
from pamqp.exceptions import PAMQPException
from pamqp.header import ContentHeader, ProtocolHeader
from pamqp.heartbeat import Heartbeat

from ops.backup.inside import InsideError, tunnel
from ops.backup.refusals import unexpected
from stack.vocabulary import AMQP_PORT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from docker import DockerClient
    from pamqp.base import Frame
    from pamqp.common import FieldTable

Expected = TypeVar("Expected")

LARGEST_BYTES = 16 * 1024 * 1024
"""Of a message that is looked at. RabbitMQ 4 takes none that is longer; what an older one took beyond it is left out, and said to be."""

_FRAME_HEAD = struct.Struct(">BHI")
_FRAME_OVERHEAD = 8
_AT_ONCE = 200
"""Messages under way to the broker: to wait for each alone would take a minute for ten thousand."""

_MOST_HELD = 65535
"""Messages that one consumer may hold: AMQP counts them in two bytes."""

_UNREADABLE = (PAMQPException, ValueError, TypeError, LookupError, OverflowError, struct.error)
"""How the library fails at bytes that make no sense."""

_SILENT_ANSWERS = 5
_SILENT_SECONDS = 2.0
_POLL_SECONDS = 0.03

_DELIVERIES = "x-delivery-count"
_PROPERTIES: FieldTable = {"capabilities": {"authentication_failure_close": True, "publisher_confirms": True}}


@dataclass(frozen=True)
class Message:
    """A message as it lies in a queue.

    Attributes:
        exchange: through which it came.
        routing_key: with which it came.
        properties: as AMQP writes them.
        body: None where it is too long to be looked at.
        deliveries: how often it was handed out and came back, as quorum queues count it.
    """

    exchange: str
    routing_key: str
    properties: bytes
    body: bytes | None
    deliveries: int = 0


@dataclass(frozen=True)
class Login:
    """Who connects."""

    user: str
    password: str


class Amqp:
    """A connection to one virtual host, with one channel.

    Attributes:
        missed: messages that were in the queue when `look` began, and that it was not handed.
    """

    def __init__(self, client: DockerClient, container: str, login: Login, vhost: str) -> None:
        self._program = tunnel(client, container, AMQP_PORT)
        self._reader = self._program.makefile()
        self._user = login.user
        self._channel = 0
        self._frame_max = 0
        self.missed = 0
        try:
            self._shake_hands(login, vhost)
        except InsideError as error:
            self._program.close()
            raise type(error)(f"RabbitMQ can't be asked for its messages: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Part, in peace unless something failed: the broker writes a warning for each client that just goes."""
        if kind is None:
            with contextlib.suppress(InsideError):
                self._channel = 0
                self._send(commands.Connection.Close(reply_code=200, class_id=0, method_id=0))
                while not isinstance(self._next(), commands.Connection.CloseOk):
                    pass  # what was under way
        self._program.close()

    def count(self, queue: str) -> int:
        """How many messages of a queue are ready to be handed out, now."""
        with self._channel_open():
            return self._ask(commands.Queue.Declare(queue=queue, passive=True), commands.Queue.DeclareOk).message_count or 0

    def look(self, queue: str) -> Iterator[Message]:
        """Take the messages that are in a queue now. All go back, in their order, when the connection ends, however it ends.

        As one consumer, which never says that it is done with a message: what several consumers hold, and what is given back message by
        message, comes back to a quorum queue in another order (tried on 3.10). Until then no other consumer gets them.
        """
        self.missed = left = self.count(queue)
        if not left:
            return
        self._ask(commands.Channel.Open(), commands.Channel.OpenOk)
        self._ask(commands.Basic.Qos(prefetch_count=min(left, _MOST_HELD)), commands.Basic.QosOk)
        for number in range(-(-left // _MOST_HELD)):
            self._send(commands.Basic.Consume(queue=queue, consumer_tag=f"backup.{number}", nowait=True))
        for message in itertools.islice(self._deliveries(queue), left):
            self.missed -= 1
            yield message

    def _deliveries(self, queue: str) -> Iterator[Message]:
        """What the broker hands out, until it has no more, or hands out nothing for a while: others may have been faster."""
        asked, silent, last = False, 0, time.monotonic()
        while silent < _SILENT_ANSWERS and time.monotonic() - last < _SILENT_SECONDS:
            if not asked:
                self._send(commands.Queue.Declare(queue=queue, passive=True))
                asked = True
            answer = self._next()
            if isinstance(answer, commands.Basic.Deliver):
                yield self._message(answer)
                silent, last = 0, time.monotonic()
            elif isinstance(answer, commands.Queue.DeclareOk):
                asked, silent = False, 0 if answer.message_count else silent + 1
                time.sleep(_POLL_SECONDS)
            elif not isinstance(answer, Heartbeat):
                raise unexpected(answer)

    def put(self, exchange: str, queue: str, messages: Iterable[Message]) -> int:
        """Put messages into a queue, each with its own routing key, through a direct exchange that is there for it; how many.

        Raises:
            InsideError: the broker did not take one.
        """
        bound: set[str] = set()
        sent = confirmed = 0
        with self._channel_open():
            self._ask(commands.Exchange.Declare(exchange=exchange, exchange_type="direct"), commands.Exchange.DeclareOk)
            self._ask(commands.Confirm.Select(), commands.Confirm.SelectOk)
            for message in messages:
                if message.routing_key not in bound:
                    confirmed = self._confirm(confirmed, sent)
                    bind = commands.Queue.Bind(queue=queue, exchange=exchange, routing_key=message.routing_key)
                    self._ask(bind, commands.Queue.BindOk)
                    bound.add(message.routing_key)
                self._publish(exchange, message)
                sent += 1
                if sent - confirmed >= _AT_ONCE:
                    confirmed = self._confirm(confirmed, sent)
            self._confirm(confirmed, sent)
            self._ask(commands.Exchange.Delete(exchange=exchange), commands.Exchange.DeleteOk)
        return sent

    @contextlib.contextmanager
    def _channel_open(self) -> Iterator[None]:
        """A channel, as long as the connection holds."""
        self._channel = 1
        self._ask(commands.Channel.Open(), commands.Channel.OpenOk)
        yield
        self._ask(commands.Channel.Close(reply_code=200, class_id=0, method_id=0), commands.Channel.CloseOk)

    def _publish(self, exchange: str, message: Message) -> None:
        body = message.body or b""
        properties = decoded(message.properties)
        if properties.user_id != self._user:
            properties.user_id = None  # the broker takes nobody's word for another, and closes the channel
        if properties.headers:
            properties.headers = {name: value for name, value in properties.headers.items() if name != _DELIVERIES} or None
        size = self._frame_max - _FRAME_OVERHEAD
        self._send(
            commands.Basic.Publish(exchange=exchange, routing_key=message.routing_key, mandatory=True),
            ContentHeader(body_size=len(body), properties=properties),
            *(ContentBody(body[start : start + size]) for start in range(0, len(body), size)),
        )

    def _confirm(self, confirmed: int, sent: int) -> int:
        """Wait until the broker has taken everything that was sent."""
        while confirmed < sent:
            answer = self._next()
            if isinstance(answer, commands.Basic.Ack):
                confirmed = answer.delivery_tag if answer.multiple else confirmed + 1
            elif isinstance(answer, commands.Basic.Nack):
                raise InsideError("RabbitMQ refused a message: its queue is full")
            elif isinstance(answer, commands.Basic.Return):
                raise InsideError(f"RabbitMQ gave a message back: {answer.reply_text}")
            elif not isinstance(answer, Heartbeat):
                raise unexpected(answer)
        return confirmed

    def _message(self, delivery: commands.Basic.Deliver) -> Message:
        """The message that follows its announcement."""
        header = self._receive(ContentHeader)
        body, size = bytearray(), header.body_size
        keeps = size <= LARGEST_BYTES
        received = 0
        while received < size:
            piece = self._receive(ContentBody).value
            received += len(piece)
            if keeps:
                body += piece
        properties = header.properties
        deliveries = (properties.headers or {}).get(_DELIVERIES, 0)
        return Message(
            exchange=delivery.exchange or "",
            routing_key=delivery.routing_key or "",
            properties=properties.marshal(),
            body=bytes(body) if keeps else None,
            deliveries=deliveries if isinstance(deliveries, int) else 0,
        )

    def _shake_hands(self, login: Login, vhost: str) -> None:
        self._program.sendall(ProtocolHeader().marshal())
        self._receive(commands.Connection.Start)
        response = f"\0{login.user}\0{login.password}"
        self._send(commands.Connection.StartOk(client_properties=_PROPERTIES, mechanism="PLAIN", response=response))
        tune = self._receive(commands.Connection.Tune)
        self._frame_max = tune.frame_max or 131072
        self._send(commands.Connection.TuneOk(tune.channel_max, self._frame_max, 0), commands.Connection.Open(virtual_host=vhost))
        self._receive(commands.Connection.OpenOk)

    def _ask(self, question: Frame, expected: type[Expected]) -> Expected:
        self._send(question)
        return self._receive(expected)

    def _receive(self, expected: type[Expected]) -> Expected:
        while isinstance(received := self._next(), Heartbeat):
            pass
        if not isinstance(received, expected):
            raise unexpected(received)
        return received

    def _next(self) -> object:
        head = self._reader.read(_FRAME_HEAD.size)
        if len(head) < _FRAME_HEAD.size:
            raise InsideError(self._program.said() or "the connection broke off")
        _, _, size = _FRAME_HEAD.unpack(head)
        try:
            return frame.unmarshal(head + self._reader.read(size + 1))[2]
        except _UNREADABLE as error:
            raise InsideError(f"RabbitMQ said what can't be read: {error}") from error

    def _send(self, *frames: Frame | ContentHeader | ContentBody) -> None:
        buffer = io.BytesIO()
        for each in frames:
            buffer.write(frame.marshal(each, self._channel))
        self._program.sendall(buffer.getbuffer())


def decoded(properties: bytes) -> commands.Basic.Properties:
    """A message's properties, from the bytes in which AMQP has them: their flags, and what follows those.

    Raises:
        ValueError: these are none, or can't be sent.
    """
    found = commands.Basic.Properties()
    try:
        found.unmarshal(int.from_bytes(properties[:2], "big"), properties[2:])
        found.marshal()
    except _UNREADABLE as error:
        raise ValueError(f"a message's properties can't be read: {error}") from error
    return found
