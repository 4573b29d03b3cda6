"""Where an instance's events go, and its other settings: set and found again."""

import re
from typing import Any

import httpx
import pytest

from tests.contract.comparison import Need, needs
from tests.contract.target import EVENTS, INSTANT, Api, Target, broken

URL = "http://app:8000/hook"
"""Nobody is there, and nobody is called: no event that a closed instance sends is asked for."""


def is_empty(answer: httpx.Response) -> bool:
    """Whether an answer calls itself JSON and has no content."""
    return answer.content == b"" and answer.headers["Content-Type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize("kind", ["webhook", "proxy"])
def test_what_was_never_set_is_found_as_null(api: Api, closed: str, kind: str) -> None:
    answer = api.get(f"/{kind}/find/{closed}")
    assert (answer.status_code, answer.text) == (200, "null")


@pytest.mark.parametrize("kind", ["websocket", "sqs", "pusher"])
def test_what_is_switched_off_answers_with_no_body_at_all_which_is_no_json(api: Api, closed: str, kind: str) -> None:
    found = api.get(f"/{kind}/find/{closed}")
    assert (found.status_code, is_empty(found)) == (200, True), f"{found.text}: is {kind} switched on in this API?"


@pytest.mark.parametrize("kind", ["websocket", "sqs"])
def test_to_set_what_is_switched_off_is_a_201_with_no_body(api: Api, closed: str, kind: str) -> None:
    answer = api.post(f"/{kind}/set/{closed}", {kind: {"enabled": True, "events": ["CALL"]}})
    assert (answer.status_code, is_empty(answer)) == (201, True), f"{answer.text}: is {kind} switched on in this API?"


def test_a_webhook_is_set_and_found_as_one_row_and_what_is_left_out_stays(api: Api) -> None:
    created = api.create()["instance"]
    name = created["instanceName"]
    first = api.post(f"/webhook/set/{name}", {"webhook": {"enabled": True, "url": URL, "events": ["CALL"]}})
    row = first.json()
    assert first.status_code == 201
    assert re.fullmatch(r"c[a-z0-9]{24}", row["id"]), "a cuid"
    assert row["instanceId"] == created["instanceId"]
    assert all(re.fullmatch(INSTANT, row[each]) for each in ("createdAt", "updatedAt"))
    expected: dict[str, Any] = {
        "url": URL,
        "headers": None,
        "enabled": True,
        "events": ["CALL"],
        "webhookByEvents": False,
        "webhookBase64": False,
    }
    assert row == row | expected
    assert set(row) == {*expected, "id", "createdAt", "updatedAt", "instanceId"}

    more = {"enabled": True, "url": URL, "events": [], "headers": {"a": "b"}, "byEvents": True, "base64": True}
    second = api.post(f"/webhook/set/{name}", {"webhook": more}).json()
    expected = {"url": URL, "headers": {"a": "b"}, "enabled": True, "events": EVENTS, "webhookByEvents": True, "webhookBase64": True}
    assert second == row | expected | {"updatedAt": second["updatedAt"]}, "it is the same row, and no events means all"

    third = api.post(f"/webhook/set/{name}", {"webhook": {"enabled": False, "url": URL, "events": ["CALL"]}}).json()
    assert third == second | {"enabled": False, "events": [], "updatedAt": third["updatedAt"]}, "switched off, it has no events"
    found = api.get(f"/webhook/find/{name}")
    assert (found.status_code, found.json()) == (200, third)


@pytest.mark.parametrize("url", ["http://app:8000/hook", "http://localhost:8000", "https://app.internal/x", "http://10.0.0.1:1/x", "nope"])
def test_a_webhook_may_have_a_bare_host_and_even_no_scheme(api: Api, url: str) -> None:
    answer = api.post(f"/webhook/set/{api.created_name()}", {"webhook": {"enabled": False, "url": url}})
    assert (answer.status_code, answer.json()["url"]) == (201, url)


def _rabbitmq_is_on(api: Api, name: str) -> bool:
    return api.get(f"/rabbitmq/find/{name}").text == "null"


def test_rabbitmq_is_set_and_found_as_one_row_where_it_is_on_and_answers_nothing_where_it_is_off(api: Api) -> None:
    created = api.create()["instance"]
    name = created["instanceName"]
    if not _rabbitmq_is_on(api, name):
        assert not api.target.simulator, "the suite starts the simulator with RabbitMQ"
        assert is_empty(api.get(f"/rabbitmq/find/{name}"))
        assert is_empty(api.post(f"/rabbitmq/set/{name}", {"rabbitmq": {"enabled": True, "events": ["CALL"]}}))
        return
    first = api.post(f"/rabbitmq/set/{name}", {"rabbitmq": {"enabled": True, "events": ["CALL"]}})
    row = first.json()
    assert first.status_code == 201
    assert row == row | {"enabled": True, "events": ["CALL"], "instanceId": created["instanceId"]}
    assert set(row) == {"id", "enabled", "events", "createdAt", "updatedAt", "instanceId"}
    everything = api.post(f"/rabbitmq/set/{name}", {"rabbitmq": {"enabled": True, "events": []}}).json()
    assert everything["events"] == EVENTS
    off = api.post(f"/rabbitmq/set/{name}", {"rabbitmq": {"enabled": False, "events": ["CALL"]}}).json()
    assert off == everything | {"enabled": False, "events": [], "updatedAt": off["updatedAt"]}
    assert api.get(f"/rabbitmq/find/{name}").json() == off
    assert api.row(name)["Rabbitmq"] == off, "the list of instances shows it too"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "Cannot set properties of undefined (setting 'events')"),
        ({"rabbitmq": {"enabled": True}}, "Cannot read properties of undefined (reading 'length')"),
    ],
    ids=["nothing", "no events"],
)
def test_rabbitmq_set_to_nothing_or_without_events_is_a_500_where_it_is_on(
    api: Api, closed: str, body: dict[str, Any], message: str
) -> None:
    answer = api.post(f"/rabbitmq/set/{closed}", body)
    if _rabbitmq_is_on(api, closed):
        assert (answer.status_code, answer.json()) == (500, broken(message))
    else:
        assert (answer.status_code, is_empty(answer)) == (201, True)


@needs(Need.ANOTHER_START)
def test_rabbitmq_answers_nothing_where_it_is_switched_off(bare: Target) -> None:
    api = Api(bare)
    name = api.created_name()
    try:
        found = api.get(f"/rabbitmq/find/{name}")
        answer = api.post(f"/rabbitmq/set/{name}", {"rabbitmq": {"enabled": True, "events": []}})
    finally:
        api.clean_up()
    assert (found.status_code, is_empty(found)) == (200, True)
    assert (answer.status_code, is_empty(answer)) == (201, True)


SETTINGS = {
    "rejectCall": True,
    "msgCall": "later",
    "groupsIgnore": True,
    "alwaysOnline": False,
    "readMessages": True,
    "readStatus": False,
    "syncFullHistory": False,
}


def test_settings_are_set_and_found_and_the_answer_names_the_instance(api: Api, name: str) -> None:
    api.create(instanceName=name)
    answer = api.post(f"/settings/set/{name}", SETTINGS)
    assert (answer.status_code, answer.json()) == (201, {"settings": {"instanceName": name, "settings": SETTINGS}})
    found = api.get(f"/settings/find/{name}")
    assert (found.status_code, found.json()) == (200, SETTINGS | {"wavoipToken": ""})


def test_settings_with_a_wavoip_token_are_a_500_without_a_phone_and_are_kept_all_the_same(api: Api, name: str) -> None:
    api.create(instanceName=name)
    answer = api.post(f"/settings/set/{name}", SETTINGS | {"wavoipToken": "t"})
    assert (answer.status_code, answer.json()) == (500, broken("Cannot read properties of undefined (reading 'ws')"))
    assert api.get(f"/settings/find/{name}").json() == SETTINGS | {"wavoipToken": "t"}
