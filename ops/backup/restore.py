"""`restore` and `verify-backup`: an archive is read to its last byte before anything else happens."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from ops import engine, heal
from ops.backup import inside, marker, services, verify, volumes
from ops.backup.databases import Target
from ops.backup.describing import Facts, described, facts
from ops.backup.errors import ArchiveError, WrongKeyError, refused
from ops.backup.inside import InsideError
from ops.backup.manifest import DUMPS
from ops.backup.plan import options, path_of
from ops.backup.replacement import Replacement
from ops.backup.services import Place
from ops.backup.shelf import Shelf
from ops.backup.telling import amount, step
from ops.console import say
from ops.errors import OperatorError
from ops.session import FOLDER
from ops.up import up
from stack.vocabulary import ServiceName

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from docker import DockerClient

    from ops.backup.telling import Telling
    from ops.backup.verify import Backup


def verify_backup(stack: str, file: str, key: str = "") -> Facts:
    """Read all of an archive, and say what is in it.

    Raises:
        OperatorError: it is damaged, foreign, or can't be opened with this key.
    """
    chosen = options(stack, key=key)
    path = _found(file, chosen.folder)
    try:
        with step("verifying") as telling, verify.opened(path, chosen.key, _tell(telling)) as found:
            telling.result = "whole"
            _describe(found, chosen.key)
            known = facts(found, path)
    except ArchiveError as error:
        raise _refused(path, error) from error
    Shelf(path.parent).verified(path, whole=True)
    say(f"{path.name} is whole: {amount(known.size)}", "green")
    return known


def restore(stack: str, file: str, key: str = "", *, agreed: bool) -> None:
    """Replace all data of a stack by a backup's, and bring the stack up.

    Args:
        stack: whose data; it is brought up empty where there is nothing of it.
        file: the archive.
        key: that it was encrypted with, in place of BACKUP_KEY; or the path of a file that holds it.
        agreed: whether not to ask.

    Raises:
        OperatorError: it failed. Unless it says otherwise, the stack is as it was.
    """
    begun = time.monotonic()
    chosen = options(stack, key=key)
    path = _found(file, chosen.folder)
    project = services.project_of(stack)
    client = engine.connect()
    try:
        with marker.exclusive(stack, "restore"), ExitStack() as open_things:
            with step("verifying") as telling:
                backup = open_things.enter_context(verify.opened(path, chosen.key, _tell(telling)))
                telling.result = f"whole, {amount(backup.size)}"
            _describe(backup, chosen.key)
            _ask(project, stack, agreed=agreed)
            # Another run waits for nobody: what a restore has stopped, its gate would start again.
            heal.end_what_runs_for_nobody(FOLDER, stack)
            _bring_up(client, project, stack)
            places = services.places(client, project, stack)
            Replacement(client, project, stack, backup, places).run(path.name)
    except ArchiveError as error:
        raise _refused(path, error) from error
    except InsideError as error:
        raise OperatorError("The restore did not begin.", str(error), "Remove the cause, then run it again.") from error
    say(f"{stack} is up with the data of {path.name}, verified, {time.monotonic() - begun:.1f} s", "green")


def _refused(path: Path, error: ArchiveError) -> OperatorError:
    """The refusal of an archive, which is no longer listed as verified either: but a wrong key says nothing of it."""
    if not isinstance(error, WrongKeyError):
        Shelf(path.parent).verified(path, whole=False)
    return refused(path, error)


def _found(file: str, folder: Path) -> Path:
    """The archive: as it was given, below the project, or by its name in the folder of the backups."""
    if not file:
        raise OperatorError("Say which backup: FILE=...", mend="make backups lists them.")
    for path in (path_of(file).absolute(), FOLDER / file, folder / file):
        if path.is_file():
            return path
    raise OperatorError(f"There is no file {file}.", mend="make backups lists the backups.")


def _tell(telling: Telling) -> Callable[[int, int], None]:
    return lambda done, size: telling.so_far(f"{amount(done)} of {amount(size)}")


def _describe(backup: Backup, key: str | None) -> None:
    for line in described(backup):
        say(f"  {line}")
    if key is not None and not backup.encrypted:
        say("A key is set, but this archive is not encrypted: whoever had the file may have read it, or made it.", "yellow")


def _ask(project: str, stack: str, *, agreed: bool) -> None:
    import click  # noqa: PLC0415

    say(f"This replaces all data of {project} (stack {stack}); app and evolution-api are stopped meanwhile.", "yellow")
    if agreed:
        return
    try:
        answer = click.prompt(f"Type the stack's name ({stack}) to go on", default="", show_default=False)
    except click.Abort:
        answer = ""
    if answer.strip() != stack:
        raise OperatorError("Nothing was changed: the stack's name was not typed.", mend="Without the question: YES=1")


def _bring_up(client: DockerClient, project: str, stack: str) -> None:
    """See that the services that keep data run."""
    found = {each.service: each for each in services.listed(client, project, stack)}
    wanted = (*services.KEEPERS, ServiceName.EVOLUTION_API)
    if marker.is_set(client, project):
        say(f"an earlier restore of {stack} was interrupted; this one replaces what it left", "yellow")
        volumes.end_helpers(client, project)
        if all(name in found for name in wanted):
            # The engine may still be stopping some, as the killed restore had asked it to: a start would be no start then.
            services.stop(client, [found[name].id for name in services.KEEPERS if name not in DUMPS])
            services.start(client, [found[name].id for name in services.KEEPERS])
        else:
            _bring_up_emptied(client, project, stack)
    elif any(name not in found or found[name].state != "running" for name in wanted):
        say(f"stack {stack} is not up: bringing it up first")
        with marker.passing():
            up(stack)


def _bring_up_emptied(client: DockerClient, project: str, stack: str) -> None:
    """Bring up a stack that was taken down after a restore of it was interrupted.

    Its databases are emptied before Evolution API starts: with one store's data of then and another's of now it would connect phones with
    keys that are used up.
    """
    with marker.passing():
        users = [part for name in services.USERS for part in ("--exclude", f"**:Container::{name}*")]
        up(stack, users)
        found = {each.service: each.id for each in services.listed(client, project, stack)}
        for name in DUMPS:
            Target(client, Place(found[name], inside.variables(client, found[name]))).empty()
        up(stack)
