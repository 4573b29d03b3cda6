"""Tells the senders that a message was stored: those of this process at once, the others a few times a second."""

import asyncio
import logging

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from src.database import DatabaseError

CHANNEL = "outbox"
"""What is notified when there is something to send: with an instance's name when it has just connected, else with nothing."""
TELL_SECONDS = 0.1
"""The shortest time between two notifications: each one wakes every other process, and makes others wait for its commit."""

_NOTIFY = text(f"NOTIFY {CHANNEL}")
_log = logging.getLogger("app.outbox")


class Bell:
    """Rung by whoever has stored a message. A notification that is lost costs the others nothing but time: they look by themselves too.

    Attributes:
        rung: set by each ring; the outbox of this process clears it.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self.rung = asyncio.Event()
        self._engine = engine
        self._untold = False
        self._telling: asyncio.Task[None] | None = None

    def ring(self) -> None:
        """Wake the senders; returns at once."""
        self.rung.set()
        self._untold = True
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell_others(), name="bell")

    async def close(self) -> None:
        """Tell nothing more."""
        if self._telling:
            self._telling.cancel()
            await asyncio.wait({self._telling})

    async def _tell_others(self) -> None:
        while self._untold:
            self._untold = False
            await self._notify()
            await asyncio.sleep(TELL_SECONDS)

    async def _notify(self) -> None:
        try:
            async with self._engine.connect() as connection:
                await connection.execution_options(isolation_level="AUTOCOMMIT")
                await connection.execute(_NOTIFY)
        except DatabaseError as error:
            _log.debug("the other senders were not told of a message: %s", type(error).__name__)
