"""Runs that were stopped or killed halfway."""

import os
import signal
import time
from collections.abc import Callable

import pytest

from tests.e2e.environment import Stack
from tests.e2e.project import Running

_SECONDS_TO_STOP = 15


def _kill_pulumi(run: Running, stack: Stack) -> None:
    """Kill the CLI and what is in its process group; `make up` itself lives on and tells."""
    found = [process.pid for process in stack.copy.processes() if process.program == "pulumi" and "up" in process.arguments]
    assert len(found) == 1, f"not one Pulumi is at work, but {len(found)}:\n{run.told}"
    os.killpg(found[0], signal.SIGKILL)
    ended = run.finish(_SECONDS_TO_STOP)
    assert ended.code != 0, f"`make up` reported success although Pulumi was killed:\n{ended.told}"


def _kill_make(run: Running, _: Stack) -> None:
    """Kill what the terminal started, as closing it or a reboot of the terminal's machine does."""
    os.killpg(run.process.pid, signal.SIGKILL)
    run.finish(_SECONDS_TO_STOP)


def test_a_first_up_that_was_killed_and_one_that_was_stopped_are_followed_by_one_that_completes(second: Stack) -> None:
    run = second.start("up")
    run.wait_for("minio                        creating", 60)
    _kill_pulumi(run, second)

    run = second.start("up")
    run.wait_for("rabbitmq                     created", 90)
    interrupted = time.monotonic()
    run.interrupt()
    stopped = run.finish(_SECONDS_TO_STOP)
    assert stopped.code != 0, stopped.told
    assert "Run the same command again to go on" in stopped.output, stopped.told
    assert time.monotonic() - interrupted < _SECONDS_TO_STOP
    assert second.copy.processes() == [], "something is still at work after Ctrl-C"

    second.up()
    second.assert_works()


@pytest.mark.parametrize(
    ("kill", "moment"),
    [
        (_kill_pulumi, "app                          creating"),
        (_kill_pulumi, "app                          created"),
        (_kill_make, "app                          creating"),
    ],
    ids=["Pulumi while it replaces a container", "Pulumi while it waits for it", "make while Pulumi replaces a container"],
)
def test_a_killed_up_is_followed_by_one_that_completes(stack: Stack, kill: Callable[[Running, Stack], None], moment: str) -> None:
    others = {service: identity for service, identity in stack.identities().items() if service != "app"}
    with stack.with_settings(APP_ENV_KILLED=str(time.time())):
        run = stack.start("up")
        run.wait_for(moment, 60)
        kill(run, stack)
        stack.up()
        stack.assert_works()
        assert stack.copy.processes() == [], "what was killed left something at work"
    assert {service: identity for service, identity in stack.identities().items() if service != "app"} == others
