"""When not to try: waits that grow from failure to failure, for one message, for an instance, or for all."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 60.0


def backoff(failures: int, jitter: Callable[[], float] = random.random) -> timedelta:
    """Return how long to wait after this many failures in a row: 1 s, doubled each time up to 60 s, less up to a quarter by chance."""
    whole = min(LONGEST_SECONDS, FIRST_SECONDS * 2 ** min(failures - 1, 10))
    return timedelta(seconds=whole * (1 - jitter() / 4))


@dataclass
class _Hold:
    until: float
    failures: int


class Pauses:
    """The instances that are not tried for now, in this process; `None` stands for all of them.

    Times are seconds of one monotonic clock, which the caller reads.
    """

    def __init__(self) -> None:
        self._holds: dict[str | None, _Hold] = {}

    def hold(self, what: str | None, now: float) -> timedelta:
        """Note a failure and return how long to wait; those that fail while others wait already don't make it longer."""
        held = self._holds.setdefault(what, _Hold(until=now, failures=0))
        if held.until <= now:
            held.failures += 1
            held.until = now + backoff(held.failures).total_seconds()
        return timedelta(seconds=held.until - now)

    def release(self, what: str | None) -> None:
        """Forget the failures: it works, or may work again."""
        self._holds.pop(what, None)

    def instances(self, now: float) -> list[str]:
        """Return the instances to leave alone now."""
        return [what for what, held in self._holds.items() if what is not None and held.until > now]

    def all_until(self, now: float) -> float | None:
        """Return until when nothing at all is to be tried, or None."""
        held = self._holds.get(None)
        return held.until if held and held.until > now else None
