"""Brings the database's schema to what this code expects: `python -m tasks.migrate [--needs MODULE] [--then COMMAND ...]`.

Safe when several replicas start at once: one migrates, the others wait for it and find nothing left to do.
"""

import argparse
import asyncio
import importlib
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from alembic import command
from src.database import DatabaseError, create_patient_engine, explain, is_lock_refused, is_worth_waiting_for
from src.faults import Fault, State
from src.logs import configure_logging
from src.settings import Settings, exit_with, load_settings_or_exit

CONFIGURATION = Path(__file__).parent.parent / "alembic.ini"
DATABASE_WAIT_SECONDS = 30.0
LOCK_WAIT_SECONDS = 600.0
"""How long another replica's migration may take, and how long a table that a migration changes may be in use by others."""
LOCK = 8_417_029_566
"""The key of the advisory lock: any number that nothing else in this database uses."""
_POLL_SECONDS = 0.2
_BREATH_SECONDS = 2.0
"""Between two tries to lock a table: time for whoever was held up by the try to do what it is there for."""

_log = logging.getLogger("app.migrate")


class MigrationError(Exception):
    """The schema could not be brought to the head; `fault` says why."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.problem)
        self.fault = fault


async def migrate(settings: Settings, wait_seconds: float = DATABASE_WAIT_SECONDS) -> None:
    """Upgrade the database to the head, waiting at most `wait_seconds` for it to accept connections.

    Raises:
        MigrationError: the database can't be used, or a migration failed, which leaves the schema as it was before.
    """
    engine = create_patient_engine(settings)
    try:
        await _wait_until_connectable(engine, settings, wait_seconds)
        async with _lock(engine):
            await _upgrade_once_free(engine)
    except DatabaseError as error:
        raise MigrationError(explain(error, settings)) from error
    except CommandError as error:
        raise MigrationError(_bad_revisions(error)) from error
    finally:
        await engine.dispose()


async def _upgrade_once_free(engine: AsyncEngine) -> None:
    """Upgrade as soon as nobody else, such as a backup, uses a table that is changed."""
    deadline = time.monotonic() + LOCK_WAIT_SECONDS
    told = False
    while True:
        try:
            async with engine.connect() as connection:
                return await connection.run_sync(_upgrade)
        except DatabaseError as error:
            if not is_lock_refused(error):
                raise
            if time.monotonic() > deadline:
                raise MigrationError(_table_kept()) from error
            if not told:
                _log.warning("waiting for a table that a migration changes: others use it, as a backup does")
                told = True
        await asyncio.sleep(_BREATH_SECONDS)


def _upgrade(connection: Connection) -> None:
    command.upgrade(configuration_on(connection), "head")


def configuration_on(connection: Connection) -> Config:
    """Alembic's configuration, for its commands on a connection that is there."""
    configuration = Config(CONFIGURATION)
    configuration.attributes["connection"] = connection  # what alembic/env.py then uses
    return configuration


def _bad_revisions(error: CommandError) -> Fault:
    return Fault(
        State.NOT_MIGRATED,
        f"The schema can't be brought to the head: {error}",
        "when the database is ahead of this code, run the version of the application that migrated it; when there are several heads, merge "
        "them with `alembic merge heads`.",
    )


async def _wait_until_connectable(engine: AsyncEngine, settings: Settings, wait_seconds: float) -> None:
    deadline = time.monotonic() + wait_seconds
    told = False
    while True:
        try:
            async with engine.connect():
                return
        except DatabaseError as error:
            if not is_worth_waiting_for(error) or time.monotonic() > deadline:
                raise
            if not told:
                _log.warning("waiting for the database: %s", explain(error, settings).problem)
                told = True
        await asyncio.sleep(_POLL_SECONDS)


@asynccontextmanager
async def _lock(engine: AsyncEngine) -> AsyncIterator[None]:
    """Hold the lock on a connection of its own; Postgres releases it with the connection, should this process die.

    Polled outside any transaction: one that waits for a lock holds a snapshot, and the CREATE INDEX CONCURRENTLY of the
    replica that has the lock would wait for it in turn.
    """
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        deadline = time.monotonic() + LOCK_WAIT_SECONDS
        while not await _try_lock(connection):
            if time.monotonic() > deadline:
                raise MigrationError(_lock_kept())
            await asyncio.sleep(_POLL_SECONDS)
        try:
            yield
        finally:
            await connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": LOCK})


async def _try_lock(connection: AsyncConnection) -> bool:
    return bool((await connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": LOCK})).scalar_one())


def _table_kept() -> Fault:
    return Fault(
        State.TIMEOUT,
        f"A table that a migration changes is in use by others, and was so for more than {LOCK_WAIT_SECONDS:.0f} s.",
        "wait for a backup to end, or end the transaction that keeps the table (`SELECT * FROM pg_stat_activity` shows it); start again.",
    )


def _lock_kept() -> Fault:
    return Fault(
        State.TIMEOUT,
        f"Another replica has been migrating the database for more than {LOCK_WAIT_SECONDS:.0f} s.",
        "look at the logs of the other replicas; stop the one that hangs.",
    )


def main(arguments: list[str] | None = None) -> None:
    """Migrate, then become the command after --then, which keeps this process's id and so receives the container's signals."""
    parser = argparse.ArgumentParser(description="Bring the database's schema to what this code expects.")
    # A reloader goes on without the program that it could not load: its container would run, and never serve.
    parser.add_argument("--needs", metavar="MODULE", help="a module that must be importable before the command is run")
    parser.add_argument("--then", nargs=argparse.REMAINDER, metavar="COMMAND", help="a command to run in place of this process afterwards")
    given = parser.parse_args(arguments)
    following: list[str] = given.then or []
    # The first process of a container gets no default action for SIGTERM: without this, a stop would wait to be killed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    settings = load_settings_or_exit()
    configure_logging(settings.log_level)
    try:
        asyncio.run(migrate(settings))
    except MigrationError as error:
        exit_with(f"The database was not migrated. {error.fault}")
    _log.info("the database's schema is up to date")
    if given.needs:
        importlib.import_module(given.needs)
    if following:
        sys.stdout.flush()
        os.execvp(following[0], following)  # noqa: S606  # a list, no shell


if __name__ == "__main__":
    main()
