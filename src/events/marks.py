"""Marks of own messages: sent, refused, delivered, read. They only ever get higher, and their times only ever earlier."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from src import metrics
from src.events.facts import Change, Mark

Identity = tuple[str, str]
"""An instance's name, and WhatsApp's id of a message."""

REFUSED = {
    "code": "refused_by_whatsapp",
    "detail": "WhatsApp took the message and then reported an error for it.",
    "mend": "see on the phone whether the account is restricted, and send the message again.",
}
"""The problem of a message that got the status ERROR; WhatsApp says no more."""


@dataclass(frozen=True)
class Progress:
    """How far a message got, and when it was first heard of each step. Read implies delivered."""

    mark: Mark
    sent_at: datetime | None = None
    delivered_at: datetime | None = None
    read_at: datetime | None = None

    @classmethod
    def of(cls, mark: Mark, heard_at: datetime) -> Self:
        """Return what one mark tells. A time in the future, from a clock or a time zone that is wrong, becomes now."""
        at = min(heard_at, datetime.now(UTC))
        return cls(
            mark,
            sent_at=at,
            delivered_at=at if mark >= Mark.DELIVERED else None,
            read_at=at if mark >= Mark.READ else None,
        )

    def joined(self, other: "Progress") -> "Progress":
        """Return what both tell together; their order doesn't matter."""
        return Progress(
            max(self.mark, other.mark),
            _earlier(self.sent_at, other.sent_at),
            _earlier(self.delivered_at, other.delivered_at),
            _earlier(self.read_at, other.read_at),
        )


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((each for each in (one, other) if each is not None), default=None)


async def take_receipts(connection: AsyncConnection, wanted: Iterable[Identity]) -> dict[Identity, Progress]:
    """Return the marks that came before these messages, and forget that they were waiting."""
    identities = list(wanted)
    if not identities:
        return {}
    rows = await connection.execute(_TAKE, columns(identities))
    return {(row.instance, row.evolution_id): Progress(Mark[row.state.upper()], row.sent_at, row.delivered_at, row.read_at) for row in rows}


async def raise_marks(connection: AsyncConnection, progress: Mapping[Identity, Progress]) -> list[Change]:
    """Give stored own messages what is higher or earlier than what they have, and return those with another state. The locks are held."""
    if not progress:
        return []
    refused_at = datetime.now(UTC)
    refused = {**REFUSED, "at": refused_at.isoformat()}
    parameters = {**_table(progress), "refused": refused, "refused_at": refused_at}
    raised = (await connection.execute(_RAISE, parameters)).all()
    for row in raised:
        if row.was == "sent" and row.state != "failed" and row.sent_at is not None and row.delivered_at is not None:
            metrics.SENT_TO_DELIVERED.observe(max(0.0, (row.delivered_at - row.sent_at).total_seconds()))
    return [Change(row.id, row.instance, row.evolution_id, row.state) for row in raised if row.rises]


async def keep_receipts(connection: AsyncConnection, progress: Mapping[Identity, Progress]) -> None:
    """Keep the marks of messages that aren't stored yet. The locks are held.

    A refusal is not kept: it is rare, and catch-up brings it once the message is there.
    """
    kept = {identity: each for identity, each in progress.items() if each.mark is not Mark.FAILED}
    if kept:
        await connection.execute(_KEEP, _table(kept))


def columns(identities: Iterable[Identity]) -> dict[str, Any]:
    """Return the identities as the two arrays that the statements here unnest."""
    listed = list(identities)
    return {"instances": [instance for instance, _ in listed], "evolution_ids": [evolution_id for _, evolution_id in listed]}


def _table(progress: Mapping[Identity, Progress]) -> dict[str, Any]:
    return {
        **columns(progress),
        "states": [each.mark.state for each in progress.values()],
        "sent": [each.sent_at for each in progress.values()],
        "delivered": [each.delivered_at for each in progress.values()],
        "read": [each.read_at for each in progress.values()],
    }


_RANKS = [mark.state for mark in Mark]
_TAKE = text("""
    DELETE FROM receipts AS r
    USING unnest(CAST(:instances AS text[]), CAST(:evolution_ids AS text[])) AS wanted (instance, evolution_id)
    WHERE (r.instance, r.evolution_id) = (wanted.instance, wanted.evolution_id)
    RETURNING r.instance, r.evolution_id, r.state, r.sent_at, r.delivered_at, r.read_at
""")
_RAISE = text("""
    WITH higher AS (
        SELECT m.id, m.state AS was, new.state, new.delivered_at, new.read_at,
               array_position(CAST(:ranks AS text[]), new.state) > array_position(CAST(:ranks AS text[]), m.state) AS rises
        FROM unnest(CAST(:instances AS text[]), CAST(:evolution_ids AS text[]), CAST(:states AS text[]),
                    CAST(:delivered AS timestamptz[]), CAST(:read AS timestamptz[]))
             AS new (instance, evolution_id, state, delivered_at, read_at)
        JOIN messages AS m ON (m.instance, m.evolution_id) = (new.instance, new.evolution_id)
        WHERE m.state = ANY(CAST(:ranks AS text[]))
    )
    UPDATE messages AS m SET
        state = CASE WHEN higher.rises THEN higher.state ELSE m.state END,
        delivered_at = LEAST(m.delivered_at, higher.delivered_at),
        read_at = LEAST(m.read_at, higher.read_at),
        failed_at = CASE WHEN NOT higher.rises THEN m.failed_at WHEN higher.state = 'failed' THEN CAST(:refused_at AS timestamptz) END,
        problem = CASE WHEN NOT higher.rises THEN m.problem WHEN higher.state = 'failed' THEN CAST(:refused AS jsonb) END
    FROM higher
    WHERE m.id = higher.id AND (
        higher.rises
        OR LEAST(m.delivered_at, higher.delivered_at) IS DISTINCT FROM m.delivered_at
        OR LEAST(m.read_at, higher.read_at) IS DISTINCT FROM m.read_at
    )
    RETURNING m.id, m.instance, m.evolution_id, higher.rises, higher.was, m.state, m.sent_at, m.delivered_at
""").bindparams(bindparam("refused", type_=JSONB), ranks=_RANKS)
_KEEP = text("""
    INSERT INTO receipts AS r (instance, evolution_id, state, sent_at, delivered_at, read_at)
    SELECT * FROM unnest(CAST(:instances AS text[]), CAST(:evolution_ids AS text[]), CAST(:states AS text[]), CAST(:sent AS timestamptz[]),
                         CAST(:delivered AS timestamptz[]), CAST(:read AS timestamptz[]))
    ON CONFLICT (instance, evolution_id) DO UPDATE SET
        state = CASE WHEN array_position(CAST(:ranks AS text[]), excluded.state) > array_position(CAST(:ranks AS text[]), r.state)
                     THEN excluded.state ELSE r.state END,
        sent_at = LEAST(r.sent_at, excluded.sent_at),
        delivered_at = LEAST(r.delivered_at, excluded.delivered_at),
        read_at = LEAST(r.read_at, excluded.read_at)
""").bindparams(ranks=_RANKS)
