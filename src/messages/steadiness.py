"""Whether a claim that ran out was given up, or could not be renewed because the database was away."""

import time
from collections.abc import Callable


class Steadiness:
    """Since when the database has answered this process without a break.

    A sender that lives renews its claims as soon as the database is back. Others leave it the time for that: who has met a break, or
    has just started, takes nothing over for a whole lease. A break is a time without an answer that is longer than half a lease; claims
    are renewed three times in a lease, so none runs out in a shorter one.

    Args:
        lease_seconds: how long a claim holds.
        clock: gives seconds. Of the wall by default, which goes on while the machine sleeps; when it is set back, that is a break.
    """

    def __init__(self, lease_seconds: float, clock: Callable[[], float] = time.time) -> None:
        self._lease = lease_seconds
        self._clock = clock
        self._since = self._last = clock()

    def answered(self) -> None:
        """Note that the database has answered."""
        now = self._clock()
        if not self._goes_on(now):
            self._since = now
        self._last = now

    def lasts(self) -> bool:
        """Whether it has answered for a whole lease, up to now."""
        now = self._clock()
        return self._goes_on(now) and now - self._since >= self._lease

    def _goes_on(self, now: float) -> bool:
        return 0 <= now - self._last <= self._lease / 2
