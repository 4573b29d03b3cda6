"""A copy of the project to work in, and its commands, run as a user runs them."""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ops.bootstrap import Mark, interpreter_of, requirements_key, write_mark
from ops.processes import Process, end, running

SOURCE = Path(__file__).resolve().parents[2]
PATIENCE = 300
"""Seconds after which a command hangs for certain. What a command may take is each test's own business."""

SECONDS_TO_FAIL = 20
"""The most that a failing `up` may take once its cause can be known. It takes 4 on a quiet machine."""

_OTHERS = ("PULUMI_", "MAKE", "MFLAGS", "STACK", "YES", "SERVICE", "ARGS", "CMD", "COMPOSE_")
"""Variables of the surrounding shell, or of the `make` that runs these tests, that would decide for the commands under test."""


@dataclass(frozen=True)
class Ran:
    """A command that has ended; `output` is all that it said, on either stream."""

    command: str
    code: int
    output: str
    seconds: float

    @property
    def told(self) -> str:
        """Everything that there is to know about it, for a failing assertion."""
        return f"$ {self.command}\n{self.output}\n[exit code {self.code} after {self.seconds:.1f} s]\n"

    def assert_tells(self, *parts: str) -> None:
        for part in parts:
            assert part in self.output, f"the output does not say '{part}':\n{self.told}"

    def assert_soon(self, beside: float = 0) -> None:
        """It failed within seconds of what can't be known earlier, `beside`."""
        assert self.seconds - beside < SECONDS_TO_FAIL, f"it took {self.seconds:.1f} s to fail:\n{self.told}"


@dataclass
class Running:
    """A command under way, in a process group of its own as a terminal would give it."""

    command: str
    process: subprocess.Popen[str]
    begun: float = field(default_factory=time.monotonic)
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(iter(self.process.stdout.readline, ""))

    def wait_for(self, text: str, seconds: float) -> None:
        """Return as soon as the command has said `text`."""
        limit = time.monotonic() + seconds
        while not any(text in line for line in list(self.lines)):
            assert self.process.poll() is None, f"it ended before it said '{text}':\n{self.told}"
            assert time.monotonic() < limit, f"it did not say '{text}' within {seconds} s:\n{self.told}"
            time.sleep(0.05)

    def interrupt(self) -> None:
        """What Ctrl-C does in a terminal: SIGINT to the whole process group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def finish(self, seconds: float = PATIENCE) -> Ran:
        """Wait for its end."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self._reader.join(2)
            raise AssertionError(f"it was still running after {seconds} s, and was killed:\n{self.told}") from None
        self._reader.join(5)
        ran = Ran(self.command, self.process.returncode, "".join(self.lines), time.monotonic() - self.begun)
        print(ran.told)  # noqa: T201 - pytest shows it with a failure
        return ran

    @property
    def told(self) -> str:
        return f"$ {self.command}\n{''.join(self.lines)}"


def _heed_interrupts() -> None:
    """As a program that a terminal starts: a shell has those that it starts in the background ignore them, and so does nohup."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@dataclass(frozen=True)
class Copy:
    """The project in a folder of its own, as a clone of it would be: its own state, its own git, the same Python packages."""

    folder: Path
    variables: Mapping[str, str]

    def start(self, command: Sequence[str], **variables: str) -> Running:
        """Begin a command in the project's folder."""
        process = subprocess.Popen(
            list(command),
            cwd=self.folder,
            env={**self.variables, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            preexec_fn=_heed_interrupts,  # noqa: PLW1509 - these tests start no threads that could hold a lock here
        )
        return Running(" ".join(command), process)

    def run(self, *command: str, **variables: str) -> Ran:
        """Run a command in the project's folder to its end."""
        return self.start(command, **variables).finish()

    def make(self, target: str, stack: str, **variables: str) -> Ran:
        """Run `make TARGET STACK=...` with further variables on its command line."""
        return self.run("make", target, f"STACK={stack}", *(f"{name}={value}" for name, value in variables.items()))

    def pulumi(self, stack: str, arguments: str, **variables: str) -> Ran:
        """Run bare `pulumi` in the shell that `make env` describes."""
        return self.run("sh", "-c", f'eval "$(make -s env STACK={stack})" && pulumi {arguments}', **variables)

    def git_status(self) -> str:
        """What git would show as changed or new."""
        return self.run("git", "status", "--porcelain", "--untracked-files=all").output

    def processes(self) -> list[Process]:
        """The running processes that work in this copy."""
        return [process for process in running().values() if Path(process.directory) == self.folder]


@contextlib.contextmanager
def only_copy(name: str, folder: Path, remove: Callable[[], None]) -> Iterator[Copy]:
    """The project in a folder of its own, for one run of tests at a time.

    Args:
        name: of what the tests make on the engine. It is fixed, so that a run cleans up after one that was killed.
        folder: where to; it must not be there.
        remove: takes away whatever bears that name, before the tests and after.
    """
    with (Path(tempfile.gettempdir()) / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        remove()
        made = make_copy(folder, os.environ)
        try:
            yield made
        finally:
            end_processes(made)
            remove()


def make_copy(folder: Path, environment: Mapping[str, str]) -> Copy:
    """Copy the project's files, as they are now, into `folder`, as the first commit of a repository."""
    folder.mkdir()
    listed = subprocess.run(["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=SOURCE, check=True, capture_output=True, text=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (SOURCE / name).is_file():  # a tracked file may have been deleted
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(SOURCE / name, folder / name)
    _share_python(folder)
    _share_state(folder)
    own = {name: value for name, value in environment.items() if not name.startswith(_OTHERS)}
    copy = Copy(folder, {**own, "NO_COLOR": "1"})
    for command in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=e2e", "-c", "user.email=e2e@localhost", "-c", "commit.gpgsign=false", "commit", "-qm", "copy"],
    ):
        committed = copy.run("git", *command)
        assert committed.code == 0, committed.told
    return copy


def _share_python(folder: Path) -> None:
    """Give the copy an environment that runs the packages of the one that these tests run in: to install them takes a minute.

    Not a link to it: that would be one for another folder, and be made again in its place.
    """
    own = folder / ".venv"
    own.mkdir()
    shared = Path(sys.prefix)
    shutil.copy2(shared / "pyvenv.cfg", own / "pyvenv.cfg")
    for part in ("bin", "lib"):
        (own / part).symlink_to(shared / part, target_is_directory=True)
    write_mark(own, Mark(interpreter_of(own), requirements_key(folder, tests=True)))


def _share_state(folder: Path) -> None:
    """Take over what the set-up found out about the machine: where images come from, and which programs serve. No stack."""
    state = folder / ".state"
    state.mkdir(mode=0o700)
    for file in (SOURCE / ".state").glob("*"):
        if file.name == "machine.env" or (file.suffix == ".json" and file.name != "durations.json"):
            shutil.copy2(file, state / file.name)


def end_processes(copy: Copy) -> None:
    """End whatever still works in the copy, for a test that failed may leave it there."""
    end(copy.processes())
