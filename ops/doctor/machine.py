"""Whether the machine and its engine can carry the environment. Cheap: this part runs before each `up`."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ops.doctor.findings import Finding, bad, good, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker import DockerClient

_OLDEST_API = (1, 41)
"""Of Docker Engine 20.10; what the provider and the gates use was tried from there on."""

_GIB = 1024**3
_LEAST_DISK_GIB, _LITTLE_DISK_GIB = 1.0, 5.0
_LEAST_MEMORY_GIB = 1.5
"""The eight containers take 0.4 GiB at idle; images are built beside them."""

_READ_BY_CONTAINERS = ("src", "scripts", "tasks", "alembic", "alembic.ini", "images", "simulator")

_CLOCK_SECONDS = 30
"""Presigned addresses and WhatsApp's own messages carry times; MinIO refuses what is 15 minutes off."""


def machine(client: DockerClient, folder: Path) -> Iterator[Finding]:
    """Look at the engine, its disk, memory and clock, and at what `here` looks at."""
    before = datetime.now(UTC)
    info = client.info()
    yield engine_version(client.api.api_version, info)
    root = Path(info.get("DockerRootDir") or "/")
    if root.is_dir():  # else the engine is on another machine
        yield _disk("disk of the engine", root)
    yield memory(info["MemTotal"] / _GIB)
    yield clock(info.get("SystemTime", ""), before, datetime.now(UTC))
    yield from here(folder)


def here(folder: Path) -> Iterator[Finding]:
    """Look at what needs no engine: the disk of `folder`, and its sources."""
    yield _disk("disk of the project", folder)
    if sys.platform == "linux":  # elsewhere the engine's own machine gives everybody what it mounts from here
        yield sources(folder)


def engine_version(api: str, info: dict[str, Any]) -> Finding:
    """The engine and its API."""
    said = f"Docker Engine {info.get('ServerVersion')}, API {api}, {info.get('OperatingSystem')}"
    major, _, minor = api.partition(".")
    if (int(major), int(minor)) < _OLDEST_API:
        return bad("engine", f"{said}: older than API 1.41", "install Docker Engine 20.10 or newer")
    return good("engine", said)


def _disk(subject: str, place: Path) -> Finding:
    return disk(subject, place, shutil.disk_usage(place).free / _GIB)


def disk(subject: str, place: Path, free_gib: float) -> Finding:
    """The space left at a place."""
    said = f"{free_gib:.1f} GiB free at {place}"
    mend = "make room: `docker system df` shows what the engine holds, `make backups` which archives there are"
    if free_gib < _LEAST_DISK_GIB:
        return bad(subject, f"{said}: databases stop when they can't write", mend)
    return warning(subject, f"{said}: little for data that grows", mend) if free_gib < _LITTLE_DISK_GIB else good(subject, said)


def memory(total_gib: float) -> Finding:
    """The memory of the engine's machine."""
    said = f"{total_gib:.1f} GiB"
    if total_gib < _LEAST_MEMORY_GIB:
        return warning("memory", f"{said}: tight for eight containers", "use a machine, or give Docker's own one, at least 2 GiB")
    return good("memory", said)


def sources(folder: Path) -> Finding:
    """Whether the containers' users can read what of the project is mounted, or copied into images: git makes files by the user's umask."""
    for name in _READ_BY_CONTAINERS:
        place = folder / name
        for path in (place, *(Path(parent) / each for parent, folders, files in os.walk(place) for each in (*folders, *files))):
            mode = path.lstat().st_mode if path.exists() else None
            if mode is None or stat.S_ISLNK(mode) or path.name == "__pycache__":
                continue
            needed = stat.S_IROTH | stat.S_IXOTH if stat.S_ISDIR(mode) else stat.S_IROTH
            if mode & needed != needed:
                said = f"{path.relative_to(folder)} can't be read by the users in the containers, who are none of this machine's"
                return bad("sources", said, f"chmod -R go+rX {' '.join(_READ_BY_CONTAINERS)}")
    return good("sources", "the containers can read them")


def clock(engine_time: str, before: datetime, after: datetime) -> Finding:
    """Whether the engine's clock and this machine's agree."""
    if not engine_time:
        return good("clock", "the engine tells no time")
    told = datetime.fromisoformat(f"{engine_time[:19]}+00:00") if engine_time.endswith("Z") else _with_offset(engine_time)
    off = max((before - told).total_seconds(), (told - after).total_seconds())
    if off > _CLOCK_SECONDS:
        return bad("clock", f"the engine's clock is {off:.0f} s off this machine's", "set both clocks by NTP")
    return good("clock", "the engine's clock agrees with this machine's")


def _with_offset(text: str) -> datetime:
    """The engine's own form has nanoseconds: `2026-11-22T13:00:00.123456789-03:00`."""
    return datetime.fromisoformat(text[:19] + text[-6:])
