"""The outbox in the database: which messages are due, who sends them, and what became of them.

A claim is a lease: the message is `sending` and belongs to its owner until `lease_until`, which the owner moves on while it works. A
message that is `sending` after that time has an unknown outcome, whether its owner died or gave it up in order to look later. What its
owner did not give up is taken over by another one only when that one has not missed the database for a whole lease (`Steadiness`).

What Evolution may still send for an owner that is gone (`Claim.orphaned_at`) has the owner `HELD` while nobody looks after it.

Only the oldest unfinished message of a chat is ever claimed, so each chat is sent in the order of storing, one at a time.
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import TextClause, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.types import Boolean, Text

from src.messages.classify import MessageType
from src.messages.pauses import LONGEST_SECONDS
from src.messages.steadiness import Steadiness
from src.models import UNFINISHED

SMALL_BYTES = 65536
"""Payloads up to this size come with the claim, all others when they are about to be sent."""

HELD = "held"
"""In place of the owner: since when there is none is noted with the problem, under `ORPHANED_AT`."""
ORPHANED_AT = "orphaned_at"
BREAK_OFFS = "break_offs"
"""Noted with the problem, as `Claim.break_offs`."""

_DUE = """(state = 'queued' AND (next_attempt_at <= now() OR next_attempt_at > now() + :longest)
           OR state = 'sending' AND (lease_until < now() OR lease_until > now() + :longest)
              AND (:take_over OR lease_owner IS NULL) AND id <> ALL (:in_hand)
           OR state = 'sending' AND lease_owner = :owner AND id = ANY (:unused))"""
"""A time that is further ahead than the longest wait is from before the clock was set back: it says nothing."""
_HEAD = "instance, chat, id, state, next_attempt_at, lease_until, lease_owner"

_CLAIM_SQL = f"""
    WITH RECURSIVE heads AS (
        (SELECT {_HEAD} FROM messages
          WHERE {UNFINISHED} AND (instance, chat) > (:after_instance, :after_chat) AND instance <> ALL (:paused)
          ORDER BY instance, chat, seq LIMIT 1)
        UNION ALL
        SELECT next.* FROM heads CROSS JOIN LATERAL (
            SELECT {_HEAD} FROM messages
             WHERE {UNFINISHED} AND (instance, chat) > (heads.instance, heads.chat) AND instance <> ALL (:paused)
             ORDER BY instance, chat, seq LIMIT 1) AS next
    ), picked AS (
        SELECT id, state, lease_owner, lease_until FROM messages
         WHERE id IN (SELECT id FROM heads WHERE {_DUE} LIMIT :count) AND {_DUE}
           FOR UPDATE SKIP LOCKED
    )
    UPDATE messages AS m
       SET state = 'sending', lease_owner = :owner, lease_until = now() + :lease,
           attempts = m.attempts + (picked.state = 'queued')::int,
           attempt_started_at = CASE WHEN picked.state = 'queued' THEN now() ELSE coalesce(m.attempt_started_at, m.created_at) END
      FROM picked WHERE m.id = picked.id
    RETURNING m.id, m.instance, m.chat, m.type, m.text, m.media, m.payload_bytes, m.attempts, m.attempt_started_at, m.created_at,
              m.problem, picked.state = 'sending' AS unknown, picked.lease_owner AS last_owner, picked.lease_until AS ran_out,
              CASE WHEN m.payload_bytes <= {SMALL_BYTES} THEN m.payload END AS payload
"""  # noqa: S608  # constants
"""Walks from chat to chat along ix_messages_outbox_chat, and stops when it has enough: the cost is that of the chats passed, not of the
messages waiting in them."""
_CLAIM = (
    text(_CLAIM_SQL)
    .bindparams(bindparam("paused", type_=ARRAY(Text)), bindparam("take_over", type_=Boolean), bindparam("owner", type_=Text))
    .bindparams(bindparam("in_hand", type_=ARRAY(PG_UUID)), bindparam("unused", type_=ARRAY(PG_UUID)))
    .columns(media=JSONB, problem=JSONB, payload=JSONB)
)

_PAYLOAD = text("""
    SELECT payload FROM messages WHERE id = :id AND state = 'sending' AND lease_owner = :owner AND lease_until > now()
""").columns(payload=JSONB)
_RENEW = text("""
    UPDATE messages SET lease_until = now() + :lease WHERE id = ANY (:ids) AND state = 'sending' AND lease_owner = :owner
""").bindparams(bindparam("ids", type_=ARRAY(PG_UUID)))
_POSTPONE = text("""
    UPDATE messages
       SET state = 'queued', lease_owner = NULL, lease_until = NULL, attempt_started_at = NULL, problem = :problem,
           attempts = attempts + :resent, next_attempt_at = now() + :delay
     WHERE id = :id AND state = 'sending' AND lease_owner = :owner
""").bindparams(bindparam("problem", type_=JSONB))
_LOOK_LATER = text("""
    UPDATE messages
       SET lease_owner = :left_to, lease_until = now() + :delay, problem = :problem, attempts = attempts + :resent
     WHERE id = :id AND state = 'sending' AND lease_owner = :owner
""").bindparams(bindparam("problem", type_=JSONB), bindparam("left_to", type_=Text))
_FAIL = text("""
    UPDATE messages
       SET state = 'failed', failed_at = now(), problem = :problem, attempts = attempts + :resent, payload = NULL, payload_bytes = 0,
           lease_owner = NULL, lease_until = NULL
     WHERE id = :id AND state = 'sending' AND lease_owner = :owner
""").bindparams(bindparam("problem", type_=JSONB))
_RESUME = text(f"""
    UPDATE messages SET next_attempt_at = now()
     WHERE {UNFINISHED} AND state = 'queued' AND instance = :instance AND next_attempt_at > now()
""")  # noqa: S608  # a constant
_EXPIRED = text(f"""
    SELECT id, problem FROM messages
     WHERE {UNFINISHED} AND state = 'queued' AND next_attempt_at <= now() AND created_at < now() - CAST(:give_up AS interval)
     LIMIT 500 FOR UPDATE SKIP LOCKED
""").columns(problem=JSONB)  # noqa: S608  # a constant
_FAIL_EXPIRED = text("""
    UPDATE messages SET state = 'failed', failed_at = now(), problem = :problem, payload = NULL, payload_bytes = 0
     WHERE id = :id AND state = 'queued'
""").bindparams(bindparam("problem", type_=JSONB))

_Known = tuple[bool, datetime | None]
"""Of a claim: `unknown` and `orphaned_at`."""


@dataclass(frozen=True)
class Claim:
    """A message that this sender owns for now.

    Attributes:
        unknown: an attempt has begun whose outcome nobody knows: look before sending.
        orphaned_at: since when, at the latest, nobody waits for the answer to that attempt any more, so that Evolution may be busy with
            it still; None when somebody waited to its end.
        started: when the first attempt of unknown outcome began, or this one.
        payload: what Evolution gets, unless it is large.
        fresh_until: by the monotonic clock, until when this sender need not ask whether the claim still holds.
    """

    id: UUID
    instance: str
    chat: str
    type: MessageType
    text: str | None
    media: dict[str, Any] | None
    payload_bytes: int
    attempts: int
    started: datetime
    created_at: datetime
    problem: dict[str, Any] | None
    unknown: bool
    orphaned_at: datetime | None
    payload: dict[str, Any] | None
    fresh_until: float

    @property
    def last_code(self) -> str | None:
        """What the attempt before met."""
        return self.problem.get("code") if self.problem else None

    @property
    def times(self) -> int:
        """How many attempts in a row have met it."""
        return int(self.problem.get("times", 1)) if self.problem else 0

    @property
    def break_offs(self) -> int:
        """How often the converter has broken off over it; nothing but its absence may have come between."""
        return int(self.problem.get(BREAK_OFFS, 0)) if self.problem else 0


class Claims:
    """The claims of one sender, which is told apart by `owner` from all others that have ever run.

    Args:
        engine: the application's database.
        owner: of the form `<host>/<run of the host>/...`; senders of an earlier run of the same host are gone for certain.
        lease: how long a claim holds.
        clock: as in `Steadiness`.
    """

    def __init__(self, engine: AsyncEngine, owner: str, lease: timedelta, clock: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._owner = owner
        self._lease = lease
        self._longest = 2 * max(lease, timedelta(seconds=LONGEST_SECONDS))
        self._steadiness = Steadiness(lease.total_seconds(), clock)
        self._after = ("", "")
        self._begun = datetime.now(UTC)
        self._unused: dict[UUID, _Known] = {}
        """Claims that may have been committed although nobody heard of it: nothing was done for them."""

    async def claim(self, count: int, paused: Collection[str] = (), in_hand: Collection[UUID] = ()) -> list[Claim]:
        """Claim up to `count` due messages, each the head of its chat, going round all chats so that none waits for ever.

        Args:
            count: the most to claim.
            paused: instances to leave alone.
            in_hand: messages that this sender is at: they are its own also when their claims ran out.
        """
        take_over = self._steadiness.lasts()
        claims: list[Claim] = []
        batch: list[Claim] = []
        fresh_until = time.monotonic() + self._lease.total_seconds() / 2
        async with self._engine.begin() as connection:
            for start in dict.fromkeys((self._after, ("", ""))):
                given = {
                    "after_instance": start[0],
                    "after_chat": start[1],
                    "paused": list(paused),
                    "in_hand": list(in_hand),
                    "take_over": take_over,
                    "unused": list(self._unused.keys() - {claim.id for claim in claims}),
                    "longest": self._longest,
                    "count": count - len(claims),
                    "owner": self._owner,
                    "lease": self._lease,
                }
                batch = [self._as_claim(dict(row), fresh_until) for row in (await connection.execute(_CLAIM, given)).mappings()]
                claims += batch
                if len(claims) == count:
                    break
            self._steadiness.answered()
            if take_over and not self._steadiness.lasts():  # it hung: others could not renew what seemed to be given up
                await connection.rollback()
                return []
            self._unused |= {claim.id: (claim.unknown, claim.orphaned_at) for claim in claims}
        for claim in claims:
            del self._unused[claim.id]
        self._after = max((claim.instance, claim.chat) for claim in batch) if len(claims) == count else ("", "")
        return claims

    async def payload(self, claim: Claim) -> dict[str, Any] | None:
        """Return the body that Evolution gets, just before it is sent: it can be tens of MiB. None: the claim is lost."""
        if claim.payload is not None and time.monotonic() < claim.fresh_until:
            return claim.payload
        async with self._engine.connect() as connection:
            found: dict[str, Any] | None = (await connection.execute(_PAYLOAD, {"id": claim.id, "owner": self._owner})).scalar()
        return found

    async def renew(self, ids: Sequence[UUID]) -> None:
        """Keep the claims on these messages for a whole lease from now, and see that the database answers."""
        await self._execute(_RENEW, {"ids": list(ids), "lease": self._lease})
        self._steadiness.answered()

    async def postpone(self, claim: Claim, problem: dict[str, Any], delay: timedelta, *, resent: bool = False) -> None:
        """Queue again what was certainly not sent. `resent`: this claim, which began with a look, has tried once more."""
        await self._execute(_POSTPONE, {"id": claim.id, "problem": problem, "delay": delay, "resent": int(resent)})

    async def look_later(
        self, claim: Claim, problem: dict[str, Any], delay: timedelta, *, orphaned_at: datetime | None = None, resent: bool = False
    ) -> None:
        """Give up the claim on what may have been sent, to be looked after later by whichever sender; `orphaned_at` as in `Claim`."""
        left_to = None
        if orphaned_at is not None:
            left_to, problem = HELD, {**problem, ORPHANED_AT: orphaned_at.isoformat()}
        given = {"id": claim.id, "problem": problem, "delay": delay, "left_to": left_to, "resent": int(resent)}
        await self._execute(_LOOK_LATER, given)

    async def fail(self, claim: Claim, problem: dict[str, Any], *, resent: bool = False) -> None:
        """Finish what was not sent and never will be."""
        await self._execute(_FAIL, {"id": claim.id, "problem": problem, "resent": int(resent)})

    async def give_up(self, after: timedelta, describe: Callable[[dict[str, Any] | None], dict[str, Any]]) -> list[UUID]:
        """Fail what has been queued for longer than `after`, 500 at a time; `describe` makes its problem of the last one it had."""
        async with self._engine.begin() as connection:
            expired = (await connection.execute(_EXPIRED, {"give_up": after})).all()
            for message_id, problem in expired:
                await connection.execute(_FAIL_EXPIRED, {"id": message_id, "problem": describe(problem)})
        return [message_id for message_id, _ in expired]

    async def resume(self, instance: str) -> None:
        """Make all that an instance still has to send due now."""
        async with self._engine.begin() as connection:
            await connection.execute(_RESUME, {"instance": instance})

    async def _execute(self, statement: TextClause, given: dict[str, Any]) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(statement, {"owner": self._owner} | given)

    def _as_claim(self, row: dict[str, Any], fresh_until: float) -> Claim:
        last_owner, ran_out = row.pop("last_owner"), row.pop("ran_out")
        orphaned_at = self._orphaned_at(last_owner, ran_out, row["problem"]) if row["unknown"] else None
        if row["unknown"] and last_owner == self._owner and row["id"] in self._unused:
            row["unknown"], orphaned_at = self._unused[row["id"]]
        return Claim(started=row.pop("attempt_started_at"), orphaned_at=orphaned_at, fresh_until=fresh_until, **row)

    def _orphaned_at(self, last_owner: str | None, ran_out: datetime, problem: dict[str, Any] | None) -> datetime | None:
        if last_owner is None:
            return None
        now = datetime.now(UTC)  # later than that it can't have been, whatever a clock that was set back has left
        if last_owner == HELD:
            return min(now, datetime.fromisoformat((problem or {})[ORPHANED_AT]))
        place, run = _place_and_run(last_owner)
        own_place, own_run = _place_and_run(self._owner)
        # Of another place all that is known is that it renews no claim: it may have lived, and asked Evolution, up to the last moment.
        return min(ran_out, self._begun if place == own_place and run != own_run else now)


def _place_and_run(owner: str) -> tuple[str, str]:
    place, run, *_ = [*owner.split("/"), ""]
    return place, run
