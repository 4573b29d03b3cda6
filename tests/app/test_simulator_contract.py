"""Evolution API 2.2.3's HTTP contract, as it was observed on the real one.

Runs against the simulator, or against whatever EVOLUTION_CONTRACT_URL and EVOLUTION_CONTRACT_KEY name. No phone is needed, no instance is
ever connected, and every instance that a test makes is deleted again.
"""

import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.app.simulator_support import BAILEYS, Process, eventually, new_name

pytest_plugins = ["tests.app.simulator_fixtures"]

UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
INSTANT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
UNAUTHORIZED = {"status": 401, "error": "Unauthorized", "response": {"message": "Unauthorized"}}
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


def failure(status: int, error: str, message: object) -> dict[str, Any]:
    return {"status": status, "error": error, "response": {"message": message}}


@dataclass
class Api:
    """Somebody who calls Evolution API: with the global key, with another, or with none."""

    url: str
    key: str
    made: list[str] = field(default_factory=list)

    def call(
        self, method: str, path: str, key: str | None = None, body: object = None, params: dict[str, str] | None = None
    ) -> httpx.Response:
        headers = {"apikey": key} if key else {}
        return httpx.request(method, f"{self.url}{path}", headers=headers, json=body, params=params, timeout=30)

    def get(self, path: str, **params: str) -> httpx.Response:
        return self.call("GET", path, self.key, params=params)

    def try_to_create(self, body: dict[str, Any], key: str | None = None) -> httpx.Response:
        if "instanceName" in body:
            self.made.append(body["instanceName"])
        return self.call("POST", "/instance/create", key or self.key, body)

    def create(self, **body: object) -> dict[str, Any]:
        answer = self.try_to_create({"instanceName": new_name(), "integration": BAILEYS, **body})
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def row(self, name: str) -> dict[str, Any]:
        return dict(self.get("/instance/fetchInstances", instanceName=name).json()[0])

    def is_gone(self, name: str) -> bool:
        return self.get(f"/instance/connectionState/{quote(name, safe='')}").status_code == 404


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> tuple[str, str]:
    """The address and the global key of what is tested."""
    url = os.environ.get("EVOLUTION_CONTRACT_URL")
    if url:
        return url.rstrip("/"), os.environ["EVOLUTION_CONTRACT_KEY"]
    run: Callable[..., Process] = request.getfixturevalue("run_for_all")
    alone: Callable[[], dict[str, str]] = request.getfixturevalue("alone")
    process = run(alone())
    return process.url, process.environment["AUTHENTICATION_API_KEY"]


@pytest.fixture
def api(server: tuple[str, str]) -> Iterator[Api]:
    api = Api(*server)
    yield api
    for name in api.made:
        api.call("DELETE", f"/instance/delete/{quote(name, safe='')}", api.key)


def test_the_welcome_needs_no_key(api: Api) -> None:
    answer = api.call("GET", "/")
    assert answer.status_code == 200
    body = answer.json()
    client_name = body.pop("clientName")
    assert isinstance(client_name, str)
    assert body == {
        "status": 200,
        "message": "Welcome to the Evolution API, it is working!",
        "version": "2.2.3",
        "manager": f"{api.url}/manager",
        "documentation": "https://doc.evolution-api.com",
    }
    assert answer.headers["X-Powered-By"] == "Express"
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"


def test_head_answers_like_get_without_a_body(api: Api) -> None:
    answer = api.call("HEAD", "/")
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nope"),
        ("GET", "/health"),
        ("GET", "/docs"),
        ("GET", "/openapi.json"),
        ("POST", "/"),
        ("GET", "/nope?x=1"),
        ("GET", "/instance/create"),
    ],
)
def test_an_unknown_route_and_a_wrong_method_are_named_in_a_404_with_and_without_a_key(api: Api, method: str, path: str) -> None:
    for key in (None, api.key):
        answer = api.call(method, path, key)
        assert answer.status_code == 404
        assert answer.json() == failure(404, "Not Found", [f"Cannot {method} {path}"])


def test_the_manager_is_a_page_without_a_key(api: Api) -> None:
    redirect = api.call("GET", "/manager")
    assert (redirect.status_code, redirect.headers["Location"]) == (301, "/manager/")
    page = api.call("GET", "/manager/")
    assert page.status_code == 200
    assert page.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("key", [None, "wrong"])
@pytest.mark.parametrize(("method", "path"), [("GET", "/instance/fetchInstances"), ("POST", "/verify-creds")])
def test_a_missing_and_a_wrong_key_are_401(api: Api, method: str, path: str, key: str | None) -> None:
    answer = api.call(method, path, key)
    assert (answer.status_code, answer.json()) == (401, UNAUTHORIZED)


def test_a_right_key_is_told_so(api: Api) -> None:
    answer = api.call("POST", "/verify-creds", api.key)
    assert answer.status_code == 200
    assert answer.json() == {"status": 200, "message": "Credentials are valid"}


def test_an_instance_token_is_no_global_key(api: Api) -> None:
    token = api.create()["hash"]
    assert api.call("POST", "/verify-creds", token).status_code == 401
    assert api.try_to_create({"instanceName": new_name(), "integration": BAILEYS}, key=token).status_code == 401


@pytest.mark.parametrize(("method", "path"), [("GET", "/instance/connectionState"), ("DELETE", "/instance/delete")])
def test_an_unknown_instance_is_404_before_the_key_is_looked_at(api: Api, method: str, path: str) -> None:
    for key in (None, "wrong", api.key):
        answer = api.call(method, f"{path}/nope", key)
        assert answer.status_code == 404, f"with the key {key}"
        assert answer.json() == failure(404, "Not Found", ['The "nope" instance does not exist'])


def test_a_used_name_is_403_before_the_key_is_looked_at(api: Api) -> None:
    name = api.create()["instance"]["instanceName"]
    for key in (None, "wrong", api.key):
        answer = api.call("POST", "/instance/create", key, {"instanceName": name, "integration": BAILEYS})
        assert answer.status_code == 403, f"with the key {key}"
        assert answer.json() == failure(403, "Forbidden", [f'This name "{name}" is already in use.'])


def test_a_missing_name_counts_as_used_once_there_is_an_instance(api: Api) -> None:
    api.create()
    for body in ({}, {"integration": BAILEYS}):
        answer = api.try_to_create(body)
        assert answer.status_code == 403
        assert answer.json() == failure(403, "Forbidden", ['This name "undefined" is already in use.'])


@pytest.mark.parametrize("body", [{}, {"integration": "NOPE"}])
def test_a_missing_and_an_unknown_integration_are_400_and_keep_no_instance(api: Api, body: dict[str, str]) -> None:
    name = new_name()
    answer = api.try_to_create({"instanceName": name, **body})
    assert answer.status_code == 400
    assert answer.json() == failure(400, "Bad Request", ["Invalid integration"])
    assert api.is_gone(name)


def test_a_value_of_the_wrong_type_is_a_400_with_a_nested_list(api: Api) -> None:
    answer = api.try_to_create({"instanceName": new_name(), "integration": BAILEYS, "qrcode": "yes", "token": 1})
    assert answer.status_code == 400
    assert answer.json() == failure(400, "Bad Request", [["token is not of a type(s) string", "qrcode is not of a type(s) boolean"]])


def test_a_malformed_body_is_a_400_that_calls_itself_a_server_error(api: Api) -> None:
    answer = httpx.post(f"{api.url}/instance/create", content="{x}", headers={"content-type": "application/json", "apikey": api.key})
    assert answer.status_code == 400
    assert answer.json() == failure(400, "Internal Server Error", "Expected property name or '}' in JSON at position 1")


@pytest.mark.parametrize(
    ("webhook", "message"),
    [
        ({"url": "http://app:8000/hook"}, "Cannot read properties of undefined (reading 'length')"),
        ({"url": "http://my_app:8000/hook", "events": []}, 'Invalid "url" property'),
    ],
)
def test_a_bad_webhook_is_a_400_and_keeps_no_instance(api: Api, webhook: dict[str, Any], message: str) -> None:
    name = new_name()
    answer = api.try_to_create({"instanceName": name, "integration": BAILEYS, "webhook": webhook})
    assert answer.status_code == 400
    assert answer.json() == failure(400, "Bad Request", [message])
    assert eventually(lambda: api.is_gone(name), f"{name} is removed again")


def test_a_created_instance_is_described_whole(api: Api) -> None:
    name = new_name()
    created = api.create(instanceName=name)
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
    webhook = {"url": "http://app:8000/hook", "events": [], "byEvents": True, "headers": {"x-secret": "s"}}
    created = api.create(token="my-token", rejectCall=True, msgCall="later", webhook=webhook)
    assert created["hash"] == "my-token"
    assert created["settings"] == SETTINGS | {"rejectCall": True, "msgCall": "later"}
    assert created["webhook"] == {"webhookUrl": webhook["url"], "webhookHeaders": webhook["headers"], "webhookByEvents": True}


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


def test_a_token_opens_its_own_instance_and_no_other(api: Api) -> None:
    own, other = api.create(), api.create()
    name, other_name = own["instance"]["instanceName"], other["instance"]["instanceName"]
    assert api.call("GET", f"/instance/connectionState/{name}", own["hash"]).status_code == 200
    assert api.call("GET", f"/instance/connectionState/{other_name}", own["hash"]).json() == UNAUTHORIZED
    listed = api.call("GET", "/instance/fetchInstances", own["hash"])
    assert [row["name"] for row in listed.json()] == [name]
    assert api.call("GET", "/instance/fetchInstances", own["hash"], params={"instanceName": other_name}).json() == UNAUTHORIZED


@pytest.mark.parametrize("suffix", [" 5/ü", "%2F", "?x", " ' \""])
def test_a_name_may_be_anything_and_is_reached_escaped(api: Api, suffix: str) -> None:
    name = new_name() + suffix
    api.create(instanceName=name)
    answer = api.get(f"/instance/connectionState/{quote(name, safe='')}")
    assert answer.json() == {"instance": {"instanceName": name, "state": "close"}}


def test_an_instance_that_never_connected_is_closed(api: Api) -> None:
    name = api.create()["instance"]["instanceName"]
    for path in (f"/instance/connectionState/{name}", f"/instance/connectionState/{name}/"):
        answer = api.get(path)
        assert (answer.status_code, answer.json()) == (200, {"instance": {"instanceName": name, "state": "close"}})


def test_a_deleted_instance_is_gone_a_moment_later_and_its_name_is_free_again(api: Api) -> None:
    name = api.create()["instance"]["instanceName"]
    answer = api.call("DELETE", f"/instance/delete/{name}", api.key)
    assert answer.status_code == 200
    assert answer.json() == {"status": "SUCCESS", "error": False, "response": {"message": "Instance deleted"}}
    assert eventually(lambda: api.is_gone(name), f"{name} is gone")
    api.create(instanceName=name)


def test_a_business_instance_needs_a_token_and_a_number(api: Api) -> None:
    body = {"integration": "WHATSAPP-BUSINESS"}
    assert api.try_to_create({"instanceName": new_name(), **body}).json() == failure(400, "Bad Request", ["token is required"])
    name = new_name()
    answer = api.try_to_create({"instanceName": name, "token": "t", **body})
    assert answer.json() == failure(400, "Bad Request", ["number is required"])
    assert eventually(lambda: api.is_gone(name), f"{name} is removed again")
