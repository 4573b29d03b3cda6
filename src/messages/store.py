"""The messages in the database, as the HTTP API stores and reads them."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, RowMapping, Select, bindparam, select, text, tuple_
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.orm import InstrumentedAttribute

from src.models import Message

SHOWN: tuple[InstrumentedAttribute[Any], ...] = (
    Message.id,
    Message.instance,
    Message.chat,
    Message.direction,
    Message.type,
    Message.state,
    Message.text,
    Message.media,
    Message.evolution_id,
    Message.attempts,
    Message.problem,
    Message.created_at,
    Message.sent_at,
    Message.delivered_at,
    Message.read_at,
    Message.failed_at,
    Message.whatsapp_timestamp,
    Message.push_name,
    Message.sender,
    Message.whatsapp_type,
)
"""What a caller gets to see: not the payload, which may be large."""


class InstanceMissingError(Exception):
    """There is no instance of that name."""


class KeyReusedError(Exception):
    """The idempotency key belongs to a request for something else."""


class CursorError(ValueError):
    """A cursor that no page has given out."""


@dataclass(frozen=True)
class Draft:
    """A message to send, before it is stored.

    Attributes:
        instance: the name of the instance that sends it.
        chat: the recipient's JID.
        type: text, media or voice.
        text: the text, or the caption.
        media: what is kept of media.
        payload: what Evolution gets.
    """

    instance: str
    chat: str
    type: str
    text: str | None
    media: dict[str, Any] | None
    payload: dict[str, Any]


@dataclass(frozen=True)
class Idempotency:
    """The caller's key for a request, and what tells whether another one with the same key asks for the same."""

    key: str
    request_hash: str


@dataclass(frozen=True)
class Stored:
    """A message, and whether this request stored it or an earlier one with the same idempotency key."""

    message: RowMapping
    is_new: bool


_ADDED = ("id", "instance", "chat", "type", "text", "media", "payload", "payload_bytes", "idempotency_key", "request_hash")
_ADD = (
    text(f"""
    WITH instance AS (
        SELECT id FROM instances WHERE name = :instance FOR KEY SHARE
    ), turn AS MATERIALIZED (
        SELECT pg_advisory_xact_lock(hashtextextended(:instance || '/' || :chat, 1)) FROM instance
    )
    INSERT INTO messages (direction, state, created_at, {", ".join(_ADDED)})
    SELECT 'outbound', 'queued', clock_timestamp(), {", ".join(f":{name}" for name in _ADDED)} FROM turn
        ON CONFLICT (instance, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
    RETURNING {", ".join(column.key for column in SHOWN)}
""")  # noqa: S608  # constants of this module
    .bindparams(*(bindparam(name, type_=Message.__table__.c[name].type) for name in _ADDED))
    .columns(media=JSONB, problem=JSONB)
)
"""One statement, so that storing takes one way to the database and back.

The instance is locked, so that its deletion comes before or after, never between. The turn lets messages of one chat become visible in
the order of their numbers and times, which are taken when it has come: a sender must not see the second one before the first.
"""


async def add(engine: AsyncEngine, draft: Draft, idempotency: Idempotency | None) -> Stored:
    """Store a message to be sent; of requests with one idempotency key, exactly one does. One that is being stored is waited for.

    Raises:
        InstanceMissingError: there is no such instance.
        KeyReusedError: the key came with another request before.
    """
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        if row := (await connection.execute(_ADD, _values(draft, idempotency))).mappings().first():
            return Stored(row, is_new=True)
        if idempotency and (earlier := await _earlier(connection, draft.instance, idempotency)):
            return Stored(earlier, is_new=False)
    raise InstanceMissingError(draft.instance)


def _values(draft: Draft, idempotency: Idempotency | None) -> dict[str, Any]:
    return {
        "id": uuid4(),
        "instance": draft.instance,
        "chat": draft.chat,
        "type": draft.type,
        "text": draft.text,
        "media": draft.media,
        "payload": draft.payload,
        "payload_bytes": sum(len(value) for value in draft.payload.values() if isinstance(value, str)),
        "idempotency_key": idempotency.key if idempotency else None,
        "request_hash": idempotency.request_hash if idempotency else None,
    }


async def _earlier(connection: AsyncConnection, instance: str, idempotency: Idempotency) -> RowMapping | None:
    same = (Message.instance == instance, Message.idempotency_key == idempotency.key)
    row = (await connection.execute(select(*SHOWN, Message.request_hash).where(*same))).mappings().first()
    if row and row["request_hash"] != idempotency.request_hash:
        raise KeyReusedError(idempotency.key)
    return row


async def get(engine: AsyncEngine, message_id: UUID) -> RowMapping | None:
    """Return a message."""
    async with engine.connect() as connection:
        return (await connection.execute(select(*SHOWN).where(Message.id == message_id))).mappings().first()


@dataclass(frozen=True)
class Filter:
    """Which messages to list: those that fit all that is given."""

    instance: str | None = None
    chats: Sequence[str] | None = None
    direction: str | None = None
    type: str | None = None
    state: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return them for a query."""
        found = [
            column == wanted
            for column, wanted in (
                (Message.instance, self.instance),
                (Message.direction, self.direction),
                (Message.type, self.type),
            )
            if wanted is not None
        ]
        if self.chats is not None:
            found.append(Message.chat.in_(self.chats))
        if self.state is not None:
            found.append(Message.state.in_(["queued", "sending"] if self.state == "queued" else [self.state]))
        if self.since is not None:
            found.append(Message.created_at >= self.since)
        if self.until is not None:
            found.append(Message.created_at < self.until)
        return found


@dataclass(frozen=True)
class Page:
    """Some messages, newest first, and where the next page begins; None when there is none."""

    messages: Sequence[RowMapping]
    next_cursor: str | None


async def page(engine: AsyncEngine, wanted: Filter, limit: int, cursor: str | None) -> Page:
    """Return a page of at most `limit` messages. Pages never repeat or skip a message because others come in the meantime.

    Raises:
        CursorError: the cursor is none that a page has given out.
    """
    query: Select[Any] = select(*SHOWN, Message.seq).where(*wanted.conditions())
    if cursor is not None:
        query = query.where(tuple_(Message.created_at, Message.seq) < _place(cursor))
    query = query.order_by(Message.created_at.desc(), Message.seq.desc()).limit(limit + 1)
    async with engine.connect() as connection:
        rows = (await connection.execute(query)).mappings().all()
    shown = rows[:limit]
    return Page(shown, _cursor(shown[-1]) if len(rows) > limit else None)


def _cursor(last: RowMapping) -> str:
    """Write down the place after a message: its time alone would not tell it from others stored at once."""
    place = json.dumps([last["created_at"].isoformat(), last["seq"]], separators=(",", ":"))
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def _place(cursor: str) -> tuple[datetime, int]:
    try:
        at, seq = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        place = datetime.fromisoformat(at).astimezone(UTC), int(seq)
    except (ValueError, TypeError, OverflowError):
        raise CursorError("not a cursor that a page has given out") from None
    if not 0 <= place[1] < 2**63:
        raise CursorError("not a cursor that a page has given out")
    return place
