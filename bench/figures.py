"""Pure arithmetic over what the bench measured."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True)
class Figure:
    """One measured value.

    Attributes:
        name: what was measured.
        value: in `unit`.
        unit: s, ms, MiB, "% of a core", messages or messages/s.
        limit: what it may be at most; None where nothing was promised.
        notes: the slowest steps, or the largest parts.
    """

    name: str
    value: float
    unit: str
    limit: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """`ok`, `OVER`, or nothing where there is no limit."""
        return "" if self.limit is None else "ok" if self.value <= self.limit else "OVER"

    @property
    def row(self) -> tuple[str, ...]:
        """Cells for a table."""
        return (self.name, f"{self.value:.1f} {self.unit}", "" if self.limit is None else f"<= {self.limit:g} {self.unit}", self.verdict)


def slowest(steps: list[tuple[str, float]], most: int = 5) -> tuple[str, ...]:
    """The steps that took longest, as text."""
    return tuple(f"{name}: {seconds:.1f} s" for name, seconds in sorted(steps, key=lambda step: -step[1])[:most])


def largest(parts: Mapping[str, float], unit: str) -> tuple[str, ...]:
    """All parts of a sum, the largest first, as text."""
    return tuple(f"{name}: {value:.1f} {unit}" for name, value in sorted(parts.items(), key=lambda part: -part[1]))


@dataclass(frozen=True)
class Tally:
    """Messages that went wrong.

    Attributes:
        lost: missing somewhere.
        doubled: somewhere twice, or there without having been sent.
        late: on their way, when they were counted.
    """

    lost: frozenset[str]
    doubled: frozenset[str]
    late: frozenset[str] = frozenset()

    @classmethod
    def of(cls, wanted: Iterable[str], found: Iterable[str], known: Iterable[str] | None = None) -> Self:
        """Compare what must be at a place with what is found there; `known` is what may be there, all that is wanted when left out."""
        counted, expected = Counter(found), frozenset(wanted)
        allowed = expected if known is None else frozenset(known)
        return cls(expected - counted.keys(), frozenset(each for each, times in counted.items() if times > (each in allowed)))


def median(values: list[float]) -> float:
    """The middle value; of an even number, the lower middle."""
    return percentile(values, 50)


def percentile(values: list[float], percent: int) -> float:
    """The smallest measured value that so many percent of all don't exceed."""
    return sorted(values)[max(0, -(-len(values) * percent // 100) - 1)]
