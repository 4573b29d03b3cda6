"""Which major version of Postgres the data of a volume is, and the refusal to start another one on it.

A server of another major version can't read the files, and says so only after the old container is gone.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from docker.api import APIClient
from docker.errors import NotFound

from stack.images import local_image, reference_of
from stack.services.postgres_names import DATA, PREFIXES, container_of, data_of, file_in, uses_the_volume, variables_of
from stack.settings import Settings
from stack.vocabulary import ServiceName

_TAG = re.compile(r"[^@]*:(?:v|pg)?(\d+)[^/@]*(?:@.*)?")
"""The number with which a tag begins; a registry's port has a path behind it, and a digest isn't a tag."""
_WITH_ONE_NUMBER = range(10, 100)
_OLDEST_WITH_A_FOLDER = 18


@dataclass(frozen=True)
class Layout:
    """Where a database's volume is mounted, and where in it the data is."""

    mount: str
    data: str


def layout(reference: str) -> Layout:
    """Where the official images of a version have their volume: from 18 on, each version has a folder of its own in it.

    At its old place an image of 18 has no folder, so that the engine would make the mount root's, and the server could not write there.

    Args:
        reference: an image; only its tag counts, so that it is the same in a preview, and before the image is fetched.
    """
    major = _version_of_tag(reference)
    if major is None or major < _OLDEST_WITH_A_FOLDER:
        return Layout(DATA, DATA)
    return Layout("/var/lib/postgresql", f"/var/lib/postgresql/{major}/docker")


def layout_of(settings: Settings, service: ServiceName) -> Layout:
    """The layout of a database with the image that the settings name."""
    return layout(local_image(settings, service) or reference_of(settings, service))


def problems(engine: APIClient, settings: Settings) -> Iterator[str]:
    """A sentence for each database whose image would not read its data."""
    for service in PREFIXES:
        found = container_of(engine, settings.project, service)
        if found is None or not uses_the_volume(found, settings, service):
            continue
        wanted = image_version(engine, settings, service)
        if wanted is None or wanted == _stated(found):  # the cheap look: it is what the container has run with so far
            continue
        have = data_version(engine, found)
        if have and have != wanted:
            yield refusal(settings, service, have, wanted)


def refusal(settings: Settings, service: ServiceName, have: int, wanted: int) -> str:
    """Why an `up` with such an image is refused, and what can be done."""
    setting = f"{PREFIXES[service]}_IMAGE"
    where = "" if settings.stack == "dev" else f" STACK={settings.stack}"
    reference = getattr(settings, setting.lower())
    move = f"To move the data: set {setting} back, then `make upgrade-postgres SERVICE={service} IMAGE={reference}{where}`. " * (
        wanted > have
    )
    return (
        f"{service}: {setting} is {reference}, of PostgreSQL {wanted}, and the data is of PostgreSQL {have}, which it can't read. "
        f"{move}To go back: an image of PostgreSQL {have}."
    )


def data_version(engine: APIClient, found: Mapping[str, Any]) -> int | None:
    """The major version of the data in a database's container, running or not; None when there is none yet."""
    text = file_in(engine, found["Id"], f"{data_of(found)}/PG_VERSION")
    return int(text) if text else None


def image_version(engine: APIClient, settings: Settings, service: ServiceName) -> int | None:
    """The major version of the image that the settings name; None when nothing tells it before it is fetched."""
    if local := local_image(settings, service):
        return int(local.partition(":")[2])
    return reference_version(engine, reference_of(settings, service))


def reference_version(engine: APIClient, reference: str) -> int | None:
    """The major version of an image: by what it says of itself where the engine has it, else by its tag."""
    try:
        image: Mapping[str, Any] = engine.inspect_image(reference)  # type: ignore[no-untyped-call]
    except NotFound:
        return _version_of_tag(reference)
    return _stated(image)


def _version_of_tag(reference: str) -> int | None:
    tag = _TAG.fullmatch(reference)
    number = int(tag[1]) if tag else 0
    return number if number in _WITH_ONE_NUMBER else None


def _stated(described: Mapping[str, Any]) -> int | None:
    """The major version that the variables of an image, or of a container of it, tell."""
    variables = variables_of(described)
    major = variables.get("PG_MAJOR") or variables.get("PG_VERSION", "").partition(".")[0]
    return int(major) if major.isdigit() else None
