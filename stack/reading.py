"""Reads the files that people write: what stands there may be anything, and must end in words."""

from pathlib import Path


class UnreadableError(Exception):
    """A file can't be read as text; its text says which, why, and what to do."""


def text_of(folder: Path, name: str) -> str | None:
    """The text of a file; None when there is none.

    Args:
        folder: where its user looks from.
        name: below it, as its user knows it.

    Raises:
        UnreadableError: it is no text in UTF-8, no file, or closed to this user.
    """
    try:
        return (folder / name).read_text(encoding="utf-8-sig")  # some editors put a mark in front, which is no part of the first name
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise UnreadableError(f"{name} can't be read ({why}): make it a readable text file in UTF-8.") from error
