"""The instances: those in memory, which the API speaks of, and what happens to them."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import uuid4

from simulator.errors import ApiError, bad_request, not_found, unauthorized
from simulator.events.bus import Events
from simulator.journal import Journal
from simulator.sessions import Sessions
from simulator.settings import Settings
from simulator.store import Row, Store, StoreError, Target
from simulator.targets import targets_from

BAILEYS = "WHATSAPP-BAILEYS"
BUSINESS = "WHATSAPP-BUSINESS"
INTEGRATIONS = (BAILEYS, BUSINESS, "EVOLUTION")

QRCODE_WAIT_S = 5
"""How long `create` with `qrcode: true` waits before it answers."""

_LOGGED_OUT = 401


@dataclass
class Instance:
    """An instance in memory. `state` is open, close or connecting; `wuid` the paired phone's JID."""

    id: str
    name: str
    integration: str
    token: str
    number: str | None
    state: str
    wuid: str | None = None
    targets: dict[str, Target] = field(default_factory=dict)


class Instances:
    """All instances of this process's client name."""

    def __init__(self, settings: Settings, store: Store, sessions: Sessions, events: Events, journal: Journal) -> None:
        self._settings = settings
        self._store = store
        self._sessions = sessions
        self._events = events
        self._journal = journal.named("WAMonitoringService")
        self._in_memory: dict[str, Instance] = {}
        self._running: set[asyncio.Task[None]] = set()

    async def load(self) -> None:
        """Take up the stored instances."""
        if not self._settings.database.save.instance:
            return
        for row in await self._store.instances(self._settings.database.client_name):
            state = "close" if row["integration"] == BAILEYS else "open"
            instance = Instance(row["id"], row["name"], row["integration"], row["token"], row["number"], state)
            instance.targets = {target.kind: target for target in await self._store.targets(instance.id)}
            self._in_memory[instance.name] = instance

    async def connect_all(self) -> None:
        """Let each instance in memory try to connect, as 2.2.3 does at every start, whether it was ever connected or not."""
        for row in await self._store.instances(self._settings.database.client_name):
            instance = self._in_memory.get(row["name"])
            if instance is None or instance.state != "close":
                continue
            self._connect(instance)
            if row["connection_status"] == "open":
                self._in_background(self._reopen(instance, row["owner_jid"], row["profile_name"]))

    async def exists(self, name: str | None) -> bool:
        """Whether a name is in use; an absent one (None) is, as soon as there is any instance: that is how 2.2.3 asks its database."""
        return name in self._in_memory or await self._store.has_instance(name)

    def state(self, name: str) -> str | None:
        """Give the state of an instance's connection, None for one that isn't in memory."""
        instance = self._in_memory.get(name)
        return instance.state if instance else None

    async def described(self, name: str | None, instance_id: str | None, number: str | None) -> list[Row]:
        """List the instances: all, or the one with the id, else with the number, else with the name.

        Raises:
            ApiError: 404 when there is no such instance.
        """
        if instance_id or number:
            column: Literal["id", "number"] = "id" if instance_id else "number"
            name = await self._store.name_of(column, instance_id or number or "")
            if not name:
                raise not_found(f'Instance "{instance_id or number}" not found')
        return await self._described([name] if name else None)

    async def described_for_token(self, token: str, name: str | None, instance_id: str | None) -> list[Row]:
        """List the instances that a token opens.

        Raises:
            ApiError: 401 when it opens none of those asked for.
        """
        names = await self._store.names_by_token(token, name or None, instance_id or None)
        if not names:
            raise unauthorized()
        return await self._described(names)

    async def _described(self, names: list[str] | None) -> list[Row]:
        unknown = [name for name in names or [] if name not in self._in_memory]
        if unknown:
            raise not_found(f'Instance{"s" if len(unknown) > 1 else ""} "{", ".join(unknown)}" not found')
        return await self._store.described(self._settings.database.client_name, names)

    async def create(self, body: dict[str, Any]) -> Row:
        """Make an instance and tell about it.

        Raises:
            ApiError: 400 for whatever is wrong; the instance is removed again.
        """
        try:
            return await self._create(body)
        except (ApiError, StoreError) as error:
            if body.get("instanceName"):
                self._in_background(self._remove(body["instanceName"]))
            message = error.message[0] if isinstance(error, ApiError) and isinstance(error.message, list) else str(error)
            raise bad_request(message) from None

    async def _create(self, body: dict[str, Any]) -> Row:
        integration = body.get("integration")
        if integration == BUSINESS and not body.get("token"):
            raise bad_request("token is required")
        if integration not in INTEGRATIONS:
            raise bad_request("Invalid integration")
        instance = await self._insert(body)
        self._in_memory[instance.name] = instance
        self._delete_if_unused(instance)
        for target in targets_from(body, self._settings):
            await self._store.save_target(instance.id, target)
            instance.targets[target.kind] = target
        self._events.emit(instance, "instance.create", {"instanceName": instance.name, "instanceId": instance.id})
        _refuse_what_is_not_simulated(body)
        settings = _settings_from(body)
        await self._store.insert_settings(instance.id, settings)
        if integration == BUSINESS and not body.get("number"):
            raise bad_request("number is required")
        wants_code = bool(body.get("qrcode")) and integration == BAILEYS
        if wants_code:
            self._connect(instance)
            await asyncio.sleep(QRCODE_WAIT_S)
        return self._created(instance, body, settings) | ({"qrcode": {"count": 0}} if wants_code else {})

    async def _insert(self, body: dict[str, Any]) -> Instance:
        name = body.get("instanceName")
        if name is None:
            raise bad_request("\nInvalid `this.prismaRepository.instance.create()` invocation: Argument `name` is missing.")
        baileys = body["integration"] == BAILEYS
        instance = Instance(
            id=str(uuid4()),
            name=name,
            integration=body["integration"],
            token=body.get("token") or str(uuid4()).upper(),
            number=body.get("number"),
            state="close" if baileys else "open",
        )
        await self._store.insert_instance(
            {
                "id": instance.id,
                "name": instance.name,
                "connection_status": "close" if baileys else body.get("status") or "open",
                "owner_jid": body.get("ownerJid"),
                "profile_name": body.get("profileName"),
                "profile_pic_url": body.get("profilePicUrl"),
                "integration": instance.integration,
                "number": instance.number,
                "business_id": body.get("businessId"),
                "token": instance.token,
                "client_name": self._settings.database.client_name,
            }
        )
        return instance

    def _created(self, instance: Instance, body: dict[str, Any], settings: Row) -> Row:
        business = instance.integration == BUSINESS
        shown = {"webhookUrl": "url", "webhookHeaders": "headers", "webhookByEvents": "byEvents", "webhookBase64": "base64"}
        return {
            "instance": {
                "instanceName": instance.name,
                "instanceId": instance.id,
                "integration": instance.integration,
                "webhookWaBusiness": f"{self._settings.server.url}/webhook/meta" if business else None,
                "accessTokenWaBusiness": self._settings.business_token if business else "",
                "status": instance.state,
            },
            "hash": instance.token,
            "webhook": _picked(body.get("webhook"), shown),
            **{kind: _picked(body.get(kind), {"enabled": "enabled"}) for kind in ("websocket", "rabbitmq", "sqs")},
            "settings": settings,
        }

    def delete(self, name: str) -> None:
        """Say that an instance goes, and let it go afterwards: the answer doesn't wait for that."""
        instance = self._in_memory.get(name)
        if instance:
            if instance.state != "close":
                self._log_out(instance)
            self._events.emit(instance, "instance.delete", {"instanceName": instance.name, "instanceId": instance.id})
        self._in_background(self._remove(name))

    async def _remove(self, name: str) -> None:
        """Forget an instance. Its session's keys, its exchange and its queues stay, as they do in 2.2.3."""
        instance = self._in_memory.get(name)
        if instance:
            self._events.emit(instance, "remove.instance", None)
        try:
            await self._store.delete_instance(name)
        except StoreError as error:
            self._journal.error(str(error))
        self._in_memory.pop(name, None)
        self._journal.warn(f'Instance "{name}" - REMOVED')

    async def pair(self, name: str, number: str, profile_name: str) -> None:
        """Do what a phone does when it scans the code: open the connection and leave a session's keys.

        Raises:
            ApiError: 404 for an instance of another client's.
        """
        instance = self._in_memory.get(name)
        if instance is None:
            raise not_found(f'Instance "{name}" not found')
        await self._sessions.keep(instance.id, number)
        jid = f"{number}@s.whatsapp.net"
        await self._store.set_connection(instance.id, "open", jid, profile_name)
        self._open(instance, jid, profile_name)

    def _open(self, instance: Instance, jid: str, profile_name: str | None) -> None:
        instance.state, instance.wuid = "open", jid
        data = {"instance": instance.name, "wuid": jid, "profileName": profile_name, "state": "open", "statusReason": 200}
        self._events.emit(instance, "connection.update", {key: value for key, value in data.items() if value is not None})

    async def _reopen(self, instance: Instance, jid: str, profile_name: str | None) -> None:
        """Open a paired instance again; without its session's keys it has to be paired anew."""
        if await self._sessions.kept(instance.id):
            self._open(instance, jid, profile_name)
            return
        self._journal.warn(f'Instance "{instance.name}" has lost its session: Redis no longer holds its keys. Pair it again.')
        await self._store.set_connection(instance.id, "close", jid, profile_name)

    def _connect(self, instance: Instance) -> None:
        """Try to connect: WhatsApp takes the connection and keeps silent until a phone pairs."""
        instance.state = "connecting"
        self._events.emit(instance, "connection.update", {"instance": instance.name, "state": "connecting", "statusReason": 200})

    def _log_out(self, instance: Instance) -> None:
        instance.state = "close"
        self._events.emit(instance, "connection.update", {"instance": instance.name, "state": "close", "statusReason": _LOGGED_OUT})

    def _delete_if_unused(self, instance: Instance) -> None:
        minutes = self._settings.delete_after_minutes
        if minutes:
            asyncio.get_running_loop().call_later(minutes * 60, self._delete_unless_open, instance)

    def _delete_unless_open(self, instance: Instance) -> None:
        if self._in_memory.get(instance.name) is instance and instance.state != "open":
            self._in_background(self._remove(instance.name))

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)


def _picked(asked: Row | None, names: dict[str, str]) -> Row:
    """Repeat what was asked for, under the names of the answer; what was left out is left out."""
    return {answer: asked[name] for answer, name in names.items() if name in asked} if asked else {}


def _refuse_what_is_not_simulated(body: dict[str, Any]) -> None:
    if body.get("proxyHost") and body.get("proxyPort") and body.get("proxyProtocol"):
        raise bad_request("Invalid proxy")
    if body.get("chatwootAccountId") and body.get("chatwootToken") and body.get("chatwootUrl"):
        raise bad_request("Chatwoot is not enabled")


def _settings_from(body: dict[str, Any]) -> Row:
    return {
        "rejectCall": body.get("rejectCall") is True,
        "msgCall": body.get("msgCall") or "",
        "groupsIgnore": body.get("groupsIgnore") is True,
        "alwaysOnline": body.get("alwaysOnline") is True,
        "readMessages": body.get("readMessages") is True,
        "readStatus": body.get("readStatus") is True,
        "syncFullHistory": body.get("syncFullHistory") is True,
        "wavoipToken": body.get("wavoipToken") or "",
    }
