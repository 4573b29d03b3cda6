"""What events tell of messages beyond that they are there: who wrote them, what the log says of them, and what is asked of groups."""

import json
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import REGISTRY

from src.events import looking, storing
from src.events.lost_marks import LostMarks
from src.events.payloads import read_event
from src.evolution.answers import FoundMessage
from src.resources import Resources, open_resources
from tests.app.api_support import MakeSettings, Serve
from tests.app.catch_up_support import StoredMessages, record
from tests.app.events_support import CHAT, INSTANCE, ZONE, envelope, marked, message, messages, received, rows, sent, store

if TYPE_CHECKING:
    from src.settings import Settings

pytestmark = pytest.mark.anyio

GROUP = "120363040000000000@g.us"


@pytest.fixture
def settings(make_settings: MakeSettings, migrated_url: str) -> "Settings":
    return make_settings(database=migrated_url)


@pytest.fixture
async def resources(settings: "Settings") -> AsyncIterator[Resources]:
    async with open_resources(settings) as resources:
        yield resources


def of_group(message_id: str, **key: object) -> bytes:
    told = message(message_id, chat=GROUP)
    told["key"] |= {"participant": "5511977776666:3@s.whatsapp.net", **key}
    return envelope("messages.upsert", told)


async def test_a_caller_sees_who_wrote_to_a_group_and_what_a_message_is(resources: Resources, settings: "Settings", serve: Serve) -> None:
    reaction = message("A3") | {"message": {"reactionMessage": {"text": "\U0001f44d"}}, "messageType": "reactionMessage"}
    await store(resources.engine, received("A1"), of_group("A2"), envelope("messages.upsert", reaction), of_group("A4", fromMe=True))
    async with serve(settings) as client:
        shown = {each["evolution_id"]: each for each in (await client.get("/messages")).json()["items"]}
    assert {name: each["sender"] for name, each in shown.items()} == {"A1": None, "A2": CHAT, "A3": None, "A4": None}
    assert (shown["A1"]["whatsapp_type"], shown["A1"]["type"]) == ("conversation", "text")
    assert (shown["A3"]["whatsapp_type"], shown["A3"]["type"], shown["A3"]["text"]) == ("reactionMessage", "other", "\U0001f44d")


async def test_what_evolution_has_stored_is_read_in_the_same_way(resources: Resources) -> None:
    found = [record("A1", chat=GROUP), record("A2"), record("A3")]
    found[0]["key"]["participant"] = "5511977776666:3@s.whatsapp.net"
    found[2]["message"] = {"editedMessage": {"message": {"protocolMessage": {"editedMessage": {"conversation": "better"}}}}}
    records = [FoundMessage.model_validate(each) for each in found]
    await looking.store(resources, INSTANCE, records, loud_after=datetime.now(UTC))
    shown = [(row["evolution_id"], row["sender"]) for row in await messages(resources.engine)]
    assert shown == [("A1", CHAT), ("A2", None)], "an edit is no message of its own"


async def told(resources: Resources, caplog: pytest.LogCaptureFixture, *bodies: bytes) -> list[dict[str, Any]]:
    """Store events in one batch, and return what the log says of it."""
    caplog.clear()
    await storing.store(resources.engine, [read_event(each, ZONE) for each in bodies], "rabbitmq")
    return [vars(each) for each in caplog.records]


def refusals() -> float:
    return REGISTRY.get_sample_value("app_messages_refused_total") or 0.0


async def test_the_log_has_a_line_for_each_message_received_and_each_refusal_and_none_for_what_was_known(
    resources: Resources, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "app.events")
    before = refusals()
    assert await told(resources, caplog, sent("A1")) == []
    lines = await told(resources, caplog, received("A2", "a private word"), marked("A1", "ERROR"))
    ids = {row["evolution_id"]: row["id"] for row in await messages(resources.engine)}
    assert [(line["message"], line["message_id"], line["instance"], line["evolution_id"]) for line in lines] == [
        ("a message was received", ids["A2"], INSTANCE, "A2"),
        ("WhatsApp refused a message", ids["A1"], INSTANCE, "A1"),
    ]
    assert "private" not in json.dumps(lines, default=str)
    assert refusals() - before == 1
    assert await told(resources, caplog, received("A2"), marked("A1", "ERROR"), marked("A1", "DELIVERY_ACK"), marked("A1", "READ")) == []
    assert refusals() - before == 1


async def test_deliveries_and_readings_are_told_to_who_debugs(resources: Resources, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "app.events")
    await told(resources, caplog, sent("A1"))
    lines = [each for mark in ("DELIVERY_ACK", "READ", "READ") for each in await told(resources, caplog, marked("A1", mark))]
    assert [(line["message"], line["levelname"]) for line in lines] == [("a message is delivered", "DEBUG"), ("a message is read", "DEBUG")]
    earlier = marked("A1", "DELIVERY_ACK", at=datetime.now(UTC) - timedelta(seconds=9))
    assert await told(resources, caplog, earlier) == [], "it moves a time, and no state"


async def test_marks_of_messages_to_groups_are_not_asked_for_because_evolution_has_none(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = StoredMessages()
    stored.put_in(resources, monkeypatch)
    hour = timedelta(hours=1)
    now = datetime.now(UTC)
    await store(resources.engine, sent("A1", at=now - 20 * hour, chat=GROUP), sent("A2", at=now - 2 * hour))
    await rows(resources.engine, "UPDATE messages SET created_at = whatsapp_timestamp")
    stored.records[INSTANCE] = [record("A2", 7200, from_me=True, statuses=("READ",))]
    lost = LostMarks(resources)
    lost.doubt()
    lost.begin([INSTANCE], now)
    await lost.go_on(INSTANCE)
    assert [row["state"] for row in await messages(resources.engine)] == ["sent", "read"]
    assert [round(reach / hour) for _, reach in stored.asked] == [2], "it was asked as far back as the group's message"
