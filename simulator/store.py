"""Postgres, and the instances in it."""

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Literal

import asyncpg

Row = dict[str, Any]

_COUNTED = """
    select id, (select count(*) from message where instance_id = instance.id and saved and not held) as messages,
        (select count(*) from contact where instance_id = instance.id and saved) as contacts
    from instance where id = any($1)
"""

TARGET_COLUMNS = ("id", "enabled", "events", "created_at", "updated_at", "instance_id")
"""What is shown of a target, except of a webhook."""


_LETTERS = bytes(b"0123456789abcdefghijklmnopqrstuvwxyz"[byte % 36] for byte in range(256))
"""A letter or digit for each byte: choosing them one by one takes fifty times as long."""


class StoreError(Exception):
    """Postgres didn't do it. The text begins as Prisma's would."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(f"\nInvalid `this.prismaRepository` invocation:\n\n{cause or type(cause).__name__}")


def new_id() -> str:
    """Make an id in the form of Prisma's `cuid()`."""
    return "c" + secrets.token_bytes(24).translate(_LETTERS).decode()


def camel(name: str) -> str:
    """Turn `created_at` into `createdAt`."""
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def as_json(value: object) -> object:
    """Write a time as JavaScript does: UTC, milliseconds, `Z`."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03}Z"
    return value


def shown(row: asyncpg.Record, columns: Sequence[str] | None = None) -> Row:
    """Give a row, or some columns of it, as Prisma does."""
    return {camel(column): as_json(row[column]) for column in columns or list(row.keys())}


class Store:
    """Every method raises `StoreError` when Postgres can't be used; the next call tries again."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    def close(self) -> None:
        """Drop the connections."""
        self._pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator["asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"]:
        """Lend a connection, for several statements or a transaction."""
        try:
            async with self._pool.acquire(timeout=10) as connection:
                yield connection
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise StoreError(error) from error

    async def fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """Run a query and give its rows."""
        async with self.connection() as connection:
            return await connection.fetch(query, *arguments)

    async def execute(self, query: str, *arguments: object) -> None:
        """Run a statement that gives no rows."""
        async with self.connection() as connection:
            await connection.execute(query, *arguments)

    async def has_instance(self, name: str | None) -> bool:
        """Whether the name is used, by any client; None asks whether there is any instance, as Prisma takes an undefined name."""
        return bool(await self.fetch("select 1 from instance where $1::text is null or name = $1 limit 1", name))

    async def token_of(self, name: str) -> str | None:
        """Give an instance's token."""
        rows = await self.fetch("select token from instance where name = $1", name)
        return rows[0]["token"] if rows else None

    async def names_by_token(self, token: str, name: str | None = None, instance_id: str | None = None) -> list[str]:
        """Give the names of the instances with this token, of those with the name and the id if given."""
        rows = await self.fetch(
            "select name from instance where token = $1 and ($2::text is null or name = $2) and ($3::text is null or id = $3)",
            token,
            name,
            instance_id,
        )
        return [row["name"] for row in rows]

    async def name_of(self, column: Literal["id", "number"], value: str) -> str | None:
        """Give the name of the first instance whose id or number is this."""
        rows = await self.fetch(f"select name from instance where {column} = $1 limit 1", value)  # noqa: S608
        return rows[0]["name"] if rows else None

    async def instances(self, client_name: str) -> list[asyncpg.Record]:
        """Give the rows of all instances of a client."""
        return await self.fetch("select * from instance where client_name = $1 order by created_at", client_name)

    async def described(self, client_name: str, names: list[str] | None) -> list[Row]:
        """Give a client's instances, all or those named, as `fetchInstances` shows them."""
        rows = await self.fetch(
            "select * from instance where client_name = $1 and ($2::text[] is null or name = any($2)) order by created_at",
            client_name,
            names,
        )
        ids = [row["id"] for row in rows]
        settings = {row["instance_id"]: row for row in await self.fetch("select * from setting where instance_id = any($1)", ids)}
        targets = {
            (row["instance_id"], row["kind"]): row
            for row in await self.fetch("select * from event_target where instance_id = any($1)", ids)
        }
        proxies = {row["instance_id"]: row for row in await self.fetch("select * from proxy where instance_id = any($1)", ids)}

        counted = {row["id"]: row for row in await self.fetch(_COUNTED, ids)}

        def target(instance_id: str, kind: str) -> Row | None:
            row = targets.get((instance_id, kind))
            return shown(row, TARGET_COLUMNS) if row else None

        return [
            shown(row)
            | {
                "Chatwoot": None,
                "Proxy": shown(proxies[row["id"]]) if row["id"] in proxies else None,
                "Rabbitmq": target(row["id"], "rabbitmq"),
                "Sqs": target(row["id"], "sqs"),
                "Websocket": target(row["id"], "websocket"),
                "Setting": shown(settings[row["id"]]) if row["id"] in settings else None,
                # A chat's row comes with the history of a real phone, and there is none.
                "_count": {"Message": counted[row["id"]]["messages"], "Contact": counted[row["id"]]["contacts"], "Chat": 0},
            }
            for row in rows
            if row["id"] in counted
        ]

    async def insert_instance(self, row: Row) -> None:
        """Keep a new instance, given by its columns."""
        await self.insert("instance", row)

    async def insert(self, table: str, row: Row) -> None:
        """Insert a row whose keys are columns: names of this program's own, never from outside."""
        places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
        await self.execute(f"insert into {table} ({', '.join(row)}) values ({places})", *row.values())  # noqa: S608

    async def set_connection(self, instance_id: str, status: str, owner_jid: str | None, profile_name: str | None) -> None:
        """Keep the state of an instance's connection, and whose phone it is."""
        await self.execute(
            "update instance set connection_status = $2, owner_jid = $3, profile_name = $4, updated_at = now() where id = $1",
            instance_id,
            status,
            owner_jid,
            profile_name,
        )

    async def set_status(self, instance_id: str, status: str) -> None:
        """Keep the state alone."""
        await self.execute("update instance set connection_status = $2, updated_at = now() where id = $1", instance_id, status)

    async def set_disconnected(self, instance_id: str, reason: int, last: str, at: datetime) -> None:
        """Keep that a connection ended, why, and what was heard last."""
        await self.execute(
            "update instance set connection_status = 'close', disconnection_reason_code = $2, disconnection_object = $3, "
            "disconnection_at = $4, updated_at = now() where id = $1",
            instance_id,
            reason,
            last,
            at,
        )

    async def delete_instance(self, name: str) -> None:
        """Forget an instance and what belongs to it."""
        await self.execute("delete from instance where name = $1", name)
