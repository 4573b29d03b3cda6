"""Runs the Pulumi CLI: quietly, handed over to the terminal, or with its events told one by one."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
from typing import IO, TYPE_CHECKING

from ops.errors import OperatorError, Stopped
from ops.interrupts import heeded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from ops.progress import Progress
    from ops.session import Session

_PR_SET_PDEATHSIG = 1
_POLL_SECONDS = 0.05
_CHUNK_BYTES = 1 << 20


def command(session: Session, arguments: list[str]) -> list[str]:
    """The command line for the stack."""
    return [str(session.pulumi), *arguments, "--stack", session.stack]


def run_quietly(session: Session, arguments: list[str]) -> str:
    """Run to the end and return what it printed.

    Raises:
        OperatorError: it failed; with all that it said.
    """
    done = subprocess.run(
        command(session, arguments),
        cwd=session.folder,
        env=session.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise OperatorError(f"`pulumi {' '.join(arguments[:2])}` failed (exit code {done.returncode}).", done.stdout.strip())
    return done.stdout


def hand_over(session: Session, arguments: list[str]) -> int:
    """Run with our terminal as its own; its exit code."""
    return subprocess.run(command(session, arguments), cwd=session.folder, env=session.environment, check=False).returncode


def run_told(session: Session, arguments: list[str], progress: Progress) -> None:
    """Run an operation that changes the stack, and tell its events to `progress` as they come.

    Ctrl-C reaches Pulumi once, as the clean stop that it understands, and not its plugins; a second one makes it stop at once. When this
    process is killed, Pulumi is asked to stop cleanly too.

    Raises:
        OperatorError: it failed.
        Stopped: the user stopped it, and it has ended.
    """
    # Into files without a name, not pipes: a pipe whose reader was killed would kill Pulumi in mid-work. (The events hold what the
    # provider logs, and that may hold secrets.)
    with tempfile.TemporaryFile() as events, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command(session, [*arguments, "--yes", "--skip-preview", "--non-interactive", "--json"]),
            cwd=session.folder,
            env=session.environment,
            stdin=subprocess.DEVNULL,
            stdout=events,
            stderr=errors,
            start_new_session=True,
            preexec_fn=_stop_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - no threads of ours exist yet
        )
        with process, _forwarding(process, progress) as stops:
            said = [line for line in _lines(process, events, progress.tick) if not _told(line, progress)]
        errors.seek(0)
        said += errors.read().decode(errors="replace").splitlines()
    progress.finish()
    if stops:
        raise Stopped
    if process.returncode:
        ended = f"Pulumi ended with exit code {process.returncode}."
        raise OperatorError("\n\n".join(progress.failures) or "\n".join(line for line in said if line.strip()) or ended)


def _stop_with_parent() -> None:
    with contextlib.suppress(OSError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


@contextlib.contextmanager
def _forwarding(process: subprocess.Popen[bytes], progress: Progress) -> Iterator[list[int]]:
    """Pass interrupts on to Pulumi, which is in a session of its own; those that came are listed."""
    stops: list[int] = []

    def forward(number: int, _frame: FrameType | None) -> None:
        stops.append(number)
        progress.stopping(len(stops))
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)

    before = {number: signal.signal(number, forward) for number in heeded()}
    try:
        yield stops
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _lines(process: subprocess.Popen[bytes], file: IO[bytes], tick: Callable[[], None]) -> Iterator[str]:
    """The lines that a process writes to a file, as they come, calling `tick` in between; ends with the process."""
    offset, rest = 0, b""
    while True:
        ended = process.poll() is not None  # before the read: what was written until then is in the file
        chunk = os.pread(file.fileno(), _CHUNK_BYTES, offset)
        offset += len(chunk)
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.decode(errors="replace")
        if not chunk:
            if ended:
                return
            tick()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_POLL_SECONDS)


def _told(line: str, progress: Progress) -> bool:
    """Tell an event; whether the line is one."""
    try:
        event = json.loads(line)
    except ValueError:
        return False
    if not isinstance(event, dict):
        return False
    progress.event(event)
    return True
