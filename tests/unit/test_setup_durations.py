"""What `make bench` is told about a cold start."""

import time
from pathlib import Path

import pytest

from ops.setup import durations


@pytest.fixture(autouse=True)
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that shows the next of these readings each time."""
    readings: list[float] = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(time, "monotonic", lambda: readings.pop(0))
    return readings


def measure(clock: list[float], seconds: float) -> dict[str, float]:
    clock.extend([100.0, 100.0 + seconds])
    with durations.measured("Pulumi"):
        pass
    return durations.recorded()


def test_the_longest_run_of_a_step_is_remembered_for_it_was_the_cold_one(clock: list[float]) -> None:
    assert measure(clock, 600.0) == {"Pulumi": 600.0}
    assert measure(clock, 30.0) == {"Pulumi": 600.0}


def test_a_step_that_had_nothing_to_do_is_not_remembered(clock: list[float]) -> None:
    assert measure(clock, 0.01) == {}


def test_a_damaged_file_is_as_good_as_none(clock: list[float], tmp_path: Path) -> None:
    (tmp_path / "whatsapp-stack").mkdir()
    (tmp_path / "whatsapp-stack" / "durations.json").write_text("[1, 2")
    assert measure(clock, 5.0) == {"Pulumi": 5.0}
