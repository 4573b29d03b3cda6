"""What the set-up does on Debian and its relatives: packages, and where this machine gets them from."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ops import apt
from ops.setup.errors import SetupError
from ops.setup.report import run, say

if TYPE_CHECKING:
    from collections.abc import Iterator

RELEASE = "bookworm"
_MIRROR_LIST = "mirror+file:"
_OTHER_RELEASES = frozenset({"bullseye", "trixie", "forky", "sid", "testing", "stable", "oldstable", "unstable"})


@dataclass(frozen=True)
class Source:
    """A place that packages come from: base URL, suite, components."""

    url: str
    suite: str
    components: tuple[str, ...]


def install(what: str, packages: list[str], otherwise: str) -> None:
    """Install packages.

    Args:
        what: what they are for, in the words of a failure.
        packages: their names.
        otherwise: what the user can do when they can't be installed here.

    Raises:
        SetupError: this isn't root on a Debian-like system, or apt-get fails.
    """
    if not apt.is_possible():
        raise SetupError(
            what, f"needs {' and '.join(packages)}, which only root on a Debian-like system can have installed here", otherwise
        )
    say(f"packages: installing {' '.join(packages)}")
    apt.wait_for_others(say)
    for command in apt.commands(packages):
        run(what, command, f"see the message, and that the package mirror can be reached, or {otherwise}", env=apt.environment())


def mirrors(what: str, folder: Path) -> tuple[str, str]:
    """The Debian mirror and the security mirror that this machine itself uses, from its apt directory.

    Args:
        what: what they are for, in the words of a failure.
        folder: apt's, `/etc/apt`.

    Raises:
        SetupError: it names no mirror of Debian.
    """
    found = [source for source in sources(folder) if "main" in source.components and source.url.startswith(("http://", "https://"))]
    # A mirror that has another release of Debian has this one too.
    mirror = next((source.url for source in found if source.suite == RELEASE), None) or next(
        (source.url for source in found if source.suite in _OTHER_RELEASES), None
    )
    if mirror is None:
        raise SetupError(
            what, f"no Debian mirror is among apt's sources ({folder})", "add one there, or use images from a registry (IMAGES=registry)"
        )
    beside = f"{mirror.rstrip('/')}-security"  # where mirrors have it
    security = next((source.url for source in found if source.suite == f"{RELEASE}-security"), beside)
    return mirror.rstrip("/"), security.rstrip("/")


def sources(folder: Path) -> Iterator[Source]:
    """The package sources in apt's folder (`/etc/apt`), of both file formats (sources.list(5)), lists of mirrors unfolded."""
    for file in [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*.list"))]:
        if file.is_file():
            for source in _one_line_sources(file.read_text()):
                yield from _unfolded(source)
    for file in sorted((folder / "sources.list.d").glob("*.sources")):
        for paragraph in re.split(r"\n\s*\n", file.read_text()):
            for source in _paragraph_sources(paragraph):
                yield from _unfolded(source)


def _unfolded(source: Source) -> Iterator[Source]:
    """The source; for one that names a list of mirrors, as those of Debian's cloud images do, each of them (apt-transport-mirror(1))."""
    file = Path(source.url.removeprefix(_MIRROR_LIST))
    if not source.url.startswith(_MIRROR_LIST):
        yield source
    elif file.is_file():
        for line in file.read_text().splitlines():
            if words := line.split("#")[0].split():
                yield replace(source, url=words[0])


def _one_line_sources(text: str) -> Iterator[Source]:
    for line in text.splitlines():
        words = re.sub(r"\[.*?\]", "", line.split("#")[0]).split()
        if len(words) > 3 and words[0] == "deb":
            yield Source(words[1], words[2], tuple(words[3:]))


def _paragraph_sources(paragraph: str) -> Iterator[Source]:
    lines = [line for line in paragraph.splitlines() if not line.startswith("#")]
    fields = {key.strip().lower(): value.split() for key, _, value in (line.partition(":") for line in lines)}
    if "deb" not in fields.get("types", []) or fields.get("enabled") == ["no"]:
        return
    for url in fields.get("uris", []):
        for suite in fields.get("suites", []):
            yield Source(url, suite, tuple(fields.get("components", [])))
