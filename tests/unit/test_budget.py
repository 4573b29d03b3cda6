"""Memory is given in the order of asking, to as many as fit."""

import asyncio

import pytest

from src.budget import ByteBudget

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Spender:
    """Asks for room, and keeps it until it is told to give it back."""

    def __init__(self, budget: ByteBudget, size: int) -> None:
        self.has_it = False
        self._done = asyncio.Event()
        self.task = asyncio.create_task(self._spend(budget, size))

    async def _spend(self, budget: ByteBudget, size: int) -> None:
        async with budget.spend(size):
            self.has_it = True
            await self._done.wait()

    async def give_back(self) -> None:
        self._done.set()
        await self.task
        await settled()


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_large_one_is_not_overtaken_by_small_ones_that_would_fit() -> None:
    budget = ByteBudget(10)
    first = Spender(budget, 6)
    await settled()
    large = Spender(budget, 10)
    await settled()
    small = Spender(budget, 1)
    await settled()
    assert (first.has_it, large.has_it, small.has_it) == (True, False, False)
    await first.give_back()
    assert (large.has_it, small.has_it) == (True, False)
    await large.give_back()
    assert small.has_it
    await small.give_back()


async def test_one_that_is_larger_than_all_goes_alone() -> None:
    budget = ByteBudget(10)
    small, huge = Spender(budget, 1), Spender(budget, 99)
    await settled()
    assert (small.has_it, huge.has_it) == (True, False)
    await small.give_back()
    assert huge.has_it
    await huge.give_back()


async def test_one_that_does_not_wait_any_more_leaves_its_turn_to_the_next() -> None:
    budget = ByteBudget(10)
    first = Spender(budget, 6)
    await settled()
    leaving = Spender(budget, 10)
    await settled()
    patient = Spender(budget, 4)
    await settled()
    leaving.task.cancel()
    await settled()
    assert patient.has_it
    await first.give_back()
    await patient.give_back()
