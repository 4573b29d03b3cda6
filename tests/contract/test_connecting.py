"""Connecting, pairing, restarting, logging out: on the simulator alone, for a real API that begins to connect never stops."""

import base64
from typing import Any

import pytest

from tests.app.simulator_support import BAILEYS, eventually
from tests.contract.comparison import Need, needs
from tests.contract.listener import Listener
from tests.contract.target import Api, refused

pytestmark = needs(Need.CONNECTING)

PHONE = {"number": "5511988887777", "profileName": "Ana"}
WUID = "5511988887777@s.whatsapp.net"


def assert_is_a_code(code: dict[str, Any]) -> None:
    """As a phone's camera wants it."""
    assert code["code"].startswith("2@")
    assert len(code["code"].split(",")) == 4, code["code"]
    kind, _, picture = code["base64"].partition(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(picture, validate=True).startswith(b"\x89PNG\r\n\x1a\n")


def connected(api: Api, name: str) -> dict[str, Any]:
    answer = api.get(f"/instance/connect/{name}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def pair(api: Api, name: str) -> None:
    api.post(f"/simulator/instances/{name}/pair", PHONE).raise_for_status()
    eventually(lambda: api.state(name) == "open", f"{name} is open")


def test_connect_gives_a_code_to_scan_and_leaves_the_instance_connecting(api: Api, name: str) -> None:
    api.create(instanceName=name)
    code = connected(api, name)
    assert set(code) == {"pairingCode", "code", "base64", "count"}
    assert (code["pairingCode"], code["count"]) == (None, 1)
    assert_is_a_code(code)
    assert api.state(name) == "connecting"
    assert connected(api, name) == code, "asked again, it gives the same code at once"


def test_connect_with_a_number_gives_a_code_to_type_too(api: Api, name: str) -> None:
    api.create(instanceName=name)
    code = dict(api.get(f"/instance/connect/{name}", number="5511988887777").json())
    assert isinstance(code["pairingCode"], str)
    assert len(code["pairingCode"].replace("-", "")) == 8
    assert_is_a_code(code)


def test_create_may_connect_at_once_and_then_shows_the_code(api: Api, name: str) -> None:
    created = api.create(instanceName=name, qrcode=True)
    assert created["instance"]["status"] == "connecting"
    assert_is_a_code(created["qrcode"])


def test_a_scanned_code_opens_the_connection_and_the_list_shows_whose_phone_it_is(api: Api, name: str) -> None:
    api.create(instanceName=name)
    connected(api, name)
    pair(api, name)
    assert connected(api, name) == {"instance": {"instanceName": name, "state": "open"}}
    row = api.row(name)
    assert (row["connectionStatus"], row["ownerJid"], row["profileName"]) == ("open", WUID, "Ana")


def test_a_name_stays_taken_while_it_connects_and_restart_answers_like_connect(api: Api, name: str) -> None:
    api.create(instanceName=name)
    connected(api, name)
    assert api.try_to_create({"instanceName": name, "integration": BAILEYS}).status_code == 403
    restarted = api.post(f"/instance/restart/{name}")
    assert restarted.status_code == 200
    assert_is_a_code(restarted.json())


def test_an_open_instance_restarts_and_is_open_again(api: Api, name: str) -> None:
    api.create(instanceName=name)
    pair(api, name)
    answer = api.post(f"/instance/restart/{name}")
    assert (answer.status_code, answer.json()) == (200, {"instance": {"instanceName": name, "state": "open"}})
    eventually(lambda: api.state(name) == "open", "it is open again")


@pytest.mark.parametrize("paired_first", [False, True], ids=["while connecting", "while open"])
def test_a_logout_closes_the_instance_and_a_second_one_is_refused(api: Api, name: str, paired_first: bool) -> None:
    api.create(instanceName=name)
    connected(api, name)
    if paired_first:
        pair(api, name)
    answer = api.delete(f"/instance/logout/{name}")
    assert (answer.status_code, answer.json()) == (
        200,
        {"status": "SUCCESS", "error": False, "response": {"message": "Instance logged out"}},
    )
    eventually(lambda: api.state(name) == "close", f"{name} is closed")
    again = api.delete(f"/instance/logout/{name}")
    assert (again.status_code, again.json()) == (400, refused(f'The "{name}" instance is not connected'))


def test_an_open_instance_is_deleted_like_any_other(api: Api, name: str) -> None:
    api.create(instanceName=name)
    pair(api, name)
    answer = api.delete(f"/instance/delete/{name}")
    assert answer.json() == {"status": "SUCCESS", "error": False, "response": {"message": "Instance deleted"}}
    eventually(lambda: api.is_gone(name), f"{name} is gone")


def test_connecting_pairing_and_the_phones_own_logout_are_told_by_events(api: Api, listener: Listener, name: str) -> None:
    events = ["CONNECTION_UPDATE", "QRCODE_UPDATED", "LOGOUT_INSTANCE"]
    api.create(instanceName=name, webhook={"url": f"{listener.url}/c", "events": events})
    code = connected(api, name)
    connecting = listener.wait_for(name, "connection.update")
    assert connecting.body["data"] == {"instance": name, "state": "connecting", "statusReason": 200}
    assert "sender" not in connecting.body, "before a pairing nobody sends"
    shown = listener.wait_for(name, "qrcode.updated").body["data"]
    assert shown == {"qrcode": {"instance": name, **{key: code[key] for key in ("pairingCode", "code", "base64")}}}

    pair(api, name)
    opened = listener.wait_for(name, "connection.update", lambda call: call.body["data"]["state"] == "open").body
    assert opened["data"] == opened["data"] | {"instance": name, "wuid": WUID, "state": "open", "statusReason": 200}
    assert opened["sender"] == WUID

    api.post(f"/simulator/instances/{name}/unpair").raise_for_status()
    closed = listener.wait_for(name, "connection.update", lambda call: call.body["data"]["state"] == "close").body
    assert closed["data"] == {"instance": name, "state": "close", "statusReason": 401}
    assert api.row(name)["disconnectionReasonCode"] == 401


def test_an_instance_that_was_logged_out_fails_in_other_words_than_one_that_never_connected(api: Api, name: str) -> None:
    api.create(instanceName=name)
    pair(api, name)
    api.delete(f"/instance/logout/{name}")
    eventually(lambda: api.state(name) == "close", f"{name} is closed")
    answer = api.post(f"/message/sendText/{name}", {"number": "5511999990001", "text": "hi"})
    assert (answer.status_code, answer.json()["response"]["message"]) == (500, "Connection Closed")


def test_presence_of_an_instance_that_was_logged_out_while_it_showed_a_code_fails_for_want_of_a_name(api: Api, name: str) -> None:
    """After the logout of an open one a real API still knows the account, and what it answers depends on that."""
    api.create(instanceName=name)
    connected(api, name)
    api.delete(f"/instance/logout/{name}")
    eventually(lambda: api.state(name) == "close", f"{name} is closed")
    presence = api.post(f"/instance/setPresence/{name}", {"presence": "available"})
    assert (presence.status_code, presence.json()) == (400, refused("TypeError: Cannot read properties of undefined (reading 'name')"))
