"""Migrations: agree with the models, run once however many start them, and say what stopped them."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from alembic import command
from src.database import create_engine
from src.models import Base
from src.revisions import expected_heads
from src.settings import Settings
from tasks.migrate import CONFIGURATION, DATABASE_WAIT_SECONDS, LOCK, MigrationError, configuration_on, migrate

if TYPE_CHECKING:
    from tests.app.conftest import Postgres

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parent.parent.parent
MakeSettings = Callable[..., Settings]
T = TypeVar("T")


def start(database_url: str, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "DATABASE_URL": database_url, "EVOLUTION_API_KEY": "unused"}
    return subprocess.Popen(
        [sys.executable, "-m", "tasks.migrate", *arguments],
        cwd=ROOT,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


async def on_database(settings: Settings, do: Callable[[Connection], T]) -> T:
    engine = create_engine(settings)
    async with engine.connect() as connection:
        result = await connection.run_sync(do)
    await engine.dispose()
    return result


def _tables(connection: Connection) -> list[str]:
    return list(connection.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).scalars())


def _without_senders(connection: Connection) -> None:
    """Take the database to what it was before the last migration that changes a table of messages."""
    command.downgrade(configuration_on(connection), "0004")
    connection.commit()


def _columns(table: str) -> Callable[[Connection], set[str]]:
    return lambda connection: {column["name"] for column in inspect(connection).get_columns(table)}


async def test_the_migrated_schema_is_exactly_what_the_models_say(make_settings: MakeSettings) -> None:
    settings = make_settings()
    await migrate(settings)
    difference = await on_database(settings, lambda connection: compare_metadata(MigrationContext.configure(connection), Base.metadata))
    assert difference == [], "a model changed without a migration: write one with `alembic revision --autogenerate`"


async def test_a_database_with_messages_learns_how_far_back_catch_up_has_to_begin(make_settings: MakeSettings) -> None:
    settings = make_settings()
    await migrate(settings)

    def fill(connection: Connection) -> dict[str, int]:
        configuration = configuration_on(connection)
        command.downgrade(configuration, "0002")
        for instance, days in (("calm", 9), ("busy", 0), ("calm", 20)):
            connection.execute(
                text(
                    """INSERT INTO messages (id, instance, chat, direction, type, state, whatsapp_timestamp)
                       VALUES (gen_random_uuid(), :instance, 'a', 'inbound', 'text', 'received', now() - make_interval(days => :days))"""
                ),
                {"instance": instance, "days": days},
            )
        command.upgrade(configuration, "head")
        found = connection.execute(text("SELECT instance, extract(day FROM now() - until) AS days FROM caught_up"))
        return {row.instance: int(row.days) for row in found}

    assert await on_database(settings, fill) == {"calm": 9, "busy": 1}, "never later than a day ago: the newest one says nothing of gaps"


async def test_every_migration_can_be_taken_back_and_applied_again(make_settings: MakeSettings) -> None:
    settings = make_settings()
    await migrate(settings)

    def take_back(connection: Connection) -> list[str]:
        configuration = configuration_on(connection)
        command.downgrade(configuration, "base")
        return _tables(connection)

    assert await on_database(settings, take_back) == ["alembic_version"], "a downgrade left something behind"
    await migrate(settings)


async def test_the_head_that_readiness_expects_is_alembics_own() -> None:
    assert expected_heads() == frozenset(ScriptDirectory.from_config(Config(CONFIGURATION)).get_heads())


async def test_heads_are_read_from_chains_branches_and_merges(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("revision = 'a'\ndown_revision = None\n")
    (tmp_path / "b.py").write_text("revision: str = 'b'\ndown_revision: str | None = 'a'\n")
    (tmp_path / "c.py").write_text("revision = 'c'\ndown_revision = 'a'\n")
    assert expected_heads(tmp_path) == {"b", "c"}
    (tmp_path / "d.py").write_text("revision = 'd'\ndown_revision = ('b', 'c')\n")
    assert expected_heads(tmp_path) == {"d"}


async def test_replicas_that_start_at_once_all_succeed_and_one_of_them_migrates(database_url: str) -> None:
    processes = [start(database_url) for _ in range(3)]
    outputs = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], outputs
    assert sum("Running upgrade" in out for out, _ in outputs) == 1, "the lock let more than one of them migrate"


async def test_a_replica_waits_while_another_one_migrates(make_settings: MakeSettings) -> None:
    settings = make_settings()
    engine = create_engine(settings)
    async with engine.connect() as other:
        await other.execute(text("SELECT pg_advisory_lock(:key)"), {"key": LOCK})
        waiting = asyncio.create_task(migrate(settings))
        await asyncio.sleep(1)
        assert not waiting.done(), "it did not wait for the lock"
        await other.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": LOCK})
        await asyncio.wait_for(waiting, timeout=20)
    await engine.dispose()


async def test_a_migration_that_waits_for_a_dump_lets_the_replicas_at_work_go_on(make_settings: MakeSettings) -> None:
    """Whoever waits for a table to itself holds up all who come after: the pause between two tries is theirs."""
    settings = make_settings()
    await migrate(settings)
    await on_database(settings, _without_senders)
    engine = create_engine(settings)
    async with engine.connect() as dump:
        await dump.execute(text("LOCK TABLE messages IN ACCESS SHARE MODE"))  # as pg_dump has, to its end
        waiting = asyncio.create_task(migrate(settings))
        await asyncio.sleep(1)
        for _ in range(3):
            async with engine.connect() as replica:
                await replica.execute(text("SELECT count(*) FROM messages"))
        assert not waiting.done(), "it did not wait for the table"
        await dump.rollback()
        await asyncio.wait_for(waiting, timeout=20)
    assert await on_database(settings, _columns("messages")) >= {"sender"}
    await engine.dispose()


async def test_a_table_that_is_never_free_is_given_up_by_name(make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.migrate.LOCK_WAIT_SECONDS", 0.0)
    settings = make_settings()
    await migrate(settings)
    await on_database(settings, _without_senders)
    engine = create_engine(settings)
    async with engine.connect() as dump:
        await dump.execute(text("LOCK TABLE messages IN ACCESS SHARE MODE"))
        with pytest.raises(MigrationError, match="A table that a migration changes is in use") as caught:
            await migrate(settings)
    assert "backup" in caught.value.fault.mend
    await engine.dispose()


async def test_a_database_that_comes_up_a_little_later_is_waited_for(make_settings: MakeSettings, postgres: "Postgres") -> None:
    postgres.container.pause()
    try:
        migration = asyncio.create_task(migrate(make_settings(), wait_seconds=20))
        await asyncio.sleep(3)
        assert not migration.done(), "it gave up, or went on, while nothing answered"
    finally:
        postgres.container.unpause()
    await asyncio.wait_for(migration, timeout=20)


async def test_a_database_that_stays_away_is_given_up_with_its_address(make_settings: MakeSettings, closed_port: int) -> None:
    settings = make_settings(database=f"postgresql://app:hidden@127.0.0.1:{closed_port}/app")
    with pytest.raises(MigrationError) as raised:
        await asyncio.wait_for(migrate(settings, wait_seconds=1), timeout=15)
    assert f"can't be reached at 127.0.0.1:{closed_port}" in raised.value.fault.problem


async def test_a_refused_password_fails_at_once_with_one_message(postgres: "Postgres") -> None:
    begin = time.monotonic()
    process = start(postgres.url(password="a-wrong-password"))
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert time.monotonic() - begin < DATABASE_WAIT_SECONDS - 5, "waiting can't mend a wrong password"
    assert "refused the user 'app' or its password" in errors
    assert "To mend it:" in errors
    assert "Traceback" not in output + errors
    assert "a-wrong-password" not in output + errors


async def test_a_database_ahead_of_the_code_is_left_alone_with_a_word(make_settings: MakeSettings) -> None:
    settings = make_settings()
    await migrate(settings)

    def go_ahead(connection: Connection) -> None:
        connection.execute(text("UPDATE alembic_version SET version_num = 'newer'"))
        connection.commit()

    await on_database(settings, go_ahead)
    with pytest.raises(MigrationError, match="newer") as raised:
        await migrate(settings)
    assert "run the version of the application that migrated it" in raised.value.fault.mend


async def test_a_migration_that_fails_says_what_postgres_said_and_leaves_the_schema_as_it_was(make_settings: MakeSettings) -> None:
    settings = make_settings()

    def stand_in_the_way(connection: Connection) -> None:
        connection.execute(text("CREATE TABLE instances ()"))
        connection.commit()

    await on_database(settings, stand_in_the_way)
    with pytest.raises(MigrationError, match='relation "instances" already exists'):
        await migrate(settings)
    assert await on_database(settings, _tables) == ["instances"], "a part of the failed migration stayed"


async def test_the_following_command_takes_the_place_of_the_process(database_url: str) -> None:
    process = start(database_url, "--then", sys.executable, "-c", "import os; print('served by', os.getpid())")
    output, _ = process.communicate(timeout=60)
    assert f"served by {process.pid}" in output, "a server with another process id would not receive the container's signals"


async def test_the_following_command_is_not_run_when_the_migration_failed(postgres: "Postgres") -> None:
    process = start(postgres.url("nowhere"), "--then", "echo", "served")
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "has no database 'nowhere'" in errors
    assert "served" not in output


async def test_the_following_command_is_not_run_when_what_it_needs_can_not_be_imported(database_url: str) -> None:
    process = start(database_url, "--needs", "src.no_such_module", "--then", "echo", "served")
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "No module named 'src.no_such_module'" in errors
    assert "served" not in output


async def test_a_stop_ends_the_wait_for_the_database(closed_port: int) -> None:
    process = start(f"postgresql://app:x@127.0.0.1:{closed_port}/app")
    assert process.stdout
    assert "waiting for the database" in process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 143
    assert "Traceback" not in errors
