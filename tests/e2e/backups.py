"""Backups of the shared stack: one for all tests, made while somebody writes; and what one needs to look at them."""

import base64
import io
import json
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ops.backup.shelf import PARTIAL
from tests.e2e.belongings import Belongings
from tests.e2e.broker import lose_right, take
from tests.e2e.data import Clients, succeeded
from tests.e2e.environment import Stack, eventually
from tests.e2e.project import Ran

KEY = "a-key-of-many-characters,-which-nobody-guesses"
_LIVE, _BUCKET = "e2e-live", "e2e-live"
_DATABASES = ("POSTGRES", "EVOLUTION_POSTGRES")
_SOME = 3


@dataclass
class Writing:
    """Somebody who writes all the time, each thing under the next number: an object, rows that name it, a message that tells of the rows.

    Attributes:
        done: the last number of which everything was written.
        failures: what could not be written, or was not served, meanwhile.
    """

    clients: Clients
    done: int = 0
    failures: list[str] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)

    def prepare(self) -> None:
        """Make the places that are written to."""
        for database in _DATABASES:
            self.clients.sql(database, "CREATE TABLE live (n int PRIMARY KEY)")
        succeeded(self.clients.rabbitmq("PUT", f"/queues/%2F/{_LIVE}", durable=True))
        self.clients.minio().make_bucket(_BUCKET)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._write)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    def _write(self) -> None:
        while not self._ended.is_set():
            number = self.done + 1
            try:
                self.clients.minio().put_object(_BUCKET, f"{number:06}", io.BytesIO(b"x" * number), number)
                for database in _DATABASES:
                    self.clients.sql(database, f"INSERT INTO live VALUES ({number})")  # noqa: S608 - a number
                message = {"routing_key": _LIVE, "payload": str(number), "payload_encoding": "string", "properties": {"delivery_mode": 2}}
                succeeded(self.clients.rabbitmq("POST", "/exchanges/%2F/amq.default/publish", **message))
                succeeded(self.clients.stack.readiness())
            except Exception as error:  # noqa: BLE001 - whatever it is, it was not served
                self.failures.append(f"number {number}: {type(error).__name__}: {error}")
                return
            self.done = number


@dataclass(frozen=True)
class Live:
    """What was written by `Writing`, as far as it is there: numbers in each store."""

    messages: list[int]
    rows: dict[str, list[int]]
    objects: list[int]

    @classmethod
    def read(cls, clients: Clients) -> "Live":
        statement = "SELECT string_agg(n::text, ' ' ORDER BY n) FROM live"
        return cls(
            messages=[int(base64.b64decode(each["payload"])) for each in take(clients, _LIVE)],
            rows={database: [int(each) for each in clients.sql(database, statement).split()] for database in _DATABASES},
            objects=[int(each.object_name or "") for each in clients.minio().list_objects(_BUCKET)],
        )

    def assert_consistent(self, before: int, after: int) -> None:
        """See that it is what was there at one time between two numbers, and that nothing is there without what it rests on."""
        stores = {"messages": self.messages, **self.rows, "objects": self.objects}
        for name, numbers in stores.items():
            assert numbers == list(range(1, len(numbers) + 1)), f"{name} have gaps, doubles or another order: {numbers}"
            assert before <= len(numbers) <= after + 1, f"{len(numbers)} {name}, of {before} before the backup and {after} after it"
        for name, numbers in self.rows.items():
            assert len(self.messages) <= len(numbers), f"{name}: messages tell of rows that are not there: {stores}"
            assert len(numbers) <= len(self.objects), f"{name}: rows name objects that are not there: {stores}"


@dataclass(frozen=True)
class Kept:
    """A backup of the shared stack.

    Attributes:
        file: the archive.
        belongings: what it has to have.
        ran: the command that made it.
        numbers: of what is written all the time, before and after.
        live: what the stack itself had after it.
        failures: what the stack did not serve meanwhile.
    """

    stack: Stack
    file: Path
    belongings: Belongings
    ran: Ran
    numbers: tuple[int, int]
    live: Live
    failures: list[str]

    def assert_restored(self, clients: Clients) -> None:
        """See that a stack has all that was there when the backup was made."""
        self.belongings.assert_there(clients)
        Live.read(clients).assert_consistent(*self.numbers)
        clients.stack.assert_works()


def make(stack: Stack) -> Kept:
    """Write data into the stack, and back it up into the usual folder while more is written."""
    clients = Clients(stack, stack.credentials())
    writing = Writing(clients)
    writing.prepare()
    belongings = Belongings.write(clients)
    shut_out = lose_right(clients)
    with writing:
        eventually(20, lambda: writing.done >= _SOME, "somebody writes")
        before = writing.done
        ran = stack.make("backup")
        after = writing.done
    assert ran.code == 0, ran.told
    ran.assert_tells(f"no right to RabbitMQ's virtual host {shut_out}")
    (file,) = files(stack.copy.folder / "backups")
    return Kept(stack, file, belongings, ran, (before, after), Live.read(clients), writing.failures)


def files(folder: Path) -> list[Path]:
    """The files in a folder that look like backups."""
    return sorted(folder.glob("*.tar*"))


def half_written(folder: Path) -> list[Path]:
    """What a backup leaves that was killed."""
    return sorted(folder.glob(f"{PARTIAL}*"))


def listed(stack: Stack, folder: Path) -> list[dict[str, Any]]:
    """What `make backups JSON=1` tells."""
    ran = stack.make("backups", DIR=str(folder), JSON="1")
    assert ran.code == 0, ran.told
    found: list[dict[str, Any]] = json.loads(ran.output)
    return found


def restore(stack: Stack, file: Path, **variables: str) -> Ran:
    """Run `make restore` without its question."""
    return stack.make("restore", FILE=str(file), YES="1", **variables)


def at_work(clients: Clients, database: str = "POSTGRES") -> str:
    """What backups and restores are doing in a database, in words; empty for nothing."""
    question = "SELECT coalesce(string_agg(state || ' ' || query, '; '), '') FROM pg_stat_activity WHERE application_name = 'backup'"
    return clients.sql(database, question)


def unfinished(stack: Stack) -> bool:
    """Whether the stack is marked as one whose restore was interrupted."""
    return f"{stack.project}_restore_unfinished" in stack.picture().volumes
