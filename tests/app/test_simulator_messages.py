"""Messages that the simulator sends and receives: who gets them, what becomes of them, and what outlives what."""

import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from simulator.messages.jids import jid_of
from simulator.messages.validation import problems
from tests.app.simulator_messages import CHAT, CONTACT, Phone, hear, paired
from tests.app.simulator_support import Broker, Passage, Process, Service, eventually, new_name

pytest_plugins = ["tests.app.simulator_fixtures", "tests.contract.simulator", "tests.app.simulator_message_fixtures"]

Run = Callable[..., Process]
Alone = Callable[[], dict[str, str]]

MOST_CPU_PER_MESSAGE_S = 1 / 300
"""One core has to be good for 300 texts a second, with their events and marks."""


def message_of(answer: httpx.Response) -> Any:  # noqa: ANN401
    return answer.json()["response"]["message"]


# To whom, and what is refused


@pytest.mark.parametrize(
    ("number", "jid"),
    [
        ("5511999990001", "5511999990001@s.whatsapp.net"),
        ("+55 (11) 99999-0001", "5511999990001@s.whatsapp.net"),
        ("5531999990001", "553199990001@s.whatsapp.net"),
        ("5521999990001", "5521999990001@s.whatsapp.net"),
        ("5531399990001", "553199990001@s.whatsapp.net"),
        ("5215512345678", "525512345678@s.whatsapp.net"),
        ("5491123456789", "541123456789@s.whatsapp.net"),
        ("14155550100", "14155550100@s.whatsapp.net"),
        ("14155550100:12@s.whatsapp.net", "14155550100@s.whatsapp.net"),
        ("120363041234567890", "120363041234567890@g.us"),
        ("5511999990001-1612345678", "5511999990001-1612345678@g.us"),
        ("status@broadcast", "status@broadcast"),
        ("", "@s.whatsapp.net"),
    ],
)
def test_a_number_becomes_the_address_that_2_2_3_makes_of_it(number: str, jid: str) -> None:
    assert jid_of(number) == jid


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({}, ['instance requires property "number"', 'instance requires property "text"']),
        ({"number": 1, "text": 1}, ["Invalid format", "text is not of a type(s) string"]),
        ({"number": None, "text": "a"}, ["Invalid format"]),
        ({"number": "1", "text": "a", "delay": "soon"}, ["Enter a value in milliseconds"]),
        ({"number": "1", "text": "a", "mentioned": []}, ["mentioned does not meet minimum length of 1"]),
        ({"number": "1", "text": "a", "mentioned": ["55", "55"]}, ["mentioned contains duplicate item"]),
        ({"number": "1", "text": "a", "mentioned": ["me"]}, ['"mentioned" must be an array of numeric strings']),
        ({"number": "1", "text": "a", "quoted": {"key": {}}}, ['quoted.key requires property "id"']),
        ({"number": "1", "text": "a", "quoted": {"key": {"id": ""}}}, ['The "id" cannot be empty']),
        ({"number": "1", "text": "a", "linkPreview": "no"}, ["linkPreview is not of a type(s) boolean"]),
    ],
)
def test_a_text_that_is_none_is_refused_in_the_words_of_the_schema(phone: Phone, body: dict[str, Any], wrong: list[str]) -> None:
    answer = phone.post("message/sendText", **body)
    assert (answer.status_code, message_of(answer)) == (400, [wrong])


def test_a_schema_counts_and_compares_as_nodes_library_does() -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 10}, "l": {"type": "array", "maxItems": 1}},
    }
    assert problems({"n": 11, "l": [1, 2]}, schema) == ["n must be less than or equal to 10", "l does not meet maximum length of 1"]
    assert problems({"n": -1}, schema) == ["n must be greater than or equal to 0"]
    assert problems({"n": 5.0}, schema) == []
    assert problems({"n": True}, schema) == ["n is not of a type(s) integer"]


def test_a_blank_text_is_refused(phone: Phone) -> None:
    answer = phone.post("message/sendText", number=CONTACT, text="  ")
    assert (answer.status_code, message_of(answer)) == (400, ["Text is required"])


def test_who_is_not_on_whatsapp_is_described_in_the_refusal(phone: Phone) -> None:
    other = "5511911112222"
    phone.call("PUT", "/simulator/settings", {"unknownNumbers": [f"+{other}"]}).raise_for_status()
    try:
        for number in ("9991234567", other, "123", ""):
            answer = phone.post("message/sendText", number=number, text="hi")
            assert answer.status_code == 400, number
            assert message_of(answer) == [{"exists": False, "jid": f"{number}@s.whatsapp.net", "number": number}]
    finally:
        phone.call("PUT", "/simulator/settings", {"unknownNumbers": []}).raise_for_status()
    phone.send(number=other)


def test_an_instance_that_lost_whatsapp_sends_nothing_and_says_that_the_connection_is_closed(phone: Phone) -> None:
    phone.simulator("POST", "offline")
    text = phone.post("message/sendText", number=CONTACT, text="hi")
    assert (text.status_code, message_of(text)) == (500, "Connection Closed")
    media = phone.post("message/sendMedia", number=CONTACT, mediatype="image", media="aGk=")
    assert (media.status_code, message_of(media)) == (500, ["Error: Connection Closed"])


def test_a_group_that_nobody_is_in_is_javascripts_error(phone: Phone) -> None:
    answer = phone.post("message/sendText", number="120363041234567890@g.us", text="hi")
    assert (answer.status_code, message_of(answer)) == (500, "Cannot read properties of undefined (reading 'id')")


# What becomes of a sent message


def test_a_sent_text_is_told_as_it_was_answered_and_then_how_far_it_came(phone: Phone, broker: Broker) -> None:
    heard = hear(broker, phone)
    sent = phone.send("olá")
    key = sent["key"]
    assert re.fullmatch(r"3EB0[0-9A-F]{36}", key["id"])
    assert sent == {
        "key": {"remoteJid": CHAT, "fromMe": True, "id": key["id"]},
        "pushName": "",
        "status": "PENDING",
        "message": {"conversation": "olá"},
        "contextInfo": None,
        "messageType": "conversation",
        "messageTimestamp": sent["messageTimestamp"],
        "instanceId": phone.id,
        "source": "unknown",
    }
    assert abs(sent["messageTimestamp"] - time.time()) < 5
    assert heard.wait_for("send.message") == sent
    heard.wait_for("messages.update", lambda data: data["status"] == "DELIVERY_ACK")
    phone.simulator("POST", f"messages/{key['id']}/status", {"status": "READ"})
    read = heard.wait_for("messages.update", lambda data: data["status"] == "READ")
    assert [data["status"] for data in heard.of("messages.update")] == ["SERVER_ACK", "DELIVERY_ACK", "READ"]
    (record,) = phone.found(key={"id": key["id"]})
    assert read == {
        "messageId": record["id"],
        "keyId": key["id"],
        "remoteJid": CHAT,
        "fromMe": True,
        "participant": CHAT,
        "status": "READ",
        "instanceId": phone.id,
    }
    assert record["MessageUpdate"] == [{"status": "SERVER_ACK"}, {"status": "DELIVERY_ACK"}, {"status": "READ"}]


def test_what_is_sent_to_a_phone_without_a_net_arrives_when_that_is_back(phone: Phone) -> None:
    phone.simulator("PUT", f"contacts/{CONTACT}", {"online": False})
    key_id = phone.send()["key"]["id"]
    phone.wait_for(key_id, "SERVER_ACK")
    time.sleep(0.3)
    assert phone.statuses(key_id) == ["SERVER_ACK"]
    phone.simulator("PUT", f"contacts/{CONTACT}", {"online": True})
    phone.wait_for(key_id, "DELIVERY_ACK")


def test_phones_may_be_told_to_read_by_themselves_or_to_let_nothing_arrive(phone: Phone) -> None:
    def behave(**how: bool) -> None:
        phone.call("PUT", "/simulator/settings", how).raise_for_status()

    try:
        behave(autoRead=True)
        key_id = phone.send()["key"]["id"]
        phone.wait_for(key_id, "READ")
        assert phone.statuses(key_id) == ["SERVER_ACK", "DELIVERY_ACK", "READ"]
        behave(autoRead=False, autoDeliver=False)
        key_id = phone.send()["key"]["id"]
        time.sleep(0.3)
        assert phone.statuses(key_id) == ["SERVER_ACK"]
    finally:
        behave(autoRead=False, autoDeliver=True)


def test_marks_that_fell_behind_are_told_all_and_in_their_order(phone: Phone, broker: Broker) -> None:
    heard = hear(broker, phone)
    phone.simulator("PUT", f"contacts/{CONTACT}", {"online": False})
    key_id = phone.send()["key"]["id"]
    for status in ("DELIVERY_ACK", "READ", "PLAYED"):
        phone.simulator("POST", f"messages/{key_id}/status", {"status": status})
    heard.wait_for("messages.update", lambda data: data["status"] == "PLAYED")
    assert [data["status"] for data in heard.of("messages.update")] == ["SERVER_ACK", "DELIVERY_ACK", "READ", "PLAYED"]


def test_a_mark_that_is_asked_for_may_go_back_and_one_that_comes_by_itself_does_not(phone: Phone) -> None:
    phone.simulator("PUT", f"contacts/{CONTACT}", {"online": False})
    key_id = phone.send()["key"]["id"]
    phone.simulator("POST", f"messages/{key_id}/status", {"status": "READ"})
    phone.wait_for(key_id, "READ")
    phone.simulator("PUT", f"contacts/{CONTACT}", {"online": True})
    phone.simulator("POST", f"messages/{key_id}/status", {"status": "DELIVERY_ACK"})
    phone.wait_for(key_id, "DELIVERY_ACK")
    assert phone.statuses(key_id) == ["SERVER_ACK", "READ", "DELIVERY_ACK"]


def test_a_message_may_answer_to_another(phone: Phone) -> None:
    first = phone.receive(text="when?")
    sent = phone.send("now", quoted={"key": {"id": first["id"]}})
    context = sent["contextInfo"]
    assert (context["stanzaId"], context["participant"]) == (first["id"], CHAT)
    assert context["quotedMessage"]["conversation"] == "when?"
    assert phone.send("now", quoted={"key": {"id": "unknown"}})["contextInfo"] is None


def test_places_cards_polls_reactions_and_stickers_are_sent_too(phone: Phone) -> None:
    place = {"latitude": -23.5, "longitude": -46.6, "name": "Shop", "address": "Street 1"}
    card = {"fullName": "Bia", "phoneNumber": "+55 11 97777-6666", "organization": "Shop"}
    sent = {
        "locationMessage": phone.post("message/sendLocation", number=CONTACT, **place),
        "contactMessage": phone.post("message/sendContact", number=CONTACT, contact=[card]),
        "contactsArrayMessage": phone.post("message/sendContact", number=CONTACT, contact=[card, card | {"fullName": "Rui"}]),
        "pollCreationMessageV3": phone.post("message/sendPoll", number=CONTACT, name="Which?", selectableCount=1, values=["a", "b"]),
        "pollCreationMessage": phone.post("message/sendPoll", number=CONTACT, name="Which?", selectableCount=0, values=["a", "b"]),
        "stickerMessage": phone.post("message/sendSticker", number=CONTACT, sticker="aGk="),
    }
    for kind, answer in sent.items():
        assert answer.status_code == 201, answer.text
        assert answer.json()["messageType"] == kind
        assert kind in answer.json()["message"]
    vcard = sent["contactMessage"].json()["message"]["contactMessage"]["vcard"]
    assert "item1.TEL;waid=5511977776666@s.whatsapp.net:+55 11 97777-6666" in vcard.split("\n")
    key = sent["locationMessage"].json()["key"]
    reaction = phone.post("message/sendReaction", key=key, reaction="👍")
    assert reaction.json()["message"]["reactionMessage"]["key"] == key
    assert message_of(phone.post("message/sendReaction", key=key, reaction="good")) == ['"reaction" must be an emoji']


def test_what_the_simulator_lacks_it_says_so_of(phone: Phone) -> None:
    assert phone.post("message/sendList", number=CONTACT).status_code == 501
    template = phone.post("message/sendTemplate", number=CONTACT, name="a", language="b")
    assert (template.status_code, message_of(template)) == (500, "Method not available in the Baileys service")


def test_a_text_costs_little_enough_for_300_a_second_with_events_and_marks(phone: Phone) -> None:
    def used() -> float:
        fields = Path(f"/proc/{phone.process._popen.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100  # user and system time, in hundredths of a second

    number, texts = 16, 40

    def many(index: int) -> None:
        for count in range(texts):
            phone.send(f"text {count}", f"55119999900{index:02}")

    many(99)
    before = used()
    threads = [threading.Thread(target=many, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    eventually(lambda: len(phone.found()) and phone.statuses(phone.found()[0]["key"]["id"])[-1:] == ["DELIVERY_ACK"], "all are delivered")
    spent = (used() - before) / (number * texts)
    assert spent < MOST_CPU_PER_MESSAGE_S, f"a text took {spent * 1000:.1f} ms of a core"


# What is received


def test_what_a_contact_writes_is_told_with_who_it_is(phone: Phone, broker: Broker) -> None:
    heard = hear(broker, phone)
    shown = phone.receive(text="hello")
    data = heard.wait_for("messages.upsert")
    assert re.fullmatch(r"[0-9A-F]{32}", shown["id"])
    secret = data["message"].pop("messageContextInfo")
    assert set(secret) == {"deviceListMetadataVersion", "messageSecret"}
    assert data == {
        "key": {"remoteJid": CHAT, "fromMe": False, "id": shown["id"]},
        "pushName": "Bia",
        "status": "DELIVERY_ACK",
        "message": {"conversation": "hello"},
        "contextInfo": None,
        "messageType": "conversation",
        "messageTimestamp": data["messageTimestamp"],
        "instanceId": phone.id,
        "source": "android",
    }
    who = {"remoteJid": CHAT, "pushName": "Bia", "profilePicUrl": None, "instanceId": phone.id}
    assert heard.wait_for("contacts.upsert") == who
    assert heard.wait_for("chats.update") == [{"remoteJid": CHAT, "instanceId": phone.id}]
    phone.receive(text="again", pushName="Beatriz")
    assert heard.wait_for("contacts.update") == who | {"pushName": "Beatriz"}
    assert len(heard.of("contacts.upsert")) == 1, "the second time nobody is new"


def test_what_happens_while_an_instance_is_away_is_told_once_when_it_is_back(phone: Phone, broker: Broker) -> None:
    before = hear(broker, phone)
    phone.send()
    before.wait_for("messages.update", lambda data: data["status"] == "DELIVERY_ACK")
    phone.simulator("POST", "offline")
    heard = hear(broker, phone)
    held = phone.receive(text="are you there?")
    assert held["held"]
    assert phone.simulator("POST", f"chats/{CONTACT}/read") == {"read": 1}
    time.sleep(0.3)
    assert (heard.of("messages.upsert"), heard.of("messages.update")) == ([], [])
    assert phone.found(key={"id": held["id"]}) == []
    phone.simulator("POST", "online")
    heard.wait_for("messages.upsert", lambda data: data["message"].get("conversation") == "are you there?")
    assert heard.wait_for("messages.update")["status"] == "READ"
    phone.simulator("POST", "offline")
    phone.simulator("POST", "online")
    phone.wait_until_open()
    time.sleep(0.3)
    assert (len(heard.of("messages.upsert")), len(heard.of("messages.update"))) == (1, 1), "told a second time"
    assert len(phone.found(key={"id": held["id"]})) == 1


def test_an_instance_that_is_told_to_reads_what_comes(phone: Phone) -> None:
    assert not phone.receive(text="unread")["seen"]
    settings = {"rejectCall": False, "groupsIgnore": False, "alwaysOnline": False, "readStatus": False, "syncFullHistory": False}
    answer = phone.post("settings/set", **settings, readMessages=True)
    assert answer.is_success, answer.text
    phone.receive(text="read")
    seen = {message["text"]: message["seen"] for message in phone.simulator("GET", f"chats/{CONTACT}/messages")}
    assert seen == {"unread": False, "read": True}


# What is switched off


def test_messages_that_are_not_saved_are_sent_and_never_heard_of_again(
    run: Run, alone: Alone, with_message_events: dict[str, str], broker: Broker
) -> None:
    phone = paired(run(alone(), with_message_events, DATABASE_SAVE_DATA_NEW_MESSAGE="false"))
    phone.process.wait_for_line("Initializing global queues")
    heard = hear(broker, phone)
    sent = phone.send()
    phone.receive(text="hello")
    heard.wait_for("messages.upsert")
    time.sleep(0.3)
    assert heard.of("send.message") == [sent]
    assert heard.of("messages.update") == [], "2.2.3 looks the message up first"
    assert phone.found() == []
    assert [each["status"] for each in phone.simulator("GET", f"chats/{CONTACT}/messages")] == ["DELIVERY_ACK"] * 2, "the phone has them"


def test_updates_and_contacts_that_are_not_saved_are_only_told(
    run: Run, alone: Alone, with_message_events: dict[str, str], broker: Broker
) -> None:
    phone = paired(run(alone(), with_message_events, DATABASE_SAVE_MESSAGE_UPDATE="false", DATABASE_SAVE_DATA_CONTACTS="false"))
    phone.process.wait_for_line("Initializing global queues")
    heard = hear(broker, phone)
    key_id = phone.send()["key"]["id"]
    phone.receive(text="hello")
    heard.wait_for("messages.update", lambda data: data["status"] == "DELIVERY_ACK")
    heard.wait_for("contacts.upsert")
    assert phone.statuses(key_id) == []
    assert phone.post("chat/findContacts").json() == phone.post("chat/findChats").json() == []


# What outlives what


def test_messages_their_marks_and_how_phones_behave_survive_a_restart(run: Run, alone: Alone) -> None:
    process = run(alone())
    phone = paired(process)
    phone.call("PUT", "/simulator/settings", {"autoRead": True}).raise_for_status()
    phone.receive(text="hello")
    key_id = phone.send()["key"]["id"]
    phone.wait_for(key_id, "READ")
    phone.simulator("PUT", f"contacts/{CONTACT}", {"online": False})
    waiting = phone.send("later")["key"]["id"]
    phone.wait_for(waiting, "SERVER_ACK")
    before = phone.found()
    process.restart()
    phone.wait_until_open()
    assert phone.found() == before
    assert phone.call("GET", "/simulator/settings").json() == {"autoDeliver": True, "autoRead": True, "unknownNumbers": []}
    phone.simulator("PUT", f"contacts/{CONTACT}", {"online": True})
    phone.wait_for(waiting, "READ")


def test_a_kill_between_sending_and_delivery_loses_no_mark(run: Run, alone: Alone) -> None:
    process = run(alone())
    phone = paired(process)
    key_ids = [phone.send(f"text {count}")["key"]["id"] for count in range(20)]
    process.kill()
    process.restart()
    phone.wait_until_open()
    for key_id in key_ids:
        phone.wait_for(key_id, "DELIVERY_ACK")


def test_with_redis_away_a_send_hangs_until_it_is_back(run: Run, alone: Alone, redis_server: Service, with_redis: dict[str, str]) -> None:
    port = redis_server.ports["6379"]
    passage = Passage("127.0.0.1", port)
    process = run(alone(), with_redis, CACHE_REDIS_URI=with_redis["CACHE_REDIS_URI"].replace(f":{port}/", f":{passage.port}/"))
    phone = paired(process)
    phone.send()
    passage.shut()
    process.wait_for_line("redis disconnected")
    with pytest.raises(httpx.ReadTimeout):
        process.api.post(f"/message/sendText/{phone.name}", json={"number": CONTACT, "text": "hangs"}, timeout=1)
    answers: list[httpx.Response] = []
    waiting = threading.Thread(target=lambda: answers.append(phone.post("message/sendText", number="5511999998888", text="waits")))
    waiting.start()
    time.sleep(0.5)
    assert not answers, "it was answered without Redis"
    passage.open()
    waiting.join(10)
    assert [answer.status_code for answer in answers] == [201]


def test_with_postgres_away_a_send_is_a_500_and_the_next_one_works_when_it_is_back(run: Run, alone: Alone) -> None:
    environment = alone()
    uri = environment["DATABASE_CONNECTION_URI"]
    host, _, port = uri.partition("@")[2].partition("/")[0].partition(":")
    passage = Passage(host, int(port))
    phone = paired(run(environment, DATABASE_CONNECTION_URI=uri.replace(f":{port}/", f":{passage.port}/")))
    sent = phone.send()["key"]["id"]
    passage.shut()
    answer = phone.post("message/sendText", number=CONTACT, text="hi")
    assert answer.status_code == 500
    assert message_of(answer).startswith("\nInvalid `this.prismaRepository"), "a string, as Prisma's failures are outside of guards"
    passage.open()
    phone.send()
    phone.wait_for(sent, "DELIVERY_ACK")


def test_an_instance_of_another_client_is_javascripts_error(run: Run, alone: Alone) -> None:
    environment = alone()
    name = new_name()
    run(environment).create(name)
    other = run(environment, DATABASE_CONNECTION_CLIENT_NAME="other")
    answer = other.api.post(f"/message/sendText/{name}", json={"number": CONTACT, "text": "hi"})
    assert (answer.status_code, message_of(answer)) == (500, "Cannot read properties of undefined (reading 'textMessage')")
