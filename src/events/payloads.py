"""Evolution API 2.2.3's events, from the bytes of a RabbitMQ message or a webhook to typed values.

Shapes: `whatsapp.baileys.service.ts` of tag 2.2.3, and what the running one was seen to send.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ValidationError

from src.events.content import Content, clean, read_content

STATUS_BROADCAST = "status@broadcast"
"""The chat of everybody's status updates: no conversation, and never stored."""


class EventError(ValueError):
    """What came is no event of Evolution API 2.2.3. The text says why, and repeats no content."""


class Mark(IntEnum):
    """How far an own message got; a higher mark is never replaced by a lower one.

    WhatsApp's refusal (ERROR) stands below delivery: what was delivered was not refused, in whatever order the two are heard.
    """

    SENT = 1
    FAILED = 2
    DELIVERED = 3
    READ = 4

    @classmethod
    def of_status(cls, status: str | None) -> "Mark | None":
        """Return what a message's status says; None for a status that is no mark, as in DELETED."""
        return _MARKS.get(status or "")

    @property
    def state(self) -> str:
        """The message's state, as it is stored."""
        return self.name.lower()


_MARKS = {
    "PENDING": Mark.SENT,
    "SERVER_ACK": Mark.SENT,
    "ERROR": Mark.FAILED,
    "DELIVERY_ACK": Mark.DELIVERED,
    "READ": Mark.READ,
    "PLAYED": Mark.READ,
}


class ConnectionState(StrEnum):
    """What `connection.update` says of an instance."""

    OPEN = "open"
    CONNECTING = "connecting"
    CLOSE = "close"
    REFUSED = "refused"

    @property
    def stored(self) -> str:
        """One of the three states that an instance has: with its QR codes used up it is closed."""
        return ConnectionState.CLOSE if self is ConnectionState.REFUSED else self


@dataclass(frozen=True)
class MessageSeen:
    """A message is there, in either direction. `at` is the message's own time, in whole seconds."""

    instance: str
    evolution_id: str
    chat: str
    from_me: bool
    content: Content
    push_name: str | None
    at: datetime
    mark: Mark
    heard_at: datetime

    @property
    def identity(self) -> tuple[str, str]:
        """What tells the message from all others: the instance's name, and WhatsApp's id."""
        return self.instance, self.evolution_id


@dataclass(frozen=True)
class MarkSeen:
    """An own message got a mark."""

    instance: str
    evolution_id: str
    mark: Mark
    heard_at: datetime

    @property
    def identity(self) -> tuple[str, str]:
        """What tells the message from all others: the instance's name, and WhatsApp's id."""
        return self.instance, self.evolution_id


@dataclass(frozen=True)
class ConnectionSeen:
    """An instance's connection is in this state. `phone` and `profile_name` come with an open one."""

    instance: str
    state: ConnectionState
    heard_at: datetime
    status_reason: int | None = None
    phone: str | None = None
    profile_name: str | None = None


@dataclass(frozen=True)
class InstanceMade:
    """An instance was created."""

    instance: str
    id: UUID
    heard_at: datetime


@dataclass(frozen=True)
class InstanceGone:
    """An instance was deleted."""

    instance: str
    id: UUID
    heard_at: datetime


@dataclass(frozen=True)
class Ignored:
    """Nothing that is kept: another event, a status update, a mark of somebody else's message."""

    instance: str
    why: str
    heard_at: datetime


Fact = MessageSeen | MarkSeen | ConnectionSeen | InstanceMade | InstanceGone | Ignored


@dataclass(frozen=True)
class Event:
    """What was heard: the event's name, as in `messages.upsert`, and what it tells."""

    name: str
    fact: Fact


def _named(value: Any) -> Any:  # noqa: ANN401
    text = clean(value)
    if text == "":
        raise ValueError("is empty")
    if isinstance(text, str) and len(text) > 1024:  # far more than any id; an index takes 2700 bytes
        raise ValueError("is longer than 1024 characters")
    return text


def _seconds(value: Any) -> Any:  # noqa: ANN401
    """Read a time as protobuf's libraries write it: a number, a text of digits, or the halves of a 64-bit integer."""
    if isinstance(value, dict) and isinstance(value.get("low"), int):
        return (int(value.get("high") or 0) << 32) + (value["low"] & 0xFFFFFFFF)
    return value


def _object(value: Any) -> Any:  # noqa: ANN401
    return value if isinstance(value, dict) else {}


Text = Annotated[str, BeforeValidator(clean)]
Name = Annotated[str, BeforeValidator(_named)]


class _Envelope(BaseModel):
    event: Name
    instance: Name
    data: Any = None
    date_time: str | None = None


class _Key(BaseModel):
    remoteJid: Name  # noqa: N815  # their name
    fromMe: bool = False  # noqa: N815
    id: Name


class _Message(BaseModel):
    key: _Key
    pushName: Text | None = None  # noqa: N815
    status: str | None = None
    message: Annotated[dict[str, Any], BeforeValidator(_object)] = {}
    messageType: Text | None = None  # noqa: N815
    messageTimestamp: Annotated[int | None, BeforeValidator(_seconds)] = None  # noqa: N815


class _Update(BaseModel):
    keyId: Name  # noqa: N815
    remoteJid: Text | None = None  # noqa: N815
    fromMe: bool | None = None  # noqa: N815
    status: str | None = None


class _Connection(BaseModel):
    state: ConnectionState
    statusReason: int | None = None  # noqa: N815
    wuid: Text | None = None
    profileName: Text | None = None  # noqa: N815


class _Instance(BaseModel):
    instanceId: UUID  # noqa: N815


class _Qr(BaseModel):
    qrcode: dict[str, Any] | None = None
    message: Text | None = None


def read_event(body: bytes, zone: ZoneInfo) -> Event:
    """Read an event as it comes by either way.

    Args:
        body: what was received.
        zone: the time zone of the Evolution API that sent it. Its `date_time` is local time with a `Z` that says UTC.

    Raises:
        EventError: it is none.
    """
    try:
        envelope = _Envelope.model_validate(json.loads(body))
        name = envelope.event.replace("_", ".").lower()
        return Event(name, _fact(name, envelope, _local_time(envelope.date_time, zone)))
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, each['loc'])) or 'the body'}: {each['msg']}" for each in error.errors(include_input=False))
        raise EventError("; ".join(problems)) from None
    except (ValueError, OverflowError, OSError, RecursionError) as error:  # JSON's and Unicode's errors are ValueErrors
        raise EventError(f"{type(error).__name__}: {getattr(error, 'msg', None) or _without_content(error)}") from None


def _without_content(error: BaseException) -> str:
    return str(getattr(error, "reason", None) or "not readable")


def _fact(name: str, envelope: _Envelope, heard_at: datetime) -> Fact:
    instance, data = envelope.instance, envelope.data
    match name:
        case "messages.upsert" | "send.message":
            return _seen(instance, _Message.model_validate(data), heard_at)
        case "messages.update":
            return _marked(instance, _Update.model_validate(data), heard_at)
        case "connection.update":
            return _connected(instance, _Connection.model_validate(data), heard_at)
        case "instance.create":
            return InstanceMade(instance, _Instance.model_validate(data).instanceId, heard_at)
        case "instance.delete":
            return InstanceGone(instance, _Instance.model_validate(data).instanceId, heard_at)
        case "qrcode.updated":
            qr = _Qr.model_validate(data)
            return Ignored(instance, qr.message or "a QR code waits to be scanned", heard_at)
        case _:
            return Ignored(instance, "an event that the application has no use for", heard_at)


def _seen(instance: str, message: _Message, heard_at: datetime) -> Fact:
    key = message.key
    if key.remoteJid == STATUS_BROADCAST:
        return Ignored(instance, "a status update", heard_at)
    stamp = message.messageTimestamp
    return MessageSeen(
        instance=instance,
        evolution_id=key.id,
        chat=_without_device(key.remoteJid),
        from_me=key.fromMe,
        content=read_content(message.message, message.messageType),
        push_name=message.pushName or None,
        at=datetime.fromtimestamp(stamp, UTC) if stamp is not None else heard_at,
        mark=Mark.of_status(message.status) or Mark.SENT,
        heard_at=heard_at,
    )


def _marked(instance: str, update: _Update, heard_at: datetime) -> Fact:
    if update.fromMe is False:
        return Ignored(instance, "a mark of a message that the phone received", heard_at)
    mark = Mark.of_status(update.status)
    if mark is None:  # an edit, a vote in a poll, a deletion
        return Ignored(instance, "an update without a mark", heard_at)
    return MarkSeen(instance, update.keyId, mark, heard_at)


def _connected(instance: str, connection: _Connection, heard_at: datetime) -> ConnectionSeen:
    phone = _without_device(connection.wuid).partition("@")[0] if connection.wuid else None
    return ConnectionSeen(instance, connection.state, heard_at, connection.statusReason, phone, connection.profileName or None)


def _without_device(jid: str) -> str:
    """Take the device from a JID: `551199:12@s.whatsapp.net` is that phone's own conversation."""
    user, at, server = jid.partition("@")
    return f"{user.partition(':')[0]}{at}{server}"


def _local_time(value: str | None, zone: ZoneInfo) -> datetime:
    now = datetime.now(UTC)
    if value is None:
        return now
    try:
        local = datetime.fromisoformat(value.removesuffix("Z"))
    except ValueError:
        return now  # the message matters more than when it was heard
    return local.replace(tzinfo=zone).astimezone(UTC) if local.tzinfo is None else local.astimezone(UTC)
