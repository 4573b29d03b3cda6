"""Pure arithmetic over what the bench measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MIB = 1024 * 1024


@dataclass(frozen=True)
class Figure:
    """One measured value.

    Attributes:
        name: what was measured.
        value: in `unit`.
        unit: s, MiB or "% of a core".
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


def median(values: list[float]) -> float:
    """The middle value; of an even number, the lower middle."""
    return sorted(values)[(len(values) - 1) // 2]


def memory_mib(stats: dict[str, Any]) -> float:
    """Memory of a container as `docker stats` counts it: without the page cache that the kernel would give back."""
    memory = stats.get("memory_stats") or {}
    details = memory.get("stats") or {}
    cache = details.get("total_inactive_file", details.get("inactive_file", 0))  # cgroup v1, v2
    return max(0.0, float(memory.get("usage", 0) - cache)) / MIB


def cpu_seconds(stats: dict[str, Any]) -> float:
    """CPU time that a container has used since it started."""
    return float(stats["cpu_stats"]["cpu_usage"]["total_usage"]) / 1e9
