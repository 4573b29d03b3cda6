"""The way into Postgres: from Prisma's form of connection URI to a pool, with the tables made."""

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg

from simulator.settings import StartRefusedError

SCHEMA_SUFFIX = "_simulator"
"""The simulator's schema is the URI's with this behind it; `schema.sql` says why."""

_LOCK = 0x45564F53494D
"""Key of the advisory lock under which the tables are made: several simulators may start on one database."""

_POOL_SIZE = 10


SslMode = Literal["disable", "prefer", "allow", "require", "verify-ca", "verify-full"]


@dataclass(frozen=True)
class Address:
    """A database and a schema in it. `connect_timeout` is in seconds."""

    host: str
    port: int
    user: str
    password: str
    database: str
    schema: str
    sslmode: SslMode
    connect_timeout: float


def parse_uri(uri: str) -> Address:
    """Read a `DATABASE_CONNECTION_URI` as Prisma does: `schema`, `sslmode` and `connect_timeout` count, other options are left out.

    Raises:
        StartRefusedError: it is empty or of another kind (Prisma's P1012, P1013).
    """
    if not uri:
        raise StartRefusedError(
            "Error: P1012: You must provide a nonempty URL. The variable DATABASE_CONNECTION_URI resolved to an empty string."
        )
    if not uri.startswith(("postgresql://", "postgres://")):
        raise StartRefusedError(
            "Error: P1012: the URL must start with the protocol `postgresql://` or `postgres://` (DATABASE_CONNECTION_URI)"
        )
    try:
        parts = urlsplit(uri)
        options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        return Address(
            host=parts.hostname or "localhost",
            port=parts.port or 5432,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            database=unquote(parts.path.removeprefix("/")) or "postgres",
            schema=options.get("schema", "public") + SCHEMA_SUFFIX,
            sslmode=cast("SslMode", options.get("sslmode", "prefer")),
            connect_timeout=float(options.get("connect_timeout", "5")),
        )
    except ValueError as error:
        raise StartRefusedError(
            f"Error: P1013: The provided database string is invalid: {error} (DATABASE_CONNECTION_URI; percent-encode its password)"
        ) from None


async def migrate(address: Address) -> None:
    """Make the database, the schema and the tables that are missing.

    Raises:
        StartRefusedError: the server can't be reached (P1001), refuses the credentials (P1000) or the work.
    """
    at = f"`{address.host}:{address.port}`"
    try:
        connection = await _connect_making_database(address)
        try:
            await _make_tables(connection, address.schema)
        finally:
            await connection.close()
    except (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError):
        raise StartRefusedError(
            f"Error: P1000: Authentication failed against database server at {at}, the provided database credentials for "
            f"`{address.user}` are not valid (DATABASE_CONNECTION_URI)"
        ) from None
    except (OSError, asyncpg.CannotConnectNowError) as error:
        raise StartRefusedError(f"Error: P1001: Can't reach database server at {at} ({error or type(error).__name__})") from None
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise StartRefusedError(f"Error: {type(error).__name__} at {at}: {error}") from None


async def open_pool(address: Address) -> "asyncpg.Pool[asyncpg.Record]":
    """Open the pool that requests use."""
    return await asyncpg.create_pool(
        host=address.host,
        port=address.port,
        user=address.user,
        password=address.password,
        database=address.database,
        ssl=address.sslmode,
        timeout=address.connect_timeout,
        min_size=1,
        max_size=_POOL_SIZE,
        command_timeout=30,
        init=_speak_json,
        reset=_as_it_is,
        server_settings={"search_path": quoted(address.schema), "application_name": "evolution-api-simulator"},
    )


def quoted(identifier: str) -> str:
    """Quote an SQL identifier."""
    return '"' + identifier.replace('"', '""') + '"'


async def _connect(address: Address, database: str) -> "asyncpg.Connection[asyncpg.Record]":
    return await asyncpg.connect(
        host=address.host,
        port=address.port,
        user=address.user,
        password=address.password,
        database=database,
        ssl=address.sslmode,
        timeout=address.connect_timeout,
    )


async def _connect_making_database(address: Address) -> "asyncpg.Connection[asyncpg.Record]":
    """Prisma's `migrate deploy` makes a missing database, so this does too."""
    try:
        return await _connect(address, address.database)
    except asyncpg.InvalidCatalogNameError:
        maintenance = await _connect(address, "postgres")
        try:
            with suppress(asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):  # another simulator was faster
                await maintenance.execute(f"create database {quoted(address.database)}")
        finally:
            await maintenance.close()
        return await _connect(address, address.database)


async def _make_tables(connection: "asyncpg.Connection[asyncpg.Record]", schema: str) -> None:
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
        await connection.execute(f"create schema if not exists {quoted(schema)}")
        await connection.execute(f"set local search_path to {quoted(schema)}")
        await connection.execute(Path(__file__).with_name("schema.sql").read_text(encoding="utf-8"))


async def _speak_json(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")


async def _as_it_is(_connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Give a connection back without asking Postgres to forget its session's state: nothing here makes any, and it costs a round trip."""
