"""An Evolution API whose every answer a test decides, and an outbox between it and a real Postgres."""

import asyncio
import base64
import contextlib
import hashlib
import json
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from pydantic import HttpUrl, SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from src.messages.outbox import Outbox, Tuning
from src.models import Base
from src.resources import Resources, open_resources
from src.settings import Settings, load_settings
from tests.app.events_support import new_id

INSTANCE = "support"
FAST = Tuning(lease=3.0, poll=0.1, give_up_every=0.1, held=0.0)


def chat_of(number: int) -> str:
    return f"49151{number:08d}@s.whatsapp.net"


CHAT = chat_of(1)

OK = "ok"
ACCEPT_AND_DROP = "accept and drop"
DROP = "drop"
HANG = "hang"
ACCEPT_AND_HANG = "accept and hang"
Behaviour = str | tuple[int, object]


def failure(status: int, message: object) -> tuple[int, object]:
    """Evolution's error envelope."""
    return status, {"status": status, "error": "whatever", "response": {"message": message}}


@dataclass
class ScriptedEvolution:
    """Speaks HTTP like Evolution API 2.2.3, as far as a sender asks it. `accepted` is what WhatsApp has got."""

    script: list[Behaviour] = field(default_factory=list)
    """What the next requests to send meet; then `always`."""
    always: Behaviour = OK
    converter: Behaviour | None = None
    """What all voice messages meet."""
    hanging: set[str] = field(default_factory=set)
    """Instances of which no request is answered."""
    accepted: list[dict[str, Any]] = field(default_factory=list)
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    looks: int = 0
    look: Behaviour = OK
    late: tuple[str, dict[str, Any]] | None = None
    """A request of a dead sender, which is accepted only after the first look for it."""
    work_seconds: float = 0.0
    on_accept: Callable[[dict[str, Any]], Awaitable[None]] | None = None
    in_flight: Counter[str] = field(default_factory=Counter)
    most_in_flight: Counter[str] = field(default_factory=Counter)
    most_at_once: int = 0
    port: int = 0
    rename: dict[str, str] = field(default_factory=dict)
    """JIDs that Evolution changes."""
    _server: asyncio.Server | None = None
    _connections: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=512)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Be away: nothing listens, and all connections break."""
        if self._server:
            self._server.close()
            self._server = None
        for writer in list(self._connections):
            writer.transport.abort()

    def texts(self, chat: str | None = None) -> list[str]:
        return [record["message"].get("conversation") for record in self.accepted if chat in {None, record["key"]["remoteJid"]}]

    def accept(self, how: str, body: dict[str, Any]) -> dict[str, Any]:
        """Take a message as WhatsApp does, and return its record."""
        number = body["number"]
        jid = number if "@" in number else f"{number}@s.whatsapp.net"
        message, kind = _content(how, body)
        record = {
            "key": {"remoteJid": self.rename.get(jid, jid), "fromMe": True, "id": new_id()},
            "pushName": "",
            "status": "PENDING",
            "message": message,
            "messageType": kind,
            "messageTimestamp": int(datetime.now(UTC).timestamp()),
            "instanceId": str(uuid.uuid4()),
            "source": "unknown",
        }
        self.accepted.append(record)
        return record

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            while line := await reader.readline():
                path = unquote(line.split()[1].decode())
                length = 0
                while (header := await reader.readline()).strip():
                    name, _, value = header.partition(b":")
                    length = int(value) if name.lower() == b"content-length" else length
                body = json.loads(await reader.readexactly(length)) if length else {}
                answer = await self._answer(path, body)
                if answer is None:
                    writer.transport.abort()
                    return
                content = json.dumps(answer[1]).encode()
                writer.write(f"HTTP/1.1 {answer[0]} X\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _answer(self, path: str, body: dict[str, Any]) -> tuple[int, object] | None:
        _, group, how, instance, *_ = [*path.split("/"), "", "", ""]
        if group == "message":
            return await self._send(how, instance, body)
        if group == "chat":
            self.looks += 1
            answer = self._found(body) if self.look == OK else await self._behave(self.look, None)
            if self.late:
                self.accept(*self.late)
                self.late = None
            return answer
        return 200, {"status": 200, "message": "Credentials are valid"}

    async def _send(self, how: str, instance: str, body: dict[str, Any]) -> tuple[int, object] | None:
        self.requests.append((how, body))
        behaviour = self.script.pop(0) if self.script else self.always
        if instance in self.hanging:
            behaviour = HANG
        if self.converter and how == "sendWhatsAppAudio":
            behaviour = self.converter
        number = body["number"]
        self.in_flight[number] += 1
        self.most_in_flight[number] = max(self.most_in_flight[number], self.in_flight[number])
        self.most_at_once = max(self.most_at_once, self.in_flight.total())
        try:
            await asyncio.sleep(self.work_seconds)
            record = self.accept(how, body) if behaviour in (OK, ACCEPT_AND_DROP, ACCEPT_AND_HANG) else None
            if record and self.on_accept:
                await self.on_accept(record)
            return await self._behave(behaviour, record)
        finally:
            self.in_flight[number] -= 1

    @staticmethod
    async def _behave(behaviour: Behaviour, record: dict[str, Any] | None) -> tuple[int, object] | None:
        if isinstance(behaviour, tuple):
            return behaviour
        if behaviour in (HANG, ACCEPT_AND_HANG):
            await asyncio.sleep(3600)
        return (201, record) if behaviour == OK else None

    def _found(self, body: dict[str, Any]) -> tuple[int, object]:
        key, between = body["where"]["key"], body["where"]["messageTimestamp"]
        since, until = (int(datetime.fromisoformat(between[end]).timestamp()) for end in ("gte", "lte"))
        found = [
            {**record, "MessageUpdate": []}
            for record in reversed(self.accepted)
            if record["key"]["remoteJid"] == key["remoteJid"] and since <= record["messageTimestamp"] <= until
        ]
        page, size = body["page"], body["offset"]
        return 200, {
            "messages": {
                "total": len(found),
                "pages": -(-len(found) // size),
                "currentPage": page,
                "records": found[size * (page - 1) : size * page],
            }
        }


def _content(how: str, body: dict[str, Any]) -> tuple[dict[str, Any], str]:
    if how == "sendText":
        return {"conversation": body["text"]}, "conversation"
    if how == "sendWhatsAppAudio":
        return {
            "audioMessage": {"mimetype": "audio/ogg; codecs=opus", "ptt": True, "seconds": 2},
            "mediaUrl": "http://m.x/v",
        }, "audioMessage"
    kind = f"{body['mediatype']}Message"
    digest = hashlib.sha256(base64.b64decode(body["media"])).digest()
    part = {
        "caption": body.get("caption"),
        "mimetype": body.get("mimetype"),
        "fileName": body.get("fileName"),
        "fileSha256": base64.b64encode(digest).decode(),
    }
    return {kind: part, "mediaUrl": "http://m.x/f"}, kind


@dataclass
class Stage:
    """A database with the tables, and an Evolution API."""

    settings: Settings
    evolution: ScriptedEvolution
    resources: Resources

    @property
    def engine(self) -> AsyncEngine:
        return self.resources.engine

    @asynccontextmanager
    async def sending(self, tuning: Tuning = FAST) -> AsyncIterator[Outbox]:
        """An outbox at work, as one replica has it."""
        async with open_resources(self.settings) as resources, Outbox(resources, tuning) as outbox:
            yield outbox

    async def rows(self, statement: str, **given: object) -> list[dict[str, Any]]:
        async with self.engine.begin() as connection:
            found = await connection.execute(text(statement), given)
            return [dict(row) for row in found.mappings()] if found.returns_rows else []

    async def messages(self) -> list[dict[str, Any]]:
        return await self.rows("SELECT * FROM messages ORDER BY seq")

    async def only(self) -> dict[str, Any]:
        found = await self.messages()
        assert len(found) == 1, f"there should be one message, not {len(found)}"
        return found[0]

    async def queue(self, content: str = "hi", chat: str = CHAT, instance: str = INSTANCE, **columns: object) -> uuid.UUID:
        """Store a text as POST /messages does, and notify."""
        body = {"number": chat.partition("@")[0], "text": content}
        return await self.queue_body("text", body, chat, instance, text=content, **columns)

    async def queue_body(self, kind: str, body: dict[str, Any], chat: str = CHAT, instance: str = INSTANCE, **columns: object) -> uuid.UUID:
        message_id = uuid.uuid4()
        values: dict[str, object] = {
            "id": message_id,
            "instance": instance,
            "chat": chat,
            "direction": "outbound",
            "type": kind,
            "state": "queued",
            "payload": body,
            "payload_bytes": len(json.dumps(body)),
            **columns,
        }
        await self.insert(values)
        await self.rows("NOTIFY outbox")
        return message_id

    async def insert(self, values: dict[str, object]) -> None:
        async with self.engine.begin() as connection:
            await connection.execute(Base.metadata.tables["messages"].insert(), values)

    async def expect(self, condition: Callable[[list[dict[str, Any]]], bool], what: str, seconds: float = 10) -> list[dict[str, Any]]:
        """Wait until the stored messages are as they should be."""
        deadline = time.monotonic() + seconds
        while not condition(found := await self.messages()):
            told = Counter((row["state"], (row["problem"] or {}).get("code")) for row in found)
            assert time.monotonic() < deadline, f"{what}: not within {seconds} s; the messages are {dict(told)}"
            await asyncio.sleep(0.03)
        return found

    async def expect_sent(self, seconds: float = 10) -> list[dict[str, Any]]:
        return await self.expect(lambda found: all(row["state"] == "sent" for row in found), "every message is sent", seconds)

    async def expect_problem(self, code: str, seconds: float = 10) -> dict[str, Any]:
        found = await self.expect(lambda rows: (rows[0]["problem"] or {}).get("code") == code, f"the problem {code}", seconds)
        return found[0]


@asynccontextmanager
async def staged(database_url: str, give_up_hours: float = 24.0) -> AsyncIterator[Stage]:
    """Make the tables in an empty database, and start an Evolution API."""
    evolution = ScriptedEvolution()
    await evolution.start()
    made = Settings(
        database_url=SecretStr(database_url),
        evolution_api_url=HttpUrl(evolution.url),
        evolution_api_key=SecretStr("the-key"),
        outbox_give_up_hours=give_up_hours,
    )
    async with open_resources(made) as resources:
        async with resources.engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        try:
            yield Stage(made, evolution, resources)
        finally:
            with contextlib.suppress(Exception):
                await evolution.stop()


async def run_sender() -> None:
    """Send until the process is killed."""
    async with open_resources(load_settings()) as resources, Outbox(resources, FAST):
        await asyncio.sleep(3600)
