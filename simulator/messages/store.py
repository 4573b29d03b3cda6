"""Messages, their updates, their files and contacts in Postgres. Every method raises `StoreError` when Postgres can't be used."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from simulator.messages.content import Content, Json, device_of
from simulator.store import Store, new_id

STATUSES = ("ERROR", "PENDING", "SERVER_ACK", "DELIVERY_ACK", "READ", "PLAYED")
"""How far a message came; its place in this list is the number that WhatsApp gives it."""

PENDING, SERVER_ACK, DELIVERY_ACK, READ = "PENDING", "SERVER_ACK", "DELIVERY_ACK", "READ"

_TOLD = f"array_position(array[{', '.join(repr(status) for status in STATUSES)}], status::text) - 1"
"""The number of a row's status; null for a deleted message."""

_COLUMNS = (
    "id, instance_id, remote_jid, key_id, from_me, key, push_name, message_type, message, context_info, source, message_timestamp, status, "
    "saved, held, reached, seen, edited"
)

_INSERT = """
    insert into message (id, instance_id, remote_jid, key_id, from_me, key, push_name, message_type, message, context_info, source,
                         message_timestamp, status, saved, held, reached)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
"""
_INSERT_WITH_FILE = f"""
    with written as ({_INSERT} returning id, instance_id)
    insert into media (id, object, type, mimetype, content, message_id, instance_id)
    select $17, $18, $19, $20, $21, id, instance_id from written
"""  # noqa: S608  (two constants)


@dataclass(frozen=True)
class Message:
    """A message as it is stored; the columns say what they mean in `schema.sql`."""

    id: str
    instance_id: str
    remote_jid: str
    key_id: str
    from_me: bool
    key: Json
    push_name: str | None
    message_type: str
    message: Json
    context_info: Json | None
    source: str
    message_timestamp: int
    status: str | None
    saved: bool
    held: bool
    reached: int
    seen: bool = False
    edited: str | None = None

    @property
    def raw(self) -> Json:
        """The message as 2.2.3 shows it in answers and events."""
        return {
            "key": self.key,
            "pushName": self.push_name,
            "status": self.status,
            "message": self.message,
            "contextInfo": self.context_info,
            "messageType": self.message_type,
            "messageTimestamp": self.message_timestamp,
            "instanceId": self.instance_id,
            "source": self.source,
        }


@dataclass(frozen=True)
class StoredFile:
    """A message's file. `object` is its name in the bucket without the prefix, None where it isn't there."""

    type: str
    mimetype: str
    content: bytes
    object: str | None = None


def composed(instance_id: str, key: Json, content: Content, *, push_name: str | None, timestamp: int, status: str, saved: bool) -> Message:
    """Make a new message."""
    return Message(
        id=new_id(),
        instance_id=instance_id,
        remote_jid=key["remoteJid"],
        key_id=key["id"],
        from_me=key["fromMe"],
        key=key,
        push_name=push_name,
        message_type=content.type,
        message=content.json,
        context_info=content.context,
        source=device_of(key["id"]),
        message_timestamp=timestamp,
        status=status,
        saved=saved,
        held=False,
        reached=STATUSES.index(status),
    )


def _message(row: asyncpg.Record) -> Message:
    return Message(**dict(row.items()))


class MessageStore:
    """What the simulated WhatsApp and the simulated Evolution remember of messages."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def insert(self, message: Message, file: StoredFile | None = None) -> None:
        """Keep a message, and its file with it."""
        values: list[Any] = [
            message.id,
            message.instance_id,
            message.remote_jid,
            message.key_id,
            message.from_me,
            message.key,
            message.push_name,
            message.message_type,
            message.message,
            message.context_info,
            message.source,
            message.message_timestamp,
            message.status,
            message.saved,
            message.held,
            message.reached,
        ]
        if file is None:
            await self._store.execute(_INSERT, *values)
        else:
            await self._store.execute(_INSERT_WITH_FILE, *values, new_id(), file.object, file.type, file.mimetype, file.content)

    async def by_key(self, instance_id: str, key_id: str) -> Message | None:
        """Find a message by WhatsApp's id."""
        found = await self.by_keys(instance_id, [key_id])
        return found[0] if found else None

    async def by_keys(self, instance_id: str, key_ids: Sequence[str]) -> list[Message]:
        """Find messages by WhatsApp's ids."""
        query = f"select {_COLUMNS} from message where key_id = any($2) and instance_id = $1 order by seq"  # noqa: S608
        return [_message(row) for row in await self._store.fetch(query, instance_id, list(key_ids))]

    async def chat(self, instance_id: str, jid: str, limit: int, before: str | None) -> list[Message]:
        """Give the newest messages of a chat, or those before one of them; the oldest comes first."""
        query = f"""
            select {_COLUMNS} from message where instance_id = $1 and remote_jid = $2
                and ($4::text is null or seq < (select seq from message where instance_id = $1 and key_id = $4 limit 1))
            order by message_timestamp desc, seq desc limit $3
        """  # noqa: S608
        return [_message(row) for row in reversed(await self._store.fetch(query, instance_id, jid, limit, before))]

    async def file(self, instance_id: str, key_id: str) -> StoredFile | None:
        """Give a message's file."""
        query = """
            select media.type, media.mimetype, media.content, media.object from media join message on message.id = media.message_id
            where message.key_id = $2 and message.instance_id = $1
        """
        rows = await self._store.fetch(query, instance_id, key_id)
        return StoredFile(**dict(rows[0].items())) if rows else None

    async def delete_logically(self, message_id: str, key: Json) -> None:
        """Keep a deleted message, marked so."""
        await self._store.execute("update message set key = $2, status = 'DELETED' where id = $1", message_id, key)

    async def released(self, message: Message, file_object: str | None) -> None:
        """Take a message out of hold, as it is now."""
        await self._store.execute("update media set object = $2 where message_id = $1", message.id, file_object)
        await self._store.execute("update message set message = $2, held = false where id = $1", message.id, message.message)

    async def edit(self, message_id: str, words: str) -> None:
        """Keep what a message says from now on."""
        await self._store.execute("update message set edited = $2 where id = $1", message_id, words)

    async def delete(self, message_id: str) -> None:
        """Forget a message."""
        await self._store.execute("delete from message where id = $1", message_id)

    async def see(self, instance_id: str, key_ids: list[str]) -> list[Message]:
        """Keep that the instance read these messages, and give those for which that is new."""
        query = f"""
            update message set seen = true where instance_id = $1 and key_id = any($2) and not from_me and not seen returning {_COLUMNS}
        """  # noqa: S608
        return [_message(row) for row in await self._store.fetch(query, instance_id, key_ids)]

    async def mark(self, message_ids: list[str], statuses: list[str], forced: list[bool], *, keep_updates: bool) -> set[str]:
        """Tell Evolution how far messages came, all of them in one statement, and give those for which that was news.

        What takes a message back is no news, unless it is `forced`.
        """
        query = f"""
            with given as (
                select * from unnest($1::text[], $2::text[], $3::smallint[], $4::boolean[], $5::text[])
                    as given (message_id, told, number, forced, update_id)
            ), changed as (
                update message set status = told, reached = greatest(reached, number) from given
                where id = message_id and (coalesce({_TOLD}, {len(STATUSES)}) < number or forced and status <> 'DELETED')
                returning update_id, key_id, remote_jid, from_me, told, id, instance_id, saved
            ), noted as (
                insert into message_update (id, key_id, remote_jid, from_me, participant, status, message_id, instance_id)
                select update_id, key_id, remote_jid, from_me, remote_jid, told, id, instance_id from changed where saved and $6
            )
            select id from changed
        """  # noqa: S608
        numbers = [STATUSES.index(status) for status in statuses]
        ids = [new_id() for _ in message_ids]
        rows = await self._store.fetch(query, message_ids, statuses, numbers, forced, ids, keep_updates)
        return {row["id"] for row in rows}

    async def reach(self, message_ids: list[str], statuses: list[str]) -> None:
        """Keep how far messages came, without Evolution being told."""
        query = """
            update message set reached = greatest(reached, number)
            from unnest($1::text[], $2::smallint[]) as given (message_id, number) where id = message_id
        """
        await self._store.execute(query, message_ids, [STATUSES.index(status) for status in statuses])

    async def untold(self, instance_id: str) -> list[Message]:
        """Give the messages that came further than Evolution was told."""
        query = f"""
            select {_COLUMNS} from message where instance_id = $1 and from_me
                and reached > {_TOLD} order by seq
        """  # noqa: S608
        return [_message(row) for row in await self._store.fetch(query, instance_id)]

    async def below(self, instance_id: str, status: str, jid: str | None = None) -> list[Message]:
        """Give the sent messages that have not come as far as `status`, of one chat or of all."""
        query = f"""
            select {_COLUMNS} from message where instance_id = $1 and from_me and reached < $2 and status is distinct from 'DELETED'
                and ($3::text is null or remote_jid = $3) order by seq
        """  # noqa: S608
        return [_message(row) for row in await self._store.fetch(query, instance_id, STATUSES.index(status), jid)]

    async def held(self, instance_id: str) -> list[Message]:
        """Give what waits for the instance."""
        query = f"select {_COLUMNS} from message where instance_id = $1 and held order by seq"  # noqa: S608
        return [_message(row) for row in await self._store.fetch(query, instance_id)]
