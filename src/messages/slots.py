"""How much one process sends at the same time, and for whom."""

import math
from collections import Counter
from uuid import UUID


class Slots:
    """The places for messages that are being sent.

    Evolution may take minutes to answer for an instance that hangs. A message that it takes long over gives up its place to others, but
    not without limit: an instance that has half as many of those as there are places gets none for now, and all together are at most
    twice as many as the places. Nor does an instance get more than half of what the others leave of that: however many hang, one after
    the other, something is left for the next. Times are seconds of one monotonic clock, which the caller reads.
    """

    def __init__(self, count: int, slow_seconds: float) -> None:
        self._count = count
        self._slow_seconds = slow_seconds
        self._taken: dict[UUID, tuple[str, float]] = {}

    def take(self, message_id: UUID, instance: str, now: float) -> None:
        """Note that the sending of a message begins."""
        self._taken[message_id] = (instance, now)

    def give_back(self, message_id: UUID) -> None:
        """Note that it has ended."""
        del self._taken[message_id]

    def free(self, now: float) -> int:
        """Return how many messages may be begun."""
        quick = len(self._taken) - self._slow(now).total()
        rest = 2 * self._count - len(self._taken)
        return min(self._count - quick, math.ceil(rest / 2))

    def crowded(self, now: float) -> list[str]:
        """Return the instances of which no message is to be begun now."""
        slow = self._slow(now)
        taken = Counter(instance for instance, _ in self._taken.values())
        rest = 2 * self._count - taken.total()
        return [instance for instance, own in taken.items() if 2 * slow[instance] >= self._count or own >= rest]

    def _slow(self, now: float) -> Counter[str]:
        return Counter(instance for instance, begun in self._taken.values() if now - begun >= self._slow_seconds)
