"""Whether a backup fits the stack that it is to be restored into, found out before anything is touched."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ops.backup import rabbitmq, redis, volumes
from ops.backup.inside import InsideError
from ops.backup.manifest import RDB, major
from ops.backup.rabbitmq import Rabbitmq
from ops.backup.telling import amount
from ops.errors import OperatorError
from ops.session import FOLDER
from stack.vocabulary import ServiceName

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from docker import DockerClient

    from ops.backup.databases import Target
    from ops.backup.services import Place
    from ops.backup.verify import Backup

_REVISION = re.compile(r"^revision(?:: str)? = [\"']([^\"']+)[\"']", re.MULTILINE)
_DUMP_GROWS = 6
"""A dump is compressed; what it becomes, with indexes, was at most five times as much for text that compresses well."""


def check_fit(client: DockerClient, backup: Backup, places: Mapping[ServiceName, Place], targets: Mapping[str, Target]) -> None:
    """Compare what the backup needs with what is there.

    Raises:
        OperatorError: it does not fit; every reason is named, and nothing was touched.
    """
    problems = [
        *_databases(backup, targets),
        *_revision(backup),
        *_broker(client, backup, places),
        *_redis(client, backup, places),
        *_room(client, backup, places),
    ]
    if problems:
        raise OperatorError("This backup does not fit this stack; nothing was changed.", "\n".join(f"  - {each}" for each in problems))


def _databases(backup: Backup, targets: Mapping[str, Target]) -> Iterator[str]:
    for name, target in targets.items():
        source, there = backup.manifest.databases[name], target.version()
        if source.major > major(there):
            setting = "POSTGRES_IMAGE" if name == ServiceName.DB else "EVOLUTION_POSTGRES_IMAGE"
            yield f"{name} is PostgreSQL {there}, and the backup is of {source.version}: set {setting} to postgres:{source.major} or newer"


def _revision(backup: Backup) -> Iterator[str]:
    revision = backup.manifest.databases[ServiceName.DB].revision
    known = {found[1] for file in (FOLDER / "alembic" / "versions").glob("*.py") if (found := _REVISION.search(file.read_text("utf-8")))}
    if revision is not None and known and revision not in known:
        yield f"the backup's database is at revision {revision}, which this version of the application does not know: use a newer one"


def _broker(client: DockerClient, backup: Backup, places: Mapping[ServiceName, Place]) -> Iterator[str]:
    broker = Rabbitmq(client, places[ServiceName.RABBITMQ], rabbitmq.login_of(places[ServiceName.EVOLUTION_API]))
    there, source = broker.version(), backup.manifest.rabbitmq.version
    if major(source) > major(there):
        yield f"rabbitmq is {there}, and the backup is of {source}: set RABBITMQ_IMAGE to that version or a newer one"


def _redis(client: DockerClient, backup: Backup, places: Mapping[ServiceName, Place]) -> Iterator[str]:
    try:
        redis.keys_in(client, places[ServiceName.REDIS], backup.content(RDB))
    except InsideError as error:
        yield f"{error} (it is of Redis {backup.manifest.redis.version}): set REDIS_IMAGE to that version or a newer one"


def _room(client: DockerClient, backup: Backup, places: Mapping[ServiceName, Place]) -> Iterator[str]:
    """Old and new data are there together for a while; usually all volumes are on one disk."""
    dumps = sum(backup.manifest.contents[name].size for name in backup.manifest.contents if name.endswith(".dump"))
    needed = backup.size + dumps * _DUMP_GROWS
    free = volumes.free_bytes(client, places[ServiceName.MINIO].container, "/data")
    if free < needed:
        yield f"the engine's disk has {amount(free)} free, and the restore may need {amount(needed)} beside the old data"
