"""Events of messages, in both directions: what is sent, what arrives, and how far it came."""

import base64
import time
from typing import Any

import pytest

from tests.app.simulator_support import eventually
from tests.contract.comparison import Need, needs
from tests.contract.listener import Call, Listener
from tests.contract.target import Api, Paired
from tests.contract.test_messages import MESSAGE, PNG, new_text

SENDER = "5511977776666"


@pytest.fixture
def heard(paired: Paired, listener: Listener) -> Paired:
    """The paired instance, whose events come to the listener; a real one's webhook is left alone."""
    if paired.api.target.simulator:
        events = ["SEND_MESSAGE", "MESSAGES_UPSERT", "MESSAGES_UPDATE"]
        body = {"webhook": {"enabled": True, "url": f"{listener.url}/m", "events": events}}
        paired.api.post(f"/webhook/set/{paired.name}", body).raise_for_status()
    return paired


def receive(api: Api, name: str, **content: Any) -> dict[str, Any]:  # noqa: ANN401
    """Let somebody write to the phone."""
    body = {"from": SENDER, "pushName": "Bea", **content}
    answer = api.post(f"/simulator/instances/{name}/messages", body)
    assert answer.is_success, answer.text
    return dict(answer.json())


def message_of(call: Call) -> dict[str, Any]:
    assert set(call.body["data"]) >= MESSAGE - {"contextInfo"}
    return dict(call.body["data"])


@needs(Need.PHONES_HAND)
def test_what_is_sent_is_told_with_the_same_content_as_the_answer(heard: Paired, listener: Listener) -> None:
    sent = heard.sent("sendText", text=new_text())
    call = listener.wait_for(heard.name, "send.message", lambda call: call.body["data"]["key"] == sent["key"])
    assert call.body["data"] == sent
    assert call.body["sender"] == heard.wuid


@needs(Need.WHATSAPP_TIMING)
def test_a_delivery_and_a_reading_are_told_one_after_the_other(heard: Paired, listener: Listener) -> None:
    sent = heard.sent("sendText", text=new_text())["key"]

    def told(status: str) -> dict[str, Any]:
        is_it = lambda call: (call.body["data"].get("keyId"), call.body["data"]["status"]) == (sent["id"], status)  # noqa: E731
        return dict(listener.wait_for(heard.name, "messages.update", is_it).body["data"])

    delivered = told("DELIVERY_ACK")
    assert delivered == delivered | {"keyId": sent["id"], "remoteJid": heard.chat, "fromMe": True, "status": "DELIVERY_ACK"}
    assert {"messageId", "instanceId"} <= set(delivered)
    heard.api.post(f"/simulator/instances/{heard.name}/messages/{sent['id']}/status", {"status": "READ"}).raise_for_status()
    assert told("READ")["messageId"] == delivered["messageId"]
    record = heard.post("chat/findMessages", where={"key": {"id": sent["id"]}}).json()["messages"]["records"][0]
    assert {update["status"] for update in record["MessageUpdate"]} >= {"DELIVERY_ACK", "READ"}


@needs(Need.PHONES_HAND)
def test_a_text_that_arrives_is_told_with_who_sent_it(heard: Paired, listener: Listener) -> None:
    text = new_text()
    receive(heard.api, heard.name, text=text)
    call = listener.wait_for(heard.name, "messages.upsert", lambda call: call.body["data"]["message"].get("conversation") == text)
    message = message_of(call)
    assert message["key"] == message["key"] | {"remoteJid": f"{SENDER}@s.whatsapp.net", "fromMe": False}
    assert (message["pushName"], message["messageType"]) == ("Bea", "conversation")
    assert message["status"] == "DELIVERY_ACK"
    assert abs(message["messageTimestamp"] - time.time()) < 60
    assert message["source"] in {"android", "ios"}


@needs(Need.PHONES_HAND)
def test_a_picture_that_arrives_carries_the_address_of_its_file(heard: Paired, listener: Listener) -> None:
    caption = new_text()
    receive(heard.api, heard.name, media={"base64": PNG, "mimetype": "image/png", "caption": caption})
    is_it = lambda call: call.body["data"]["message"].get("imageMessage", {}).get("caption") == caption  # noqa: E731
    message = message_of(listener.wait_for(heard.name, "messages.upsert", is_it))
    assert message["messageType"] == "imageMessage"
    assert message["message"]["mediaUrl"].startswith("http")
    file = heard.post("chat/getBase64FromMediaMessage", message={"key": {"id": message["key"]["id"]}}).json()
    assert base64.b64decode(file["base64"]) == base64.b64decode(PNG)


@needs(Need.PHONES_HAND)
def test_a_webhook_that_asks_for_files_gets_them_in_the_event(heard: Paired, listener: Listener) -> None:
    body = {"webhook": {"enabled": True, "url": f"{listener.url}/m", "events": ["MESSAGES_UPSERT"], "base64": True}}
    heard.api.post(f"/webhook/set/{heard.name}", body).raise_for_status()
    caption = new_text()
    try:
        receive(heard.api, heard.name, media={"base64": PNG, "mimetype": "image/png", "caption": caption})
        is_it = lambda call: call.body["data"]["message"].get("imageMessage", {}).get("caption") == caption  # noqa: E731
        assert listener.wait_for(heard.name, "messages.upsert", is_it).body["data"]["message"]["base64"] == PNG
    finally:
        body["webhook"]["base64"] = False
        heard.api.post(f"/webhook/set/{heard.name}", body).raise_for_status()


@needs(Need.PHONES_HAND)
def test_a_chat_is_listed_once_somebody_wrote_in_it_and_never_with_its_last_message(paired: Paired) -> None:
    receive(paired.api, paired.name, text=new_text())

    def chat() -> dict[str, Any]:
        listed = paired.post("chat/findChats").json()
        return next((each for each in listed if each["remoteJid"] == f"{SENDER}@s.whatsapp.net"), {})

    listed = eventually(chat, "the chat is listed")
    assert listed["pushName"] == "Bea"
    assert "lastMessage" not in listed, "2.2.3 asks its database for it in capitals that Postgres drops"


@needs(Need.PHONES_HAND)
def test_who_wrote_is_a_contact(paired: Paired) -> None:
    receive(paired.api, paired.name, text=new_text())

    def contact() -> dict[str, Any]:
        found = paired.post("chat/findContacts", where={"remoteJid": f"{SENDER}@s.whatsapp.net"}).json()
        return next(iter(found), {})

    assert eventually(contact, "the contact is there")["pushName"] == "Bea"
