"""Stores what events tell, once: whatever comes twice, late or out of order leaves the same rows.

Everything of a batch is stored in the caller's transaction. All locks are taken first and in one order, so that batches of several
replicas, and the sender's transactions, which take one such lock, never wait for each other in a circle.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from src.events.connections import apply_connections, apply_instance
from src.events.facts import Change, ConnectionSeen, Fact, Ignored, InstanceGone, InstanceMade, Mark, MarkSeen, MessageSeen
from src.events.marks import Identity, Progress, keep_receipts, raise_marks
from src.events.messages import in_a_senders_hand, insert_messages, states_of
from src.events.outcome import Outcome

AboutMessage = MessageSeen | MarkSeen


@dataclass(frozen=True)
class Applied:
    """What became of each fact, in the same order, and which messages are new or have another state."""

    outcomes: list[Outcome]
    changes: list[Change]


async def apply(connection: AsyncConnection, facts: Sequence[Fact]) -> Applied:
    """Store what events tell.

    Raises what a statement may raise; then nothing of the transaction may be kept.
    """
    outcomes: dict[int, Outcome] = {}
    changed: list[Change] = []
    if keys := list({_lock_key(each) for each in facts if not isinstance(each, Ignored)}):
        await connection.execute(_LOCK, {"keys": keys})
    if about_messages := [each for each in facts if isinstance(each, AboutMessage)]:
        outcomes, changed = await _apply_messages(connection, about_messages)
    for each in facts:
        if isinstance(each, InstanceMade | InstanceGone):
            outcomes[id(each)] = await apply_instance(connection, each)
    changes = [each for each in facts if isinstance(each, ConnectionSeen)]
    for instance in sorted({each.instance for each in changes}):
        of_instance = [each for each in changes if each.instance == instance]
        outcomes |= dict(zip(map(id, of_instance), await apply_connections(connection, instance, of_instance), strict=True))
    return Applied([outcomes.get(id(each), Outcome.IGNORED) for each in facts], changed)


async def _apply_messages(connection: AsyncConnection, facts: Sequence[AboutMessage]) -> tuple[dict[int, Outcome], list[Change]]:
    """Store messages before marks: whatever their order in the batch, a mark finds its message."""
    known = await states_of(connection, {each.identity for each in facts})
    new: dict[Identity, MessageSeen] = {}
    for each in facts:
        if isinstance(each, MessageSeen) and each.identity not in known:
            new.setdefault(each.identity, each)
    left = await in_a_senders_hand(connection, list(new.values()))
    inserted = {identity: each for identity, each in new.items() if identity not in left}
    changed = await insert_messages(connection, list(inserted.values()))
    higher = _progress(each for each in facts if inserted.get(each.identity) is not each)
    present = known.keys() | inserted.keys()
    changed += await raise_marks(connection, {identity: each for identity, each in higher.items() if identity in present})
    await keep_receipts(connection, {identity: each for identity, each in higher.items() if identity not in present})
    outcomes = {
        id(each): Outcome.STORED
        if inserted.get(each.identity) is each
        else Outcome.LEFT
        if new.get(each.identity) is each
        else _became(each, known)
        for each in facts
    }
    return outcomes, changed


def _progress(facts: Iterable[AboutMessage]) -> dict[Identity, Progress]:
    """Join all that is told of each own message."""
    found: dict[Identity, Progress] = {}
    for each in facts:
        if isinstance(each, MessageSeen) and not each.from_me:
            continue
        progress = Progress.of(each.mark, each.heard_at)
        found[each.identity] = progress.joined(found[each.identity]) if each.identity in found else progress
    return found


def _became(fact: AboutMessage, known: Mapping[Identity, str]) -> Outcome:
    state = known.get(fact.identity)
    if isinstance(fact, MessageSeen):
        return Outcome.DUPLICATE
    if state is None:
        return Outcome.STORED
    if state.upper() not in Mark.__members__:  # a message that the phone received
        return Outcome.IGNORED
    had = Mark[state.upper()]
    return Outcome.STORED if fact.mark > had else Outcome.DUPLICATE if fact.mark == had else Outcome.STALE


def _lock_key(fact: Fact) -> str:
    """Return what is locked: the message, as the sender does it too, or the instance, which no message can be named like."""
    return f"{fact.instance}/{fact.evolution_id}" if isinstance(fact, AboutMessage) else f"{fact.instance}/"


_LOCK = text("""
    SELECT pg_advisory_xact_lock(sorted.key)
    FROM (SELECT DISTINCT hashtextextended(names.name, 0) AS key FROM unnest(CAST(:keys AS text[])) AS names (name) ORDER BY key) AS sorted
""")
