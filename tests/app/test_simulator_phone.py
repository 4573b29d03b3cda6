"""The phone's side of the simulator: its API, its stream of news, and the files of its page."""

import contextlib
import json
import queue
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from tests.app.simulator_messages import CHAT, CONTACT, PNG, Phone, encoded
from tests.app.simulator_support import Process, eventually

pytest_plugins = ["tests.app.simulator_fixtures", "tests.contract.simulator", "tests.app.simulator_message_fixtures"]

PAGE = Path(__file__).parents[2] / "simulator" / "page"


def refused(phone: Phone, method: str, path: str, body: object = None) -> tuple[int, Any]:
    answer = phone.call(method, path, body)
    return answer.status_code, answer.json()["response"]["message"]


# The API


def test_chats_list_whom_the_instance_talks_with_the_latest_first(phone: Phone) -> None:
    phone.send("first", number="5511955554444")
    phone.receive(text="hello")
    phone.simulator("PUT", "contacts/5511933332222", {"pushName": "Rui", "online": False})
    chats = {chat["jid"]: chat for chat in phone.simulator("GET", "chats")}
    assert set(chats) == {CHAT, "5511955554444@s.whatsapp.net", "5511933332222@s.whatsapp.net"}
    assert list(chats)[-1] == "5511933332222@s.whatsapp.net", "who never wrote comes last"
    assert (chats[CHAT]["pushName"], chats[CHAT]["unread"], chats[CHAT]["lastMessage"]["text"]) == ("Bia", 0, "hello")
    assert chats["5511955554444@s.whatsapp.net"]["unread"] == 1
    rui = chats["5511933332222@s.whatsapp.net"]
    assert (rui["pushName"], rui["online"], rui["lastMessage"]) == ("Rui", False, None)


def test_a_chat_is_read_in_pages_from_the_newest(phone: Phone) -> None:
    for count in range(5):
        phone.send(str(count))
    newest = phone.simulator("GET", f"chats/{CONTACT}/messages?limit=2")
    assert [message["text"] for message in newest] == ["3", "4"]
    before = phone.simulator("GET", f"chats/{CONTACT}/messages?limit=2&before={newest[0]['id']}")
    assert [message["text"] for message in before] == ["1", "2"]
    assert refused(phone, "GET", f"/simulator/instances/{phone.name}/chats/{CONTACT}/messages?limit=x")[0] == 400


def test_reading_a_chat_marks_all_that_was_sent(phone: Phone) -> None:
    key_ids = [phone.send()["key"]["id"] for _ in range(3)]
    phone.wait_for(key_ids[-1], "DELIVERY_ACK")
    assert phone.simulator("POST", f"chats/{CONTACT}/read") == {"read": 3}
    for key_id in key_ids:
        phone.wait_for(key_id, "READ")
    assert phone.simulator("POST", f"chats/{CONTACT}/read") == {"read": 0}


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ({"text": "hi"}, "from must be a number"),
        ({"from": "9991234567", "text": "hi"}, "from must be a number"),
        ({"from": "5511999990001", "text": "hi"}, "own number"),
        ({"from": CONTACT}, "exactly one of text, media and voice"),
        ({"from": CONTACT, "text": "hi", "voice": {"base64": "aGk="}}, "exactly one of text, media and voice"),
        ({"from": CONTACT, "text": 5}, "text must be a string"),
        ({"from": CONTACT, "media": "aGk="}, "media must be an object"),
        ({"from": CONTACT, "media": {"base64": "no base64!", "mimetype": "image/png"}}, "media.base64"),
        ({"from": CONTACT, "media": {"base64": "aGk="}}, "media.mimetype"),
        ({"from": CONTACT, "text": "hi", "pushName": "x" * 101}, "pushName"),
    ],
)
def test_what_nobody_can_write_is_refused_with_the_reason(phone: Phone, body: dict[str, Any], part: str) -> None:
    status, (message,) = refused(phone, "POST", f"/simulator/instances/{phone.name}/messages", body)
    assert status == 400
    assert part in message


def test_nobody_writes_to_an_instance_without_a_phone(messenger: Process) -> None:
    unpaired = Phone(messenger, str(messenger.create()["instance"]["instanceName"]))
    status, (message,) = refused(unpaired, "POST", f"/simulator/instances/{unpaired.name}/messages", {"from": CONTACT, "text": "hi"})
    assert (status, message) == (400, f'No phone is paired with the instance "{unpaired.name}"')


def test_a_mark_needs_a_message_that_was_sent_and_a_status_that_there_is(phone: Phone) -> None:
    received, sent = phone.receive(text="hello")["id"], phone.send()["key"]["id"]
    at = f"/simulator/instances/{phone.name}/messages"
    assert refused(phone, "POST", f"{at}/unknown/status", {"status": "READ"}) == (404, ['There is no message "unknown"'])
    assert refused(phone, "POST", f"{at}/{received}/status", {"status": "READ"})[0] == 400
    assert "ERROR, PENDING" in refused(phone, "POST", f"{at}/{sent}/status", {"status": "SEEN"})[1][0]


@pytest.mark.parametrize("body", [{}, {"pushName": ""}, {"online": "yes"}])
def test_a_contact_is_changed_by_a_name_or_by_being_online(phone: Phone, body: dict[str, Any]) -> None:
    assert refused(phone, "PUT", f"/simulator/instances/{phone.name}/contacts/{CONTACT}", body)[0] == 400
    assert refused(phone, "PUT", f"/simulator/instances/{phone.name}/contacts/9991234567", {"online": True})[0] == 400


@pytest.mark.parametrize("body", [{"autoRead": "yes"}, {"unknownNumbers": "55"}, {"unknownNumbers": ["none"]}, {"colour": "red"}])
def test_settings_that_there_are_not_are_refused_and_change_nothing(phone: Phone, body: dict[str, Any]) -> None:
    before = phone.call("GET", "/simulator/settings").json()
    assert refused(phone, "PUT", "/simulator/settings", {"autoDeliver": False} | body)[0] == 400
    assert phone.call("GET", "/simulator/settings").json() == before


@pytest.mark.parametrize("path", ["settings", "instances", "stream", "instances/{}/chats", "instances/{}/chats/551/messages"])
def test_only_the_global_key_opens_it(phone: Phone, path: str) -> None:
    token = phone.process.row(phone.name)["token"]
    for key in ("", "wrong", token):
        answer = httpx.get(f"{phone.process.url}/simulator/{path.format(phone.name)}", headers={"apikey": key})
        assert answer.status_code == 401, f"with the key {key!r}"


def test_a_file_is_given_in_a_way_that_never_runs_it(phone: Phone) -> None:
    page = {"base64": encoded(b"<script>alert(1)</script>"), "mimetype": "text/html", "fileName": "a.html"}
    received = phone.receive(media=page)
    answer = phone.call("GET", f"/simulator/instances/{phone.name}/messages/{received['id']}/media")
    assert answer.content == b"<script>alert(1)</script>"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert (answer.headers["x-content-type-options"], answer.headers["content-disposition"]) == ("nosniff", "attachment")
    text = phone.receive(text="hello")["id"]
    assert phone.call("GET", f"/simulator/instances/{phone.name}/messages/{text}/media").status_code == 404


# The stream


class News:
    """What the stream tells, as it comes."""

    def __init__(self, process: Process) -> None:
        self._told: queue.Queue[dict[str, Any]] = queue.Queue()
        self._client = httpx.Client(base_url=process.url, headers=process.api.headers, timeout=60)
        self._open = False
        Thread(target=self._listen, daemon=True).start()
        eventually(lambda: self._open, "the stream is open")

    def _listen(self) -> None:
        with contextlib.suppress(httpx.HTTPError), self._client.stream("GET", "/simulator/stream") as answer:
            for line in answer.iter_lines():
                self._open = True
                if line.startswith("data: "):
                    self._told.put(json.loads(line.removeprefix("data: ")))

    def wait_for(self, kind: str, instance: str) -> dict[str, Any]:
        while True:
            told = self._told.get(timeout=5)
            if (told["type"], told["instance"]) == (kind, instance):
                return told


@pytest.fixture
def listen(messenger: Process) -> Callable[[], News]:
    return lambda: News(messenger)


def test_the_stream_tells_of_messages_marks_contacts_and_connections(phone: Phone, listen: Callable[[], News]) -> None:
    news, name = listen(), phone.name
    sent = phone.send("hello")["key"]["id"]
    told = news.wait_for("message", name)
    assert (told["jid"], told["message"]["id"], told["message"]["text"]) == (CHAT, sent, "hello")
    assert [news.wait_for("status", name)["status"] for _ in range(2)] == ["SERVER_ACK", "DELIVERY_ACK"]
    received = phone.receive(media={"base64": encoded(PNG), "mimetype": "image/png"})
    assert news.wait_for("message", name)["message"] == received
    phone.post("chat/sendPresence", number=CONTACT, presence="composing", delay=1)
    assert news.wait_for("presence", name)["presence"] == "composing"
    phone.simulator("PUT", f"contacts/{CONTACT}", {"online": False})
    assert news.wait_for("chat", name)["jid"] == CHAT
    phone.simulator("POST", "offline")
    assert news.wait_for("instance", name)["event"] == "connection.update"


# The page


def test_the_page_and_all_that_it_names_are_there_without_a_key_and_under_a_strict_policy(messenger: Process) -> None:
    page = httpx.get(f"{messenger.url}/simulator")
    assert page.headers["content-type"].startswith("text/html")
    for file in PAGE.iterdir():
        answer = httpx.get(f"{messenger.url}/simulator/page/{file.name}")
        assert answer.content == file.read_bytes(), file.name
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
    assert httpx.get(f"{messenger.url}/simulator/page/nope.js").status_code == 404
    assert httpx.get(f"{messenger.url}/simulator/page/..%2Fsettings.py").status_code == 404
    markup = page.text
    assert "onclick" not in markup
    assert "http://" not in markup.replace("http://www.w3.org", "")
    assert "https://" not in markup, "nothing comes from elsewhere"


def test_the_page_has_each_word_in_both_languages() -> None:
    code = (PAGE / "words.js").read_text()
    english, portuguese = (set(_names(part)) for part in code.partition("const PORTUGUESE")[::2])
    assert english == portuguese
    used = {part.partition('"')[0] for part in (PAGE / "index.html").read_text().split('data-word="')[1:]}
    assert used <= english, f"no words for {used - english}"


def _names(part: str) -> list[str]:
    body = part.partition("{\n")[2].partition("};")[0]
    return [line.partition(":")[0].strip() for line in body.replace('", ', '",\n').splitlines() if line.strip()]
