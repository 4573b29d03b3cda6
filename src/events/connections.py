"""Stores what events tell of instances: that they are there, whether they are connected, and since when."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from src.events.facts import ConnectionSeen, ConnectionState, InstanceGone, InstanceMade
from src.events.outcome import Outcome

_ORDER = {"connecting": 0, "close": 1, "refused": 1, "open": 2}
"""Which of two changes in the same millisecond counts as the later one, whichever is heard first."""


def _moment(seen: ConnectionSeen) -> tuple[datetime, int]:
    return seen.heard_at, _ORDER[seen.state]


async def apply_connections(connection: AsyncConnection, instance: str, seen: Sequence[ConnectionSeen]) -> list[Outcome]:
    """Store the changes of one instance's connection, and its state as of the newest. The instance's lock is held.

    A run of events with the same state is one change, stored once with the time of its first event: with WhatsApp out of
    reach, Evolution 2.2.3 sends up to 90 of them a second. When the connection became open, the outbox is woken.
    """
    ordered = sorted(seen, key=_moment)
    stored = {id(each) for each in _ends_of_runs(ordered) if await _store_change(connection, each)}
    newest = ordered[-1]
    moved = (await connection.execute(_MOVE_ON, _state(newest))).first()
    if moved is None:
        await connection.execute(_REPEAT_STATE, {"instance": instance})
    if newest.state is ConnectionState.OPEN and moved is not None and moved.was != ConnectionState.OPEN:
        await connection.execute(_WAKE, {"instance": instance})
    return [Outcome.STORED if id(each) in stored else Outcome.DUPLICATE for each in seen]


async def apply_instance(connection: AsyncConnection, seen: InstanceMade | InstanceGone) -> Outcome:
    """Follow an instance that was made anew under a known name, or deleted, by others than this application."""
    statement = _MADE_ANEW if isinstance(seen, InstanceMade) else _GONE
    rows = await connection.execute(statement, {"instance": seen.instance, "id": seen.id, "at": seen.heard_at})
    return Outcome.STORED if rows.first() else Outcome.DUPLICATE


def _ends_of_runs(ordered: Sequence[ConnectionSeen]) -> Iterator[ConnectionSeen]:
    """Give the first and the last event of each run: between the two, another state may be known already."""
    for _, run in groupby(ordered, key=lambda each: each.state):
        first, *rest = run
        yield first
        yield from rest[-1:]


async def _store_change(connection: AsyncConnection, seen: ConnectionSeen) -> bool:
    parameters = {"instance": seen.instance, "at": seen.heard_at}
    before = (await connection.execute(_BEFORE, parameters)).first()
    if before is not None and before.state == seen.state:
        return False
    after = (await connection.execute(_AFTER, parameters)).first()
    await connection.execute(_CHANGE, {**parameters, "state": seen.state, "status_reason": seen.status_reason})
    if after is not None and after.state == seen.state:  # the change was earlier than known
        await connection.execute(_FORGET, {"id": after.id})
    return True


def _state(seen: ConnectionSeen) -> dict[str, object]:
    return {
        "instance": seen.instance,
        "state": seen.state.stored,
        "at": seen.heard_at,
        "phone": seen.phone,
        "profile_name": seen.profile_name,
    }


_BEFORE = text("""
    SELECT state FROM connection_changes WHERE instance = :instance AND at <= :at ORDER BY at DESC, id DESC LIMIT 1
""")
_AFTER = text("""
    SELECT id, state FROM connection_changes WHERE instance = :instance AND at > :at ORDER BY at, id LIMIT 1
""")
_CHANGE = text("""
    INSERT INTO connection_changes (instance, state, status_reason, at) VALUES (:instance, :state, :status_reason, :at)
    ON CONFLICT DO NOTHING
""")
_FORGET = text("DELETE FROM connection_changes WHERE id = :id")
# A state that is more than a minute ahead is from before the clock was set back: every change is later than that.
_MOVE_ON = text("""
    WITH before AS (SELECT id, state AS was FROM instances WHERE name = :instance FOR NO KEY UPDATE)
    UPDATE instances AS i SET
        state = :state,
        state_changed_at = :at,
        phone = COALESCE(:phone, phone),
        profile_name = COALESCE(:profile_name, profile_name),
        updated_at = CASE WHEN state = :state THEN updated_at ELSE now() END
    FROM before
    WHERE i.id = before.id AND (
        state_changed_at IS NULL OR state_changed_at < :at OR state_changed_at > now() + interval '1 minute'
        OR (state_changed_at = :at AND array_position(ARRAY['connecting', 'close', 'open'], :state)
            >= array_position(ARRAY['connecting', 'close', 'open'], state))
    )
    RETURNING before.was
""")
# A change that is older than the present state came late: the way back to the present state, which was no change then, is one now.
_REPEAT_STATE = text("""
    INSERT INTO connection_changes (instance, state, at)
    SELECT i.name, i.state, i.state_changed_at
    FROM instances AS i
    WHERE i.name = :instance AND i.state_changed_at IS NOT NULL AND i.state IS DISTINCT FROM (
        SELECT CASE c.state WHEN 'refused' THEN 'close' ELSE c.state END
        FROM connection_changes AS c WHERE c.instance = i.name ORDER BY c.at DESC, c.id DESC LIMIT 1
    )
    ON CONFLICT DO NOTHING
""")
_WAKE = text("SELECT pg_notify('outbox', :instance)")  # the sender then tries at once what waits for the instance
_MADE_ANEW = text("""
    UPDATE instances SET id = :id, state = 'close', state_changed_at = NULL, phone = NULL, profile_name = NULL, updated_at = now()
    WHERE name = :instance AND id <> :id AND created_at < :at AND updated_at < :at
    RETURNING id
""")
_GONE = text("""
    WITH gone AS (DELETE FROM instances WHERE id = :id AND name = :instance RETURNING id, name),
         forgotten AS (DELETE FROM caught_up USING gone WHERE caught_up.instance = gone.name)
    SELECT id FROM gone
""")
