"""What an instance was told, kept in Postgres: its settings, its proxy, and where its events go."""

from dataclasses import dataclass
from typing import Any

from simulator.store import TARGET_COLUMNS, Row, Store, camel, new_id, shown

SETTINGS = (
    "reject_call",
    "msg_call",
    "groups_ignore",
    "always_online",
    "read_messages",
    "read_status",
    "sync_full_history",
    "wavoip_token",
)
"""Columns of the settings, in the order in which they are shown."""

PROXY = ("host", "port", "protocol", "username", "password")


@dataclass(frozen=True)
class Target:
    """Where an instance sends its own events: to its RabbitMQ exchange, its webhook, ..."""

    kind: str
    enabled: bool
    events: tuple[str, ...]
    url: str | None = None
    headers: Any = None
    by_events: bool | None = None
    base64: bool | None = None


class Preferences:
    """Every method raises `StoreError` when Postgres can't be used."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def save_settings(self, instance_id: str, settings: Row) -> None:
        """Keep settings, given by their names in the API; those that are missing stay as they are."""
        await self._save("setting", {column: settings[camel(column)] for column in SETTINGS if camel(column) in settings}, instance_id)

    async def settings(self, instance_id: str) -> Row | None:
        """Give the settings."""
        rows = await self._store.fetch("select * from setting where instance_id = $1", instance_id)
        return shown(rows[0], SETTINGS) if rows else None

    async def save_proxy(self, instance_id: str, proxy: Row) -> None:
        """Keep a proxy."""
        await self._save("proxy", {column: proxy[column] for column in ("enabled", *PROXY)}, instance_id)

    async def proxy(self, instance_id: str) -> Row | None:
        """Give the proxy."""
        rows = await self._store.fetch("select * from proxy where instance_id = $1", instance_id)
        return shown(rows[0]) if rows else None

    async def targets(self, instance_id: str) -> list[Target]:
        """Give where an instance sends its own events."""
        rows = await self._store.fetch("select * from event_target where instance_id = $1", instance_id)
        return [_target(row) for row in rows]

    async def save_target(self, instance_id: str, target: Target) -> tuple[Target, Row]:
        """Keep where an instance sends its own events, and give what is kept now: what a target leaves out (None) stays as it was."""
        rows = await self._store.fetch(
            "insert into event_target as old (id, kind, enabled, events, url, headers, by_events, base64, instance_id) "
            "values ($1, $2, $3, $4, $5, $6, coalesce($7, false), coalesce($8, false), $9) "
            "on conflict (instance_id, kind) do update set enabled = excluded.enabled, events = excluded.events, url = excluded.url, "
            "headers = coalesce(excluded.headers, old.headers), by_events = coalesce($7, old.by_events), "
            "base64 = coalesce($8, old.base64), updated_at = now() returning *",
            new_id(),
            target.kind,
            target.enabled,
            list(target.events),
            target.url,
            target.headers,
            target.by_events,
            target.base64,
            instance_id,
        )
        return _target(rows[0]), _shown_target(rows[0])

    async def shown_target(self, instance_id: str, kind: str) -> Row | None:
        """Give a target as the API shows it."""
        rows = await self._store.fetch("select * from event_target where instance_id = $1 and kind = $2", instance_id, kind)
        return _shown_target(rows[0]) if rows else None

    async def _save(self, table: str, values: Row, instance_id: str) -> None:
        """Insert or change an instance's row; the columns are names of this program's own, never from outside."""
        row = {"id": new_id(), "instance_id": instance_id, **values}
        places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
        changes = ", ".join(f"{column} = excluded.{column}" for column in values)
        await self._store.execute(
            f"insert into {table} ({', '.join(row)}) values ({places}) "  # noqa: S608
            f"on conflict (instance_id) do update set {changes}, updated_at = now()",
            *row.values(),
        )


def _target(row: Any) -> Target:  # noqa: ANN401  (a record, or whatever has its columns)
    return Target(row["kind"], row["enabled"], tuple(row["events"]), row["url"], row["headers"], row["by_events"], row["base64"])


def _shown_target(row: Any) -> Row:  # noqa: ANN401
    if row["kind"] != "webhook":
        return shown(row, TARGET_COLUMNS)
    kept = shown(row, ("id", "url", "headers", "enabled", "events", "by_events", "base64", "created_at", "updated_at", "instance_id"))
    names = {"byEvents": "webhookByEvents", "base64": "webhookBase64"}
    return {names.get(name, name): value for name, value in kept.items()}
