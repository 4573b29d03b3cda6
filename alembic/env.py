"""How alembic reaches the database: over the connection that `tasks.migrate` or a test hands it, else by the application's settings."""

import asyncio

from alembic.util import CommandError
from sqlalchemy import Connection, text

from alembic import context
from src.database import create_patient_engine
from src.models import Base
from src.settings import load_settings_or_exit

LOCK_TIMEOUT = "2s"
"""A migration that waits for a table, as behind a dump, holds up every replica that comes after it. What is built in an `autocommit_block`,
as an index CONCURRENTLY, waits for as long as it takes."""


def run(connection: Connection) -> None:
    """Run the command's migrations in one transaction."""
    context.configure(connection=connection, target_metadata=Base.metadata)
    with context.begin_transaction():
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
        context.run_migrations()


async def connect_and_run() -> None:
    """Run them on a connection made for it, as for `alembic revision --autogenerate` in a shell."""
    engine = create_patient_engine(load_settings_or_exit())
    async with engine.connect() as connection:
        await connection.run_sync(run)
    await engine.dispose()


if context.is_offline_mode():
    raise CommandError("Migrations here run on a database only; there is no --sql mode.")
if handed := context.config.attributes.get("connection"):
    run(handed)
else:
    asyncio.run(connect_and_run())
