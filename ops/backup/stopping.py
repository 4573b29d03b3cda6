"""Being asked to stop: by Ctrl-C, by `kill`, by a terminal that is closed."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ops.backup.telling import warn
from ops.interrupts import heeded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


def end_in_peace() -> None:
    """Let each way of asking be the same as Ctrl-C: what was begun is undone."""
    for number in heeded():
        signal.signal(number, signal.default_int_handler)


@contextmanager
def held_back(why: str) -> Iterator[list[int]]:
    """Let a step that must not be cut in two come to its end before a stop counts. Asked a second time, it stops at once.

    Args:
        why: what to tell who asks.

    Yields:
        What was asked for so far; it is for the caller to stop then.
    """
    asked: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        warn(why, "yellow")

    before = {number: signal.signal(number, note) for number in heeded()}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
