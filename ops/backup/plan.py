"""What a command is told: which file or folder, which key, how many backups to keep."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ops.errors import OperatorError
from ops.session import FOLDER, stack_settings

_KEY_FILE_LIMIT = 4096


@dataclass(frozen=True)
class Options:
    """What the settings and the command line say together; the command line wins.

    Attributes:
        folder: of the backups.
        key: with which they are encrypted; None for none.
        keep: how many are kept.
        keep_days: how long.
    """

    folder: Path
    key: str | None
    keep: int
    keep_days: int


def options(stack: str, folder: str = "", key: str = "") -> Options:
    """Read the stack's settings for backups.

    Args:
        stack: its name.
        folder: in place of BACKUP_DIR.
        key: in place of BACKUP_KEY: the key itself, or the path of a file that holds it.

    Raises:
        OperatorError: the settings are wrong, or the key file can't be read.
    """
    settings = stack_settings(FOLDER, stack)
    configured = settings.backup_key.get_secret_value() if settings.backup_key else None
    return Options(
        folder=FOLDER / path_of(folder or settings.backup_dir),
        key=read_key(key) if key else configured,
        keep=settings.backup_keep,
        keep_days=settings.backup_keep_days,
    )


def path_of(given: str) -> Path:
    """A path as it was typed, `~` and `~name` followed.

    Raises:
        OperatorError: nobody is called so.
    """
    try:
        return Path(given).expanduser()
    except RuntimeError as error:
        home = Path(given).parts[0]
        raise OperatorError(f"{given} leads nowhere.", f"No home folder is known for {home}.", "Write the whole path.") from error


def read_key(given: str) -> str:
    """The key that was given: in a file where it looks like a path, else itself.

    Raises:
        OperatorError: it looks like a path, and no key can be read there.
    """
    path = path_of(given)
    if not os.path.isfile(path) and os.sep not in given and not given.startswith("~"):  # noqa: PTH113 - a key may be too long for a name
        return given
    try:
        text = path.read_text(encoding="utf-8").strip() if path.stat().st_size <= _KEY_FILE_LIMIT else ""
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(
            f"No key can be read from {given}.", str(error), "KEY is the key, or the path of a file that holds it."
        ) from error
    if not text:
        raise OperatorError(f"No key can be read from {given}.", f"It is empty, or longer than {_KEY_FILE_LIMIT} bytes.")
    return text
