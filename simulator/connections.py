"""Connections to WhatsApp, as an instance has them: codes to pair with, opening, losing, logging out. WhatsApp's side is made up."""

import asyncio
import json
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from simulator.background import Background
from simulator.errors import bad_request
from simulator.events.bus import Events
from simulator.instance import Instance
from simulator.journal import Journal
from simulator.qr import Code, new_pairing_code, new_text, picture
from simulator.sessions import Sessions
from simulator.settings import Phone
from simulator.store import Store, StoreError, as_json

FIRST_CODE_S = 0.2
"""How long the made-up WhatsApp takes until it gives a code."""

NEW_CODE_EVERY_S = 45.0
"""`qrTimeout` of 2.2.3's socket."""

PAIRING_CODE_S = 1.0
"""How much later a code comes when it is to be typed (`connectionUpdate` of 2.2.3 waits so long)."""

REOPEN_S = 0.2
"""How long a paired instance takes to open again."""

_OK = 200
_LOGGED_OUT = 401
_CONNECTION_CLOSED = 428
_BAD_SESSION = 500


@dataclass(frozen=True)
class Connections:
    """What happens between the instances and WhatsApp."""

    settings: Phone
    store: Store
    sessions: Sessions
    events: Events
    background: Background
    journal: Journal

    def connect(self, instance: Instance, number: str | None = None) -> None:
        """Begin to connect: a paired instance opens, any other shows codes until a phone pairs or the limit is reached.

        A `number` asks for a code to type besides the one to scan.
        """
        instance.attempt += 1
        instance.has_client = True
        instance.state = "connecting"
        self._tell(instance, "connecting", _OK)
        if instance.offline:
            return
        work = self._reopen(instance) if instance.paired else self._show_codes(instance, number)
        self._in_background(instance, work)

    async def pair(self, instance: Instance, number: str, profile_name: str) -> None:
        """Do what a phone does when it scans the code: leave a session's keys and open the connection. With Redis away this waits."""
        await self.sessions.keep(instance.id, number)
        await self._open(instance, f"{number}@s.whatsapp.net", profile_name)

    async def log_out(self, instance: Instance, reason: str) -> None:
        """End the connection and forget the pairing, as the API's logout and a phone that removes the device do."""
        self.forget(instance)
        instance.state = "close"
        instance.paired = instance.offline = False
        await self._surviving(instance, self._store_logout(instance, reason))
        self.events.emit(instance, "logout.instance", None)
        self._tell(instance, "close", _LOGGED_OUT)

    async def unpair(self, instance: Instance) -> None:
        """Do what a phone does when its owner removes the linked device.

        Raises:
            ApiError: 400; no phone is paired.
        """
        if not instance.paired:
            raise bad_request(f'No phone is paired with the instance "{instance.name}"')
        await self.log_out(instance, "Stream Errored (conflict)")

    def forget(self, instance: Instance) -> None:
        """Stop whatever an instance is about to do, and remove its session's files."""
        instance.attempt += 1
        instance.sessions.clear()
        self.sessions.forget(instance.id)

    def restart(self, instance: Instance) -> None:
        """Close the connection and open it again."""
        instance.attempt += 1
        self.background.run(self._connect_again(instance, instance.attempt))

    def go_offline(self, instance: Instance) -> None:
        """Lose WhatsApp: the instance tries to connect and hears nothing, until `go_online`."""
        if not instance.offline:
            instance.offline = True
            if instance.state != "close":
                self.connect(instance)

    def go_online(self, instance: Instance) -> None:
        """Reach WhatsApp again."""
        if instance.offline:
            instance.offline = False
            if instance.state != "close":
                self.connect(instance)

    async def _connect_again(self, instance: Instance, attempt: int) -> None:
        await asyncio.sleep(0)
        if instance.attempt == attempt:
            self.connect(instance)

    async def _reopen(self, instance: Instance) -> None:
        """Open a paired instance; one whose session's keys are gone from Redis has to be paired anew."""
        attempt, jid = instance.attempt, instance.wuid
        await asyncio.sleep(REOPEN_S)
        kept = jid and await self.sessions.kept(instance.id)
        if instance.attempt != attempt:
            return
        if jid and kept:
            await self._open(instance, jid, instance.profile_name)
            return
        self.journal.warn(f'Instance "{instance.name}" has lost its session: Redis no longer holds its keys. Pair it again.')
        instance.paired = False
        await self.store.set_status(instance.id, "close")
        await self._show_codes(instance, None)

    async def _open(self, instance: Instance, jid: str, profile_name: str | None) -> None:
        await self.store.set_connection(instance.id, "open", jid, profile_name)
        instance.attempt += 1
        instance.has_client = instance.paired = True
        instance.offline = False
        instance.state, instance.wuid, instance.profile_name = "open", jid, profile_name
        self._tell(instance, "open", _OK, wuid=jid, **({"profileName": profile_name} if profile_name is not None else {}))

    async def _show_codes(self, instance: Instance, number: str | None) -> None:
        attempt = instance.attempt
        wait = FIRST_CODE_S + (PAIRING_CODE_S if number else 0)
        while instance.code.count != self.settings.qrcode_limit:
            await asyncio.sleep(wait)
            if instance.attempt != attempt:
                return
            await self._show_code(instance, new_pairing_code() if number else None)
            wait = NEW_CODE_EVERY_S
        await asyncio.sleep(wait)
        if instance.attempt == attempt:
            await self._give_up(instance)

    async def _show_code(self, instance: Instance, pairing_code: str | None) -> None:
        text = new_text()
        drawn = await asyncio.to_thread(picture, text, self.settings.qrcode_color)
        instance.code = Code(instance.code.count + 1, text, drawn, pairing_code)
        shown = {"instance": instance.name, "pairingCode": pairing_code, "code": text, "base64": drawn}
        self.events.emit(instance, "qrcode.updated", {"qrcode": shown})
        await self.store.set_status(instance.id, "connecting")

    async def _give_up(self, instance: Instance) -> None:
        """Do what 2.2.3 does when nobody scanned any of its codes."""
        limit = {"message": "QR code limit reached, please login again", "statusCode": _BAD_SESSION}
        self.events.emit(instance, "qrcode.updated", limit)
        self._tell(instance, "refused", _CONNECTION_CLOSED)
        instance.attempt += 1
        instance.state, instance.code = "close", Code()
        await self._store_logout(instance, f"Log out instance: {instance.name}")
        self.journal.warn(f'Instance "{instance.name}" - NOT CONNECTION')

    async def _store_logout(self, instance: Instance, reason: str) -> None:
        now = datetime.now(UTC)
        payload = {"statusCode": _LOGGED_OUT, "error": "Unauthorized", "message": reason}
        output = {"statusCode": _LOGGED_OUT, "payload": payload, "headers": {}}
        error = {"data": None, "isBoom": True, "isServer": False, "output": output}
        last = json.dumps({"error": error, "date": as_json(now)}, separators=(",", ":"))
        await self.store.set_disconnected(instance.id, _LOGGED_OUT, last, now)

    def _tell(self, instance: Instance, state: str, reason: int, **who: str) -> None:
        self.events.emit(instance, "connection.update", {"instance": instance.name, **who, "state": state, "statusReason": reason})

    def _in_background(self, instance: Instance, work: Coroutine[Any, Any, None]) -> None:
        self.background.run(self._surviving(instance, work))

    async def _surviving(self, instance: Instance, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except StoreError as error:
            self.journal.error(f'Instance "{instance.name}": {error}')
