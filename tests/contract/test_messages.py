"""Sending and finding messages, with a phone: on a real API to the phone's own number, so that nobody is bothered."""

import base64
import re
import time
import uuid
from typing import Any

from tests.app.simulator_support import eventually
from tests.contract.comparison import Need, needs
from tests.contract.sounds import wav
from tests.contract.target import NOBODY, Paired, refused

pytestmark = needs(Need.PHONE)

MESSAGE = {
    "key",
    "pushName",
    "status",
    "message",
    "contextInfo",
    "messageType",
    "messageTimestamp",
    "instanceId",
    "source",
}
"""The fields of a message, in an answer and in the events `send.message` and `messages.upsert`."""

PNG = base64.b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001"
        "a5f645400000000049454e44ae426082"
    )
).decode()


def new_text() -> str:
    return f"contract {uuid.uuid4().hex}"


def assert_is_a_sent_message(sent: dict[str, Any], paired: Paired) -> None:
    assert set(sent) == MESSAGE
    assert sent["key"] == {"remoteJid": paired.chat, "fromMe": True, "id": sent["key"]["id"]}
    assert re.fullmatch(r"3EB0[0-9A-F]{36}", sent["key"]["id"])
    assert sent["status"] == "PENDING"
    assert isinstance(sent["pushName"], str)
    assert abs(sent["messageTimestamp"] - time.time()) < 120, "seconds, as a number"
    assert sent["instanceId"] == paired.api.row(paired.name)["id"]
    assert sent["source"] in {"unknown", "web", "desktop", "ios", "android"}


def found(paired: Paired, **where: object) -> dict[str, Any]:
    answer = paired.post("chat/findMessages", where=where)
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["messages"])


def test_a_text_is_answered_with_201_and_the_message_as_it_was_sent(paired: Paired) -> None:
    text = new_text()
    sent = paired.sent("sendText", text=text)
    assert_is_a_sent_message(sent, paired)
    assert (sent["messageType"], sent["message"]) == ("conversation", {"conversation": text})
    if paired.api.target.simulator:
        assert (sent["contextInfo"], sent["pushName"], sent["source"]) == (None, "", "unknown")


def test_an_image_is_sent_from_bare_base64_with_its_caption(paired: Paired) -> None:
    sent = paired.sent("sendMedia", mediatype="image", media=PNG, caption="a dot", mimetype="image/png")
    assert_is_a_sent_message(sent, paired)
    assert sent["messageType"] == "imageMessage"
    image = sent["message"]["imageMessage"]
    assert (image["mimetype"], image["caption"]) == ("image/png", "a dot")
    assert re.fullmatch(r"https?://.+", sent["message"].get("mediaUrl", "http://s3-is-off")), "where it lies in the object store"


def test_a_document_keeps_its_file_name_and_gets_its_type_from_it(paired: Paired) -> None:
    content = base64.b64encode(b"contract\n").decode()
    sent = paired.sent("sendMedia", mediatype="document", media=content, fileName="contract.txt")
    assert_is_a_sent_message(sent, paired)
    assert sent["messageType"] == "documentMessage"
    document = sent["message"]["documentMessage"]
    assert (document["fileName"], document["mimetype"]) == ("contract.txt", "text/plain")


def test_a_voice_message_becomes_an_ogg_with_opus(paired: Paired) -> None:
    sent = paired.sent("sendWhatsAppAudio", audio=base64.b64encode(wav(2)).decode())
    assert_is_a_sent_message(sent, paired)
    assert sent["messageType"] == "audioMessage"
    audio = sent["message"]["audioMessage"]
    assert (audio["mimetype"], audio["ptt"], audio["seconds"]) == ("audio/ogg; codecs=opus", True, 2)


def test_a_number_that_is_not_on_whatsapp_is_a_400_that_says_so_in_an_object(paired: Paired) -> None:
    answer = paired.api.post(f"/message/sendText/{paired.name}", {"number": NOBODY, "text": "hi"})
    assert answer.status_code == 400
    (told,) = answer.json()["response"]["message"]
    assert told == {"exists": False, "jid": f"{NOBODY}@s.whatsapp.net", "number": NOBODY}


def test_numbers_are_looked_up(paired: Paired) -> None:
    answer = paired.post("chat/whatsappNumbers", numbers=[paired.number, NOBODY])
    assert answer.status_code == 200
    there, not_there = sorted(answer.json(), key=lambda each: not each["exists"])
    assert there == there | {"exists": True, "jid": paired.chat, "number": paired.number}
    assert not_there == not_there | {"exists": False, "number": NOBODY}


def test_a_sent_message_is_found_by_its_id_its_chat_and_its_time(paired: Paired) -> None:
    sent = paired.sent("sendText", text=new_text())
    key = sent["key"]
    at = sent["messageTimestamp"]

    def moment(seconds: int) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(seconds))

    wheres: tuple[dict[str, Any], ...] = (
        {"key": {"id": key["id"]}},
        {"key": {"id": key["id"], "remoteJid": paired.chat, "fromMe": True}},
        {"key": {"id": key["id"]}, "messageTimestamp": {"gte": moment(at), "lte": moment(at)}},
    )
    eventually(lambda: found(paired, key={"id": key["id"]})["total"], "the message is stored")
    for where in wheres:
        (record,) = found(paired, **where)["records"]
        assert set(record) == (MESSAGE - {"status"}) | {"id", "MessageUpdate"}
        same = ("key", "message", "messageType", "messageTimestamp", "instanceId")
        assert {name: record[name] for name in same} == {name: sent[name] for name in same}
        assert all(set(update) == {"status"} for update in record["MessageUpdate"])
    late = {"gte": moment(at + 3600), "lte": moment(at + 7200)}
    assert found(paired, key={"id": key["id"]}, messageTimestamp=late)["total"] == 0


def test_messages_come_in_pages_with_the_newest_first(paired: Paired) -> None:
    sent = [paired.sent("sendText", text=new_text())["key"]["id"] for _ in range(3)]
    eventually(lambda: found(paired, key={"id": sent[-1]})["total"], "the last one is stored")

    def page(number: int) -> dict[str, Any]:
        body = {"where": {"key": {"remoteJid": paired.chat}}, "page": number, "offset": 2}
        return dict(paired.api.post(f"/chat/findMessages/{paired.name}", body).json()["messages"])

    first, second = page(1), page(2)
    assert (first["currentPage"], second["currentPage"]) == (1, 2)
    assert first["pages"] == -(-first["total"] // 2)
    assert len(first["records"]) == 2
    times = [each["messageTimestamp"] for each in first["records"] + second["records"]]
    assert times == sorted(times, reverse=True)


def test_the_file_of_a_message_is_given_back_as_base64(paired: Paired) -> None:
    sent = paired.sent("sendMedia", mediatype="image", media=PNG, mimetype="image/png", fileName="dot.png")
    eventually(lambda: found(paired, key={"id": sent["key"]["id"]})["total"], "the message is stored")
    answer = paired.post("chat/getBase64FromMediaMessage", message={"key": {"id": sent["key"]["id"]}})
    assert answer.status_code == 201, answer.text
    file = answer.json()
    assert (file["mediaType"], file["mimetype"], file["base64"]) == ("imageMessage", "image/png", PNG)
    assert {"fileName", "size"} <= set(file)


def test_messages_are_marked_as_read_with_201(paired: Paired) -> None:
    sent = paired.sent("sendText", text=new_text())["key"]
    answer = paired.post("chat/markMessageAsRead", readMessages=[sent])
    assert (answer.status_code, answer.json()) == (201, {"message": "Read messages", "read": "success"})


def test_presence_is_shown_with_201(paired: Paired) -> None:
    answer = paired.post("instance/setPresence", presence="available")
    assert (answer.status_code, answer.json()) == (201, {"presence": "available"})


def test_a_broken_reference_to_media_is_refused_with_a_phone_as_without(paired: Paired) -> None:
    answer = paired.api.post(f"/message/sendMedia/{paired.name}", {"number": paired.number, "mediatype": "image", "media": "no base64!"})
    assert (answer.status_code, answer.json()) == (400, refused("Owned media must be a url or base64"))


def test_connect_on_an_open_instance_gives_its_state(paired: Paired) -> None:
    answer = paired.api.get(f"/instance/connect/{paired.name}")
    assert (answer.status_code, answer.json()) == (200, {"instance": {"instanceName": paired.name, "state": "open"}})
