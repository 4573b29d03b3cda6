"""Installing packages beside others who do, and after a run that was killed."""

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from ops import apt

HOLD = (
    "import fcntl, sys, time; f = open(sys.argv[1], 'r+'); fcntl.lockf(f, fcntl.LOCK_EX); print(flush=True); time.sleep(float(sys.argv[2]))"
)


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "lock"
    file.touch()
    monkeypatch.setattr(apt, "LOCKS", (tmp_path / "none", file))
    return file


def test_it_waits_once_another_program_has_ended_and_says_so(lock: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(lock), "0.3"], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        said: list[str] = []
        apt.wait_for_others(said.append)
        assert other.wait(timeout=5) == 0, "it did not wait"
    assert said == ["packages: waiting for another program that installs packages"]


def test_it_waits_for_nobody_when_nobody_is_there_and_keeps_no_lock(lock: Path) -> None:
    apt.wait_for_others(pytest.fail)
    with lock.open("r+") as file:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_what_a_killed_run_left_half_installed_is_finished_first() -> None:
    first, *_, last = apt.commands(["docker.io", "iptables"])
    assert first == ["dpkg", "--configure", "-a"]
    assert last[-2:] == ["docker.io", "iptables"]
