"""The instances: those in memory, which the API speaks of, and what happens to them."""

import asyncio
from typing import Any, Literal

from simulator import creation
from simulator.background import Background
from simulator.connections import Connections
from simulator.errors import ApiError, bad_request, internal_error, not_found, unauthorized
from simulator.events.bus import Events
from simulator.instance import BAILEYS, Instance
from simulator.journal import Journal
from simulator.preferences import Preferences, Target
from simulator.settings import Settings
from simulator.store import Row, Store, StoreError
from simulator.targets import targets_from

QRCODE_WAIT_S = 5
"""How long `create` with `qrcode: true` waits before it answers."""

CONNECT_WAIT_S = 2
"""How long `connect` waits on a closed instance before it answers."""

_UNKNOWN_HERE: Row = {"error": True, "message": "[object Object]"}
"""How 2.2.3 reports a failure to connect or restart: with status 200."""


class Instances:
    """All instances of this process's client name."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        preferences: Preferences,
        connections: Connections,
        events: Events,
        background: Background,
        journal: Journal,
    ) -> None:
        self._settings = settings
        self._store = store
        self._preferences = preferences
        self._connections = connections
        self._events = events
        self._background = background
        self._journal = journal.named("WAMonitoringService")
        self._in_memory: dict[str, Instance] = {}

    async def load(self) -> None:
        """Take up the stored instances."""
        if not self._settings.database.save.instance:
            return
        for row in await self._store.instances(self._settings.database.client_name):
            baileys = row["integration"] == BAILEYS
            instance = Instance(row["id"], row["name"], row["integration"], row["token"], row["number"], "close" if baileys else "open")
            instance.paired = baileys and row["connection_status"] == "open"
            instance.profile_name = row["profile_name"]
            if instance.paired:
                instance.wuid = row["owner_jid"]
            instance.targets = {target.kind: target for target in await self._preferences.targets(instance.id)}
            self._in_memory[instance.name] = instance

    def connect_all(self) -> None:
        """Let each instance try to connect, as 2.2.3 does at every start, whether it was ever connected or not."""
        for instance in self._in_memory.values():
            if instance.state == "close" and not instance.has_client:
                self._connections.connect(instance)

    def get(self, name: str) -> Instance | None:
        """Give an instance that is in memory; one of another client's isn't."""
        return self._in_memory.get(name)

    def known(self, name: str, failing_to_read: str) -> Instance:
        """Give an instance.

        Raises:
            ApiError: 500 in JavaScript's words, where 2.2.3 reads something of an instance of another client's.
        """
        instance = self._in_memory.get(name)
        if instance is None:
            raise internal_error(f"Cannot read properties of undefined (reading '{failing_to_read}')")
        return instance

    def simulated(self, name: str) -> Instance:
        """Give an instance, for the phone's side.

        Raises:
            ApiError: 404 for an instance of another client's.
        """
        instance = self._in_memory.get(name)
        if instance is None:
            raise not_found(f'Instance "{name}" not found')
        return instance

    def all(self) -> list[Instance]:
        """Give those in memory."""
        return list(self._in_memory.values())

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
                self._background.run(self._remove(body["instanceName"]))
            message = error.message if isinstance(error, ApiError) else str(error)
            raise bad_request(message[0] if isinstance(message, list) else message) from None

    async def _create(self, body: dict[str, Any]) -> Row:
        creation.check_integration(body)
        instance = creation.instance_from(body)
        await self._store.insert_instance(creation.row_from(instance, body, self._settings.database.client_name))
        self._in_memory[instance.name] = instance
        self._delete_if_unused(instance)
        for target in targets_from(body, self._settings):
            await self.set_target(instance, target)
        self._events.emit(instance, "instance.create", {"instanceName": instance.name, "instanceId": instance.id})
        await self._preferences.save_settings(instance.id, creation.settings_from(body))
        creation.check_the_rest(body)
        if not (body.get("qrcode") and instance.integration == BAILEYS):
            return creation.described(instance, body, self._settings)
        self._connections.connect(instance, body.get("number"))
        await asyncio.sleep(QRCODE_WAIT_S)
        return creation.described(instance, body, self._settings) | {"qrcode": instance.code.shown()}

    async def set_target(self, instance: Instance, target: Target) -> Row:
        """Send an instance's own events somewhere, and give what is kept of that."""
        instance.targets[target.kind], row = await self._preferences.save_target(instance.id, target)
        return row

    async def connect(self, name: str, number: str | None) -> Row:
        """Connect an instance, or say how far it is. A failure is an answer too."""
        instance = self._in_memory.get(name)
        if instance is None:
            return _UNKNOWN_HERE
        if instance.state == "open":
            return {"instance": {"instanceName": name, "state": "open"}}
        if instance.state == "close":
            self._connections.connect(instance, number)
            await asyncio.sleep(CONNECT_WAIT_S)
        return instance.code.shown()

    async def restart(self, name: str) -> Row:
        """Connect an instance anew and answer as `connect` does, with what was before that."""
        instance = self._in_memory.get(name)
        if instance is None or instance.state == "close":
            return _UNKNOWN_HERE
        self._connections.restart(instance)
        return await self.connect(name, None)

    async def log_out(self, name: str) -> None:
        """Forget an instance's pairing.

        Raises:
            ApiError: 400; it is closed.
        """
        instance = self._in_memory.get(name)
        if instance is None:
            return
        if instance.state == "close":
            raise bad_request(f'The "{name}" instance is not connected')
        await self._connections.log_out(instance, f"Log out instance: {name}")

    async def delete(self, name: str) -> None:
        """Say that an instance goes, and let it go afterwards: the answer doesn't wait for that."""
        instance = self._in_memory.get(name)
        if instance:
            if instance.state != "close":
                await self._connections.log_out(instance, f"Log out instance: {name}")
            self._events.emit(instance, "instance.delete", {"instanceName": instance.name, "instanceId": instance.id})
        self._background.run(self._remove(name))

    async def _remove(self, name: str) -> None:
        """Forget an instance. Its session's keys in Redis, its objects, its exchange and its queues stay, as they do in 2.2.3."""
        instance = self._in_memory.get(name)
        if instance:
            self._events.emit(instance, "remove.instance", None)
            self._connections.forget(instance)
        self._in_memory.pop(name, None)  # before its row goes: for a moment there is an instance without a state, as in 2.2.3
        try:
            await self._store.delete_instance(name)
        except StoreError as error:
            self._journal.error(str(error))
        self._journal.warn(f'Instance "{name}" - REMOVED')

    def _delete_if_unused(self, instance: Instance) -> None:
        minutes = self._settings.delete_after_minutes
        if minutes:
            asyncio.get_running_loop().call_later(minutes * 60, self._delete_unless_open, instance)

    def _delete_unless_open(self, instance: Instance) -> None:
        if self._in_memory.get(instance.name) is instance and instance.state != "open":
            self._background.run(self._remove(instance.name))
