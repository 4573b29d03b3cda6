"""Puts a verified backup in the place of a stack's data, so that a failure goes back and a kill can't pass for an end.

What the backup needs is compared with what is there. The databases are restored beside those in use. Only then, behind a marker that no
`up` passes, the services that change data are stopped, the other stores' content is put aside, and theirs is filled from the archive and
compared with it. At the end the databases change places, in one transaction each. Until then a failure goes back to what was there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ops import heal
from ops.backup import instances, marker, objects, rabbitmq, redis, services, stopping, volumes
from ops.backup.databases import Target
from ops.backup.errors import ArchiveError
from ops.backup.fitting import check_fit
from ops.backup.inside import InsideError
from ops.backup.manifest import BUCKETS, DEFINITIONS, DUMPS, INSTANCES, MESSAGES, RDB, Buckets
from ops.backup.rabbitmq import Rabbitmq
from ops.backup.s3 import S3
from ops.backup.telling import amount, step, warn
from ops.console import count
from ops.errors import OperatorError, Stopped
from ops.session import FOLDER
from stack.vocabulary import ServiceName

if TYPE_CHECKING:
    from docker import DockerClient

    from ops.backup.services import Place
    from ops.backup.verify import Backup

_STORES = {
    ServiceName.REDIS: "/data",
    ServiceName.RABBITMQ: "/var/lib/rabbitmq",
    ServiceName.MINIO: "/data",
    ServiceName.EVOLUTION_API: instances.FOLDER,
}
"""The volumes that are emptied and filled, by service, with the place where they are mounted. The databases have a way of their own."""

_FAILURES = (Exception, KeyboardInterrupt)
"""What makes a restore go back: whatever it is, also what nobody thought of, for behind the marker there is no other way out."""


@dataclass
class Replacement:
    """One restore into a stack whose data is kept by services that run.

    Attributes:
        client: of the engine.
        project: Compose project name of the stack.
        stack: its name.
        backup: verified, and open.
        places: where its services run.
        undoable: whether what was there can be put back: not after an earlier restore was interrupted.
        aside: the stores whose content was put aside.
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
            InsideError: the stack can't be compared with the backup; nothing was changed.
        """
        self.undoable = not marker.is_set(self.client, self.project)
        targets = {name: Target(self.client, self.places[ServiceName(name)]) for name in DUMPS}
        with step("comparing") as telling:
            check_fit(self.client, self.backup, self.places, targets)
            telling.result = "it fits"
        try:
            for name, target in targets.items():
                self._stage(name, target)
            # Once more, for an `up` that had seen nobody at work: it holds the stack a second later.
            heal.end_what_runs_for_nobody(FOLDER, self.stack)
            marker.set_marker(self.client, self.project, self.stack, archive)
            self._fill_stores()
            self._swap(targets)
        except _FAILURES as error:
            self._give_up(targets, error)
        with stopping.held_back("too late to go back: the new data is in place, and it ends in a moment"):
            try:
                self._forget(targets)
                marker.clear(self.client, self.project)
            except _FAILURES as error:
                self._give_up(targets, error)
            self._start_users()

    def _start_users(self) -> None:
        with step("starting") as telling:
            listed = services.listed(self.client, self.project, self.stack)
            for name in reversed(services.USERS):
                services.start(self.client, [each.id for each in listed if each.service == name])
            telling.result = "evolution-api and app ready"

    def _stage(self, name: str, target: Target) -> None:
        with step(name) as telling:
            source = self.backup.manifest.databases[name]
            target.stage(self.backup.content(DUMPS[name]), source)
            telling.result = f"{count(len(source.rows), 'table')}, {count(sum(source.rows.values()), 'row')}, as in the backup"

    def _fill_stores(self) -> None:
        with step("stopping") as telling:
            users = [each.id for each in services.listed(self.client, self.project, self.stack) if each.service in services.USERS]
            services.stop(self.client, users)
            services.stop(self.client, [self.places[name].container for name in _STORES])
            telling.result = "app and evolution-api stopped"
        for name, folder in _STORES.items():
            self.aside.append(name)
            volumes.put_aside(self.client, self.places[name].container, folder)
        user = self.client.api.inspect_container(self.places[ServiceName.REDIS].container)["Config"]["User"]
        self._fill_files(user)
        with step("starting") as telling:
            services.start(self.client, [self.places[name].container for name in _STORES if name != ServiceName.EVOLUTION_API])
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
            taken = broker.restore_messages(self.backup.content(MESSAGES), lambda number: telling.so_far(count(number, "message")))
            broker.check(definitions, self.backup.manifest.rabbitmq, taken)
            telling.result = (
                f"{count(len(self.backup.manifest.rabbitmq.queues), 'queue')}, {count(taken.total(), 'message')}, as in the backup"
            )

    def _swap(self, targets: dict[str, Target]) -> None:
        """Put the databases in place, or none of them."""
        with step("databases") as telling:
            with stopping.held_back("stopping") as asked:
                for target in targets.values():
                    target.swap()
            if asked:
                raise KeyboardInterrupt
            telling.result = "in place"

    def _forget(self, targets: dict[str, Target]) -> None:
        """Remove what was there before."""
        self.undoable = False
        with step("removing the old data"):
            for target in targets.values():
                target.commit()
            for name, folder in _STORES.items():
                volumes.forget(self.client, self.places[name].container, folder)

    def _give_up(self, targets: dict[str, Target], error: BaseException) -> None:
        """Go back to what was there, as far as that is still kept.

        Raises:
            OperatorError: always: why the restore failed, and what the stack has now.
        """
        why = _said(error)
        again = f"Remove the cause, then run it again: make restore FILE=... STACK={self.stack}"
        if self.undoable:
            warn(f"the restore failed: {why}")
            try:
                with step("going back"), stopping.held_back("it is going back already"):
                    self._go_back(targets)
            except _FAILURES as second:
                why = f"{why}; and going back failed too: {_said(second)}"
        if not marker.is_set(self.client, self.project):
            raise OperatorError(f"The restore failed; stack {self.stack} has the data that it had.", why, again) from error
        raise OperatorError(f"The restore failed, and the data of stack {self.stack} is not whole now.", why, again) from error

    def _go_back(self, targets: dict[str, Target]) -> None:
        for target in targets.values():
            target.swap_back()
        if not marker.is_set(self.client, self.project):
            return
        services.stop(self.client, [self.places[name].container for name in self.aside])
        for name in self.aside:
            volumes.put_back(self.client, self.places[name].container, _STORES[name])
        services.start(self.client, [self.places[name].container for name in services.KEEPERS])
        marker.clear(self.client, self.project)
        self._start_users()


def _said(error: BaseException) -> str:
    """A failure in words: of one that was not foreseen, also of what kind it is."""
    if isinstance(error, (KeyboardInterrupt, Stopped)):
        return "it was stopped"
    return str(error) if isinstance(error, (InsideError, ArchiveError, OperatorError)) else f"{type(error).__name__}: {error}"
