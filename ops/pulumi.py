"""Runs the Pulumi CLI: quietly, handed over to the terminal, or with its events told one by one."""

from __future__ import annotations

import contextlib
import ctypes
import json
import queue
import signal
import subprocess
import sys
import threading
from typing import IO, TYPE_CHECKING

from ops.errors import OperatorError, Stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from ops.progress import Progress
    from ops.session import Session

_PR_SET_PDEATHSIG = 1


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
    process = subprocess.Popen(
        command(session, [*arguments, "--yes", "--skip-preview", "--non-interactive", "--json"]),
        cwd=session.folder,
        env=session.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
        preexec_fn=_stop_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - no threads of ours exist yet
    )
    said: list[str] = []
    with process, _forwarding(process, progress) as stops:
        listener = threading.Thread(target=_collect, args=(process.stderr, said), daemon=True)
        listener.start()
        for line in _lines(process, progress.tick):
            _tell(line, progress, said)
        process.wait()
        listener.join(timeout=5)
    progress.finish()
    if stops:
        raise Stopped
    if process.returncode:
        raise OperatorError("\n\n".join(progress.failures) or "\n".join(said) or f"Pulumi ended with exit code {process.returncode}.")


def _stop_with_parent() -> None:
    with contextlib.suppress(OSError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


@contextlib.contextmanager
def _forwarding(process: subprocess.Popen[str], progress: Progress) -> Iterator[list[int]]:
    """Pass interrupts on to Pulumi, which is in a session of its own; those that came are listed."""
    stops: list[int] = []

    def forward(number: int, _frame: FrameType | None) -> None:
        stops.append(number)
        progress.stopping(len(stops))
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)

    wanted = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, forward) for number in wanted}
    try:
        yield stops
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _lines(process: subprocess.Popen[str], tick: Callable[[], None]) -> Iterator[str]:
    """The lines that a process writes, as they come, calling `tick` about once a second in between.

    Ends with the process also when a child of it that lives on keeps the stream open.
    """
    inbox: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        for line in process.stdout or ():
            inbox.put(line)
        inbox.put(None)

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            line = inbox.get(timeout=1.0)
        except queue.Empty:
            if process.poll() is not None:
                return
            tick()
            continue
        if line is None:
            return
        yield line


def _tell(line: str, progress: Progress, said: list[str]) -> None:
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    if isinstance(event, dict):
        progress.event(event)
    elif line.strip():
        said.append(line.rstrip())


def _collect(stream: IO[str] | None, said: list[str]) -> None:
    said.extend(line.rstrip() for line in stream or () if line.strip())
