"""What is wrong with an archive."""

from ops.errors import OperatorError


class ArchiveError(Exception):
    """The file is not a whole backup: damaged, foreign, or not to be opened with this key. Its text says which, for the user."""


class WrongKeyError(ArchiveError):
    """The archive is encrypted, and the key, if one was given, does not open it."""


def refused(file: object, error: ArchiveError) -> OperatorError:
    """The refusal of an archive before anything was touched."""
    mend = (
        "Give the key that it was made with: KEY=... (the key or the path of a file that holds it), or BACKUP_KEY in the settings."
        if isinstance(error, WrongKeyError)
        else "Take another backup: make backups lists them. Nothing was changed."
    )
    return OperatorError(f"{file} can't be used.", str(error), mend)
