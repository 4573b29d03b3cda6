"""The page at the root, keys and tokens, and what is looked at before them."""

import pytest

from tests.app.simulator_support import BAILEYS
from tests.contract.target import UNAUTHORIZED, Api, failure, new_name


def test_the_welcome_needs_no_key(api: Api) -> None:
    for key in (None, "wrong", api.key):
        answer = api.call("GET", "/", key)
        assert answer.status_code == 200
        body = answer.json()
        assert isinstance(body.pop("clientName"), str)
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
        ("GET", "/metrics"),
        ("GET", "/docs"),
        ("GET", "/openapi.json"),
        ("POST", "/"),
        ("GET", "/nope?x=1"),
        ("GET", "/instance/create"),
        ("GET", "/instance/connectionState"),
        ("GET", "/instance/connectionState/"),
    ],
)
def test_an_unknown_route_and_a_wrong_method_are_named_in_a_404_with_and_without_a_key(api: Api, method: str, path: str) -> None:
    for key in (None, api.key):
        answer = api.call(method, path, key)
        assert (answer.status_code, answer.json()) == (404, failure(404, "Not Found", [f"Cannot {method} {path}"]))


@pytest.mark.parametrize(("method", "route"), [("PUT", "restart"), ("GET", "restart"), ("GET", "logout"), ("POST", "delete")])
def test_restart_is_a_post_and_logout_and_delete_are_deletes(api: Api, closed: str, method: str, route: str) -> None:
    path = f"/instance/{route}/{closed}"
    assert api.call(method, path, api.key).json() == failure(404, "Not Found", [f"Cannot {method} {path}"])


def test_the_manager_is_a_page_without_a_key(api: Api) -> None:
    redirect = api.call("GET", "/manager")
    assert (redirect.status_code, redirect.headers["Location"]) == (301, "/manager/")
    page = api.call("GET", "/manager/")
    assert page.status_code == 200
    assert page.headers["Content-Type"].lower().startswith("text/html")


@pytest.mark.parametrize("key", [None, "wrong"])
@pytest.mark.parametrize(("method", "path"), [("GET", "/instance/fetchInstances"), ("POST", "/verify-creds")])
def test_a_missing_and_a_wrong_key_are_401(api: Api, method: str, path: str, key: str | None) -> None:
    answer = api.call(method, path, key)
    assert (answer.status_code, answer.json()) == (401, UNAUTHORIZED)


def test_a_right_key_is_told_so(api: Api) -> None:
    answer = api.call("POST", "/verify-creds", api.key)
    assert answer.status_code == 200
    assert {name: value for name, value in answer.json().items() if not name.startswith("facebook")} == {
        "status": 200,
        "message": "Credentials are valid",
    }


def test_an_instance_token_is_no_global_key(api: Api) -> None:
    token = api.create()["hash"]
    assert api.call("POST", "/verify-creds", token).status_code == 401
    assert api.try_to_create({"instanceName": new_name(), "integration": BAILEYS}, key=token).status_code == 401


ROUTES = [
    ("GET", "/instance/connectionState"),
    ("DELETE", "/instance/delete"),
    ("DELETE", "/instance/logout"),
    ("POST", "/instance/restart"),
    ("POST", "/message/sendText"),
    ("POST", "/message/sendMedia"),
    ("POST", "/message/sendWhatsAppAudio"),
    ("POST", "/chat/findMessages"),
    ("POST", "/chat/whatsappNumbers"),
    ("POST", "/webhook/set"),
    ("GET", "/webhook/find"),
    ("GET", "/rabbitmq/find"),
    ("GET", "/settings/find"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_an_unknown_instance_is_404_before_the_key_is_looked_at(api: Api, method: str, path: str) -> None:
    for key in (None, "wrong", api.key):
        answer = api.call(method, f"{path}/nope", key)
        assert answer.status_code == 404, f"with the key {key}"
        assert answer.json() == failure(404, "Not Found", ['The "nope" instance does not exist'])


@pytest.mark.parametrize(("method", "path"), [each for each in ROUTES if each[0] == "POST" and "restart" not in each[1]])
def test_the_key_is_looked_at_before_the_body(api: Api, closed: str, method: str, path: str) -> None:
    for key in (None, "wrong"):
        answer = api.call(method, f"{path}/{closed}", key, {"nonsense": True})
        assert (answer.status_code, answer.json()) == (401, UNAUTHORIZED), f"with the key {key}"


def test_a_used_name_is_403_before_the_key_is_looked_at(api: Api, closed: str) -> None:
    for key in (None, "wrong", api.key):
        answer = api.call("POST", "/instance/create", key, {"instanceName": closed, "integration": BAILEYS})
        assert (answer.status_code, answer.json()) == (403, failure(403, "Forbidden", [f'This name "{closed}" is already in use.']))


@pytest.mark.usefixtures("closed")
def test_a_missing_name_counts_as_used_once_there_is_an_instance(api: Api) -> None:
    for key in (None, "wrong", api.key):
        for body in ({}, {"integration": BAILEYS}):
            answer = api.call("POST", "/instance/create", key, body)
            assert (answer.status_code, answer.json()) == (403, failure(403, "Forbidden", ['This name "undefined" is already in use.']))


def test_a_token_opens_its_own_instance_and_no_other(api: Api) -> None:
    own, other = api.create(), api.create()
    name, other_name = own["instance"]["instanceName"], other["instance"]["instanceName"]
    assert api.call("GET", f"/instance/connectionState/{name}", own["hash"]).status_code == 200
    assert api.call("POST", f"/chat/findChats/{name}", own["hash"], {}).status_code == 200
    assert api.call("GET", f"/instance/connectionState/{other_name}", own["hash"]).json() == UNAUTHORIZED
    listed = api.call("GET", "/instance/fetchInstances", own["hash"])
    assert [row["name"] for row in listed.json()] == [name]
    assert api.call("GET", "/instance/fetchInstances", own["hash"], params={"instanceName": other_name}).json() == UNAUTHORIZED
