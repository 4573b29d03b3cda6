"""What tells that a restore is at work, or was interrupted: a lock on this machine, and a volume of the stack.

Whoever works on all data holds the lock, and has written into it what it is; it ends with the process. The volume is with the data, not
with this machine's state: every clone of the project that works on the same engine sees it, and making or removing it is one step. While
it is there, the stack's data is partly old and partly new, so nothing may start that uses it.
"""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ops.errors import OperatorError
from ops.session import FOLDER, state_folder
from stack.naming import COMPOSE_PROJECT, STACK_LABEL

if TYPE_CHECKING:
    from collections.abc import Container, Iterator
    from pathlib import Path

    from docker import DockerClient

_ARCHIVE_LABEL = "whatsapp.restore.archive"
_STARTING_IS_WRONG = {"restore": "A restore", "upgrade": "An upgrade of a database"}
"""Who among those that hold the lock must not have anything started beside them, and what to call them."""

_passing: list[bool] = []


def volume(project: str) -> str:
    """The name of the volume that marks a restore."""
    return f"{project}_restore_unfinished"


def refuse_unfinished(project: str, stack: str, volumes: Container[str]) -> None:
    """Refuse to start a stack whose data is being replaced, or whose restore was interrupted.

    Args:
        project: its Compose project name.
        stack: its name.
        volumes: names of the volumes that the engine has.

    Raises:
        OperatorError: its data is not whole, or won't be in a moment.
    """
    if not _passing and (wrong := problem(project, stack, volumes)):
        raise wrong


def problem(project: str, stack: str, volumes: Container[str]) -> OperatorError | None:
    """Why nobody may start this stack now; None when nothing speaks against it.

    A restore counts before it sets its mark too: it takes what runs for the stack, and an `up` could make that anew meanwhile. A backup
    changes nothing, and hinders nobody.
    """
    if at_work := _at_work(stack):
        return at_work
    if volume(project) not in volumes:
        return None
    return OperatorError(
        f"A restore of stack {stack} was interrupted: its data is neither what it was nor what it shall be.",
        mend=f"Run it again: make restore FILE=... STACK={stack} (or give the data up: make wipe STACK={stack})",
    )


def refuse_at_work(stack: str) -> None:
    """Refuse to take a stack away under a restore, or under an upgrade of a database. After one that was interrupted it may go.

    Raises:
        OperatorError: one is at work.
    """
    if at_work := _at_work(stack):
        raise at_work


def _at_work(stack: str) -> OperatorError | None:
    holder = _holder(stack)
    if holder not in _STARTING_IS_WRONG:
        return None
    return OperatorError(f"{_STARTING_IS_WRONG[holder]} is at work on stack {stack}.", mend="Wait until it ends.")


def is_set(client: DockerClient, project: str) -> bool:
    """Whether a restore is at work or was interrupted."""
    from docker.errors import NotFound  # noqa: PLC0415

    try:
        client.api.inspect_volume(volume(project))
    except NotFound:
        return False
    return True


def guard(client: DockerClient, project: str, stack: str) -> None:
    """Refuse to go on with a stack whose data is being replaced, or whose restore was interrupted.

    Raises:
        OperatorError: its data is not whole, or won't be in a moment.
    """
    refuse_unfinished(project, stack, _mark(client, project))


def found(client: DockerClient, project: str, stack: str) -> OperatorError | None:
    """What `guard` would say, for those who only tell of it."""
    return problem(project, stack, _mark(client, project))


def _mark(client: DockerClient, project: str) -> set[str]:
    return {volume(project)} if is_set(client, project) else set()


def set_marker(client: DockerClient, project: str, stack: str, archive: str) -> None:
    """From now on the stack's data is not whole."""
    labels = {COMPOSE_PROJECT: project, STACK_LABEL: stack, _ARCHIVE_LABEL: archive}
    client.api.create_volume(volume(project), labels=labels)


def clear(client: DockerClient, project: str) -> None:
    """The stack's data is whole."""
    client.api.remove_volume(volume(project))


@contextmanager
def passing() -> Iterator[None]:
    """Let this process bring services up for a restore that goes on."""
    _passing.append(True)
    try:
        yield
    finally:
        _passing.pop()


@contextmanager
def exclusive(stack: str, what: str) -> Iterator[None]:
    """Hold the stack against other backups, restores and database upgrades of this machine.

    Raises:
        OperatorError: one is at work.
    """
    file = _lock_file(stack)
    file.parent.mkdir(mode=0o700, exist_ok=True)
    with file.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise OperatorError(
                f"No {what} of stack {stack} can begin: another backup or restore of it, or an upgrade, is at work.",
                mend="Wait until it ends.",
            ) from None
        lock.truncate(0)
        lock.write(what)
        lock.flush()
        yield


def _lock_file(stack: str) -> Path:
    return state_folder(FOLDER) / f"data.{stack}.lock"


def _holder(stack: str) -> str:
    """Who holds the stack, in the word that `exclusive` was given; empty where nobody does."""
    file = _lock_file(stack)
    if not file.exists():
        return ""
    with file.open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return lock.read()
    return ""
