"""Evolution API 2.2.3's events, from bytes to what they tell; shapes as its source makes them and as it was seen to send them."""

import base64
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.events.facts import ConnectionSeen, ConnectionState, Ignored, InstanceGone, InstanceMade, Mark, MarkSeen, MessageSeen
from src.events.payloads import EventError, read_event

SAO_PAULO = ZoneInfo("America/Sao_Paulo")
HEARD_AT = datetime(2026, 11, 22, 11, 35, 38, 670000, tzinfo=UTC)
CHAT = "5511999990001@s.whatsapp.net"


def body(event: str, data: object, **more: object) -> bytes:
    common = {"instance": "a1", "date_time": "2026-11-22T08:35:38.670Z", "server_url": "http://evolution-api:8080", "apikey": "A-TOKEN"}
    return json.dumps({"event": event, "data": data, **common, **more}).encode()


def message(content: dict[str, Any], **more: object) -> dict[str, Any]:
    return {
        "key": {"remoteJid": CHAT, "fromMe": False, "id": "3EB0AA"},
        "pushName": "Ana",
        "status": "DELIVERY_ACK",
        "message": content,
        "contextInfo": None,
        "messageType": next(iter(content), "unknown"),
        "messageTimestamp": 1795347843,
        "instanceId": "7a5a3b5e-0f5e-4f0e-9a3c-0d4b5d1f0c11",
        "source": "android",
        **more,
    }


def seen(content: dict[str, Any], **more: object) -> MessageSeen:
    event = read_event(body("messages.upsert", message(content, **more)), SAO_PAULO)
    assert isinstance(event.fact, MessageSeen)
    return event.fact


def test_a_received_text_is_read_with_whatsapps_own_time_and_the_name_of_its_sender() -> None:
    fact = seen({"conversation": "hi"})
    assert (fact.instance, fact.evolution_id, fact.chat, fact.from_me, fact.push_name) == ("a1", "3EB0AA", CHAT, False, "Ana")
    assert (fact.content.type, fact.content.text, fact.content.media, fact.content.whatsapp_type) == ("text", "hi", None, "conversation")
    assert fact.at == datetime.fromtimestamp(1795347843, UTC)


def test_date_time_is_local_time_whatever_its_z_says() -> None:
    assert seen({"conversation": "hi"}).heard_at == HEARD_AT
    event = read_event(body("messages.upsert", message({"conversation": "hi"})), ZoneInfo("UTC"))
    assert event.fact.heard_at == datetime(2026, 11, 22, 8, 35, 38, 670000, tzinfo=UTC)


def test_a_connection_change_of_the_future_is_one_of_now() -> None:
    event = read_event(body("connection.update", {"state": "open"}, date_time="2126-11-22T08:35:38.670Z"), SAO_PAULO)
    assert event.fact.heard_at <= datetime.now(UTC)


def test_a_date_time_that_is_none_does_not_cost_the_message() -> None:
    before = datetime.now(UTC)
    event = read_event(body("messages.upsert", message({"conversation": "hi"}), date_time="yesterday"), SAO_PAULO)
    assert event.fact.heard_at >= before


@pytest.mark.parametrize(
    ("content", "type_", "text", "media"),
    [
        ({"extendedTextMessage": {"text": "a link"}}, "text", "a link", None),
        (
            {"imageMessage": {"caption": "look", "mimetype": "image/png", "fileLength": {"low": 3}}, "mediaUrl": "http://minio:9000/x?y"},
            "media",
            "look",
            {"kind": "image", "mimetype": "image/png", "file_name": None, "url": "http://minio:9000/x?y", "seconds": None},
        ),
        *(
            (
                {"imageMessage": {"fileSha256": given}},
                "media",
                None,
                {"kind": "image", "mimetype": None, "file_name": None, "url": None, "seconds": None, **known},
            )
            for given, known in (
                (base64.b64encode(bytes(range(32))).decode(), {"sha256": bytes(range(32)).hex()}),
                ({str(place): place for place in range(32)}, {"sha256": bytes(range(32)).hex()}),
                ({"0": "x"}, {}),
                ({str(place): 256 for place in range(32)}, {}),
                ("aGk=", {}),
                ("no base64", {}),
                (7, {}),
            )
        ),
        (
            {"documentMessage": {"fileName": "a.pdf", "mimetype": "application/pdf", "caption": ""}},
            "media",
            None,
            {"kind": "document", "mimetype": "application/pdf", "file_name": "a.pdf", "url": None, "seconds": None},
        ),
        (
            {"audioMessage": {"ptt": True, "seconds": 2, "mimetype": "audio/ogg; codecs=opus"}, "base64": "AAAA"},
            "voice",
            None,
            {"kind": "audio", "mimetype": "audio/ogg; codecs=opus", "file_name": None, "url": None, "seconds": 2},
        ),
        (
            {"audioMessage": {"seconds": 9}},
            "media",
            None,
            {"kind": "audio", "mimetype": None, "file_name": None, "url": None, "seconds": 9},
        ),
        (
            {"ephemeralMessage": {"message": {"viewOnceMessageV2": {"message": {"videoMessage": {"caption": "once", "seconds": 3}}}}}},
            "media",
            "once",
            {"kind": "video", "mimetype": None, "file_name": None, "url": None, "seconds": 3},
        ),
        ({"locationMessage": {"degreesLatitude": 1.0}}, "other", None, None),
        ({"locationMessage": {"degreesLatitude": 1.0, "name": "The shop"}}, "other", "The shop", None),
        ({"buttonsResponseMessage": {"selectedButtonId": "1", "selectedDisplayText": "Yes"}}, "other", "Yes", None),
        ({"templateButtonReplyMessage": {"selectedId": "1", "selectedDisplayText": "Yes"}}, "other", "Yes", None),
        ({"listResponseMessage": {"title": "The second", "listType": 1}}, "other", "The second", None),
        ({"reactionMessage": {"key": {"id": "3EB0"}, "text": "\U0001f44d"}}, "other", "\U0001f44d", None),
        ({"reactionMessage": {"key": {"id": "3EB0"}, "text": ""}}, "other", None, None),
        ({"contactMessage": {"displayName": "Bia", "vcard": "BEGIN:VCARD"}}, "other", "Bia", None),
        ({"pollCreationMessageV3": {"name": "When?", "options": []}}, "other", "When?", None),
        ({}, "other", None, None),
    ],
)
def test_content_is_read_as_far_as_it_is_kept(content: dict[str, Any], type_: str, text: str | None, media: dict[str, Any] | None) -> None:
    read = seen(content).content
    assert (read.type, read.text, read.media) == (type_, text, media)


def test_what_postgres_cannot_store_is_taken_from_texts() -> None:
    assert seen({"conversation": "a\0b \ud83d c \U0001f600"}).content.text == "ab \ufffd c \U0001f600"


@pytest.mark.parametrize("stamp", [1795347843, "1795347843", {"low": 1795347843, "high": 0, "unsigned": True}])
def test_a_time_is_read_in_all_forms_of_protobufs_libraries(stamp: object) -> None:
    assert seen({"conversation": "hi"}, messageTimestamp=stamp).at == datetime.fromtimestamp(1795347843, UTC)


def test_an_own_message_has_the_mark_that_its_status_says() -> None:
    key = {"remoteJid": CHAT, "fromMe": True, "id": "3EB0BB"}
    for status, mark in (("PENDING", Mark.SENT), ("SERVER_ACK", Mark.SENT), ("DELIVERY_ACK", Mark.DELIVERED), (None, Mark.SENT)):
        fact = read_event(body("send.message", message({"conversation": "hi"}, key=key, status=status)), SAO_PAULO).fact
        assert isinstance(fact, MessageSeen)
        assert (fact.from_me, fact.mark) == (True, mark)


def test_a_device_is_no_conversation_of_its_own_and_a_group_is_one() -> None:
    assert seen({"conversation": "x"}, key={"remoteJid": "5511999990001:7@s.whatsapp.net", "id": "1"}).chat == CHAT
    group = {"remoteJid": "120363@g.us", "fromMe": False, "id": "1", "participant": CHAT}
    assert seen({"conversation": "x"}, key=group).chat == "120363@g.us"


def test_who_wrote_to_a_group_is_read_without_the_device() -> None:
    group = {"remoteJid": "120363@g.us", "fromMe": False, "id": "1", "participant": "5511999990001:7@s.whatsapp.net"}
    assert seen({"conversation": "x"}, key=group).sender == CHAT
    assert seen({"conversation": "x"}).sender is None
    assert seen({"conversation": "x"}, key={**group, "participant": None}).sender is None


def test_an_edit_is_no_message_of_its_own() -> None:
    edit = {"protocolMessage": {"key": {"id": "3EB0AA"}, "type": 14, "editedMessage": {"conversation": "better"}}}
    for content in ({"editedMessage": {"message": edit}}, {"ephemeralMessage": {"message": {"editedMessage": {"message": edit}}}}):
        fact = read_event(
            body("messages.upsert", message(content, key={"remoteJid": CHAT, "fromMe": False, "id": "3EB0BB"})), SAO_PAULO
        ).fact
        assert isinstance(fact, Ignored)
        assert fact.why == "an edit of another message"


def test_status_updates_are_ignored() -> None:
    data = message({"conversation": "look at me"}, key={"remoteJid": "status@broadcast", "fromMe": False, "id": "1"})
    assert isinstance(read_event(body("messages.upsert", data), SAO_PAULO).fact, Ignored)


@pytest.mark.parametrize(
    ("status", "mark"),
    [
        ("PENDING", Mark.SENT),
        ("SERVER_ACK", Mark.SENT),
        ("ERROR", Mark.FAILED),
        ("DELIVERY_ACK", Mark.DELIVERED),
        ("READ", Mark.READ),
        ("PLAYED", Mark.READ),
    ],
)
def test_an_update_is_a_mark_of_an_own_message(status: str, mark: Mark) -> None:
    data = {"messageId": "cm1", "keyId": "3EB0BB", "remoteJid": CHAT, "fromMe": True, "participant": CHAT, "status": status}
    assert read_event(body("messages.update", data), SAO_PAULO).fact == MarkSeen("a1", "3EB0BB", mark, HEARD_AT)


@pytest.mark.parametrize("change", [{"status": None}, {"status": "DELETED"}, {"fromMe": False}])
def test_an_update_that_marks_no_own_message_is_ignored(change: dict[str, object]) -> None:
    data = {"keyId": "3EB0BB", "remoteJid": CHAT, "fromMe": True, "status": "READ", **change}
    assert isinstance(read_event(body("messages.update", data), SAO_PAULO).fact, Ignored)


def test_connections_are_read_with_the_phone_that_opened_them() -> None:
    opened = {"instance": "a1", "wuid": "5511988887777:3@s.whatsapp.net", "profileName": "Ana", "state": "open", "statusReason": 200}
    fact = read_event(body("connection.update", opened, sender="5511988887777@s.whatsapp.net"), SAO_PAULO).fact
    assert fact == ConnectionSeen("a1", ConnectionState.OPEN, HEARD_AT, 200, "5511988887777", "Ana")
    refused = read_event(body("connection.update", {"instance": "a1", "state": "refused", "statusReason": 428}), SAO_PAULO).fact
    assert isinstance(refused, ConnectionSeen)
    assert (refused.state, refused.state.stored, refused.phone) == (ConnectionState.REFUSED, "close", None)


def test_instances_that_come_and_go_are_read() -> None:
    identifier = "7a5a3b5e-0f5e-4f0e-9a3c-0d4b5d1f0c11"
    data = {"instanceName": "a1", "instanceId": identifier}
    assert read_event(body("instance.create", data), SAO_PAULO).fact == InstanceMade("a1", UUID(identifier), HEARD_AT)
    assert read_event(body("instance.delete", data), SAO_PAULO).fact == InstanceGone("a1", UUID(identifier), HEARD_AT)


def test_a_qr_code_and_the_end_of_them_are_told_apart() -> None:
    shown = {"qrcode": {"instance": "b1", "pairingCode": None, "code": "2@x", "base64": "data:image/png;base64,AAAA"}}
    fact = read_event(body("qrcode.updated", shown), SAO_PAULO).fact
    assert isinstance(fact, Ignored)
    assert fact.why == "a QR code waits to be scanned"
    ended = {"message": "QR code limit reached, please login again", "statusCode": 500}
    fact = read_event(body("qrcode.updated", ended), SAO_PAULO).fact
    assert isinstance(fact, Ignored)
    assert fact.why == "QR code limit reached, please login again"


@pytest.mark.parametrize("name", ["chats.upsert", "group-participants.update", "something.new"])
@pytest.mark.parametrize("data", [None, [], {"any": "thing"}])
def test_every_other_event_is_ignored_whatever_it_holds(name: str, data: object) -> None:
    event = read_event(body(name, data), SAO_PAULO)
    assert event.name == name
    assert isinstance(event.fact, Ignored)


@pytest.mark.parametrize(
    "given_body",
    [
        b"",
        b"not JSON",
        b"\xff\xfe",
        b"[]",
        b'"messages.upsert"',
        b"{}",
        body("messages.upsert", None),
        body("messages.upsert", {"key": {"remoteJid": CHAT}}),
        body("messages.upsert", {"key": {"remoteJid": CHAT, "id": ""}}),
        body("messages.upsert", message({"conversation": "x"}, key={"remoteJid": "x" * 5000, "id": "1"})),
        body("messages.upsert", message({"conversation": "x"}, messageTimestamp=10**18)),
        body("messages.update", {"status": "READ"}),
        body("connection.update", {"state": "upside down"}),
        body("instance.create", {"instanceId": "no uuid"}),
        b"[" * 100_000,
    ],
)
def test_what_is_no_event_is_refused_in_words(given_body: bytes) -> None:
    with pytest.raises(EventError) as caught:
        read_event(given_body, SAO_PAULO)
    assert 5 < len(str(caught.value)) < 500


def test_the_reason_of_a_refusal_repeats_no_content() -> None:
    with pytest.raises(EventError) as caught:
        read_event(body("messages.upsert", {"key": {"remoteJid": 7, "id": ["secret words"]}, "message": "secret words"}), SAO_PAULO)
    assert "secret" not in str(caught.value)
    with pytest.raises(EventError) as caught:
        read_event(b'{"event": "messages.upsert", "secret words', SAO_PAULO)
    assert "secret" not in str(caught.value)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


@given(data=anything, name=st.sampled_from(["messages.upsert", "send.message", "messages.update", "connection.update", "qrcode.updated"]))
def test_whatever_comes_is_read_or_refused_and_nothing_else(data: object, name: str) -> None:
    with_key = {"key": {"remoteJid": CHAT, "id": "1"}, "message": data, "status": data, "messageTimestamp": data}
    for each in (data, with_key):
        try:
            read_event(body(name, each), SAO_PAULO)
        except EventError:
            continue
