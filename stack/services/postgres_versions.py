"""Which major version of Postgres the data of a volume is, and the refusal to start another one on it.

A server of another major version can't read the files, and says so only after the old container is gone.
"""

import io
import re
import tarfile
from collections.abc import Iterator, Mapping
from typing import Any

from docker.api import APIClient
from docker.errors import NotFound

from stack.images import local_image
from stack.services.postgres_names import DATA, PREFIXES, container_of, uses_the_volume
from stack.settings import Settings
from stack.vocabulary import ServiceName

_TAG = re.compile(r"[^@]*:v?(\d+)[^/@]*(?:@.*)?")
"""The number with which a tag begins; a registry's port has a path behind it, and a digest isn't a tag."""
_OLDEST_WITH_ONE_NUMBER = 10


def problems(engine: APIClient, settings: Settings) -> Iterator[str]:
    """A sentence for each database whose image would not read its data."""
    for service in PREFIXES:
        found = container_of(engine, settings.project, service)
        if found is None or not uses_the_volume(found, settings, service):
            continue
        wanted = image_version(engine, settings, service)
        if wanted is None or wanted == _stated(found):  # the cheap look: it is what the container has run with so far
            continue
        have = data_version(engine, found["Id"])
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


def data_version(engine: APIClient, container: str) -> int | None:
    """The major version of the data in a database's container, running or not; None when there is none yet."""
    try:
        stream, _ = engine.get_archive(container, f"{DATA}/PG_VERSION")
    except NotFound:
        return None
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as tar:
        member = tar.extractfile(tar.next() or "")
        return int(member.read()) if member else None


def image_version(engine: APIClient, settings: Settings, service: ServiceName) -> int | None:
    """The major version of the image that the settings name; None when nothing tells it before it is fetched."""
    if local := local_image(settings, service):
        return int(local.partition(":")[2])
    return reference_version(engine, getattr(settings, f"{PREFIXES[service].lower()}_image"))


def reference_version(engine: APIClient, reference: str) -> int | None:
    """The major version of an image: by what it says of itself where the engine has it, else by its tag."""
    try:
        image: Mapping[str, Any] = engine.inspect_image(reference)  # type: ignore[no-untyped-call]
    except NotFound:
        tag = _TAG.fullmatch(reference)
        number = int(tag[1]) if tag else 0
        return number if number >= _OLDEST_WITH_ONE_NUMBER else None
    return _stated(image)


def _stated(described: Mapping[str, Any]) -> int | None:
    """The major version that the variables of an image, or of a container of it, tell."""
    variables = dict(each.partition("=")[::2] for each in described["Config"]["Env"] or [])
    major = variables.get("PG_MAJOR") or variables.get("PG_VERSION", "").partition(".")[0]
    return int(major) if major.isdigit() else None
