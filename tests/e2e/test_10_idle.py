"""What the environment costs when nobody uses it."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bench.figures import cpu_seconds, memory_mib
from tests.e2e.environment import EIGHT, Stack

_MOST_MIB = 1024
_MOST_PERCENT = 5
_SAMPLE_SECONDS = 58
"""As long as the calmest health check's interval, so that RabbitMQ's, which costs the most, counts once."""
_ATTEMPTS = 2
"""A neighbour that empties the machine's caches makes the same work cost more."""
_SECONDS_TO_A_VERDICT = 120
"""Two of the calmest health check's intervals."""


def _stats(stack: Stack) -> dict[str, dict[str, Any]]:
    found = stack.containers()
    with ThreadPoolExecutor(max_workers=len(found)) as pool:
        answers = pool.map(lambda each: stack.client.api.stats(each.id, stream=False, one_shot=True), found)
        return dict(zip((each.service for each in found), answers, strict=True))


def test_the_idle_environment_stays_below_its_memory_and_cpu(stack: Stack) -> None:
    memory = {service: memory_mib(stats) for service, stats in _stats(stack).items()}
    print(f"memory in MiB: {memory}")  # noqa: T201 - pytest shows it with a failure
    assert sum(memory.values()) < _MOST_MIB, f"MiB by service: {memory}"
    samples: list[dict[str, float]] = []
    while not samples or (sum(samples[-1].values()) >= _MOST_PERCENT and len(samples) < _ATTEMPTS):
        samples.append(_cpu_percent(stack))
    print(f"cpu in % of a core: {samples}")  # noqa: T201
    # The containers' own accounts, not the machine's: others may be busy.
    assert sum(samples[-1].values()) < _MOST_PERCENT, f"% of a core in each sample, by service: {samples}"


def _cpu_percent(stack: Stack) -> dict[str, float]:
    before, begun = _stats(stack), time.monotonic()
    time.sleep(_SAMPLE_SECONDS)
    after, seconds = _stats(stack), time.monotonic() - begun
    return {service: 100 * (cpu_seconds(after[service]) - cpu_seconds(before[service])) / seconds for service in after}


def test_the_engine_itself_calls_all_eight_healthy(stack: Stack) -> None:
    limit = time.monotonic() + _SECONDS_TO_A_VERDICT
    while (verdicts := {each.service: each.health for each in stack.containers()}) != dict.fromkeys(EIGHT, "healthy"):
        assert "unhealthy" not in verdicts.values(), verdicts
        assert time.monotonic() < limit, f"no verdict after {_SECONDS_TO_A_VERDICT} s: {verdicts}"
        time.sleep(0.5)
