"""One command's view of a stack: where it is, how to call Pulumi, what its project is called."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ops.errors import OperatorError
from stack.naming import settings_file_name

if TYPE_CHECKING:
    from ops.checkpoint import Checkpoint
    from stack.settings import Settings

FOLDER = Path(__file__).resolve().parent.parent
"""The project."""


@dataclass(frozen=True)
class Session:
    """A stack, with everything that it takes to call Pulumi for it.

    Attributes:
        folder: the project.
        stack: the stack's name.
        pulumi: the CLI.
        variables: what the CLI needs in its environment beside the shell's own.
    """

    folder: Path
    stack: str
    pulumi: Path
    variables: dict[str, str]

    @property
    def environment(self) -> dict[str, str]:
        """The environment for the CLI and its plugins: programs of seconds, which gain a fifth of their time by collecting no garbage."""
        return {"GOGC": "off", "GOMEMLIMIT": "1GiB", **os.environ, **self.variables}

    @property
    def state(self) -> Path:
        """The local backend."""
        return state_folder(self.folder)


def state_folder(folder: Path) -> Path:
    """Where the project in `folder` keeps Pulumi's state."""
    return folder / ".state"


def open_session(stack: str, folder: Path = FOLDER) -> Session:
    """Make sure that the machine has what the stack needs, and say how to call Pulumi.

    Raises:
        OperatorError: something is missing and can't be made here.
    """
    from ops.setup import prepare  # noqa: PLC0415 - commands that need no Pulumi don't pay for it

    environment = prepare(folder, stack)
    return Session(folder=folder, stack=stack, pulumi=environment.pulumi, variables=dict(environment.variables))


def project_name(folder: Path, stack: str, checkpoint: Checkpoint) -> str:
    """The Compose project name: as the stack's containers carry it, else as the settings give it.

    Raises:
        OperatorError: the settings are wrong.
    """
    return checkpoint.project or stack_settings(folder, stack).project


def stack_settings(folder: Path, stack: str, text: str | None = None) -> Settings:
    """The settings of a stack, from all their layers, what its configuration has encrypted included.

    Args:
        folder: the project.
        stack: the stack's name.
        text: what its settings file is about to hold, in place of what it holds.

    Raises:
        OperatorError: the settings are wrong, or what is encrypted can't be read.
    """
    from ops.setup import full_configuration  # noqa: PLC0415
    from ops.setup.configuration import encrypted_names  # noqa: PLC0415
    from stack.settings import SettingsError, load  # noqa: PLC0415 - a quarter of a second, and not every command needs it

    try:
        return load(folder, stack, full_configuration(folder, stack), encrypted_names(folder, stack), text=text)
    except SettingsError as error:
        raise OperatorError(str(error)) from error


def settings_file(folder: Path, stack: str) -> Path:
    """The file of settings that the stack names.

    Raises:
        OperatorError: the stack's configuration can't be read.
    """
    from ops.setup.configuration import configuration_of  # noqa: PLC0415

    return folder / settings_file_name(stack, configuration_of(folder, stack))


def write_settings(file: Path, text: str) -> None:
    """Replace what a settings file holds, in one step: whatever interrupts it, a full disk too, leaves the old content or the new.

    Its owner and mode stay, and a link stays one. A new file is for its owner alone.
    """
    target = file.resolve()
    new = target.with_name(f"{target.name}.new")
    before = target.stat() if target.is_file() else None
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        if before is not None:
            with contextlib.suppress(PermissionError):  # another's file, in a folder that is ours too
                os.chown(new, before.st_uid, before.st_gid)
            new.chmod(before.st_mode & 0o777)
        new.replace(target)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
