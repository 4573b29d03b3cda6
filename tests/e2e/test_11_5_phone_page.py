"""The phone in the browser, in headless Chromium: paired, written with, seen, taken off the net and brought back.

With `PHONE_PICTURE=docs/phone.png` it also saves the README's picture there.
"""

import base64
import os
import struct
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from selenium.webdriver.common.by import By

from tests.app.simulator_messages import wav
from tests.e2e import browser
from tests.e2e.browser import PhonePage
from tests.e2e.environment import Stack
from tests.e2e.project import SOURCE

CONTACT = "5511977776666"
CHAT = f"{CONTACT}@s.whatsapp.net"
OWN = "5511988887777"


@dataclass(frozen=True)
class Evolution:
    """The application's side: Evolution's own routes."""

    url: str
    key: str

    def call(self, method: str, path: str, body: object = None) -> httpx.Response:
        return httpx.request(method, f"{self.url}{path}", headers={"apikey": self.key}, json=body, timeout=20)

    def ok(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401  # whatever JSON it answers
        answer = self.call(method, path, body)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()


@dataclass(frozen=True)
class Shop:
    """An instance, seen from the application and from the page."""

    evolution: Evolution
    page: PhonePage
    name: str

    def send(self, words: str) -> str:
        body = {"number": CONTACT, "text": words}
        return str(self.evolution.ok("POST", f"/message/sendText/{self.name}", body)["key"]["id"])

    def found(self, **where: object) -> list[dict[str, Any]]:
        return list(self.evolution.ok("POST", f"/chat/findMessages/{self.name}", {"where": where})["messages"]["records"])

    def statuses(self, key_id: str) -> list[str]:
        return [each["status"] for record in self.found(key={"id": key_id}) for each in record["MessageUpdate"]]

    def wait_for_status(self, key_id: str, status: str) -> None:
        self.page.eventually(lambda: status in self.statuses(key_id), f"the application hears {status}")

    def received(self, kind: str) -> dict[str, Any]:
        """The newest message of a kind that the contact wrote, once Evolution has it."""

        def look() -> list[dict[str, Any]]:
            return [each for each in self.found(messageType=kind) if not each["key"]["fromMe"]]

        return self.page.eventually(look, f"Evolution has a {kind}")[0]

    def file(self, message: dict[str, Any]) -> bytes:
        answer = self.evolution.ok("POST", f"/chat/getBase64FromMediaMessage/{self.name}", {"message": {"key": message["key"]}})
        return base64.b64decode(answer["base64"])


def picture() -> bytes:
    """A sunset, 320 by 200 pixels, as a PNG."""
    width, height = 320, 200
    rows = b""
    for y in range(height):
        row = bytearray([0])
        for x in range(width):
            sun = (x - 160) ** 2 + (y - 120) ** 2 < 45**2
            sky = (250 - y // 3, 120 + y // 2, 90 + y // 4)
            row += bytes((255, 236, 170) if sun and y < 140 else (30, 70 + (y - 140), 110) if y >= 140 else sky)
        rows += bytes(row)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def evolution(shared: Stack) -> Evolution:
    shared.settle()
    return Evolution(shared.url("EVOLUTION_PORT"), shared.credentials()["AUTHENTICATION_API_KEY"])


@pytest.fixture(scope="module")
def phone_page(evolution: Evolution) -> Iterator[PhonePage]:
    """The page, opened with the key."""
    driver = browser.start()
    try:
        page = PhonePage(driver, evolution.url)
        page.open()
        page.log_in("not the key")
        page.wait_for_text("#login-error", "not the simulator's global key")
        page.log_in(evolution.key)
        page.wait_for_text("#live", "live")
        page.complaints()  # the refused key is one
        yield page
    finally:
        driver.quit()


@pytest.fixture
def shop(evolution: Evolution, phone_page: PhonePage, request: pytest.FixtureRequest) -> Iterator[Shop]:
    """A new instance, paired by a click, with a contact whose chat is open."""
    name = getattr(request, "param", f"shop-{uuid4().hex[:6]}")
    evolution.ok("POST", "/instance/create", {"instanceName": name, "integration": "WHATSAPP-BAILEYS"})
    evolution.ok("PUT", f"/simulator/instances/{name}/contacts/{CONTACT}", {"pushName": "Bia"})
    phone_page.resize(1280, 860)
    phone_page.choose_instance(name)
    phone_page.press("#pair button")
    phone_page.wait_for_text("#instance-state", f"{name}: connected")
    phone_page.choose_chat(CHAT)
    yield Shop(evolution, phone_page, name)
    complaints = phone_page.complaints()
    evolution.call("DELETE", f"/instance/delete/{name}")
    gone = [each for each in complaints if "/simulator/instances/shop-" in each and "404" in each]
    assert complaints == gone, "the browser complained of more than that an earlier test's instance is gone"


def test_a_conversation_shows_as_it_happens_with_its_marks(shop: Shop) -> None:
    page = shop.page
    key_id = shop.send("Olá, Bia!")
    page.wait_for_mark("Olá, Bia!", "delivered")
    page.press("#read")
    page.wait_for_mark("Olá, Bia!", "read")
    shop.wait_for_status(key_id, "READ")
    page.write("<b>Oi</b> & tchau")
    assert page.message("<b>Oi</b> & tchau").find_elements(By.TAG_NAME, "b") == [], "what is written became markup"
    answer = shop.received("conversation")
    assert (answer["message"]["conversation"], answer["pushName"]) == ("<b>Oi</b> & tchau", "Bia")
    shop.evolution.ok("POST", f"/chat/markMessageAsRead/{shop.name}", {"readMessages": [answer["key"]]})
    page.wait_for_mark("<b>Oi</b> & tchau", "read by the application")


def test_several_contacts_write_each_in_a_chat_of_its_own(shop: Shop) -> None:
    page = shop.page
    page.press("#side details summary")
    page.find("#contact-number").send_keys("5511966665555")
    page.find("#contact-name").send_keys("Rui")
    page.press("#contact button")
    page.wait_for_text("#chat-name", "Rui")
    page.write("from Rui")
    page.message("from Rui")
    page.choose_chat(CHAT)
    page.eventually(lambda: not page.seen("#log .message"), "Bia's chat is empty")
    page.write("from Bia")
    page.message("from Bia")
    names = {each["message"]["conversation"]: each["pushName"] for each in shop.found()}
    assert names == {"from Rui": "Rui", "from Bia": "Bia"}


def test_a_picture_is_sent_and_seen(shop: Shop, tmp_path: Path) -> None:
    page, file = shop.page, tmp_path / "sunset.png"
    file.write_bytes(picture())
    page.driver.find_element(By.ID, "picture").send_keys(str(file))
    message = shop.received("imageMessage")
    assert shop.file(message) == picture()
    body = {"number": CONTACT, "mediatype": "image", "media": base64.b64encode(picture()).decode(), "caption": "for you"}
    shop.evolution.ok("POST", f"/message/sendMedia/{shop.name}", body)
    page.message("for you")
    widths = "return [...document.querySelectorAll('#log img')].map((each) => each.naturalWidth)"
    page.eventually(lambda: page.run(widths) == [320, 320], "both pictures are shown")


def test_a_voice_note_is_recorded_and_a_received_one_is_played(shop: Shop) -> None:
    page = shop.page
    page.press("#record")
    page.eventually(lambda: page.find("#record").get_attribute("aria-pressed") == "true", "it records")
    time.sleep(1.5)
    page.press("#record")
    audio = shop.received("audioMessage")
    assert (audio["message"]["audioMessage"]["mimetype"], audio["message"]["audioMessage"]["ptt"]) == ("audio/ogg; codecs=opus", True)
    assert shop.file(audio).startswith(b"OggS"), "a browser's recording is converted to what a phone sends"
    assert 1 <= audio["message"]["audioMessage"]["seconds"] <= 5

    body = {"number": CONTACT, "audio": base64.b64encode(wav(2)).decode()}
    sent = shop.evolution.ok("POST", f"/message/sendWhatsAppAudio/{shop.name}", body)["key"]["id"]
    player = f"document.querySelector('[data-id=\"{sent}\"] audio')"
    page.eventually(lambda: abs(page.run(f"return {player}?.duration || 0") - 2) < 0.1, "the voice message is as long as it was")
    page.run(f"return {player}.play()")
    shop.wait_for_status(sent, "PLAYED")


def test_a_contact_goes_offline_and_comes_back(shop: Shop) -> None:
    page = shop.page
    page.press("#reach")
    page.wait_for_text("#waiting", "waits until it is back")
    key_id = shop.send("later")
    page.wait_for_mark("later", "sent")
    time.sleep(0.3)
    assert "DELIVERY_ACK" not in shop.statuses(key_id)
    page.press("#reach")
    page.wait_for_mark("later", "delivered")
    shop.wait_for_status(key_id, "DELIVERY_ACK")


def test_an_instance_loses_whatsapp_and_gets_it_back(shop: Shop) -> None:
    page = shop.page
    page.press("#line")
    page.wait_for_text("#instance-state", "connecting")
    refused = shop.evolution.call("POST", f"/message/sendText/{shop.name}", {"number": CONTACT, "text": "hi"})
    assert (refused.status_code, refused.json()["response"]["message"]) == (500, "Connection Closed")
    page.write("anybody there?")
    page.wait_for_mark("anybody there?", "waits for the instance")
    assert shop.found() == []
    page.press("#line")
    page.wait_for_text("#instance-state", f"{shop.name}: connected")
    page.wait_for_mark("anybody there?", "arrived")
    assert shop.received("conversation")["message"]["conversation"] == "anybody there?"
    page.press("#unpair")
    page.wait_for_text("#instance-state", "no phone is paired")


def test_faults_are_switched_on_and_off(shop: Shop) -> None:
    page = shop.page
    try:
        page.press("#faults-panel summary")
        page.press('#faults [name="converter"] option[value="refuse"]')
        page.press('#faults button[type="submit"]')
        page.wait_for_text("#faults-on", "on")
        body = {"number": CONTACT, "audio": base64.b64encode(wav(1)).decode()}
        assert shop.evolution.call("POST", f"/message/sendWhatsAppAudio/{shop.name}", body).status_code == httpx.codes.UNAUTHORIZED
        page.press("#faults-off")
        page.eventually(lambda: not page.seen("#faults-on"), "no fault is on")
        assert shop.evolution.call("POST", f"/message/sendWhatsAppAudio/{shop.name}", body).status_code == httpx.codes.CREATED
    finally:
        shop.evolution.ok("DELETE", "/simulator/faults")


def test_a_reload_keeps_the_key_and_forgetting_it_asks_anew(shop: Shop) -> None:
    page = shop.page
    page.driver.refresh()
    page.wait_for_text("#live", "live")
    address = page.driver.current_url
    assert shop.evolution.key not in address
    page.press("#forget")
    page.find("#key")
    page.log_in(shop.evolution.key)
    page.wait_for_text("#live", "live")


def test_it_works_on_a_narrow_screen_and_by_keyboard(shop: Shop) -> None:
    page = shop.page
    page.resize(360, 640)
    assert page.run("return document.documentElement.scrollWidth") <= 360, "it is wider than the screen"
    page.find("#text").send_keys("from a small one\ue007")
    page.message("from a small one")
    page.press("#back")
    page.eventually(lambda: page.seen("#side") and not page.seen("#chat"), "the list is shown alone")
    assert page.run("return document.documentElement.scrollWidth") <= 360
    nameless = page.run(
        "return [...document.querySelectorAll('button, input, select, textarea')].filter((each) => !each.closest('[aria-hidden]') &&"
        " !each.ariaLabel && !each.labels?.length && !each.textContent.trim()).map((each) => each.outerHTML)"
    )
    assert nameless == [], "a screen reader couldn't name them"


def test_it_says_that_it_is_a_simulator_in_the_readers_language(evolution: Evolution) -> None:
    said = {}
    for language in ("en-GB", "pt-BR"):
        driver = browser.start(language)
        try:
            page = PhonePage(driver, evolution.url)
            page.open()
            page.find("#key")
            said[language] = page.find(".banner").text
        finally:
            driver.quit()
    assert said == {"en-GB": "Simulator: nothing here reaches WhatsApp.", "pt-BR": "Simulador: nada aqui chega ao WhatsApp."}


@pytest.mark.parametrize("shop", ["support"], indirect=True)
def test_a_whole_conversation_makes_the_readmes_picture(shop: Shop, tmp_path: Path) -> None:
    page, file = shop.page, tmp_path / "sunset.png"
    shop.evolution.ok("POST", f"/simulator/instances/{shop.name}/messages", {"from": "5511966665555", "pushName": "Rui", "text": "Thanks!"})
    file.write_bytes(picture())
    shop.send("Hello Bia, your order 1042 is on its way.")
    page.press("#read")
    page.write("Great! This is where I am:")
    page.message("Great! This is where I am:")
    page.driver.find_element(By.ID, "picture").send_keys(str(file))
    shop.received("imageMessage")
    body = {"number": CONTACT, "audio": base64.b64encode(wav(2)).decode()}
    sent = shop.evolution.ok("POST", f"/message/sendWhatsAppAudio/{shop.name}", body)["key"]["id"]
    page.eventually(lambda: page.seen(f'[data-id="{sent}"] audio'), "the voice message is shown")
    shop.send("See you at six!")
    page.wait_for_mark("See you at six!", "delivered")
    page.run("document.activeElement.blur()")
    time.sleep(1)
    assert page.driver.save_screenshot(str(SOURCE / os.environ.get("PHONE_PICTURE", tmp_path / "phone.png")))
