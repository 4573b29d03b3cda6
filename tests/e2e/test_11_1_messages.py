"""Messages in both directions, through the published ports."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.e2e.data import Clients, succeeded
from tests.e2e.environment import Stack, eventually
from tests.e2e.messaging import CONTACT, SOON, Messaging

_SENDER = "5511977776666"


@pytest.fixture(scope="module")
def messaging(shared: Stack) -> Iterator[Messaging]:
    shared.settle()
    messaging = Messaging(shared, Clients(shared, shared.credentials()), f"e2e-{uuid4().hex[:8]}")
    messaging.pair()
    yield messaging
    messaging.app("DELETE", f"/instances/{messaging.instance}")


def test_a_text_is_queued_sent_delivered_and_read(messaging: Messaging) -> None:
    text = f"hello {uuid4()}"
    identifier = messaging.send(type="text", text=text)
    delivered = messaging.wait_for_state(identifier, "delivered")
    on_the_phone = messaging.phone("GET", f"/instances/{messaging.instance}/chats/{CONTACT}@s.whatsapp.net/messages")
    assert [(each["text"], each["fromMe"]) for each in on_the_phone].count((text, True)) == 1, "the phone has it once"
    messaging.phone("POST", f"/instances/{messaging.instance}/messages/{delivered['evolution_id']}/status", status="READ")
    read = messaging.wait_for_state(identifier, "read")
    times = [read[f"{step}_at"] for step in ("created", "sent", "delivered", "read")]
    assert times == sorted(times), f"the steps are not in order: {times}"
    assert (read["problem"], read["attempts"], read["chat"]) == (None, 1, f"{CONTACT}@s.whatsapp.net")


def test_what_somebody_writes_to_the_phone_is_received_once_with_their_name(messaging: Messaging) -> None:
    text = f"hello back {uuid4()}"
    messaging.phone("POST", f"/instances/{messaging.instance}/messages", **{"from": _SENDER, "pushName": "Bea", "text": text})
    path = f"/messages?instance={messaging.instance}&direction=inbound&chat={_SENDER}"

    def received() -> list[dict[str, object]]:
        return [each for each in succeeded(messaging.app("GET", path)).json()["items"] if each["text"] == text]

    eventually(SOON, lambda: bool(received()), "the message is received")
    (message,) = received()
    assert (message["state"], message["type"], message["push_name"]) == ("received", "text", "Bea")


def test_a_number_that_is_not_on_whatsapp_fails_with_the_reason_and_holds_up_nobody_else(messaging: Messaging) -> None:
    answer = messaging.app("POST", "/messages", instance=messaging.instance, to="99900000001", type="text", text="hi")
    failed = messaging.wait_for_state(answer.json()["id"], "failed")
    assert failed["problem"]["code"] == "number_not_on_whatsapp", failed
    messaging.wait_for_state(messaging.send(type="text", text="and on it goes"), "delivered")
