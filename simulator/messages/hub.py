"""News for the phone's page: whoever listens hears what happens from then on."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_MOST_WAITING = 500
_RESYNC = {"type": "resync"}
"""Tells a listener that fell behind to ask for everything anew."""


class Hub:
    """Passes news on."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[dict[str, Any]]] = set()

    @property
    def heard(self) -> bool:
        """Whether anybody listens."""
        return bool(self._listeners)

    def tell(self, kind: str, instance: str, **news: object) -> None:
        """Pass something on."""
        for queue in self._listeners:
            if queue.qsize() < _MOST_WAITING:
                queue.put_nowait({"type": kind, "instance": instance, **news})
            elif queue.qsize() == _MOST_WAITING:
                queue.put_nowait(_RESYNC)

    @contextmanager
    def listening(self) -> Iterator["asyncio.Queue[dict[str, Any]]"]:
        """Give a queue that fills with news."""
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._listeners.add(queue)
        try:
            yield queue
        finally:
            self._listeners.discard(queue)
