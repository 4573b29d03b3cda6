"""`logs`: of all services together or of one, merged by time, followed while they come and go."""

from __future__ import annotations

import re
import select
import sys
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, TextIO

import click

from ops import engine
from ops.console import say
from ops.containers import of_stack
from ops.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker import DockerClient

    from ops.engine import SeenContainer

_COLOURS = ("cyan", "yellow", "green", "magenta", "blue", "bright_cyan", "bright_yellow", "bright_green", "bright_magenta")
_LOOK_AGAIN_SECONDS = 1.0
_TAIL = 50
_AGE = re.compile(r"(\d+)([smhd])")
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Line:
    """A log line: the engine's time of it, and the text."""

    moment: str
    label: str
    text: str


def logs(stack: str, service: str, tail: int | None, since: str, follow: bool) -> None:
    """Print the last lines of each container, merged by time, then go on as new ones come.

    Args:
        stack: the stack's name.
        service: one service; all when empty.
        tail: how many old lines of each container; None for 50, or for all that `since` asks for.
        since: how old lines may be, as in 90s, 10m, 2h or 1d, or the moment that begins them, in ISO 8601; any age when empty.
        follow: whether to go on until interrupted.

    Raises:
        OperatorError: `since` is neither.
    """
    begin = moment(since, datetime.now().astimezone()) if since else 0.0
    client = engine.connect()
    chosen = of_stack(client, stack, service)
    painter = _Painter([container.service for container in of_stack(client, stack)])
    now = time.time()
    for line in sorted((line for container in chosen for line in _past(client, container, tail, begin, now)), key=lambda line: line.moment):
        painter.write(line)
    if follow:
        _follow(client, stack, service, painter, now)


def moment(since: str, now: datetime) -> float:
    """The Unix time that `since` means: an age, or a date and time, which is local unless it says otherwise.

    Raises:
        OperatorError: it is neither.
    """
    age = _AGE.fullmatch(since)
    if age:
        return now.timestamp() - int(age[1]) * _UNIT_SECONDS[age[2]]
    try:
        return datetime.fromisoformat(since).timestamp()
    except ValueError:
        raise OperatorError(f"'{since}' is no age and no moment.", mend="Write 90s, 10m, 2h, 1d or 2026-11-22T13:00.") from None


def label(container: SeenContainer) -> str:
    """What stands before a line: the service, and the number of a replica after the first."""
    return container.service if container.number == 1 else f"{container.service}-{container.number}"


def split(raw: bytes, name: str) -> Line:
    """A line as the engine sends it with timestamps."""
    moment, _, text = raw.decode(errors="replace").rstrip("\r\n").partition(" ")
    return Line(moment, name, text)


class _Painter:
    """Writes lines with their service in its colour."""

    def __init__(self, services: list[str]) -> None:
        distinct = sorted(set(services))
        self._width = max(len(service) for service in distinct) + 2
        self._colours = {service: _COLOURS[place % len(_COLOURS)] for place, service in enumerate(distinct)}
        self._lock = threading.Lock()

    def write(self, line: Line) -> None:
        service = line.label if line.label in self._colours else line.label.rpartition("-")[0]
        with self._lock:
            say(click.style(f"{line.label:<{self._width}}| ", fg=self._colours.get(service)) + line.text)


def _past(client: DockerClient, container: SeenContainer, tail: int | None, begin: float, until: float) -> Iterator[Line]:
    lines: int | Literal["all"] = tail if tail is not None else "all" if begin else _TAIL
    raw = client.api.logs(container.id, timestamps=True, tail=lines, since=begin or None, until=until)
    return (split(line, label(container)) for line in raw.splitlines())


def _follow(client: DockerClient, stack: str, service: str, painter: _Painter, since: float) -> None:
    """One thread for each running container; a container that is new, or was started again, gets one too.

    Raises:
        BrokenPipeError: nobody reads any more, as behind `| head`.
    """
    listeners: dict[str, threading.Thread] = {}
    unread = threading.Event()

    def listen(container: SeenContainer, begin: float) -> None:
        stream = client.api.logs(container.id, timestamps=True, stream=True, follow=True, since=begin)
        for raw in stream:
            try:
                painter.write(split(raw, label(container)))
            except BrokenPipeError:
                unread.set()
                return

    while True:
        begin = since
        since = time.time()
        for container in of_stack(client, stack, service):
            known = listeners.get(container.id)
            if container.state == "running" and (known is None or not known.is_alive()):
                listeners[container.id] = threading.Thread(target=listen, args=(container, begin), daemon=True)
                listeners[container.id].start()
        if unread.wait(_LOOK_AGAIN_SECONDS) or _is_unread(sys.stdout):
            raise BrokenPipeError


def _is_unread(output: TextIO) -> bool:
    """Whether the reader of a pipe has gone: services that have nothing to say would never find out."""
    poll = select.poll()
    poll.register(output, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))
