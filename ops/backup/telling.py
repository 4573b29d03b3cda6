"""Progress of long steps, for people: a line that moves on a terminal, a line now and then elsewhere.

Where nobody listens any more, for the terminal was closed, the steps go on all the same: above all those that go back.
"""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ops.console import complain, say

if TYPE_CHECKING:
    from collections.abc import Iterator

_LINE_SECONDS = 0.2
_QUIET_SECONDS = 5.0
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def amount(size: float) -> str:
    """`12.3 MiB`."""
    unit = 0
    while size >= 1024 and unit < len(_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:.0f} B" if unit == 0 else f"{size:.1f} {_UNITS[unit]}"


class Telling:
    """One step under way.

    Attributes:
        result: what to say of it at its end.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._terminal = sys.stdout.isatty()
        self._begun = self._last = time.monotonic()
        self.result = "done"

    def so_far(self, text: str) -> None:
        """Say how far it has come, unless that was said a moment ago."""
        now = time.monotonic()
        if now - self._last < (_LINE_SECONDS if self._terminal else _QUIET_SECONDS):
            return
        self._last = now
        with suppress(OSError):
            if self._terminal:
                sys.stdout.write(f"\r  {self._what:<22} {text}\033[K")
                sys.stdout.flush()
            else:
                say(f"  {self._what:<22} ... {text}")

    def end(self) -> None:
        """Say how it ended, and how long it took."""
        with suppress(OSError):
            if self._terminal:
                sys.stdout.write("\r\033[K")
            say(f"  {self._what:<22} {self.result}, {time.monotonic() - self._begun:.1f} s")

    def break_off(self) -> None:
        """Leave the line, for a message follows."""
        with suppress(OSError):
            if self._terminal:
                sys.stdout.write("\n")
                sys.stdout.flush()


def warn(text: str, colour: str = "red") -> None:
    """Say what goes wrong, or is otherwise than hoped, in the midst of a step."""
    with suppress(OSError):
        complain(text, colour)


@contextmanager
def step(what: str) -> Iterator[Telling]:
    """Tell one step."""
    telling = Telling(what)
    try:
        yield telling
    except BaseException:
        telling.break_off()
        raise
    telling.end()
