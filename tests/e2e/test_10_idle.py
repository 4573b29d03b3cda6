"""What the environment costs when nobody uses it."""

import time

from bench.usage import Reading, read
from tests.e2e.environment import EIGHT, Stack

_MOST_MIB = 1024
_MOST_PERCENT = 5
_SAMPLE_SECONDS = 58
"""As long as the calmest health check's interval, so that RabbitMQ's, which costs the most, counts once."""
_ATTEMPTS = 2
"""A neighbour that empties the machine's caches makes the same work cost more."""
_SECONDS_TO_A_VERDICT = 120
"""Two of the calmest health check's intervals."""


def _read(stack: Stack) -> Reading:
    return read(stack.client, {each.service: each.id for each in stack.containers()})


def test_the_idle_environment_stays_below_its_memory_and_cpu(stack: Stack) -> None:
    reading = _read(stack)
    memory = reading.memory_mib
    print(f"memory in MiB: {memory}")  # noqa: T201 - pytest shows it with a failure
    assert sum(memory.values()) < _MOST_MIB, f"MiB by service: {memory}"
    samples: list[dict[str, float]] = []
    while not samples or (sum(samples[-1].values()) >= _MOST_PERCENT and len(samples) < _ATTEMPTS):
        time.sleep(_SAMPLE_SECONDS)
        before, reading = reading, _read(stack)
        samples.append(reading.cpu_percent_since(before))
    print(f"cpu in % of a core: {samples}")  # noqa: T201
    assert sum(samples[-1].values()) < _MOST_PERCENT, f"% of a core in each sample, by service: {samples}"


def test_the_engine_itself_calls_all_eight_healthy(stack: Stack) -> None:
    limit = time.monotonic() + _SECONDS_TO_A_VERDICT
    while (verdicts := {each.service: each.health for each in stack.containers()}) != dict.fromkeys(EIGHT, "healthy"):
        assert "unhealthy" not in verdicts.values(), verdicts
        assert time.monotonic() < limit, f"no verdict after {_SECONDS_TO_A_VERDICT} s: {verdicts}"
        time.sleep(0.5)
