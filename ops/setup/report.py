"""What the set-up says, and the programs that it runs."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

from ops.setup.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_LINES_OF_A_FAILURE = 15


def say(line: str) -> None:
    """Tell the user one line, on standard error: standard output belongs to what a command was asked for."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201


def seconds_since(started: float) -> str:
    """The time since `started` (a reading of `time.monotonic`), as `8 s` or `3 min 20 s`."""
    whole = round(time.monotonic() - started)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"


def run(what: str, command: Sequence[str], mend: str, *, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Run a program quietly and return what it printed.

    Raises:
        SetupError: it could not be started or failed; with the end of what it said as the cause.
    """
    try:
        done = subprocess.run(
            list(command),
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    except OSError as error:
        raise SetupError(what, f"{command[0]} could not be started ({error.strerror})", mend) from error
    if done.returncode:
        raise SetupError(what, f"`{' '.join(command[:4])}` ended with {done.returncode}:\n{tail(done.stdout)}", mend)
    return done.stdout


def tail(text: str) -> str:
    """The last lines of a program's output, indented."""
    return "\n".join(f"    {line}" for line in text.rstrip().splitlines()[-_LINES_OF_A_FAILURE:])
