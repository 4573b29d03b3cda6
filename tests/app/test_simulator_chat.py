"""The simulator finds messages, contacts and chats, and works on them, as Evolution API 2.2.3 does."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.app.simulator_messages import CHAT, CONTACT, PNG, Phone, encoded, hear, paired, wav
from tests.app.simulator_support import Broker, Process, eventually

pytest_plugins = ["tests.app.simulator_fixtures", "tests.contract.simulator", "tests.app.simulator_message_fixtures"]

INSTANT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def page(phone: Phone, **query: object) -> dict[str, Any]:
    answer = phone.post("chat/findMessages", **query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["messages"])


def ids(records: list[dict[str, Any]]) -> list[str]:
    return [record["key"]["id"] for record in records]


def test_messages_are_found_by_each_filter_and_a_false_from_me_filters_nothing(phone: Phone) -> None:
    sent = phone.send()["key"]["id"]
    other = phone.send(number="5511955554444")["key"]["id"]
    received = phone.receive(text="hello")["id"]
    everything = [received, other, sent]
    assert ids(phone.found()) == everything, "the newest comes first"
    assert ids(phone.found(key={"id": sent})) == [sent]
    assert ids(phone.found(key={"remoteJid": CHAT})) == [received, sent]
    assert ids(phone.found(key={"fromMe": True})) == [other, sent]
    assert ids(phone.found(key={"fromMe": False})) == everything, "2.2.3 looks at it only when it is true"
    assert ids(phone.found(key={"remoteJid": CHAT, "fromMe": True})) == [sent]
    assert ids(phone.found(source="android")) == [received]
    assert ids(phone.found(messageType="imageMessage")) == []
    assert ids(phone.found(id=phone.found(key={"id": other})[0]["id"])) == [other]


def test_a_found_message_shows_everything_but_its_status(phone: Phone) -> None:
    sent = phone.send()
    phone.wait_for(sent["key"]["id"], "DELIVERY_ACK")
    (record,) = phone.found()
    assert re.fullmatch(r"c[0-9a-z]{24}", record.pop("id"))
    assert record == {name: value for name, value in sent.items() if name != "status"} | {
        "MessageUpdate": [{"status": "SERVER_ACK"}, {"status": "DELIVERY_ACK"}]
    }


def test_times_are_iso_or_milliseconds_whole_seconds_inclusive_and_only_count_together(phone: Phone) -> None:
    sent = phone.send()
    at = datetime.fromtimestamp(sent["messageTimestamp"], UTC)

    def seen(gte: object, lte: object) -> int:
        return int(page(phone, where={"messageTimestamp": {"gte": gte, "lte": lte}})["total"])

    exact = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    local = at - timedelta(hours=3)  # America/Sao_Paulo, the zone that the simulator is started with
    assert seen(exact, exact) == 1
    assert seen(at.isoformat(timespec="milliseconds"), at.isoformat()) == 1
    assert seen(local.strftime("%Y-%m-%dT%H:%M:%S"), local.strftime("%Y-%m-%dT%H:%M:%S-03:00")) == 1
    assert seen(sent["messageTimestamp"] * 1000, sent["messageTimestamp"] * 1000) == 1
    assert seen(at.strftime("%Y-%m-%d"), (at + timedelta(days=1)).strftime("%Y-%m-%d")) == 1, "a date alone is midnight, UTC"
    later = (at + timedelta(seconds=1)).isoformat()
    assert seen(later, (at + timedelta(hours=1)).isoformat()) == 0
    assert page(phone, where={"messageTimestamp": {"gte": later}})["total"] == 1, "one bound alone is ignored"


@pytest.mark.parametrize(
    "query",
    [{"where": {"messageTimestamp": {"gte": "soon", "lte": "later"}}}, {"page": "2"}, {"offset": -1}, {"where": {"source": 5}}],
)
def test_what_prisma_would_not_take_is_a_500(phone: Phone, query: dict[str, Any]) -> None:
    answer = phone.post("chat/findMessages", **query)
    assert answer.status_code == 500
    assert answer.json()["response"]["message"].startswith("\nInvalid `this.prismaRepository")


def test_an_empty_value_of_a_key_is_refused(phone: Phone) -> None:
    answer = phone.post("chat/findMessages", where={"key": {"id": ""}})
    assert (answer.status_code, answer.json()["response"]["message"]) == (400, [["The property cannot be empty"]])


def test_pages_are_complete_and_do_not_overlap(phone: Phone) -> None:
    sent = [phone.send(str(count))["key"]["id"] for count in range(7)]
    pages = [page(phone, page=number, offset=3) for number in (1, 2, 3, 4)]
    assert [(each["total"], each["pages"], each["currentPage"]) for each in pages] == [(7, 3, number) for number in (1, 2, 3, 4)]
    assert [key_id for each in pages for key_id in ids(each["records"])] == sent[::-1]
    assert len(page(phone)["records"]) == 7, "without an offset a page has 50"


def test_the_updates_of_a_message_are_found_too(phone: Phone) -> None:
    key_id = phone.send()["key"]["id"]
    phone.wait_for(key_id, "DELIVERY_ACK")
    found = phone.post("chat/findStatusMessage", where={"id": key_id}).json()
    assert [each["status"] for each in found] == ["SERVER_ACK", "DELIVERY_ACK"]
    assert set(found[0]) == {"id", "keyId", "remoteJid", "fromMe", "participant", "pollUpdates", "status", "messageId", "instanceId"}


def test_who_wrote_is_a_contact_and_a_chat_and_who_was_only_written_to_is_none(phone: Phone) -> None:
    phone.send(number="5511955554444")
    phone.receive(text="hello")
    (contact,) = eventually(lambda: phone.post("chat/findContacts").json(), "the contact")
    assert (contact["remoteJid"], contact["pushName"], contact["profilePicUrl"]) == (CHAT, "Bia", None)
    assert all(re.fullmatch(INSTANT, contact[name]) for name in ("createdAt", "updatedAt"))
    (chat,) = phone.post("chat/findChats").json()
    assert set(chat) == {"id", "remoteJid", "pushName", "profilePicUrl", "updatedAt", "windowStart", "windowExpires", "windowActive"}
    assert chat["id"] == contact["id"]
    for number, there in ((CONTACT, 1), (CHAT, 1), ("5511955554444", 0)):
        for route in ("findContacts", "findChats"):
            assert len(phone.post(f"chat/{route}", where={"remoteJid": number}).json()) == there, (route, number)


def test_the_list_of_instances_counts_what_is_stored(phone: Phone) -> None:
    phone.send()
    phone.receive(text="hello")
    phone.simulator("POST", "offline")
    phone.receive(text="later")
    assert phone.process.row(phone.name)["_count"] == {"Message": 2, "Contact": 1, "Chat": 0}


def test_numbers_are_looked_up_with_the_names_that_are_known(phone: Phone) -> None:
    phone.receive(text="hello")
    answer = phone.post("chat/whatsappNumbers", numbers=[CONTACT, "9991234567", "5531999990001", "status@broadcast"])
    assert answer.status_code == 200
    assert answer.json() == [
        {"jid": "status@broadcast", "exists": False, "number": "status@broadcast"},
        {"exists": True, "jid": CHAT, "number": CONTACT, "name": "Bia"},
        {"exists": False, "jid": "9991234567@s.whatsapp.net", "number": "9991234567"},
        {"exists": True, "jid": "553199990001@s.whatsapp.net", "number": "5531999990001"},
    ]
    nothing = phone.post("chat/whatsappNumbers")
    assert (nothing.status_code, nothing.json()["response"]["message"]) == (500, "Cannot read properties of undefined (reading 'forEach')")


def test_a_message_that_the_instance_reads_is_seen_to_be_read(phone: Phone) -> None:
    received = phone.receive(text="hello")
    key = {"id": received["id"], "fromMe": False, "remoteJid": CHAT}
    answer = phone.post("chat/markMessageAsRead", readMessages=[key])
    assert (answer.status_code, answer.json()) == (201, {"message": "Read messages", "read": "success"})
    assert [message["seen"] for message in phone.simulator("GET", f"chats/{CONTACT}/messages")] == [True]
    wrong = phone.post("chat/markMessageAsRead", readMessages=[{"id": received["id"]}])
    said = ['readMessages[0] requires property "fromMe"', 'readMessages[0] requires property "remoteJid"']
    assert (wrong.status_code, wrong.json()["response"]["message"]) == (400, [said])


def test_a_file_is_given_in_base64_and_what_has_none_says_so(phone: Phone) -> None:
    image = phone.receive(media={"base64": encoded(PNG), "mimetype": "image/png", "caption": "look"})
    answer = phone.post("chat/getBase64FromMediaMessage", message={"key": {"id": image["id"]}})
    assert answer.status_code == 201
    assert answer.json() == {
        "mediaType": "imageMessage",
        "fileName": f"{image['id']}.png",
        "caption": "look",
        "size": {"fileLength": str(len(PNG)), "height": 2, "width": 3},
        "mimetype": "image/png",
        "base64": encoded(PNG),
        "buffer": None,
    }
    text = phone.send()["key"]["id"]
    wrongs = {
        "The message is not of the media type": {"message": {"key": {"id": text}}},
        "Message not found": {"message": {"key": {"id": "unknown"}}},
        "TypeError: Cannot read properties of undefined (reading 'key')": {},
    }
    for message, body in wrongs.items():
        refused = phone.post("chat/getBase64FromMediaMessage", **body)
        assert (refused.status_code, refused.json()["response"]["message"]) == (400, [message])


def test_a_voice_message_is_given_as_mp4_too(phone: Phone) -> None:
    sent = phone.post("message/sendWhatsAppAudio", number=CONTACT, audio=encoded(wav(1))).json()
    file = phone.post("chat/getBase64FromMediaMessage", message={"key": sent["key"]}, convertToMp4=True).json()
    assert (file["mediaType"], file["mimetype"]) == ("audioMessage", "audio/mp4")
    assert file["base64"]


def test_a_message_is_taken_back_and_stays_marked_or_goes(
    phone: Phone, broker: Broker, run: Callable[..., Process], alone: Callable[[], dict[str, str]]
) -> None:
    heard = hear(broker, phone)
    key = phone.send()["key"]
    phone.wait_for(key["id"], "DELIVERY_ACK")
    answer = phone.call("DELETE", f"/chat/deleteMessageForEveryone/{phone.name}", key)
    assert answer.status_code == 201
    assert answer.json()["message"] == {"protocolMessage": {"key": key, "type": "REVOKE"}}
    told = heard.wait_for("messages.delete")
    assert (told["key"], told["status"]) == (key | {"deleted": True}, "DELETED")
    assert phone.found()[0]["key"]["deleted"] is True
    assert phone.simulator("GET", f"chats/{CONTACT}/messages")[0]["deleted"]

    other = paired(run(alone(), DATABASE_DELETE_MESSAGE="false"))
    key = other.send()["key"]
    other.call("DELETE", f"/chat/deleteMessageForEveryone/{other.name}", key).raise_for_status()
    assert other.found() == []
    again = other.call("DELETE", f"/chat/deleteMessageForEveryone/{other.name}", key)
    assert again.status_code == 500
    assert again.json()["response"]["message"][0] == "Error while deleting message for everyone"


def test_an_edited_message_changes_on_the_phone_and_not_in_the_database(phone: Phone) -> None:
    key = phone.send("wrogn")["key"]
    answer = phone.post("chat/updateMessage", number=CONTACT, key=key, text="wrong")
    assert answer.status_code == 200, answer.text
    (shown,) = phone.simulator("GET", f"chats/{CONTACT}/messages")
    assert (shown["text"], shown["edited"]) == ("wrong", True)
    assert phone.found()[0]["message"] == {"conversation": "wrogn"}
    unknown = phone.post("chat/updateMessage", number=CONTACT, key=key | {"id": "unknown"}, text="a")
    assert (unknown.status_code, unknown.json()["response"]["message"]) == (400, ["Message not compatible"])


def test_presence_takes_as_long_as_it_is_shown(phone: Phone) -> None:
    begun = time.monotonic()
    answer = phone.post("chat/sendPresence", number=CONTACT, presence="composing", delay=300)
    assert (answer.status_code, answer.json()) == (201, {"presence": "composing"})
    assert time.monotonic() - begun >= 0.3
    wrong = phone.post("chat/sendPresence", number=CONTACT, presence="dancing", delay=1)
    listed = "presence is not one of enum values: unavailable,available,composing,recording,paused"
    assert (wrong.status_code, wrong.json()["response"]["message"]) == (400, [[listed]])


def test_nobody_has_a_picture(phone: Phone) -> None:
    answer = phone.post("chat/fetchProfilePictureUrl", number=CONTACT)
    assert (answer.status_code, answer.json()) == (200, {"wuid": CHAT, "profilePictureUrl": None})
