"""Where the set-up keeps things, and how it writes them."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ops.setup.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def cache() -> Path:
    """The directory for what is costly to make and the same for every clone; it survives `git clean`."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().absolute() / "whatsapp-stack"


def state(project: Path) -> Path:
    """The git-ignored directory of this clone: Pulumi's local backend, and what the set-up found out about the machine."""
    return project / ".state"


def ensure_state(project: Path) -> Path:
    """Make the state directory, for its owner only: it holds encrypted secrets and, in production, may hold their passphrase."""
    directory = state(project)
    if not directory.is_dir():
        directory.mkdir(mode=0o700)
    return directory


def write_atomically(file: Path, text: str, mode: int = 0o644) -> None:
    """Replace a file so that a reader, or an interruption, meets the old content or the new, never a part."""
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "w") as stream:
            stream.write(text)
        Path(name).chmod(mode)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def recall(project: Path, name: str) -> dict[str, Any]:
    """What `remember` wrote under this name; empty when nothing, or nothing readable, is there."""
    try:
        found = json.loads((state(project) / f"{name}.json").read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def remember(project: Path, name: str, facts: dict[str, Any]) -> None:
    """Keep facts that took a program to find out, so that the next command can verify them by a look at files."""
    write_atomically(state(project) / f"{name}.json", json.dumps(facts, indent=1) + "\n")


def fingerprint(file: Path) -> list[object]:
    """What changes when a program is replaced: path, time in nanoseconds and size."""
    found = file.stat()
    return [str(file), found.st_mtime_ns, found.st_size]


@contextlib.contextmanager
def lock(file: Path, wait_message: Callable[[], None]) -> Iterator[None]:
    """Hold an exclusive lock; `wait_message` is called once when another process holds it. The kernel frees it on death."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            wait_message()
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def scratch(parent: Path) -> Iterator[Path]:
    """A temporary directory beside its final place, so that a result can be moved there in one step.

    Left-overs of builds that were killed are removed first: call it under a `lock`.
    """
    parent.mkdir(parents=True, exist_ok=True)
    for left in parent.glob(".build-*"):
        shutil.rmtree(left, ignore_errors=True)
    directory = Path(tempfile.mkdtemp(dir=parent, prefix=".build-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def require_space(what: str, directory: Path, gigabytes: float) -> None:
    """See that a disk has room before a long step starts.

    Raises:
        SetupError: it has less.
    """
    while not directory.exists():
        directory = directory.parent
    free = shutil.disk_usage(directory).free / 1e9
    if free < gigabytes:
        cause = f"needs about {gigabytes:.0f} GB on the disk of {directory}, {free:.1f} GB are free"
        raise SetupError(what, cause, "free some space, or point XDG_CACHE_HOME, GOCACHE and GOMODCACHE at a larger disk")
