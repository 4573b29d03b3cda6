"""Runs of Pulumi that are stopped or killed at several moments."""

import itertools
import os
import signal
import time
from collections.abc import Callable

import pytest

from tests.e2e.project import Running
from tests.faults.scene import BY_UP, Case, Scene

_SECONDS_TO_STOP = 30


def _kill(run: Running, scene: Scene) -> None:
    """Kill the CLI and what is in its process group; the language host and the provider live on."""
    found = [process.pid for process in scene.stack.copy.processes() if process.program == "pulumi" and "up" in process.arguments]
    assert len(found) == 1, f"not one Pulumi is at work, but {len(found)}:\n{run.told}"
    os.killpg(found[0], signal.SIGKILL)


def _kill_the_terminal(run: Running, _: Scene) -> None:
    os.killpg(run.process.pid, signal.SIGKILL)


def _interrupt(run: Running, _: Scene) -> None:
    run.interrupt()


_MOMENTS = [
    (_interrupt, "redis                        stopping the old one", "INT while a container is replaced"),
    (_kill, "redis                        creating anew", "KILL while a container is made"),
    (_kill, "redis                        created anew", "KILL while a service becomes ready"),
    (_interrupt, "evolution-api                created anew", "INT while a service becomes ready"),
    (_kill_the_terminal, "evolution-api                creating anew", "KILL of everything that the terminal started"),
]
_QUICK = 2
_RELEASED = "repair: releasing the lock of a run that is gone"
_ZONES = itertools.cycle(range(1, 13))


@pytest.mark.parametrize(
    ("end", "moment", "what"),
    [pytest.param(*each, id=each[2], marks=[] if number < _QUICK else pytest.mark.slow) for number, each in enumerate(_MOMENTS)],
)
def test_an_up_that_was_ended_is_completed_by_the_next(scene: Scene, end: Callable[[Running, Scene], None], moment: str, what: str) -> None:
    """Every container is to be replaced, for all have the time zone in their variables; and it stays so, to spare doing it once more."""
    stack = scene.stack
    case = Case(scene, what, ("pulumi",))
    stack.settled = False
    stack.settings["TZ"] = f"Etc/GMT+{next(_ZONES)}"
    stack.write()
    run = stack.start("up")
    run.wait_for(moment, 120)
    begun = time.monotonic()
    end(run, scene)
    ended = run.finish(_SECONDS_TO_STOP)
    assert ended.code != 0, f"`make up` reported success:\n{ended.told}"
    last = [line.strip() for line in ended.output.splitlines() if line.strip()][-1]
    case.notes("pulumi", "nothing: it was killed too" if end is _kill_the_terminal else last, time.monotonic() - begun)
    repaired = stack.up()
    if end is not _interrupt:
        # The terminal's processes are gone, and Pulumi, which is in a group of its own, may still be about to stop.
        repaired.assert_tells("repair: waiting for a run whose terminal is gone" if end is _kill_the_terminal else _RELEASED)
    case.is_repaired(BY_UP, repaired.seconds)
    assert stack.copy.processes() == [], "what was ended left something at work"
