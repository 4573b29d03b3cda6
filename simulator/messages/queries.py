"""What `/chat` finds in the database: messages, their updates, contacts and chats, as 2.2.3 shows them (`channel.service.ts`)."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from simulator.errors import internal_error
from simulator.messages.content import Json
from simulator.messages.jids import jid_of
from simulator.store import Store, as_json, camel

PAGE = 50

_FOUND = """
    from message where instance_id = $1 and saved and not held
        and ($2::text is null or id = $2) and ($3::text is null or source = $3) and ($4::text is null or message_type = $4)
        and ($5::text is null or key_id = $5) and ($6::boolean is null or from_me = $6) and ($7::text is null or remote_jid = $7)
        and ($8::bigint is null or message_timestamp >= $8) and ($9::bigint is null or message_timestamp <= $9)
"""
_COUNT = f"select count(*) as total {_FOUND}"
_SELECT = f"""
    select id, key, push_name, message_type, message, message_timestamp, instance_id, source, context_info,
        array(select status from message_update where message_id = message.id order by message_update.seq) as updates
    {_FOUND} order by message_timestamp desc, seq desc limit $10 offset $11
"""  # noqa: S608


class Queries:
    """Looks for what was stored."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def messages(self, instance_id: str, query: Mapping[str, Any]) -> Json:
        """Find messages, the newest first, by pages: `offset` is how many a page has.

        A `fromMe` that is false filters nothing, and times only do when there are both: so it is in 2.2.3.

        Raises:
            ApiError: 500; a value that Prisma doesn't take.
        """
        where = _object(query.get("where"))
        key = _object(where.get("key"))
        since, until = _times(_object(where.get("messageTimestamp")))
        wanted = (
            instance_id,
            _text(where, "id"),
            _text(where, "source"),
            _text(where, "messageType"),
            _text(key, "id"),
            True if key.get("fromMe") else None,
            _text(key, "remoteJid"),
            since,
            until,
        )
        size, page = _whole(query, "offset", PAGE), _whole(query, "page", 1)
        total = (await self._store.fetch(_COUNT, *wanted))[0]["total"]
        rows = await self._store.fetch(_SELECT, *wanted, size, size * (page - 1))
        records = []
        for row in rows:
            record = {camel(name): value for name, value in row.items() if name != "updates"}
            records.append(record | {"MessageUpdate": [{"status": status} for status in row["updates"]]})
        return {"messages": {"total": total, "pages": math.ceil(total / size), "currentPage": page, "records": records}}

    async def statuses(self, instance_id: str, query: Mapping[str, Any]) -> list[Json]:
        """Find updates of messages."""
        where = _object(query.get("where"))
        rows = await self._store.fetch(
            "select id, key_id, remote_jid, from_me, participant, null as poll_updates, status, message_id, instance_id "
            "from message_update where instance_id = $1 "
            "and ($2::text is null or remote_jid = $2) and ($3::text is null or key_id = $3) order by seq",
            instance_id,
            _text(where, "remoteJid"),
            _text(where, "id"),
        )
        return [{camel(name): value for name, value in row.items()} for row in rows]

    async def contacts(self, instance_id: str, query: Mapping[str, Any]) -> list[Json]:
        """Find contacts: all, or the one with a number."""
        rows = await self._store.fetch(
            "select id, remote_jid, push_name, profile_pic_url, created_at, updated_at, instance_id from contact "
            "where instance_id = $1 and saved and ($2::text is null or remote_jid = $2) order by created_at",
            instance_id,
            _jid(query),
        )
        return [{camel(name): as_json(value) for name, value in row.items()} for row in rows]

    async def chats(self, instance_id: str, query: Mapping[str, Any]) -> list[Json]:
        """Find the contacts with whom there are messages, those with the newest first.

        2.2.3 asks Postgres for the last message too, but under a name that Postgres doesn't give it: it never shows.
        """
        since, until = _times(_object(_object(query.get("where")).get("messageTimestamp")))
        rows = await self._store.fetch(
            "select contact.id, contact.remote_jid, push_name, profile_pic_url, to_timestamp(max(message_timestamp)) as updated_at "
            "from contact join lateral (select message_timestamp from message where instance_id = contact.instance_id and remote_jid = "
            "contact.remote_jid and saved and not held and ($3::bigint is null or message_timestamp >= $3) and ($4::bigint is null or "
            "message_timestamp <= $4) order by message_timestamp desc, seq desc limit 1) as newest on true "
            "where instance_id = $1 and saved and ($2::text is null or contact.remote_jid = $2) "
            "group by contact.id order by updated_at desc",
            instance_id,
            _jid(query),
            since,
            until,
        )
        window = {"windowStart": None, "windowExpires": None, "windowActive": False}
        return [{camel(name): as_json(value) for name, value in row.items()} | window for row in rows]

    async def names(self, instance_id: str, jids: list[str]) -> dict[str, str | None]:
        """Give the names of those who are stored contacts."""
        rows = await self._store.fetch(
            "select remote_jid, push_name from contact where instance_id = $1 and saved and remote_jid = any($2)", instance_id, jids
        )
        return {row["remote_jid"]: row["push_name"] for row in rows}


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(values: Mapping[str, Any], name: str) -> str | None:
    value = values.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise internal_error(
            f"\nInvalid `this.prismaRepository` invocation:\n\nArgument `{name}`: Invalid value provided. Expected String."
        )
    return value


def _whole(values: Mapping[str, Any], name: str, default: int) -> int:
    value = values.get(name) or default
    if not isinstance(value, int) or value < 1:
        raise internal_error(f"\nInvalid `this.prismaRepository` invocation:\n\nArgument `{name}`: Invalid value provided. Expected Int.")
    return value


def _jid(query: Mapping[str, Any]) -> str | None:
    given = _text(_object(query.get("where")), "remoteJid")
    return given if given is None or "@" in given else jid_of(given)


def _times(given: Mapping[str, Any]) -> tuple[int | None, int | None]:
    if not (given.get("gte") and given.get("lte")):
        return None, None
    return _seconds(given["gte"]), _seconds(given["lte"])


def _seconds(given: object) -> int:
    """Read a time as `new Date` does: milliseconds, or ISO 8601, where a date alone is UTC's and a time without a zone is local."""
    try:
        if isinstance(given, int | float) and not isinstance(given, bool):
            return math.floor(given / 1000)
        text = str(given)
        read = datetime.fromisoformat(text)
        return math.floor((read.replace(tzinfo=UTC) if len(text) == len("2026-11-22") else read).timestamp())
    except (ValueError, OverflowError, OSError):
        raise internal_error(
            "\nInvalid `this.prismaRepository` invocation:\n\nArgument `messageTimestamp`: Invalid value provided: NaN."
        ) from None
