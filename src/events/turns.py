"""How far catch-up has got with each instance, kept in the database: a restart goes on from there, and replicas take turns.

A time in the future was stored before the clock was set back; it counts for nothing.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

_TURN = timedelta(seconds=25)
"""How long others leave an instance alone after one has looked; a little less than the shortest time between two looks of one replica."""


@dataclass(frozen=True)
class Turn:
    """The right to look at an instance, and up to when its messages were asked for before; None if they never were."""

    until: datetime | None


async def take(engine: AsyncEngine, instance: str, *, at_once: bool) -> Turn | None:
    """Take a turn; None when another replica looked a moment ago, unless it must be `at_once`."""
    async with engine.begin() as connection:
        row = (await connection.execute(_TAKE, {"instance": instance, "at_once": at_once, "turn": _TURN})).first()
    return Turn(row.until) if row is not None else None


async def move_on(engine: AsyncEngine, instance: str, until: datetime) -> None:
    """Note that all messages with a WhatsApp time before a moment were asked for; and that somebody is at it."""
    async with engine.begin() as connection:
        await connection.execute(_MOVE_ON, {"instance": instance, "until": until})


_TAKE = text("""
    INSERT INTO caught_up AS c (instance) VALUES (:instance)
    ON CONFLICT (instance) DO UPDATE SET looked_at = now()
    WHERE CAST(:at_once AS boolean) OR c.looked_at < now() - CAST(:turn AS interval) OR c.looked_at > now() + CAST(:turn AS interval)
    RETURNING c.until
""")
_MOVE_ON = text("""
    UPDATE caught_up
       SET until = GREATEST(CASE WHEN until <= now() THEN until END, CAST(:until AS timestamptz)), looked_at = now()
     WHERE instance = :instance
""")
