"""Evolution API 2.2.3's events, from the bytes of a RabbitMQ message or a webhook to typed values.

Shapes: `whatsapp.baileys.service.ts` of tag 2.2.3, and what the running one was seen to send.
"""

import json
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ValidationError

from src.events.content import clean, is_edit, read_content
from src.events.facts import (
    ConnectionSeen,
    ConnectionState,
    Event,
    Fact,
    Ignored,
    InstanceGone,
    InstanceMade,
    Mark,
    MarkSeen,
    MessageSeen,
)

STATUS_BROADCAST = "status@broadcast"
"""The chat of everybody's status updates: no conversation, and never stored."""


class EventError(ValueError):
    """What came is no event of Evolution API 2.2.3. The text says why, and repeats no content."""


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
    participant: Text | None = None


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


def without_device(jid: str) -> str:
    """Take the device from a JID: `551199:12@s.whatsapp.net` is that phone's own conversation."""
    user, at, server = jid.partition("@")
    return f"{user.partition(':')[0]}{at}{server}"


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
    if is_edit(message.message):
        return Ignored(instance, "an edit of another message", heard_at)
    stamp = message.messageTimestamp
    return MessageSeen(
        instance=instance,
        evolution_id=key.id,
        chat=without_device(key.remoteJid),
        from_me=key.fromMe,
        content=read_content(message.message, message.messageType),
        push_name=message.pushName or None,
        at=datetime.fromtimestamp(stamp, UTC) if stamp is not None else heard_at,
        mark=Mark.of_status(message.status) or Mark.SENT,
        heard_at=heard_at,
        sender=without_device(key.participant) if key.participant else None,
    )


def _marked(instance: str, update: _Update, heard_at: datetime) -> Fact:
    if update.fromMe is False:
        return Ignored(instance, "a mark of a message that the phone received", heard_at)
    mark = Mark.of_status(update.status)
    if mark is None:  # an edit, a vote in a poll, a deletion
        return Ignored(instance, "an update without a mark", heard_at)
    return MarkSeen(instance, update.keyId, mark, heard_at)


def _connected(instance: str, connection: _Connection, heard_at: datetime) -> ConnectionSeen:
    phone = without_device(connection.wuid).partition("@")[0] if connection.wuid else None
    at = min(heard_at, datetime.now(UTC))  # one of the future, by a clock that was ahead, would outlast all that follow
    return ConnectionSeen(instance, connection.state, at, connection.statusReason, phone, connection.profileName or None)


def _local_time(value: str | None, zone: ZoneInfo) -> datetime:
    now = datetime.now(UTC)
    if value is None:
        return now
    try:
        local = datetime.fromisoformat(value.removesuffix("Z"))
    except ValueError:
        return now  # the message matters more than when it was heard
    return local.replace(tzinfo=zone).astimezone(UTC) if local.tzinfo is None else local.astimezone(UTC)
