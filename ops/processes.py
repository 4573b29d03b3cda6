"""Locks and processes of Pulumi runs on this machine.

The local backend writes a lock per run, with the process that holds it. A killed run leaves its lock behind, and its language host and
plugins go on working for nobody (facts of Pulumi 3.25x: they were there minutes later and still started containers).
"""

import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ops.checkpoint import PULUMI_PROJECT

_PLUGIN_PREFIXES = ("pulumi-resource-", "pulumi-language-", "language_host.py")


@dataclass(frozen=True)
class Process:
    """A process of this machine."""

    pid: int
    parent: int
    arguments: tuple[str, ...]
    directory: str

    @property
    def program(self) -> str:
        """The base name of what runs."""
        return Path(self.arguments[0]).name if self.arguments else ""

    @property
    def plugin(self) -> str | None:
        """The name of the Pulumi plugin or language host that this is, run directly or by an interpreter; None when it is none."""
        names = (Path(argument).name for argument in self.arguments[:3])
        return next((name for name in names if name.startswith(_PLUGIN_PREFIXES)), None)


@dataclass(frozen=True)
class Lock:
    """A lock of the local backend: who holds the stack, since when."""

    pid: int
    host: str
    user: str
    since: str


def survivors(processes: Iterable[Process], project: Path) -> list[Process]:
    """Plugins and language hosts that a killed Pulumi left in this project: no ancestor of theirs is a Pulumi CLI."""
    known = {process.pid: process for process in processes}

    def led(process: Process) -> bool:
        while (parent := known.get(process.parent)) is not None:
            if parent.program == "pulumi":
                return True
            process = parent
        return False

    return [each for each in known.values() if each.plugin and Path(each.directory) == project and not led(each)]


def is_stale(lock: Lock, processes: Mapping[int, Process], host: str) -> bool:
    """Whether nobody holds the lock any more. A lock of another machine is never taken for stale: it can't be seen from here."""
    if lock.host != host:
        return False
    owner = processes.get(lock.pid)
    return owner is None or owner.program != "pulumi"


def is_left_alone(process: Process, processes: Mapping[int, Process]) -> bool:
    """Whether whoever started the process is gone: only the machine's first process, or a user's systemd, is its parent now."""
    parent = processes.get(process.parent)
    return process.parent == 1 or parent is None or parent.program == "systemd"


def read_locks(state: Path, stack: str) -> list[Lock]:
    """The locks on a stack in the local backend below `state`."""
    found = []
    for file in sorted((state / ".pulumi" / "locks" / "organization" / PULUMI_PROJECT / stack).glob("*.json")):
        with contextlib.suppress(FileNotFoundError):
            content = json.loads(file.read_bytes() or b"{}")
            found.append(
                Lock(content.get("pid", 0), content.get("hostname", ""), content.get("username", ""), content.get("timestamp", ""))
            )
    return found


def host_name() -> str:
    """This machine's name, as Pulumi writes it into its locks."""
    return socket.gethostname()


def running() -> dict[int, Process]:
    """The processes that this user may look at, by pid."""
    if not Path("/proc/self").exists():
        return _by_psutil()
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            status = (entry / "stat").read_text()
            found[int(entry.name)] = Process(
                pid=int(entry.name),
                parent=int(status.rpartition(")")[2].split()[1]),
                arguments=tuple((entry / "cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")),
                directory=str((entry / "cwd").readlink()),
            )
    return found


def _by_psutil() -> dict[int, Process]:
    """The same where there is no /proc, as on macOS."""
    import psutil  # noqa: PLC0415 - a tenth of a second, which /proc does not cost

    asked = psutil.process_iter(["pid", "ppid", "cmdline", "cwd"], ad_value=None)
    each = (process.info for process in asked)
    return {info["pid"]: Process(info["pid"], info["ppid"] or 0, tuple(info["cmdline"] or ()), info["cwd"] or "") for info in each}


def end(processes: Iterable[Process], grace: float = 2.0) -> None:
    """End processes by their pids: ask, wait `grace` seconds, kill what is left."""
    left = {process.pid for process in processes}
    for number, wait in ((signal.SIGTERM, grace), (signal.SIGKILL, 1.0)):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        limit = time.monotonic() + wait
        while (left := {pid for pid in left if _alive(pid)}) and time.monotonic() < limit:
            time.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
