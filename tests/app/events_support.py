"""Events as Evolution API 2.2.3 sends them, and a look at what became of them in the database."""

import json
import secrets
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from src.events.apply import apply
from src.events.outcome import Outcome
from src.events.payloads import read_event

INSTANCE = "support"
CHAT = "5511977776666@s.whatsapp.net"
ZONE = ZoneInfo("UTC")
START = datetime.now(UTC).replace(microsecond=0) - timedelta(days=6)


def new_id() -> str:
    """An id as Evolution makes it for what it sends."""
    return f"3EB0{secrets.token_hex(18).upper()}"


PHONES_ID = "AC2B7D7E6D1D0A9F4C5B3E2F1A0B9C8D"
"""An id as an Android phone makes it."""
WEBS_ID = "3EB0C431C26A1916E07E2A"
"""An id as WhatsApp Web makes it."""


def envelope(event: str, data: object, instance: str = INSTANCE, at: datetime | None = None) -> bytes:
    told = (at or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    return json.dumps({"event": event, "instance": instance, "data": data, "date_time": told, "apikey": "A-TOKEN"}).encode()


def message(message_id: str, text_: str = "hi", *, from_me: bool = False, chat: str = CHAT, at: datetime | None = None) -> dict[str, Any]:
    return {
        "key": {"remoteJid": chat, "fromMe": from_me, "id": message_id},
        "pushName": "Ana",
        "status": "PENDING" if from_me else "DELIVERY_ACK",
        "message": {"conversation": text_},
        "messageType": "conversation",
        "messageTimestamp": int((at or datetime.now(UTC)).timestamp()),
        "instanceId": str(uuid.uuid5(uuid.NAMESPACE_DNS, INSTANCE)),
        "source": "android",
    }


def received(message_id: str, text_: str = "hi", instance: str = INSTANCE, at: datetime | None = None, chat: str = CHAT) -> bytes:
    return envelope("messages.upsert", message(message_id, text_, chat=chat, at=at), instance, at)


def sent(message_id: str, text_: str = "hi", instance: str = INSTANCE, at: datetime | None = None, chat: str = CHAT) -> bytes:
    return envelope("send.message", message(message_id, text_, from_me=True, chat=chat, at=at), instance, at)


def marked(message_id: str, status: str, instance: str = INSTANCE, at: datetime | None = None, *, from_me: bool = True) -> bytes:
    data = {"messageId": "cm1", "keyId": message_id, "remoteJid": CHAT, "fromMe": from_me, "participant": CHAT, "status": status}
    return envelope("messages.update", data, instance, at)


def connected(state: str, seconds: float, instance: str = INSTANCE, **more: object) -> bytes:
    """The connection's state, so many seconds after START."""
    data = {"instance": instance, "state": state, "statusReason": 200, **more}
    return envelope("connection.update", data, instance, START + timedelta(seconds=seconds))


async def store(engine: AsyncEngine, *bodies: bytes) -> list[Outcome]:
    """Store events in one batch."""
    async with engine.begin() as connection:
        return (await apply(connection, [read_event(each, ZONE).fact for each in bodies])).outcomes


async def rows(engine: AsyncEngine, statement: str, **given: object) -> list[dict[str, Any]]:
    async with engine.begin() as connection:
        found = await connection.execute(text(statement), given)
        return [dict(row) for row in found.mappings()] if found.returns_rows else []


async def messages(engine: AsyncEngine) -> list[dict[str, Any]]:
    return await rows(engine, "SELECT * FROM messages ORDER BY seq")


async def add_instance(engine: AsyncEngine, name: str = INSTANCE) -> None:
    await rows(engine, "INSERT INTO instances (id, name) VALUES (:id, :name)", id=uuid.uuid5(uuid.NAMESPACE_DNS, name), name=name)


async def queue(engine: AsyncEngine, text_: str = "hi", *, lease_seconds: float = 30, chat: str = CHAT) -> uuid.UUID:
    """A message that a sender has in hand."""
    message_id = uuid.uuid4()
    await rows(
        engine,
        """INSERT INTO messages (id, instance, chat, direction, type, state, text, payload, attempts, attempt_started_at, lease_owner,
                                 lease_until)
           VALUES (:id, :instance, :chat, 'outbound', 'text', 'sending', :text, '{}', 1, now(), 'a-sender', now() + :lease)""",
        id=message_id,
        instance=INSTANCE,
        chat=chat,
        text=text_,
        lease=timedelta(seconds=lease_seconds),
    )
    return message_id
