"""Making, listing and deleting instances, none of which is ever connected."""

import re
import time
from typing import Any

import pytest

from tests.app.simulator_support import BAILEYS, eventually
from tests.contract.comparison import Need, needs
from tests.contract.target import EVENTS, INSTANT, ODD_ENDS, UUID, Api, Target, bad, failure, new_name, path_of, refused

SETTINGS = {
    "rejectCall": False,
    "msgCall": "",
    "groupsIgnore": False,
    "alwaysOnline": False,
    "readMessages": False,
    "readStatus": False,
    "syncFullHistory": False,
    "wavoipToken": "",
}


def test_a_created_instance_is_described_whole(api: Api, name: str) -> None:
    created = api.create(instanceName=name, qrcode=False)
    instance_id, token = created["instance"].pop("instanceId"), created.pop("hash")
    assert re.fullmatch(UUID, instance_id)
    assert re.fullmatch(UUID.replace("a-f", "A-F"), token), "a made-up token is an upper-case UUID"
    assert created == {
        "instance": {
            "instanceName": name,
            "integration": BAILEYS,
            "webhookWaBusiness": None,
            "accessTokenWaBusiness": "",
            "status": "close",
        },
        "webhook": {},
        "websocket": {},
        "rabbitmq": {},
        "sqs": {},
        "settings": SETTINGS,
    }


def test_what_create_was_told_comes_back(api: Api) -> None:
    webhook = {"url": "http://app:8000/hook", "events": ["CALL"], "byEvents": True, "headers": {"x-secret": "s"}}
    created = api.create(token="my-token", rejectCall=True, msgCall="later", webhook=webhook)
    assert created["hash"] == "my-token"
    assert created["settings"] == SETTINGS | {"rejectCall": True, "msgCall": "later"}
    assert created["webhook"] == {"webhookUrl": webhook["url"], "webhookHeaders": webhook["headers"], "webhookByEvents": True}
    name = created["instance"]["instanceName"]
    assert api.get(f"/settings/find/{name}").json() == SETTINGS | {"rejectCall": True, "msgCall": "later"}
    stored = api.get(f"/webhook/find/{name}").json()
    assert {key: stored[key] for key in ("url", "headers", "enabled", "events", "webhookByEvents", "webhookBase64")} == {
        "url": webhook["url"],
        "headers": webhook["headers"],
        "enabled": True,
        "events": ["CALL"],
        "webhookByEvents": True,
        "webhookBase64": False,
    }


def test_a_webhook_without_chosen_events_gets_all_of_them(api: Api) -> None:
    name = api.created_name(webhook={"url": "http://app:8000/hook", "events": []})
    assert api.get(f"/webhook/find/{name}").json()["events"] == EVENTS


@pytest.mark.parametrize("integration", [None, "NOPE"])
def test_a_missing_and_an_unknown_integration_are_400_and_keep_no_instance(api: Api, name: str, integration: str | None) -> None:
    body = {"instanceName": name} | ({"integration": integration} if integration else {})
    answer = api.try_to_create(body)
    assert (answer.status_code, answer.json()) == (400, refused("Invalid integration"))
    assert api.is_gone(name)


def test_values_of_wrong_types_are_all_named_in_the_order_of_the_schema(api: Api, name: str) -> None:
    answer = api.try_to_create({"instanceName": name, "integration": BAILEYS, "qrcode": "yes", "token": 1})
    assert (answer.status_code, answer.json()) == (400, bad("token is not of a type(s) string", "qrcode is not of a type(s) boolean"))


def test_a_number_has_to_look_like_one(api: Api, name: str) -> None:
    answer = api.try_to_create({"instanceName": name, "integration": BAILEYS, "number": "x"})
    assert answer.status_code == 400
    assert answer.json() == bad(r'number does not match pattern "^\\d+[\\.@\\w-]+"')


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"webhook": {"url": "http://app:8000/hook"}}, "Cannot read properties of undefined (reading 'length')"),
        ({"webhook": {"url": "http://my_app:8000/hook", "events": []}}, 'Invalid "url" property'),
    ],
    ids=["no events", "an underscore in the host"],
)
def test_a_bad_webhook_is_a_400_and_keeps_no_instance(api: Api, name: str, wrong: dict[str, Any], message: str) -> None:
    answer = api.try_to_create({"instanceName": name, "integration": BAILEYS, **wrong})
    assert (answer.status_code, answer.json()) == (400, refused(message))
    assert eventually(lambda: api.is_gone(name), f"{name} is removed again")


def test_the_list_shows_every_field_of_an_instance(api: Api) -> None:
    created = api.create(number="5511999990001")
    row = api.row(created["instance"]["instanceName"])
    setting = row.pop("Setting")
    assert setting == setting | SETTINGS | {"instanceId": created["instance"]["instanceId"]}
    assert set(setting) == {*SETTINGS, "id", "createdAt", "updatedAt", "instanceId"}
    for instant in (row.pop("createdAt"), row.pop("updatedAt"), setting["createdAt"], setting["updatedAt"]):
        assert re.fullmatch(INSTANT, instant), f"{instant} is not as JavaScript writes a time"
    assert isinstance(row.pop("clientName"), str)
    assert row == {
        "id": created["instance"]["instanceId"],
        "name": created["instance"]["instanceName"],
        "connectionStatus": "close",
        "ownerJid": None,
        "profileName": None,
        "profilePicUrl": None,
        "integration": BAILEYS,
        "number": "5511999990001",
        "businessId": None,
        "token": created["hash"],
        "disconnectionReasonCode": None,
        "disconnectionObject": None,
        "disconnectionAt": None,
        "Chatwoot": None,
        "Proxy": None,
        "Rabbitmq": None,
        "Sqs": None,
        "Websocket": None,
        "_count": {"Message": 0, "Contact": 0, "Chat": 0},
    }


def test_the_list_is_filtered_by_name_id_and_number(api: Api) -> None:
    number = f"55{time.time_ns()}"
    wanted = api.create(number=number)["instance"]
    other = api.create()["instance"]
    everything = [row["id"] for row in api.get("/instance/fetchInstances").json()]
    assert {wanted["instanceId"], other["instanceId"]} <= set(everything)
    for query in ({"instanceName": wanted["instanceName"]}, {"instanceId": wanted["instanceId"]}, {"number": number}):
        assert [row["id"] for row in api.get("/instance/fetchInstances", **query).json()] == [wanted["instanceId"]], f"asked for {query}"


@pytest.mark.parametrize("filtered_by", ["instanceName", "instanceId", "number"])
def test_a_filter_that_finds_nothing_is_404(api: Api, filtered_by: str) -> None:
    answer = api.get("/instance/fetchInstances", **{filtered_by: "nope"})
    assert (answer.status_code, answer.json()) == (404, failure(404, "Not Found", ['Instance "nope" not found']))


@pytest.mark.parametrize("suffix", ODD_ENDS)
def test_a_name_may_be_anything_and_is_reached_escaped(api: Api, name: str, suffix: str) -> None:
    api.create(instanceName=name + suffix)
    answer = api.get(f"/instance/connectionState/{path_of(name + suffix)}")
    assert answer.json() == {"instance": {"instanceName": name + suffix, "state": "close"}}


def test_an_instance_that_never_connected_is_closed(api: Api, closed: str) -> None:
    for path in (f"/instance/connectionState/{closed}", f"/instance/connectionState/{closed}/"):
        answer = api.get(path)
        assert (answer.status_code, answer.json()) == (200, {"instance": {"instanceName": closed, "state": "close"}})


def test_a_deleted_instance_is_gone_a_moment_later_and_its_name_is_free_again(api: Api, name: str) -> None:
    api.create(instanceName=name)
    answer = api.delete(f"/instance/delete/{name}")
    assert answer.status_code == 200
    assert answer.json() == {"status": "SUCCESS", "error": False, "response": {"message": "Instance deleted"}}
    assert eventually(lambda: api.is_gone(name), f"{name} is gone")
    listed = api.get("/instance/fetchInstances", instanceName=name)
    assert (listed.status_code, listed.json()) == (404, failure(404, "Not Found", [f'Instance "{name}" not found']))
    api.create(instanceName=name)


def test_a_business_instance_needs_a_token_and_a_number(api: Api, name: str) -> None:
    body = {"integration": "WHATSAPP-BUSINESS"}
    assert api.try_to_create({"instanceName": new_name(), **body}).json() == refused("token is required")
    assert api.try_to_create({"instanceName": name, "token": "t", **body}).json() == refused("number is required")
    assert eventually(lambda: api.is_gone(name), f"{name} is removed again")


@needs(Need.EMPTY)
def test_a_missing_name_is_no_403_where_there_is_no_instance(bare: Target) -> None:
    answer = Api(bare).try_to_create({})
    assert (answer.status_code, answer.json()) == (400, refused("Invalid integration"))
