"""The two Postgres databases: a dump of one moment, and a restore beside what is there, which takes its place in one transaction."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ops.backup import inside
from ops.backup.inside import InsideError, Program
from ops.backup.manifest import Database

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from docker import DockerClient

    from ops.backup.services import Place

_STAGED = "staged"
_REPLACED = "replaced"

_LEAVE_SECONDS = 0.1
"""Between two looks for somebody who is in a database that is to be renamed."""

_MAINTENANCE = "template1"
"""Where to stand while databases are renamed: it is always there."""

# As a client: over the container's own address, where the password counts. PSQLRC and its like are the user's.
_AS_CLIENT = (
    'export PGPASSWORD="${POSTGRES_PASSWORD:-$(cat "$POSTGRES_PASSWORD_FILE")}" PGHOST="$(hostname)" PGUSER="$POSTGRES_USER" '
    'PGAPPNAME=backup PGOPTIONS="-c statement_timeout=0 -c idle_in_transaction_session_timeout=0 -c lock_timeout=60s"; '
)
_PSQL = _AS_CLIENT + 'exec psql --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 --dbname="$1"'

_TABLES = """
SELECT format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' ORDER BY 1
"""
_ROLES = "SELECT rolname FROM pg_catalog.pg_roles WHERE rolname !~ '^pg_' ORDER BY 1"
_OTHERS = """
SELECT datname FROM pg_catalog.pg_database WHERE datallowconn AND NOT datistemplate AND datname NOT IN (current_database(), 'postgres')
ORDER BY 1
"""
_SIZE = "SELECT sum(pg_database_size(oid)) FROM pg_catalog.pg_database"
_END = "-- end of answer --"


@dataclass
class Snapshot:
    """A moment of a database, held for as long as this is open.

    Attributes:
        place: its container.
        name: of the database.
        identifier: by which `pg_dump` finds the moment.
        database: what there was at that moment; the rows are counted by `count`.
    """

    place: Place
    name: str
    identifier: str
    database: Database
    _session: _Session

    def count(self) -> Database:
        """Count the rows of every table, in that moment."""
        rows = count_rows(self._session)
        self.database = self.database.model_copy(update={"rows": rows})
        return self.database

    def dump(self, client: DockerClient) -> Iterator[bytes]:
        """`pg_dump` in its custom format, which is compressed and has its own checks; `pg_restore` reads it."""
        script = _AS_CLIENT + 'exec pg_dump --format=custom --snapshot="$1" --dbname="$2" --lock-wait-timeout=60s'
        return inside.output(client, self.place.container, ("sh", "-c", script, "pg_dump", self.identifier, self.name))

    def close(self) -> None:
        """Let the moment go."""
        self._session.close()


class _Session:
    """A psql that is asked one thing after the other."""

    def __init__(self, client: DockerClient, container: str, database: str) -> None:
        self._program = Program(client, container, ("sh", "-c", _PSQL, "psql", database), what="psql")
        self._answers = self._program.makefile()

    def ask(self, statement: str) -> list[str]:
        """The rows that a statement gives, one column each.

        Raises:
            InsideError: it failed.
        """
        self._program.sendall(f"{statement.strip().rstrip(';')};\n\\echo {_END}\n".encode())
        rows = []
        while (line := self._answers.readline()) != f"{_END}\n".encode():
            if not line:
                self._program.finish()
                raise InsideError(self._program.said() or "psql ended")
            rows.append(line.decode().removesuffix("\n"))
        return rows

    def close(self) -> None:
        self._program.close()


def snapshot(client: DockerClient, place: Place) -> Snapshot:
    """Hold the present moment of the container's database.

    Raises:
        InsideError: the database can't be asked.
    """
    name = place.variables["POSTGRES_DB"]
    session = _Session(client, place.container, name)
    session.ask("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    (identifier,) = session.ask("SELECT pg_export_snapshot()")
    ours = (_beside(name, _STAGED), _beside(name, _REPLACED))
    database = Database(
        version=session.ask("SHOW server_version")[0].split(" ")[0],
        owner=session.ask("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()")[0],
        roles=session.ask(_ROLES),
        rows={},
        revision=_revision(session),
        left_out=[each for each in session.ask(_OTHERS) if each not in ours],
    )
    return Snapshot(place, name, identifier, database, session)


def _revision(session: _Session) -> str | None:
    """The revision of the application's schema, as Alembic notes it."""
    if session.ask("SELECT to_regclass('public.alembic_version') IS NOT NULL") != ["t"]:
        return None
    return next(iter(session.ask("SELECT version_num FROM public.alembic_version")), None)


def count_rows(session: _Session) -> dict[str, int]:
    """Rows of each table, by its name in SQL."""
    return {table: int(session.ask(f"SELECT count(*) FROM ONLY {table}")[0]) for table in session.ask(_TABLES)}  # noqa: S608 - quoted by format


def size_of_all(client: DockerClient, container: str) -> int:
    """Bytes of all databases of the container's server.

    Raises:
        InsideError: it can't be asked.
    """
    session = _Session(client, container, _MAINTENANCE)
    try:
        return int(session.ask(_SIZE)[0])
    finally:
        session.close()


@dataclass
class Target:
    """A database that a dump is restored into.

    Attributes:
        swapped: whether the databases may have changed places: that one was asked for.
    """

    client: DockerClient
    place: Place
    swapped: bool = False

    @property
    def name(self) -> str:
        """Of the database in use."""
        return self.place.variables["POSTGRES_DB"]

    @property
    def staged(self) -> str:
        """Of the database that waits beside it for its place."""
        return _beside(self.name, _STAGED)

    @property
    def replaced(self) -> str:
        """Of the database whose place was taken."""
        return _beside(self.name, _REPLACED)

    def version(self) -> str:
        """Of the server."""
        (line,) = self._do("SHOW server_version")
        return line.split(" ")[0]

    def stage(self, dump: Iterable[bytes], source: Database) -> None:
        """Restore the dump into a database beside the one in use, and count its rows.

        Raises:
            InsideError: that failed, or the rows are not those of the dump.
        """
        self.unstage()
        self._do(f"CREATE DATABASE {_quoted(self.staged)} TEMPLATE template0 ENCODING 'UTF8'")
        roles = set(self._do(_ROLES))
        owners = () if set(source.roles) <= roles else ("--no-owner", "--no-acl")
        script = _AS_CLIENT + 'exec pg_restore --exit-on-error --dbname="$@"'
        restore = ("sh", "-c", script, "pg_restore", self.staged, *owners)
        inside.feed(self.client, self.place.container, restore, dump, what="pg_restore")
        session = _Session(self.client, self.place.container, self.staged)
        try:
            rows = count_rows(session)
            session.ask("ANALYZE")
        finally:
            session.close()
        if rows != source.rows:
            wrong = sorted(table for table in rows.keys() | source.rows.keys() if rows.get(table) != source.rows.get(table))
            told = ", ".join(f"{table} {rows.get(table, 'missing')} instead of {source.rows.get(table, 'none')}" for table in wrong[:5])
            raise InsideError(f"the restored database has other rows than the dump: {told}")

    def unstage(self) -> None:
        """Remove what an earlier restore left beside the database in use."""
        self._do(f"DROP DATABASE IF EXISTS {_quoted(self.staged)} WITH (FORCE)")

    def swap(self) -> None:
        """Put the staged database in the place of the one in use, which stays beside it under another name.

        Raises:
            InsideError: that failed; nothing has changed then.
        """
        self._forget_replaced()
        self.swapped = True
        self._rename((self.name, self.replaced), (self.staged, self.name))

    def swap_back(self) -> None:
        """Undo what `stage` and `swap` did."""
        if self.swapped and self._do(f"SELECT 1 FROM pg_database WHERE datname = {_literal(self.replaced)}"):  # noqa: S608 - quoted
            self._rename((self.name, self.staged), (self.replaced, self.name))
        self.swapped = False
        self.unstage()

    def empty(self) -> None:
        """Put an empty database in the place of the one in use."""
        self.unstage()
        self._do(f"CREATE DATABASE {_quoted(self.staged)} TEMPLATE template0 ENCODING 'UTF8'")
        self.swap()

    def commit(self) -> None:
        """Remove what the swap replaced."""
        self._forget_replaced()

    def _forget_replaced(self) -> None:
        self._do(f"DROP DATABASE IF EXISTS {_quoted(self.replaced)} WITH (FORCE)")

    def _rename(self, *pairs: tuple[str, str]) -> None:
        """Rename databases in one transaction, and send everybody out of them.

        A rename lets nobody in any more, and waits five seconds for those who are inside: meanwhile they are sent out. Before it they would
        be back at once. To close the databases to connections would leave them closed, to health checks too, if this were killed.
        """
        listed = ", ".join(_literal(name) for name, _ in pairs)
        leave = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN ({listed})"  # noqa: S608 - quoted above
        renames = [f"ALTER DATABASE {_quoted(old)} RENAME TO {_quoted(new)}" for old, new in pairs]
        with ThreadPoolExecutor(max_workers=1) as pool:
            renaming = pool.submit(self._do, "; ".join(["BEGIN", *renames, "COMMIT"]))
            while not renaming.done():
                self._do(leave)
                wait([renaming], timeout=_LEAVE_SECONDS)
            renaming.result()

    def _do(self, statement: str) -> list[str]:
        session = _Session(self.client, self.place.container, _MAINTENANCE)
        try:
            return session.ask(statement)
        finally:
            session.close()


def _beside(name: str, role: str) -> str:
    """What a database of a restore's own is called, beside the one of this name.

    PostgreSQL cuts a name at 63 bytes, and goes on: the user's name with something behind it could come out as the user's name again. So
    this has a checksum of that name in it, and nobody gives a database of theirs such a name.
    """
    return f"restore.{hashlib.sha256(name.encode()).hexdigest()[:32]}.{role}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
