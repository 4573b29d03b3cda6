"""How much memory may be spent at the same time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class ByteBudget:
    """Bounds the sizes of what is in memory together; one thing alone may be larger than the budget.

    Whoever comes first gets room first: else small ones could keep a large one waiting for ever.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._turn = asyncio.Lock()  # wakes in the order of asking
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def spend(self, size: int) -> AsyncIterator[None]:
        """Wait until there is room for `size` bytes, and hold it."""
        async with self._turn:
            while self._used and self._used + size > self._limit:
                self._freed.clear()
                await self._freed.wait()
            self._used += size
        try:
            yield
        finally:
            self._used -= size
            self._freed.set()
