"""Stores the messages that events tell of, in either direction."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import uuid4

from sqlalchemy import Row, func, text
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from src.events.content import Content
from src.events.facts import Change, Mark, MessageSeen
from src.events.marks import REFUSED, Identity, Progress, columns, take_receipts
from src.messages.matching import chat_variants, is_same, may_be_evolutions
from src.models import Message


async def states_of(connection: AsyncConnection, wanted: Iterable[Identity]) -> dict[Identity, str]:
    """Return the states of those that are stored."""
    rows = await connection.execute(_STATES, columns(wanted))
    return {(row.instance, row.evolution_id): row.state for row in rows}


async def in_a_senders_hand(connection: AsyncConnection, new: Sequence[MessageSeen]) -> set[Identity]:
    """Return the own messages among them that a sender is sending at this moment.

    Their id reaches the sender with Evolution's answer; it stores them. A claim that ran out doesn't count, nor does an id of another
    form than 2.2.3's: then the message is stored here, and found by whoever looks what became of the attempt.
    """
    own = [each for each in new if each.from_me and may_be_evolutions(each.evolution_id)]
    if not own:
        return set()
    rows = (await connection.execute(_SENDING, {"instances": list({each.instance for each in own})})).all()
    return {each.identity for each in own if any(_could_be(row, each) for row in rows)}


def _could_be(row: Row[Any], seen: MessageSeen) -> bool:
    return (
        row.instance == seen.instance
        and seen.chat in chat_variants(row.chat)
        and is_same(Content(row.type, row.text, row.media), seen.content)
    )


async def insert_messages(connection: AsyncConnection, new: Sequence[MessageSeen]) -> list[Change]:
    """Store messages that aren't, each with the marks that came before it. The locks are held."""
    if not new:
        return []
    earlier = await take_receipts(connection, (each.identity for each in new if each.from_me))
    stored = [_row(each, earlier.get(each.identity)) for each in new]
    statement = insert(Message).values(created_at=func.clock_timestamp()).on_conflict_do_nothing()  # not when the locks were waited for
    await connection.execute(statement, stored)
    return [Change(row["id"], row["instance"], row["evolution_id"], row["state"]) for row in stored]


def _row(seen: MessageSeen, earlier: Progress | None) -> dict[str, Any]:
    return {
        "id": uuid4(),
        "instance": seen.instance,
        "evolution_id": seen.evolution_id,
        "chat": seen.chat,
        "type": seen.content.type,
        "text": seen.content.text,
        "media": seen.content.media,
        "whatsapp_type": seen.content.whatsapp_type,
        "whatsapp_timestamp": seen.at,
        **(_outbound(seen, earlier) if seen.from_me else _inbound(seen)),
    }


def _inbound(seen: MessageSeen) -> dict[str, Any]:
    nothing = dict.fromkeys(("sent_at", "delivered_at", "read_at", "failed_at", "problem"))
    return {"direction": "inbound", "state": "received", "push_name": seen.push_name, "sender": seen.sender, **nothing}


def _outbound(seen: MessageSeen, earlier: Progress | None) -> dict[str, Any]:
    progress = Progress.of(seen.mark, seen.heard_at)
    if earlier is not None:
        progress = progress.joined(earlier)
    refused = progress.mark is Mark.FAILED
    return {
        "direction": "outbound",
        "state": progress.mark.state,
        "push_name": None,
        "sender": None,
        "sent_at": seen.at,
        "delivered_at": progress.delivered_at,
        "read_at": progress.read_at,
        "failed_at": progress.sent_at if refused else None,
        "problem": {**REFUSED, "at": seen.heard_at.isoformat()} if refused else None,
    }


_STATES = text("""
    SELECT m.instance, m.evolution_id, m.state
    FROM unnest(CAST(:instances AS text[]), CAST(:evolution_ids AS text[])) AS wanted (instance, evolution_id)
    JOIN messages AS m ON (m.instance, m.evolution_id) = (wanted.instance, wanted.evolution_id)
""")
_SENDING = text("""
    SELECT instance, chat, type, text, media
    FROM messages
    WHERE state = 'sending' AND lease_until > now() AND instance = ANY(CAST(:instances AS text[]))
""").columns(media=JSONB)
