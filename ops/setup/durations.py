"""How long the long steps of a cold start took on this machine, for `make bench` to tell."""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING

from ops.setup import places

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LEAST_SECONDS = 2.0
"""A step that took less had nothing to do."""


@contextlib.contextmanager
def measured(step: str) -> Iterator[None]:
    """Remember how long the block took, when it did something, and longer than ever: a later, warmer run is no cold start."""
    begun = time.monotonic()
    yield
    seconds = time.monotonic() - begun
    known = recorded()
    if seconds > max(_LEAST_SECONDS, known.get(step, 0.0)):
        _file().parent.mkdir(parents=True, exist_ok=True)
        places.write_atomically(_file(), json.dumps({**known, step: round(seconds, 1)}, indent=2) + "\n")


def recorded() -> dict[str, float]:
    """The seconds of each step; none on a machine that had everything."""
    try:
        found = json.loads(_file().read_text())
    except (OSError, ValueError):
        return {}
    return {str(step): float(seconds) for step, seconds in found.items()} if isinstance(found, dict) else {}


def _file() -> Path:
    return places.cache() / "durations.json"
