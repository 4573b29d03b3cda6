"""Stores that Evolution has accepted a message, and joins what events have told of it before."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncEngine

from src.events.content import Content, read_content
from src.evolution.answers import FoundMessage, SentMessage
from src.messages.claims import Claim

EVENT_ROW = "direction = 'outbound' AND attempts = 0 AND payload IS NULL"
"""An own message that an event told of and this application never queued, as far as was known then."""

_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:instance || '/' || :evolution_id, 0))")
_TAKE = text(f"""
    WITH mine AS (
        SELECT id FROM messages WHERE id = :id AND state IN ('queued', 'sending') FOR UPDATE
    ), told AS (
        DELETE FROM messages
         WHERE instance = :instance AND evolution_id = :evolution_id AND {EVENT_ROW} AND EXISTS (SELECT FROM mine)
     RETURNING state, problem, delivered_at, read_at
    ), marked AS (
        DELETE FROM receipts
         WHERE instance = :instance AND evolution_id = :evolution_id AND EXISTS (SELECT FROM mine)
     RETURNING delivered_at, read_at
    )
    SELECT (SELECT count(*) FROM mine) AS mine, (SELECT problem FROM told WHERE state = 'failed') AS refusal,
           EXISTS (SELECT FROM messages WHERE instance = :instance AND evolution_id = :evolution_id AND NOT ({EVENT_ROW})) AS owned,
           EXISTS (SELECT FROM messages WHERE id = :id AND instance = :instance AND evolution_id = :evolution_id) AS stored,
           min(delivered_at) AS delivered_at, min(read_at) AS read_at
      FROM (SELECT delivered_at, read_at FROM told UNION ALL SELECT delivered_at, read_at FROM marked) AS earlier
""").columns(refusal=JSONB)  # noqa: S608  # a constant of this module
_SENT = """
    UPDATE messages
       SET state = CASE WHEN CAST(:read_at AS timestamptz) IS NOT NULL THEN 'read'
                        WHEN CAST(:delivered_at AS timestamptz) IS NOT NULL THEN 'delivered'
                        WHEN CAST(:refusal AS jsonb) IS NOT NULL THEN 'failed' ELSE 'sent' END,
           evolution_id = :stored_id, chat = :chat, whatsapp_type = :whatsapp_type, whatsapp_timestamp = :at,
           media = CASE WHEN media IS NULL AND CAST(:media AS jsonb) IS NULL THEN NULL
                        ELSE coalesce(CAST(:media AS jsonb), '{}') || jsonb_strip_nulls(coalesce(media, '{}')) END,
           sent_at = CASE WHEN :just_now THEN now() ELSE greatest(created_at, coalesce(:at, now())) END,
           delivered_at = :delivered_at, read_at = :read_at, attempts = attempts + :resent,
           problem = CAST(:refusal AS jsonb), failed_at = CASE WHEN CAST(:refusal AS jsonb) IS NOT NULL THEN now() END,
           payload = NULL, payload_bytes = 0, lease_owner = NULL, lease_until = NULL
     WHERE id = :id
"""
_JSON = (bindparam("media", type_=JSONB(none_as_null=True)), bindparam("refusal", type_=JSONB(none_as_null=True)))
_SENT_WITH_EARLIER = text(_SENT).bindparams(*_JSON)
_SENT_FIRST = text(f"""{_SENT}
       AND state IN ('queued', 'sending')
       AND NOT EXISTS (SELECT FROM messages WHERE instance = :instance AND evolution_id = :evolution_id)
       AND NOT EXISTS (SELECT FROM receipts WHERE instance = :instance AND evolution_id = :evolution_id)
""").bindparams(*_JSON)  # noqa: S608  # a constant
"""For most messages: the answer comes before anything else that tells of them."""
_SENT_UNRECORDED = text("""
    UPDATE messages
       SET state = 'sent', sent_at = now(), problem = :problem, payload = NULL, payload_bytes = 0, lease_owner = NULL, lease_until = NULL
     WHERE id = :id AND state IN ('queued', 'sending')
""").bindparams(bindparam("problem", type_=JSONB))


@dataclass(frozen=True)
class Accepted:
    """A message as Evolution has it.

    Attributes:
        certain: its answer to the very request says so; else it was found by its content.
    """

    evolution_id: str
    chat: str
    content: Content
    at: datetime | None
    certain: bool

    @classmethod
    def of(cls, message: SentMessage | FoundMessage) -> Self:
        """Read it from the answer to a request to send, or from a record found."""
        content = read_content(message.message, message.message_type)
        return cls(message.key.id, message.key.remote_jid, content, message.message_timestamp, isinstance(message, SentMessage))


async def store_accepted(engine: AsyncEngine, claim: Claim, accepted: Accepted, *, resent: bool = False) -> bool:
    """Store that a message was sent, in one transaction with what events have told of it; return whether it is stored.

    It can't be when this message is finished already with another outcome, or when it was only found by its content and another one of the
    outbox has that id. After an answer to the very request it is sent in any case, at worst without an id.
    """
    names = {"id": claim.id, "instance": claim.instance, "evolution_id": accepted.evolution_id}
    values = names | {
        "stored_id": accepted.evolution_id,
        "chat": accepted.chat,
        "whatsapp_type": accepted.content.whatsapp_type,
        "at": accepted.at,
        "media": accepted.content.media,
        "just_now": accepted.certain,
        "refusal": None,
        "delivered_at": None,
        "read_at": None,
        "resent": int(resent),
    }
    async with engine.begin() as connection:
        await connection.execute(_LOCK, {"instance": claim.instance, "evolution_id": accepted.evolution_id})
        if (await connection.execute(_SENT_FIRST, values)).rowcount:
            return True
        earlier = (await connection.execute(_TAKE, names)).one()
        if not earlier.mine or (earlier.owned and not accepted.certain):
            await connection.rollback()
            return bool(earlier.stored)  # by this very attempt, when it did not hear that its transaction was committed
        values |= {"delivered_at": earlier.delivered_at, "read_at": earlier.read_at}
        if earlier.refusal and not (earlier.delivered_at or earlier.read_at):
            values["refusal"] = earlier.refusal
        if earlier.owned:
            values["stored_id"] = None
        await connection.execute(_SENT_WITH_EARLIER, values)
    return True


async def store_unrecorded(engine: AsyncEngine, claim: Claim, problem: dict[str, Any]) -> None:
    """Store that WhatsApp has a message of which Evolution knows nothing, not even an id."""
    async with engine.begin() as connection:
        await connection.execute(_SENT_UNRECORDED, {"id": claim.id, "problem": problem})
