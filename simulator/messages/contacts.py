"""Those whom an instance talks with, and how the simulated phones behave: who is on WhatsApp, who is online, what happens by itself."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from simulator.errors import bad_request
from simulator.messages.content import Json
from simulator.messages.jids import USERS, jid_of, number_of
from simulator.store import Row, Store, new_id

NOT_ON_WHATSAPP = "999"
"""Every number that begins with this is not on WhatsApp."""

_SHORTEST, _LONGEST = 7, 15
"""Digits of a phone number (E.164; WhatsApp takes none shorter)."""


@dataclass(frozen=True)
class Behaviour:
    """What the phones do by themselves: mark messages as delivered, as read; and numbers that are not on WhatsApp."""

    autoDeliver: bool = True  # noqa: N815  (the names are the API's)
    autoRead: bool = False  # noqa: N815
    unknownNumbers: tuple[str, ...] = ()  # noqa: N815

    def shown(self) -> Json:
        """Give it as the API shows it."""
        return asdict(self) | {"unknownNumbers": list(self.unknownNumbers)}


def changed(behaviour: Behaviour, body: Mapping[str, Any]) -> Behaviour:
    """Read what is to change; what isn't named stays.

    Raises:
        ApiError: 400 that lists all that is wrong.
    """
    names = [field.name for field in fields(Behaviour)]
    wrong = [f"{name} is no setting; there are {', '.join(names)}" for name in body if name not in names]
    wrong += [f"{name} must be true or false" for name in ("autoDeliver", "autoRead") if not isinstance(body.get(name, True), bool)]
    numbers = body.get("unknownNumbers", [])
    if not isinstance(numbers, list) or not all(isinstance(number, str) and number_of(jid_of(number)) for number in numbers):
        wrong.append("unknownNumbers must be a list of numbers, as strings")
    if wrong:
        raise bad_request(wrong)
    if "unknownNumbers" in body:
        body = {**body, "unknownNumbers": tuple(number_of(jid_of(number)) for number in numbers)}
    return Behaviour(**{**asdict(behaviour), **body})


class Contacts:
    """Keeps them in Postgres, and in memory what every message asks for."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.behaviour = Behaviour()
        self._offline: set[tuple[str, str]] = set()

    async def load(self) -> None:
        """Take up what was kept."""
        kept = {row["name"]: row["value"] for row in await self._store.fetch("select name, value from phone_setting")}
        self.behaviour = changed(Behaviour(), kept)
        rows = await self._store.fetch("select instance_id, remote_jid from contact where not online")
        self._offline = {(row["instance_id"], row["remote_jid"]) for row in rows}

    async def behave(self, body: Mapping[str, Any]) -> Behaviour:
        """Change how the phones behave, and keep it.

        Raises:
            ApiError: 400 for whatever is wrong.
        """
        wanted = changed(self.behaviour, body)
        await self._store.execute(
            "insert into phone_setting (name, value) select * from jsonb_each($1) on conflict (name) do update set value = excluded.value",
            wanted.shown(),
        )
        self.behaviour = wanted
        return wanted

    def on_whatsapp(self, jid: str) -> bool:
        """Whether somebody has WhatsApp."""
        number = number_of(jid)
        is_number = jid.endswith(USERS) and number.isdigit() and _SHORTEST <= len(number) <= _LONGEST
        return is_number and not number.startswith(NOT_ON_WHATSAPP) and number not in self.behaviour.unknownNumbers

    def online(self, instance_id: str, jid: str) -> bool:
        """Whether somebody's phone can be reached."""
        return (instance_id, jid) not in self._offline

    async def set_online(self, instance_id: str, jid: str, *, online: bool) -> None:
        """Take a phone off the net, or bring it back."""
        await self._upsert(instance_id, jid, "online", online)
        (self._offline.discard if online else self._offline.add)((instance_id, jid))

    async def rename(self, instance_id: str, jid: str, name: str) -> None:
        """Give somebody a name."""
        await self._upsert(instance_id, jid, "push_name", name)

    async def wrote(self, instance_id: str, jid: str, name: str, *, saved: bool) -> bool:
        """Keep that somebody wrote, and say whether Evolution knew them."""
        known = await self._store.fetch("select 1 from contact where instance_id = $1 and remote_jid = $2 and saved", instance_id, jid)
        await self._upsert(instance_id, jid, "push_name", name)
        if saved:
            await self._upsert(instance_id, jid, "saved", True)
        return bool(known)

    async def name_of(self, instance_id: str, jid: str) -> str | None:
        """Give somebody's name."""
        rows = await self._store.fetch("select push_name from contact where instance_id = $1 and remote_jid = $2", instance_id, jid)
        return rows[0]["push_name"] if rows else None

    async def chats(self, instance_id: str) -> list[Row]:
        """List those with whom there are messages or who are known, the latest first: what the phone's page shows."""
        rows = await self._store.fetch(
            "with known as (select remote_jid from contact where instance_id = $1 "
            "union select remote_jid from message where instance_id = $1) "
            "select known.remote_jid, contact.push_name, coalesce(contact.online, true) as online, newest.*, "
            "(select count(*) from message where instance_id = $1 and remote_jid = known.remote_jid and from_me and reached < 4) as unread "
            "from known left join contact on contact.instance_id = $1 and contact.remote_jid = known.remote_jid "
            "left join lateral (select key_id, message_type, message, message_timestamp, from_me from message where instance_id = $1 "
            "and remote_jid = known.remote_jid order by message_timestamp desc, seq desc limit 1) as newest on true "
            "order by newest.message_timestamp desc nulls last, known.remote_jid limit 500",
            instance_id,
        )
        return [dict(row.items()) for row in rows]

    async def _upsert(self, instance_id: str, jid: str, column: str, value: object) -> None:
        """Change one thing of a contact; the column is a name of this program's own."""
        await self._store.execute(
            f"insert into contact (id, instance_id, remote_jid, {column}) values ($1, $2, $3, $4) "  # noqa: S608
            f"on conflict (remote_jid, instance_id) do update set {column} = excluded.{column}, updated_at = now()",
            new_id(),
            instance_id,
            jid,
            value,
        )
