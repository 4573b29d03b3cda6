"""`make bench`: how long set-up, start, no-op and stop take, how fast messages go through, and what it costs, idle and under load.

It works on a stack of its own, with ports of its own, which it removes at the end with its data. `make bench ONLY=messages` leaves all
but the messages out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from dotenv import dotenv_values

from bench import messages, usage
from bench.figures import Figure, median, slowest
from ops import engine
from ops.console import columns, say
from ops.containers import of_stack
from ops.errors import OperatorError
from ops.pulumi import run_quietly
from ops.session import FOLDER, open_session, settings_file
from ops.setup.durations import recorded
from ops.up import down, up, wipe

if TYPE_CHECKING:
    from docker import DockerClient

STACK = "bench"
_ONLY = "ONLY"
_SETTINGS = FOLDER / "bench" / "settings.env"
_NO_OP_RUNS = 5
_SETTLE_SECONDS = 30
_IDLE_SECONDS = 60
"""Two of the calmest health checks' intervals."""


def main() -> None:
    """Measure, print, and clean up."""
    settings = settings_file(FOLDER, STACK)
    if settings.exists() and not settings.read_bytes().startswith(_SETTINGS.read_bytes()):  # a run that was killed may have added to it
        raise OperatorError(f"{settings.name} is there and isn't the bench's own.", mend=f"Move it away: the bench uses the stack {STACK}.")
    shutil.copyfile(_SETTINGS, settings)
    try:
        figures = _messages(engine.connect()) if os.environ.get(_ONLY) == "messages" else [*_set_up(), *_life()]
    finally:
        _remove()
        settings.unlink(missing_ok=True)
    say()
    for line in columns([("MEASURED", "VALUE", "LIMIT", ""), *(figure.row for figure in figures)]):
        say(line)
    for figure in figures:
        if figure.notes:
            say(f"\n{figure.name}, the largest parts:")
            for note in figure.notes:
                say(f"  {note}")


def _set_up() -> list[Figure]:
    """What was recorded when this machine did the long steps for the first time; Python's packages are not among them."""
    steps = recorded()
    return (
        [Figure("cold set-up and first up, as recorded", sum(steps.values()), "s", 1800, slowest(list(steps.items()), 10))] if steps else []
    )


def _life() -> list[Figure]:
    wipe(STACK, agreed=True)
    up(STACK)  # builds the images that aren't there, so that the next one measures a warm start
    wipe(STACK, agreed=True)
    seconds, steps = _timed_up()
    figures = [Figure("warm up, fresh volumes", seconds, "s", 30, slowest(steps))]
    figures.append(
        Figure(f"up, nothing to change (median of {_NO_OP_RUNS})", median([_command("up") for _ in range(_NO_OP_RUNS)]), "s", 2.5)
    )
    client = engine.connect()
    figures += _idle(client)
    figures += _messages(client)
    shutil.copyfile(_SETTINGS, settings_file(FOLDER, STACK))
    begun = time.monotonic()
    down(STACK)
    figures.append(Figure("down", time.monotonic() - begun, "s"))
    seconds, steps = _timed_up()
    figures.append(Figure("up again, volumes kept", seconds, "s", None, slowest(steps)))
    return figures


def _messages(client: DockerClient) -> list[Figure]:
    ports = {name: value for name, value in dotenv_values(_SETTINGS).items() if value}
    return messages.measure(STACK, ports, _up_with, lambda: _usage(client))


def _up_with(more: str) -> None:
    """Bring the stack up with more settings than its own."""
    settings_file(FOLDER, STACK).write_text(f"{_SETTINGS.read_text(encoding='utf-8')}{more}\n", encoding="utf-8")
    up(STACK)


def _timed_up() -> tuple[float, list[tuple[str, float]]]:
    begun = time.monotonic()
    progress = up(STACK)
    return time.monotonic() - begun, progress.steps


def _command(command: str) -> float:
    """Seconds that a command takes as `make` runs it, interpreter and all."""
    begun = time.monotonic()
    subprocess.run(
        [sys.executable, FOLDER / "ops" / "bootstrap.py", command, "--stack", STACK], check=True, stdout=subprocess.DEVNULL, cwd=FOLDER
    )
    return time.monotonic() - begun


def _idle(client: DockerClient) -> list[Figure]:
    say(f"measuring the idle environment for {_SETTLE_SECONDS + _IDLE_SECONDS} s")
    time.sleep(_SETTLE_SECONDS)
    before = _usage(client)
    time.sleep(_IDLE_SECONDS)
    return usage.used("idle", before, _usage(client), most_mib=1024, most_percent=5)


def _usage(client: DockerClient) -> usage.Reading:
    return usage.read(client, {each.name: each.id for each in of_stack(client, STACK)})


def _remove() -> None:
    wipe(STACK, agreed=True)
    run_quietly(open_session(STACK), ["stack", "rm", "--yes", "--non-interactive"])
    (FOLDER / f"Pulumi.{STACK}.yaml").unlink(missing_ok=True)
