"""Whose the data of a Postgres volume is, and the refusal to leave it behind under another name.

The image reads user and database names only while a volume is new. Changed later, they would give an application that finds nothing. So
the names stand in a file of the volume too; an `up` that would change them is refused before it touches anything, unless an operator
agreed to rename what is there (`make rename`), which a second file says. `postgres_reconcile.sh`, which renames, reads and writes both.
"""

import io
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from docker.api import APIClient
from docker.errors import NotFound

from stack.naming import COMPOSE_PROJECT, COMPOSE_SERVICE
from stack.settings import Settings
from stack.vocabulary import SETTING_PREFIXES, ServiceName, VolumeName

DATA = "/var/lib/postgresql/data"
"""Where images before 18 keep their data."""

NAMES = "stack.names"
"""A file in every volume that has served in a stack."""

_AGREED = "stack.rename"
_USER_ID = 999
VOLUMES = {ServiceName.DB: VolumeName.POSTGRES_ADK_DATA, ServiceName.EVOLUTION_POSTGRES: VolumeName.POSTGRES_EVO_DATA}
"""The volume of each database."""

PREFIXES = {service: SETTING_PREFIXES[service] for service in VOLUMES}
"""How the settings of each database begin."""

USERS = {ServiceName.DB: ServiceName.APP, ServiceName.EVOLUTION_POSTGRES: ServiceName.EVOLUTION_API}
"""Who writes to each database."""

WRITE_DOWN = f"""printf '%s\\n' "$POSTGRES_USER" "$POSTGRES_DB" > "$PGDATA/{NAMES}"\n"""
"""Run by the image in a new cluster: shell."""


@dataclass(frozen=True)
class Names:
    """A database's user and its name."""

    user: str
    database: str


@dataclass(frozen=True)
class Cluster:
    """A Postgres container, whatever its state, and its volume.

    Attributes:
        container: its id.
        running: whether commands can be run in it.
        names: whose the data in its volume is.
        served: whether that volume has served in a stack; before it has, only the start of the database can tell whose the data is.
        agreed: the names that an operator agreed to rename that to.
        data: where in it the data is.
    """

    container: str
    running: bool
    names: Names
    served: bool = True
    agreed: Names | None = None
    data: str = DATA


def wanted(settings: Settings) -> dict[ServiceName, Names]:
    """The names in the settings."""
    return {
        service: Names(getattr(settings, f"{prefix.lower()}_user"), getattr(settings, f"{prefix.lower()}_db"))
        for service, prefix in PREFIXES.items()
    }


def problems(engine: APIClient, settings: Settings) -> Iterator[str]:
    """A sentence for each database that an `up` would leave behind."""
    for service, names in wanted(settings).items():
        found = container_of(engine, settings.project, service)
        if found is not None and not uses_the_volume(found, settings, service):
            yield from _forgotten(found, settings, service)
            continue
        if found is None or _names_given(found) == names:
            continue
        cluster = _cluster(engine, found)
        if cluster.served and names not in {cluster.names, cluster.agreed}:
            yield refusal(service, settings.stack, cluster.names, names)


def _forgotten(found: Mapping[str, Any], settings: Settings, service: ServiceName) -> Iterator[str]:
    """What is wrong when the settings no longer name the volume with the data, as after an upgrade whose lines in them were lost."""
    setting = f"{PREFIXES[service]}_VOLUME"
    prefix = f"{settings.project}_"
    volume = next((str(mount["Name"]) for mount in found["Mounts"] if mount.get("Name", "").startswith(prefix)), None)
    if volume is None or setting.lower() in settings.model_fields_set:
        return  # the settings name another one, on purpose
    yield (
        f"{service}: its data is in the volume {volume}, and {setting}, which said so, is not given any more. To go on: "
        f"{setting}={volume.removeprefix(prefix)}, and {PREFIXES[service]}_IMAGE of that data's version. To go back to the data of before: "
        f"{setting}={settings.volume_names[VOLUMES[service]]}."
    )


def refusal(service: ServiceName, stack: str, had: Names, names: Names) -> str:
    """Why an `up` with other names is refused, and what can be done."""
    prefix = PREFIXES[service]
    pairs = ((f"{prefix}_USER", had.user, names.user), (f"{prefix}_DB", had.database, names.database))
    changed = [pair for pair in pairs if pair[1] != pair[2]]
    news = " and ".join(f"{setting} is {new} now, and was {old}" for setting, old, new in changed)
    back = " ".join(f"{setting}={old}" for setting, old, _ in changed)
    where = "" if stack == "dev" else f" STACK={stack}"
    return (
        f"{service}: {news}; under the new name its data would not be found. To keep the data under the new name: "
        f"`make rename SERVICE={service}{where}`. To go back: {back}. To begin without any data of the stack: `make wipe{where}`."
    )


def look(engine: APIClient, project: str, service: ServiceName) -> Cluster | None:
    """A database's container and what its volume says; None when there is no container."""
    found = container_of(engine, project, service)
    return None if found is None else _cluster(engine, found)


def agree(engine: APIClient, cluster: Cluster, names: Names) -> None:
    """Let the next start of the database rename what is in the volume."""
    old = cluster.names
    content = "".join(f"{name}\n" for name in (old.user, old.database, names.user, names.database)).encode()
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo(_AGREED)
        entry.size, entry.mode, entry.uid, entry.gid = len(content), 0o600, _USER_ID, _USER_ID
        tar.addfile(entry, io.BytesIO(content))
    engine.put_archive(cluster.container, cluster.data, archive.getvalue())


def container_of(engine: APIClient, project: str, service: ServiceName) -> Mapping[str, Any] | None:
    """What the engine knows of a database's container; None when there is none."""
    labels = [f"{COMPOSE_PROJECT}={project}", f"{COMPOSE_SERVICE}={service}"]
    try:
        listed = engine.containers(all=True, filters={"label": labels})
        found: Mapping[str, Any] | None = engine.inspect_container(listed[0]["Id"]) if listed else None
    except NotFound:
        return None
    return found


def uses_the_volume(found: Mapping[str, Any], settings: Settings, service: ServiceName) -> bool:
    """Whether a database's container has the volume that the settings name: when they name another, its data is left on purpose."""
    name = f"{settings.project}_{settings.volume_names[VOLUMES[service]]}"
    return any(mount.get("Name") == name for mount in found["Mounts"])


def data_of(found: Mapping[str, Any]) -> str:
    """Where in a database's container the data is."""
    return variables_of(found).get("PGDATA", DATA)


def variables_of(found: Mapping[str, Any]) -> dict[str, str]:
    """The variables of a container or an image."""
    return dict(each.partition("=")[::2] for each in found["Config"]["Env"] or [])


def _names_given(found: Mapping[str, Any]) -> Names:
    """The names with which the container was made; Postgres's own defaults where it was given none."""
    variables = variables_of(found)
    user = variables.get("POSTGRES_USER") or "postgres"
    return Names(user, variables.get("POSTGRES_DB") or user)


def _cluster(engine: APIClient, found: Mapping[str, Any]) -> Cluster:
    container, data = found["Id"], data_of(found)
    names, agreed = ((file_in(engine, container, f"{data}/{name}") or "").splitlines() for name in (NAMES, _AGREED))
    return Cluster(
        container=container,
        running=found["State"]["Status"] == "running",
        names=Names(*names) if len(names) == 2 else _names_given(found),
        served=len(names) == 2,
        agreed=Names(*agreed[2:]) if len(agreed) == 4 else None,
        data=data,
    )


def file_in(engine: APIClient, container: str, path: str) -> str | None:
    """A file in a container, running or not; None when there is none."""
    try:
        stream, _ = engine.get_archive(container, path)
    except NotFound:
        return None
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as tar:
        member = tar.extractfile(tar.next() or path)
        return member.read().decode() if member else None
