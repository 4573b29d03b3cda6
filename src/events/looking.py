"""One look at one instance: what Evolution API has stored of it, and no event brought.

A stored time in the future is from before the clock was set back, so it is taken for an old one.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from src.events import storing, turns
from src.events.facts import ConnectionSeen, ConnectionState, Event, MessageSeen
from src.events.finding import Found, facts_of, found_between
from src.events.outcome import Outcome
from src.evolution.answers import FoundMessage, InstanceSummary
from src.resources import Resources

_OVERLAP = timedelta(seconds=60)
"""How far a look reaches back behind the one before: marks follow their message, and Evolution stores some things late."""
_FIRST_LOOK = timedelta(days=1)
"""How far back to look for an instance that was never looked at."""
_SETTLES_AFTER = timedelta(minutes=2)
"""What was sent to a phone while it was away comes with old times, and only bit by bit after it is back. Until then no look is held to have
found all."""
_MOST_AT_ONCE = 5000
"""Messages that one look takes, so that the other instances have their turn soon; the next one goes on."""
_TRUST_EVENTS = timedelta(seconds=60)
"""How long an event about a connection is believed more than what Evolution answers about it."""
_ALWAYS = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Looked:
    """How many messages should have come as events, and whether there is more to fetch at once."""

    missed: int = 0
    has_more: bool = False


async def look_at(resources: Resources, instance: InstanceSummary, until: datetime, *, loud_after: datetime, in_turn: bool) -> Looked:
    """Fetch the messages since the last look.

    Args:
        resources: the application's.
        instance: what to look at.
        until: the WhatsApp time of the youngest message to fetch.
        loud_after: the time since when a message without an event is a missed one.
        in_turn: do nothing if another replica has just looked.
    """
    turn = await turns.take(resources.engine, instance.name, at_once=not in_turn)
    if turn is None:
        return Looked()
    now = datetime.now(UTC)
    open_since = await _follow_state(resources, instance, now)
    has_settled = open_since is not None and abs(now - open_since) > _SETTLES_AFTER
    if open_since is not None and not has_settled:
        loud_after = now  # events of what comes with old times are on their way
    known_until = min(turn.until or until - _FIRST_LOOK, now)
    missed = new = 0
    left_at: datetime | None = None
    async for found in found_between(resources.evolution, instance.name, known_until - _OVERLAP, until):
        stored = await store(resources, instance.name, found.records, loud_after)
        missed += stored.missed
        left_at = min((at for at in (left_at, stored.left_at) if at is not None), default=None)
        new += sum(each.message_timestamp > known_until for each in found.records)
        if found.reached is None:
            continue
        reached = found.reached if has_settled else _newest(found) if open_since is None else None
        if reached is not None:
            await turns.move_on(resources.engine, instance.name, min(reached, left_at) if left_at else reached)
        if new >= _MOST_AT_ONCE and found.reached < until.replace(microsecond=0):
            return Looked(missed, has_more=reached is not None and left_at is None)
    return Looked(missed)


def _newest(found: Found) -> datetime | None:
    """Return how far a look has got with an instance that isn't connected: what comes when it is may be as old as its newest message."""
    return max((each.message_timestamp for each in found.records), default=None)


@dataclass(frozen=True)
class StoredRecords:
    """How many messages should have come as events, and the time of the oldest that was left to a sender.

    A look doesn't move on past that one: another device may have sent it, and only one of its kind is the sender's.
    """

    missed: int
    left_at: datetime | None


async def store(resources: Resources, instance: str, records: list[FoundMessage], loud_after: datetime) -> StoredRecords:
    """Store what Evolution has."""
    now = datetime.now(UTC)
    facts = [fact for record in records for fact in facts_of(instance, record, now)]
    async with resources.engine.connect() as connection:
        heard = set((await connection.execute(_HEARD, {"instance": instance, "ids": [each.key.id for each in records]})).scalars())
    events = [Event("messages.upsert" if isinstance(fact, MessageSeen) else "messages.update", fact) for fact in facts]
    stored = await storing.store(resources.engine, events, storing.CATCH_UP)
    missed = 0
    left: list[datetime] = []
    for fact, each in zip(facts, stored, strict=True):
        if isinstance(fact, MessageSeen) and each.outcome is Outcome.STORED and fact.at > loud_after:
            missed += fact.evolution_id not in heard
        if isinstance(fact, MessageSeen) and each.outcome is Outcome.LEFT:
            left.append(fact.at)
    return StoredRecords(missed, min(left, default=None))


async def _follow_state(resources: Resources, summary: InstanceSummary, now: datetime) -> datetime | None:
    """Take Evolution's word for a connection of which no event has told for a while; return since when it is open, None if it isn't."""
    async with resources.engine.connect() as connection:
        row = (await connection.execute(_STATE, {"instance": summary.name})).first()
    if row is None:  # an instance of others
        return _ALWAYS if summary.connection_status == "open" else None
    state: str = row.state
    since: datetime | None = row.state_changed_at
    if state != summary.connection_status and (since is None or abs(now - since) >= _TRUST_EVENTS):
        asked = await resources.evolution.state(summary.name)
        if asked != state:
            state, since = asked, now
            seen = ConnectionSeen(summary.name, ConnectionState(asked), now, phone=summary.phone, profile_name=summary.profile_name)
            await storing.store(resources.engine, [Event("connection.update", seen)], storing.CATCH_UP)
    return (since or _ALWAYS) if state == ConnectionState.OPEN else None


_HEARD = text("SELECT evolution_id FROM receipts WHERE instance = :instance AND evolution_id = ANY(CAST(:ids AS text[]))")
_STATE = text("SELECT state, state_changed_at FROM instances WHERE name = :instance")
