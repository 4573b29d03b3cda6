"""What containers use: memory now, and CPU over a while."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.figures import Figure, largest
from ops.stats import cpu_seconds, memory_mib

if TYPE_CHECKING:
    from collections.abc import Mapping

    from docker import DockerClient


@dataclass(frozen=True)
class Reading:
    """The engine's statistics of each container, by its name, and when they were taken, on the monotonic clock."""

    stats: dict[str, dict[str, Any]]
    taken: float = field(default_factory=time.monotonic)

    @property
    def memory_mib(self) -> dict[str, float]:
        """What each has in memory, in MiB."""
        return {name: memory_mib(stats) for name, stats in self.stats.items()}

    def cpu_percent_since(self, before: Reading) -> dict[str, float]:
        """What each has used since an earlier reading, in percent of one core. The containers' own accounts: others may be busy."""
        seconds = self.taken - before.taken
        return {name: 100 * (cpu_seconds(stats) - cpu_seconds(before.stats[name])) / seconds for name, stats in self.stats.items()}


def read(client: DockerClient, containers: Mapping[str, str]) -> Reading:
    """Look at all of these containers at once; ids by the names that the reading is to have."""
    with ThreadPoolExecutor(max_workers=len(containers)) as pool:
        answers = pool.map(lambda each: client.api.stats(each, stream=False, one_shot=True), containers.values())
        return Reading(dict(zip(containers, answers, strict=True)))


def used(when: str, before: Reading, after: Reading, most_mib: float | None = None, most_percent: float | None = None) -> list[Figure]:
    """Memory at the second reading, and CPU between both.

    Args:
        when: what the stack did meanwhile, as in `idle`.
        before: the first reading.
        after: the second one, of the same containers.
        most_mib: the limit for all memory, in MiB.
        most_percent: the limit for all CPU, in percent of one core.
    """
    memory, cpu = after.memory_mib, after.cpu_percent_since(before)
    return [
        Figure(f"memory, {when}", sum(memory.values()), "MiB", most_mib, largest(memory, "MiB")),
        Figure(f"cpu, {when}", sum(cpu.values()), "% of a core", most_percent, largest(cpu, "%")),
    ]
