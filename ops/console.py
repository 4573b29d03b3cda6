"""What the commands say: progress on stdout, trouble on stderr, colour only where a person looks."""

import os
import sys

import click

from ops.errors import OperatorError


def _coloured() -> bool | None:
    """No colour where NO_COLOR is set (https://no-color.org); else click decides by whether it writes to a terminal."""
    return False if os.environ.get("NO_COLOR") else None


def say(text: str = "", colour: str | None = None) -> None:
    """Write one line of progress, at once."""
    click.echo(click.style(text, fg=colour) if colour else text, color=_coloured())
    sys.stdout.flush()


def complain(text: str, colour: str | None = "red") -> None:
    """Write one line about trouble."""
    click.echo(click.style(text, fg=colour) if colour else text, err=True, color=_coloured())


def report(error: OperatorError) -> None:
    """Write a failure, and what belongs to it."""
    first, *more = error.lines
    complain(first)
    for line in more:
        complain(line, colour=None)


def columns(rows: list[tuple[str, ...]]) -> list[str]:
    """Rows as lines, each column as wide as its widest cell."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def count(number: int, thing: str) -> str:
    """`1 change`, `2 changes`."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def ask(refused: str) -> None:
    """Go on only after a yes.

    Raises:
        OperatorError: there was none; `refused` says what did not happen.
    """
    try:
        agreed = click.confirm("Go on?", default=False)
    except click.Abort:
        agreed = False
    if not agreed:
        raise OperatorError(refused, mend="Without the question: YES=1")
