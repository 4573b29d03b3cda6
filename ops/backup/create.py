"""`backup`: one archive of all data of a stack, while it serves."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING

from requests.exceptions import RequestException

from ops import engine
from ops.backup import databases, instances, marker, objects, rabbitmq, redis, services, shelf, verify
from ops.backup.archive import HEADER, Writer
from ops.backup.describing import Facts, facts
from ops.backup.encryption import ENDING, Encrypted
from ops.backup.errors import ArchiveError
from ops.backup.inside import InsideError
from ops.backup.manifest import DUMPS, INSTANCES, MESSAGES, RDB, Broker, Content, Database, Header, Manifest
from ops.backup.plan import options, path_of
from ops.backup.rabbitmq import Rabbitmq
from ops.backup.s3 import S3
from ops.backup.shelf import Shelf
from ops.backup.telling import amount, step
from ops.console import count, say
from ops.errors import OperatorError
from ops.session import FOLDER
from stack.vocabulary import ServiceName

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from docker import DockerClient

    from ops.backup.archive import Output
    from ops.backup.databases import Snapshot
    from ops.backup.services import Place
    from ops.backup.telling import Telling

_NAMED_AT_MOST = 100
"""Things that were left out: nobody reads more, and the manifest is read whole."""


def backup(stack: str, file: str = "", folder: str = "", key: str = "") -> Facts:
    """Write a backup, verify it, and remove those that are too many or too old; what was written.

    Args:
        stack: whose data.
        file: where to; a name made from project and time in the folder when empty, or in this one when it is a folder.
        folder: of the backups, in place of BACKUP_DIR.
        key: to encrypt it with, in place of BACKUP_KEY; or the path of a file that holds it.

    Raises:
        OperatorError: it could not be made; there is no file then.
    """
    begun = time.monotonic()
    chosen = options(stack, folder, key)
    client = engine.connect()
    project = services.project_of(stack)
    marker.guard(client, project, stack)
    with marker.exclusive(stack, "backup"):
        header = Header(project=project, stack=stack, created=datetime.now(UTC).replace(microsecond=0))
        encrypted = chosen.key is not None
        target = _target(header, chosen.folder, file, encrypted=encrypted)
        say(f"backup of {project} to {_shown(target)}{'' if chosen.key else ', not encrypted (no BACKUP_KEY)'}")
        places = services.places(client, project, stack)
        kept = Shelf(target.parent)
        with shelf.new_file(target, lambda written: kept.put(written, target.name, header, encrypted=encrypted)) as raw:
            _write_all(_Source(client, places), raw, header, chosen.key)
            with step("verifying") as telling:
                known = _verified(Path(raw.name), target, chosen.key, telling)
        removed = kept.prune(project, stack, chosen.keep, chosen.keep_days)
    for each in known.left_out:
        say(f"not in the backup: {each}", "yellow")
    for name in removed:
        say(f"removed {name}, which BACKUP_KEEP or BACKUP_KEEP_DAYS no longer keeps")
    say(f"{_shown(target)}: {amount(known.size)}, verified, {time.monotonic() - begun:.1f} s", "green")
    return known


@dataclass(frozen=True)
class _Source:
    client: DockerClient
    places: dict[ServiceName, Place]


def _target(header: Header, folder: Path, file: str, *, encrypted: bool) -> Path:
    name = f"{header.project}-{header.created:%Y%m%dT%H%M%SZ}.tar{ENDING if encrypted else ''}"
    target = FOLDER / path_of(file) if file else folder / name
    if file.endswith(os.sep) or target.is_dir():
        target /= name
    if target.suffix == ENDING and not encrypted:
        raise OperatorError(
            f"{target} would not be encrypted: there is no key.", mend=f"Give a KEY, or a FILE that does not end in {ENDING}."
        )
    if target.exists():
        raise OperatorError(f"{target} is there already.", mend="Give another FILE, or remove that one.")
    return target


def _shown(file: Path) -> Path:
    return file.relative_to(FOLDER) if file.is_relative_to(FOLDER) else file


def _verified(file: Path, target: Path, key: str | None, telling: Telling) -> Facts:
    """Read what was written into `file`, which will be called `target`."""
    try:
        with verify.opened(file, key, lambda done, size: telling.so_far(f"{amount(done)} of {amount(size)}")) as found:
            telling.result = amount(found.size)
            return facts(found, target)
    except ArchiveError as error:
        raise _not_made(f"what was written can't be used: {error}") from error


def _not_made(why: str) -> OperatorError:
    return OperatorError("The backup was not made.", why, "Nothing was changed. Remove the cause, then run it again.")


def _write_all(source: _Source, raw: IO[bytes], header: Header, key: str | None) -> None:
    with ExitStack() as open_things:
        target: Output = raw
        if key is not None:
            encrypted = Encrypted(raw, key)
            open_things.callback(encrypted.abandon)  # a failure must not seal it
            target = encrypted
        writer = Writer(target, int(header.created.timestamp()))
        try:
            _write_contents(source, writer, header, open_things)
        except (InsideError, RequestException) as error:
            raise _not_made(str(error)) from error
        except (ValueError, LookupError, TypeError) as error:
            raise _not_made(f"a service said what can't be understood: {type(error).__name__}: {error}") from error
        if key is not None:
            encrypted.close()
        raw.flush()


def _write_contents(source: _Source, writer: Writer, header: Header, open_things: ExitStack) -> None:
    client, places = source.client, source.places
    left_out: list[str] = []
    text = header.model_dump_json(indent=1).encode() + b"\n"
    writer.sized(HEADER, len(text), [text])
    broker = _write_broker(source, writer)
    held = _hold_databases(source, open_things)
    found = {name: _write_database(source, writer, name, held[name]) for name in DUMPS}
    with step("redis") as telling:
        cache = redis.describe(client, places[ServiceName.REDIS])
        _write(writer, RDB, redis.dump(client, places[ServiceName.REDIS]), telling)
    with step("evolution's instances") as telling:
        _write(writer, INSTANCES, instances.dump(client, places[ServiceName.EVOLUTION_API], left_out), telling)
    with step("minio") as telling:
        s3 = S3(client, places[ServiceName.MINIO])
        open_things.callback(s3.close)
        buckets = objects.write_buckets(writer, s3, left_out)
        stored = objects.write_objects(writer, s3, buckets, lambda done, size: telling.so_far(f"{count(done, 'object')}, {amount(size)}"))
        telling.result = f"{count(stored.count, 'object')}, {amount(stored.bytes)}"
    manifest = Manifest(
        finished=datetime.now(UTC).replace(microsecond=0),
        contents={name: Content(size=each.size, sha256=each.sha256) for name, each in writer.sums.items()},
        databases=found,
        rabbitmq=broker,
        redis=cache,
        objects=stored,
        left_out=_short(left_out),
    )
    writer.finish(manifest.model_dump_json(indent=1).encode() + b"\n")


def _write_broker(source: _Source, writer: Writer) -> Broker:
    with step("rabbitmq") as telling:
        login = rabbitmq.login_of(source.places[ServiceName.EVOLUTION_API])
        broker = Rabbitmq(source.client, source.places[ServiceName.RABBITMQ], login)
        broker.write_definitions(writer)
        found = broker.write_messages(writer, lambda done: telling.so_far(count(done, "message")))
        messages = sum(queue.messages for queue in found.queues)
        telling.result = f"{count(len(found.queues), 'queue')}, {count(messages, 'message')}, {amount(writer.sums[MESSAGES].size)}"
    return found


def _hold_databases(source: _Source, open_things: ExitStack) -> dict[str, Snapshot]:
    """Hold the same moment of both databases, as near as two servers can be."""
    held = {name: databases.snapshot(source.client, source.places[ServiceName(name)]) for name in DUMPS}
    for each in held.values():
        open_things.enter_context(closing(each))
    return held


def _write_database(source: _Source, writer: Writer, name: str, held: Snapshot) -> Database:
    with step(name) as telling:
        counted = held.count()
        _write(writer, DUMPS[name], held.dump(source.client), telling)
        held.close()
        rows = sum(counted.rows.values())
        telling.result = f"{count(len(counted.rows), 'table')}, {count(rows, 'row')}, {telling.result}"
    return counted


def _write(writer: Writer, name: str, pieces: Iterable[bytes], telling: Telling) -> None:
    def told() -> Iterator[bytes]:
        size = 0
        for piece in pieces:
            size += len(piece)
            telling.so_far(amount(size))
            yield piece

    telling.result = amount(writer.content(name, told()).size)


def _short(left_out: list[str]) -> list[str]:
    """As much of what was left out as somebody may read."""
    more = len(left_out) - _NAMED_AT_MOST
    return left_out if more <= 0 else [*left_out[:_NAMED_AT_MOST], f"and {more} more"]
