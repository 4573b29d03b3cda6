"""`restore`: puts a backup in the place of a stack's data.

The order is what makes it safe. The archive is read to its last byte, and what it needs is compared with what is there, before anything is
touched. The databases are restored beside those in use. Only then, behind a marker that no `up` passes, the services that change data are
stopped, the other stores' content is put aside, and theirs is filled from the archive and compared with it. At the end the databases change
places, in one transaction each. Until then a failure goes back to what was there.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ops import engine
from ops.backup import instances, marker, objects, rabbitmq, redis, services, verify, volumes
from ops.backup.databases import Target
from ops.backup.errors import ArchiveError, refused
from ops.backup.fitting import check_fit
from ops.backup.inside import InsideError
from ops.backup.manifest import BUCKETS, DEFINITIONS, DUMPS, INSTANCES, MESSAGES, RDB, Buckets
from ops.backup.plan import options
from ops.backup.rabbitmq import Rabbitmq
from ops.backup.s3 import S3
from ops.backup.shelf import Shelf
from ops.backup.telling import amount, step
from ops.console import complain, count, say
from ops.errors import OperatorError
from ops.session import FOLDER
from ops.up import up
from stack.vocabulary import ServiceName

if TYPE_CHECKING:
    from collections.abc import Callable

    from docker import DockerClient

    from ops.backup.services import Place
    from ops.backup.telling import Telling
    from ops.backup.verify import Backup

_STORES = {
    ServiceName.REDIS: "/data",
    ServiceName.RABBITMQ: "/var/lib/rabbitmq",
    ServiceName.MINIO: "/data",
    ServiceName.EVOLUTION_API: instances.FOLDER,
}
"""The volumes that are emptied and filled, by service, with the place where they are mounted. The databases have a way of their own."""

_FAILURES = (InsideError, ArchiveError, OperatorError, OSError, KeyboardInterrupt)


def verify_backup(stack: str, file: str, key: str = "") -> None:
    """Read all of an archive, and say what is in it.

    Raises:
        OperatorError: it is damaged, foreign, or can't be opened with this key.
    """
    chosen = options(stack, key=key)
    path = _found(file, chosen.folder)
    try:
        with step("verifying") as telling, verify.opened(path, chosen.key, _tell(telling)) as found:
            telling.result = "whole"
            for line in described(found):
                say(f"  {line}")
    except ArchiveError as error:
        raise refused(path, error) from error
    Shelf(path.parent).verified(path)
    say(f"{path.name} is whole: {amount(path.stat().st_size)}", "green")


def restore(stack: str, file: str, key: str = "", *, agreed: bool) -> None:
    """Replace all data of a stack by a backup's, and bring the stack up.

    Args:
        stack: whose data; it is brought up empty where there is nothing of it.
        file: the archive.
        key: that it was encrypted with, in place of BACKUP_KEY; or the path of a file that holds it.
        agreed: whether not to ask.

    Raises:
        OperatorError: it failed. Unless it says otherwise, the stack is as it was.
    """
    begun = time.monotonic()
    chosen = options(stack, key=key)
    path = _found(file, chosen.folder)
    project = services.project_of(stack)
    client = engine.connect()
    try:
        with marker.exclusive(stack, "restore"):
            with step("verifying") as telling:
                opened = verify.opened(path, chosen.key, _tell(telling))
                backup = opened.__enter__()
                telling.result = f"whole, {amount(backup.size)}"
            try:
                _ask(backup, project, stack, agreed=agreed)
                _bring_up(client, project, stack)
                _Restore(client, project, stack, backup, services.places(client, project, stack)).run(path.name)
            finally:
                opened.__exit__(None, None, None)
    except ArchiveError as error:
        raise refused(path, error) from error
    up(stack)
    say(f"{stack} has the data of {path.name}, verified, {time.monotonic() - begun:.1f} s", "green")


def described(backup: Backup) -> list[str]:
    """What is in a backup, in lines for people."""
    header, manifest = backup.header, backup.manifest
    rows = {name: sum(each.rows.values()) for name, each in manifest.databases.items()}
    return [
        f"backup of {header.project} (stack {header.stack}), {header.created:%Y-%m-%d %H:%M:%S %Z}",
        *(
            f"{name}: PostgreSQL {each.version}, {count(len(each.rows), 'table')}, {count(rows[name], 'row')}"
            for name, each in manifest.databases.items()
        ),
        f"rabbitmq {manifest.rabbitmq.version}: {count(sum(each.messages for each in manifest.rabbitmq.queues), 'message')}",
        f"redis {manifest.redis.version}: {amount(manifest.contents[RDB].size)}",
        f"minio: {count(manifest.objects.count, 'object')}, {amount(manifest.objects.bytes)}",
    ]


def _found(file: str, folder: Path) -> Path:
    """The archive: as it was given, below the project, or by its name in the folder of the backups."""
    if not file:
        raise OperatorError("Say which backup: FILE=...", mend="make backups lists them.")
    for path in (Path(file).expanduser().absolute(), FOLDER / file, folder / file):
        if path.is_file():
            return path
    raise OperatorError(f"There is no file {file}.", mend="make backups lists the backups.")


def _tell(telling: Telling) -> Callable[[int, int], None]:
    return lambda done, size: telling.so_far(f"{amount(done)} of {amount(size)}")


def _ask(backup: Backup, project: str, stack: str, *, agreed: bool) -> None:
    import click  # noqa: PLC0415

    for line in described(backup):
        say(f"  {line}")
    say(f"This replaces all data of {project} (stack {stack}); app and evolution-api are stopped meanwhile.", "yellow")
    if agreed:
        return
    try:
        answer = click.prompt(f"Type the stack's name ({stack}) to go on", default="", show_default=False)
    except click.Abort:
        answer = ""
    if answer.strip() != stack:
        raise OperatorError("Nothing was changed: the stack's name was not typed.", mend="Without the question: YES=1")


def _bring_up(client: DockerClient, project: str, stack: str) -> None:
    """See that the services that keep data run: start them after an interrupted restore, else by a whole `up`."""
    found = {each.service: each for each in services.listed(client, project, stack)}
    wanted = (*services.KEEPERS, ServiceName.EVOLUTION_API)
    if marker.is_set(client, project):
        say(f"an earlier restore of {stack} was interrupted; this one replaces what it left", "yellow")
        if all(name in found for name in wanted):
            _start(client, [found[name].id for name in services.KEEPERS])
            return
        with marker.passing():
            up(stack, ["--exclude", "**whatsapp:stack:Service**::app", "--exclude", "**whatsapp:stack:Service**::evolution-api"])
    elif any(name not in found or found[name].state != "running" for name in wanted):
        say(f"stack {stack} is not up: bringing it up first")
        up(stack)


def _start(client: DockerClient, containers: list[str]) -> None:
    for container in containers:
        client.api.start(container)
    with ThreadPoolExecutor(max_workers=len(containers)) as pool:
        list(pool.map(lambda container: services.wait_until_ready(client, container), containers))


@dataclass
class _Restore:
    """One restore into a stack that is up.

    Attributes:
        undoable: whether what was there can be put back: not after an earlier restore was interrupted.
    """

    client: DockerClient
    project: str
    stack: str
    backup: Backup
    places: dict[ServiceName, Place]
    undoable: bool = True
    aside: list[ServiceName] = field(default_factory=list)

    def run(self, archive: str) -> None:
        """Do it.

        Raises:
            OperatorError: it failed; whether the stack is as it was, it says.
        """
        self.undoable = not marker.is_set(self.client, self.project)
        targets = {name: Target(self.client, self.places[ServiceName(name)]) for name in DUMPS}
        try:
            with step("comparing"):
                check_fit(self.client, self.backup, self.places, targets)
            for name, target in targets.items():
                self._stage(name, target)
            marker.set_marker(self.client, self.project, self.stack, archive)
            self._fill_stores()
            with step("databases") as telling:
                for target in targets.values():
                    target.swap()
                telling.result = "in place"
            self._forget(targets)
            marker.clear(self.client, self.project)
        except _FAILURES as error:
            self._give_up(targets, error)

    def _stage(self, name: str, target: Target) -> None:
        with step(name) as telling:
            source = self.backup.manifest.databases[name]
            target.stage(self.backup.content(DUMPS[name]), source)
            telling.result = f"{count(len(source.rows), 'table')}, {count(sum(source.rows.values()), 'row')}, as in the backup"

    def _fill_stores(self) -> None:
        with step("stopping") as telling:
            users = [each.id for each in services.listed(self.client, self.project, self.stack) if each.service in services.USERS]
            self._stop(users)
            self._stop([self.places[name].container for name in _STORES])
            telling.result = "app and evolution-api stopped"
        for name, folder in _STORES.items():
            self.aside.append(name)
            volumes.put_aside(self.client, self.places[name].container, folder)
        user = self.client.api.inspect_container(self.places[ServiceName.REDIS].container)["Config"]["User"]
        self._fill_files(user)
        with step("starting") as telling:
            _start(self.client, [self.places[name].container for name in _STORES if name != ServiceName.EVOLUTION_API])
            telling.result = "redis, rabbitmq and minio ready"
        self._check_redis()
        self._fill_minio()
        self._fill_rabbitmq()

    def _fill_files(self, user: str) -> None:
        size = self.backup.manifest.contents[RDB].size
        log = redis.log_files(size, self.backup.content(RDB), user)
        instances.unpack(self.client, self.places[ServiceName.REDIS].container, _STORES[ServiceName.REDIS], log)
        parent = instances.FOLDER.rpartition("/")[0]
        instances.unpack(self.client, self.places[ServiceName.EVOLUTION_API].container, parent, self.backup.content(INSTANCES))

    def _check_redis(self) -> None:
        with step("redis") as telling:
            place = self.places[ServiceName.REDIS]
            keys = redis.keys_in(self.client, place, self.backup.content(RDB))
            there = redis.keys_there(self.client, place)
            if there not in keys:
                raise InsideError(f"Redis has {there} keys, and the archive {keys.stop - 1}")
            telling.result = f"{count(there, 'key')}, as in the backup"

    def _fill_minio(self) -> None:
        with step("minio") as telling:
            s3 = S3(self.client, self.places[ServiceName.MINIO])
            try:
                text = self.backup.whole(BUCKETS)
                objects.restore_buckets(s3, text)
                size = 0
                for number, (line, content) in enumerate(self.backup.objects(), 1):
                    s3.put(line.bucket, line.key, line.headers, line.sha256, line.size, content)
                    size += line.size
                    telling.so_far(f"{count(number, 'object')}, {amount(size)}")
                objects.restore_settings(s3, text)
                checked = objects.check(s3, Buckets.model_validate_json(text).buckets, self.backup.index())
                telling.result = f"{count(checked, 'object')}, {amount(size)}, as in the backup"
            finally:
                s3.close()

    def _fill_rabbitmq(self) -> None:
        with step("rabbitmq") as telling:
            login = rabbitmq.login_of(self.places[ServiceName.EVOLUTION_API])
            broker = Rabbitmq(self.client, self.places[ServiceName.RABBITMQ], login)
            definitions = self.backup.whole(DEFINITIONS)
            broker.restore_definitions(definitions)
            done = broker.restore_messages(self.backup.content(MESSAGES), lambda number: telling.so_far(count(number, "message")))
            broker.check(definitions, self.backup.manifest.rabbitmq)
            telling.result = f"{count(len(self.backup.manifest.rabbitmq.queues), 'queue')}, {count(done, 'message')}, as in the backup"

    def _forget(self, targets: dict[str, Target]) -> None:
        """Remove what was there before."""
        self.undoable = False
        with step("removing the old data"):
            for target in targets.values():
                target.commit()
            for name, folder in _STORES.items():
                volumes.forget(self.client, self.places[name].container, folder)

    def _stop(self, containers: list[str]) -> None:
        def stop(container: str) -> None:
            grace = self.client.api.inspect_container(container)["Config"].get("StopTimeout") or 10
            self.client.api.stop(container, timeout=grace)

        with ThreadPoolExecutor(max_workers=8) as pool:
            list(pool.map(stop, containers))

    def _give_up(self, targets: dict[str, Target], error: BaseException) -> None:
        """Go back to what was there, as far as that is still kept.

        Raises:
            OperatorError: always: why the restore failed, and what the stack has now.
        """
        why = "it was stopped" if isinstance(error, KeyboardInterrupt) else str(error)
        again = f"Remove the cause, then run it again: make restore FILE=... STACK={self.stack}"
        if self.undoable:
            complain(f"the restore failed: {why}")
            try:
                with step("going back"):
                    self._go_back(targets)
            except _FAILURES as second:
                why = f"{why}; and going back failed too: {second}"
            else:
                raise OperatorError(f"The restore failed; stack {self.stack} has the data that it had.", why, again) from error
        raise OperatorError(f"The restore failed, and the data of stack {self.stack} is not whole now.", why, again) from error

    def _go_back(self, targets: dict[str, Target]) -> None:
        for target in targets.values():
            target.swap_back()
        if not marker.is_set(self.client, self.project):
            return
        self._stop([self.places[name].container for name in self.aside])
        for name in self.aside:
            volumes.put_back(self.client, self.places[name].container, _STORES[name])
        _start(self.client, [self.places[name].container for name in services.KEEPERS])
        marker.clear(self.client, self.project)
        up(self.stack)
