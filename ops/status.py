"""`status`: a live table of the services; `urls` and `open`: where people look."""

from __future__ import annotations

import json
import sys
import time
import webbrowser
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ops import checkpoint, engine
from ops.backup import marker
from ops.console import columns, complain, say
from ops.containers import of_stack
from ops.errors import OperatorError
from ops.session import FOLDER, state_folder
from ops.stats import MIB, cpu_percent, memory_mib
from stack.probes import probe_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from docker import DockerClient

    from ops.checkpoint import KnownContainer
    from ops.engine import SeenContainer

_REFRESH_SECONDS = 2.0
_HEADINGS = ("SERVICE", "REPLICA", "STATE", "HEALTH", "SINCE", "RESTARTS", "CPU", "MEMORY", "PORTS", "IMAGE")
_LEFT_OUT = ("IMAGE", "PORTS", "SINCE", "CPU", "MEMORY", "REPLICA")
"""Where the table is too wide, in this order: what is left is read whole."""
_GAP = 2
_COLOURS = {"healthy": "green", "starting": "yellow", "unhealthy": "red"}


@dataclass(frozen=True)
class Status:
    """One container, now.

    Attributes:
        state: the engine's word: running, exited, paused, restarting, created or dead; or gone, when it should be there.
        health: healthy, starting or unhealthy; empty without a health check, or when it doesn't run.
        since: when it was last started or ended, as ISO 8601 in UTC.
        restarts: by the engine, because it had ended by itself.
        exit_code: of its last end; None while it runs.
        cpu_percent: of one core, over the last second; None when it doesn't run.
        memory_mib: in use; None when it doesn't run.
        ports: published ports, as address:host->container.
        failing: how often in a row its health check has failed; the engine calls it unhealthy only after several.
        last_check: what the last of those checks said.
    """

    service: str
    replica: int
    container: str
    state: str
    health: str
    since: str
    restarts: int
    exit_code: int | None
    out_of_memory: bool
    cpu_percent: float | None
    memory_mib: float | None
    memory_limit_mib: float
    ports: tuple[str, ...]
    image: str
    failing: int = 0
    last_check: str = ""


def status(stack: str, as_json: bool, live: bool) -> int:
    """Show the table; the exit code says whether all are there and run, none is unhealthy, and no restore leaves the data in pieces.

    Args:
        stack: the stack's name.
        as_json: a list of objects in place of the table, once.
        live: whether to go on until interrupted; only where a person looks.
    """
    client = engine.connect()
    found = of_stack(client, stack)
    if wrong := marker.found(client, found[0].project, stack):
        complain(" ".join(wrong.lines))
    seen = with_gone(look(client, stack), stack)
    if as_json:
        say(json.dumps([asdict(each) for each in seen], indent=2))
    elif live and sys.stdout.isatty():
        with Live(auto_refresh=False, screen=False) as screen:
            screen.update(table(seen, screen.console.width), refresh=True)
            while True:
                time.sleep(_REFRESH_SECONDS)
                seen = with_gone(look(client, stack), stack)
                screen.update(table(seen, screen.console.width), refresh=True)
    else:
        console = Console(width=None if sys.stdout.isatty() else 200)
        console.print(table(seen, console.width))
    return 0 if wrong is None and all(is_well(each) for each in seen) else 1


def look(client: DockerClient, stack: str) -> list[Status]:
    """Every container of the stack.

    Raises:
        OperatorError: there are none.
    """
    found = of_stack(client, stack)
    with ThreadPoolExecutor(max_workers=len(found)) as pool:
        return [each for each in pool.map(lambda container: _status(client, container), found) if each is not None]


def with_gone(seen: list[Status], stack: str) -> list[Status]:
    """What was seen, and the containers that the stack's state has beside it: somebody removed them."""
    there = {each.container for each in seen}
    gone = [_gone(known) for known in checkpoint.read(state_folder(FOLDER), stack).containers if known.service and known.name not in there]
    return sorted([*seen, *gone], key=lambda each: (each.service, each.replica))


def is_well(seen: Status) -> bool:
    """Whether it runs, and its health check doesn't say otherwise."""
    return seen.state == "running" and seen.health != "unhealthy"


def table(seen: list[Status], width: int) -> Table:
    """The table for people, of the columns that find room in `width`."""
    rows = [dict(zip(_HEADINGS, _cells(each), strict=True)) for each in seen]
    shown = _fitting(rows, width)
    drawn = Table(box=None, pad_edge=False, header_style="bold", padding=(0, _GAP // 2))
    for heading in shown:
        drawn.add_column(heading, justify="right" if heading in {"RESTARTS", "CPU", "MEMORY"} else "left", no_wrap=heading != "PORTS")
    for row in rows:
        drawn.add_row(*(row[heading] for heading in shown))
    return drawn


def _fitting(rows: list[dict[str, str | Text]], width: int) -> list[str]:
    """The headings of the columns to show. Ports may stand below each other."""
    shown = list(_HEADINGS)
    widths = {
        heading: max(len(part) for cell in (heading, *(str(row[heading]) for row in rows)) for part in _unbroken(heading, cell))
        for heading in _HEADINGS
    }
    for heading in _LEFT_OUT:
        if sum(widths[each] + _GAP for each in shown) - _GAP <= width:
            break
        shown.remove(heading)
    return shown


def _unbroken(heading: str, cell: str) -> list[str]:
    return cell.split(" ") if heading == "PORTS" else [cell]


def _cells(seen: Status) -> tuple[str | Text, ...]:
    ended = f" ({seen.exit_code}{', out of memory' if seen.out_of_memory else ''})" if seen.exit_code is not None else ""
    return (
        seen.service,
        str(seen.replica),
        Text(f"{seen.state}{ended}", style="" if seen.state == "running" else "red"),
        Text(seen.health, style=_COLOURS.get(seen.health, "")),
        age(seen.since, datetime.now(UTC)),
        Text(str(seen.restarts), style="red" if seen.restarts else ""),
        "" if seen.cpu_percent is None else f"{seen.cpu_percent:.1f} %",
        "" if seen.memory_mib is None else f"{seen.memory_mib:.0f}/{seen.memory_limit_mib:.0f} MiB",
        ", ".join(seen.ports),
        seen.image,
    )


def age(since: str, now: datetime) -> str:
    """How long ago, in its largest unit: 42s, 7m, 5h, 3d."""
    if not since:
        return ""
    seconds = int((now - datetime.fromisoformat(since)).total_seconds())
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return f"{max(0, seconds)}s"


def _status(client: DockerClient, container: SeenContainer) -> Status | None:
    from docker.errors import NotFound  # noqa: PLC0415

    try:
        details = client.api.inspect_container(container.id)
        runs = details["State"]["Status"] == "running"
        stats: dict[str, Any] | None = client.api.stats(container.id, stream=False) if runs else None
    except NotFound:
        return None  # removed while we looked
    state = details["State"]
    health = (state.get("Health") or {}) if runs else {}
    checks = health.get("Log") or []
    failing = max(health.get("FailingStreak", 0), int(_is_lost(details["Config"], checks)))
    return Status(
        service=container.service,
        replica=container.number,
        container=container.name,
        state=state["Status"],
        health=health.get("Status", ""),
        since=_moment(state["StartedAt" if runs else "FinishedAt"]),
        restarts=details["RestartCount"],
        exit_code=None if runs else state["ExitCode"],
        out_of_memory=bool(state.get("OOMKilled")),
        cpu_percent=round(cpu_percent(stats), 1) if stats else None,
        memory_mib=round(memory_mib(stats), 1) if stats else None,
        memory_limit_mib=details["HostConfig"]["Memory"] / MIB,
        ports=tuple(f"{address}:{host}->{inner}" for address, host, inner in container.ports),
        image=image_name(client, details["Image"], container.project),
        failing=failing,
        last_check=_last_line(checks[-1]["Output"]) if failing and checks else "",
    )


def _is_lost(configuration: Mapping[str, Any], checks: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the last check says that only a restart helps. While a container counts as starting, the engine counts no failures."""
    probe = probe_of(configuration)
    return bool(checks and probe and probe.restart_exit_code is not None and checks[-1]["ExitCode"] == probe.restart_exit_code)


def _gone(known: KnownContainer) -> Status:
    number = known.name.rpartition("-")[2]
    return Status(
        service=known.service,
        replica=int(number) if number.isdigit() else 1,
        container=known.name,
        state="gone",
        health="",
        since="",
        restarts=0,
        exit_code=None,
        out_of_memory=False,
        cpu_percent=None,
        memory_mib=None,
        memory_limit_mib=0.0,
        ports=(),
        image="",
    )


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip()[:200] if lines else ""


def image_name(client: DockerClient, identifier: str, project: str) -> str:
    """A name that people know for the image, which containers use by its id; the project's own where several stacks share a build."""
    from docker.errors import ImageNotFound  # noqa: PLC0415

    try:
        tags = client.images.get(identifier).tags
    except ImageNotFound:
        tags = []
    own = [tag for tag in tags if tag.startswith(f"{project}-")]
    return str((own or tags)[0]) if tags else identifier[7:19]


def _moment(text: str) -> str:
    """The engine's time without its nanoseconds; its "never" is the year 1."""
    return "" if text.startswith("0001") else f"{text[:19]}+00:00"


def urls(stack: str, as_json: bool) -> None:
    """List where people look: pages and interfaces, as the running stack's outputs have them."""
    found = _urls(stack)
    if as_json:
        say(json.dumps(found, indent=2))
        return
    for line in columns([("WHAT", "URL"), *found.items()]):
        say(line)


def open_page(stack: str, name: str) -> None:
    """Open a page in the browser.

    Raises:
        OperatorError: there is no such page, or no browser.
    """
    found = _urls(stack)
    if name not in found:
        raise OperatorError(f"There is no page '{name}'.", mend=f"Pages: {', '.join(found)}")
    say(found[name])
    if not webbrowser.open(found[name]):
        raise OperatorError("No browser was found on this machine.", mend="Open the address above in one.")


def _urls(stack: str) -> dict[str, str]:
    outputs = checkpoint.read(state_folder(FOLDER), stack).outputs
    found = {name.removesuffix("_url").replace("_", "-"): value for name, value in outputs.items() if name.endswith("_url")}
    if not found:
        raise OperatorError(f"Stack {stack} is not up.", mend=f"Bring it up: make up STACK={stack}")
    return {**found, "docs": f"{found['app']}/docs"} if "app" in found else found
