"""Runs of Pulumi that are stopped or killed at several moments."""

import contextlib
import itertools
import os
import random
import signal
import time
from collections.abc import Callable

import pytest

from tests.e2e.project import Ran, Running
from tests.faults.scene import BY_UP, Case, Scene

_SECONDS_TO_STOP = 30


def _kill(run: Running, scene: Scene) -> None:
    """Kill the CLI and what is in its process group; the language host and the provider live on."""
    found = [each.pid for each in scene.stack.copy.processes() if each.program == "pulumi" and {"up", "destroy"} & {*each.arguments}]
    assert len(found) == 1, f"not one Pulumi is at work, but {len(found)}:\n{run.told}"
    os.killpg(found[0], signal.SIGKILL)


def _kill_the_terminal(run: Running, _: Scene) -> None:
    os.killpg(run.process.pid, signal.SIGKILL)


def _interrupt(run: Running, _: Scene) -> None:
    run.interrupt()


def _kill_all(run: Running, scene: Scene) -> None:
    """What a machine that loses its power does."""
    _kill_the_terminal(run, scene)
    for each in scene.stack.copy.processes():
        with contextlib.suppress(ProcessLookupError):
            os.kill(each.pid, signal.SIGKILL)


_MOMENTS = [
    (_interrupt, "redis                        stopping the old one", "INT while a container is replaced"),
    (_kill, "redis                        creating anew", "KILL while a container is made"),
    (_kill, "redis                        created anew", "KILL while a service becomes ready"),
    (_interrupt, "evolution-api                created anew", "INT while a service becomes ready"),
    (_kill_the_terminal, "evolution-api                creating anew", "KILL of everything that the terminal started"),
]
_QUICK = 2
_RELEASED = "repair: releasing the lock of a run that is gone"
_KILLED_TOO = "nothing: it was killed too"
_SECONDS_OF_AN_UP, _PARTS = 16, 4
"""How long one takes that replaces everything, and in how many parts of it a moment is tried."""
_ZONES = itertools.cycle(range(1, 13))


def _start_up(scene: Scene) -> Running:
    """Every container is to be replaced, for all have the time zone in their variables; and it stays so, to spare doing it once more."""
    scene.stack.settings["TZ"] = f"Etc/GMT+{next(_ZONES)}"
    scene.stack.write()
    return scene.stack.start("up")


@pytest.mark.parametrize(
    ("end", "moment", "what"),
    [pytest.param(*each, id=each[2], marks=[] if number < _QUICK else pytest.mark.slow) for number, each in enumerate(_MOMENTS)],
)
def test_an_up_that_was_ended_is_completed_by_the_next(scene: Scene, end: Callable[[Running, Scene], None], moment: str, what: str) -> None:
    stack = scene.stack
    case = Case(scene, what, ("pulumi",))
    stack.settled = False
    run = _start_up(scene)
    run.wait_for(moment, 120)
    begun = time.monotonic()
    end(run, scene)
    ended = run.finish(_SECONDS_TO_STOP)
    assert ended.code != 0, f"`make up` reported success:\n{ended.told}"
    case.notes("pulumi", _KILLED_TOO if end is _kill_the_terminal else _last_line(ended), time.monotonic() - begun)
    repaired = stack.up()
    if end is not _interrupt:
        # The terminal's processes are gone, and Pulumi, which is in a group of its own, may still be about to stop.
        repaired.assert_tells("repair: waiting for a run whose terminal is gone" if end is _kill_the_terminal else _RELEASED)
    case.is_repaired(BY_UP, repaired.seconds)
    assert stack.copy.processes() == [], "what was ended left something at work"


@pytest.mark.slow
@pytest.mark.parametrize("end", [_interrupt, _kill], ids=["INT", "KILL"])
def test_a_down_that_was_ended_loses_nothing(scene: Scene, end: Callable[[Running, Scene], None]) -> None:
    stack = scene.stack
    case = Case(scene, f"{'INT' if end is _interrupt else 'KILL'} while the stack is taken down", ("pulumi",))
    stack.settled = False
    run = stack.start("down")
    run.wait_for("rabbitmq                     removing", 60)
    begun = time.monotonic()
    end(run, scene)
    ended = run.finish(_SECONDS_TO_STOP)
    assert ended.code != 0, f"`make down` reported success:\n{ended.told}"
    case.notes("pulumi", _last_line(ended), time.monotonic() - begun)
    case.is_repaired_by_up(BY_UP, *([_RELEASED] if end is _kill else []))
    assert stack.copy.processes() == [], "what was ended left something at work"


@pytest.mark.slow
@pytest.mark.parametrize("part", range(_PARTS))
def test_an_up_of_which_everything_was_killed_at_any_moment_is_completed_by_the_next(scene: Scene, part: int) -> None:
    """A moment in each part of a run, another one at each run of this test; its output has it."""
    seconds = random.uniform(part, part + 1) * _SECONDS_OF_AN_UP / _PARTS  # noqa: S311 - nothing depends on its being hard to guess
    case = Case(scene, f"KILL of everything, {seconds:.1f} s after the start", ("pulumi",))
    scene.stack.settled = False
    run = _start_up(scene)
    time.sleep(seconds)
    _kill_all(run, scene)
    run.finish(_SECONDS_TO_STOP)
    case.notes("pulumi", _KILLED_TOO, 0)
    case.is_repaired_by_up()
    assert scene.stack.copy.processes() == [], "what was killed left something at work"


def _last_line(ran: Ran) -> str:
    return [line.strip() for line in ran.output.splitlines() if line.strip()][-1]
