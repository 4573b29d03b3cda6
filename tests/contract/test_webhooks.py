"""Events that really arrive: at a webhook of the instance's own.

The one event that a closed instance sends without connecting is `remove.instance`, on its deletion.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.app.simulator_support import eventually
from tests.contract.listener import Call, Listener
from tests.contract.target import INSTANT, Api

REMOVAL = "remove.instance"
_CLOCKS_APART = timedelta(hours=26)
"""Time zones, and two machines' clocks."""


def removal_of_an_instance_with(api: Api, listener: Listener, **webhook: Any) -> tuple[dict[str, Any], Call]:  # noqa: ANN401
    """Make an instance with a webhook and delete it; what was created, and what the webhook got."""
    created = api.create(webhook={"url": f"{listener.url}/hook", "events": ["REMOVE_INSTANCE"], **webhook})
    name = created["instance"]["instanceName"]
    api.delete(f"/instance/delete/{name}")
    return created, listener.wait_for(name, REMOVAL)


def test_an_event_is_posted_as_json_with_the_headers_of_the_webhook_and_no_signature(api: Api, listener: Listener) -> None:
    _, call = removal_of_an_instance_with(api, listener, headers={"x-secret": "s", "authorization": "Bearer b"})
    assert call.path == "/hook"
    own = {name: value for name, value in call.headers.items() if name not in {"host", "content-length"}}
    agent = own.pop("user-agent")
    assert agent == "axios/1.7.9" if api.target.simulator else re.fullmatch(r"axios/\d+\.\d+\.\d+", agent), agent
    assert own == {
        "accept": "application/json, text/plain, */*",
        "accept-encoding": "gzip, compress, deflate, br",
        "connection": own["connection"],
        "content-type": "application/json",
        "x-secret": "s",
        "authorization": "Bearer b",
    }


def test_an_event_names_instance_destination_server_and_token_and_no_sender_before_a_pairing(api: Api, listener: Listener) -> None:
    created, call = removal_of_an_instance_with(api, listener)
    server_url, apikey = call.body.pop("server_url"), call.body.pop("apikey")
    del call.body["date_time"]
    name = created["instance"]["instanceName"]
    assert call.body == {"event": REMOVAL, "instance": name, "data": None, "destination": f"{listener.url}/hook"}
    assert isinstance(server_url, str)
    assert apikey in {created["hash"], None}, "the instance's token where AUTHENTICATION_EXPOSE_IN_FETCH_INSTANCES is true, else null"
    if api.target.simulator:
        assert apikey == created["hash"]


def test_the_time_of_an_event_is_local_time_that_calls_itself_utc(api: Api, listener: Listener) -> None:
    _, call = removal_of_an_instance_with(api, listener)
    told = call.body["date_time"]
    assert re.fullmatch(INSTANT, told)
    off = datetime.fromisoformat(told) - datetime.now(UTC)
    if api.target.simulator:
        assert abs(off + timedelta(hours=3)) < timedelta(minutes=1), "Sao Paulo is three hours behind"
    else:
        assert abs(off) < _CLOCKS_APART


def test_an_event_goes_below_the_url_by_its_name_when_asked_and_the_destination_is_still_the_url(api: Api, listener: Listener) -> None:
    _, call = removal_of_an_instance_with(api, listener, byEvents=True)
    assert call.path == "/hook/remove-instance"
    assert call.body["destination"] == f"{listener.url}/hook"


@pytest.mark.parametrize(
    "change",
    [{"enabled": False}, {"enabled": True, "events": ["CALL"]}],
    ids=["switched off", "other events"],
)
def test_a_webhook_that_is_off_or_asked_for_other_events_gets_nothing(api: Api, listener: Listener, change: dict[str, Any]) -> None:
    url = f"{listener.url}/hook"
    name = api.created_name(webhook={"url": url, "events": ["REMOVE_INSTANCE"]})
    api.post(f"/webhook/set/{name}", {"webhook": {"url": url, **change}})
    api.delete(f"/instance/delete/{name}")
    eventually(lambda: api.is_gone(name), f"{name} is gone")
    _, _ = removal_of_an_instance_with(api, listener)  # a later event: what came before it has come
    assert listener.of(name) == []


def test_a_webhook_set_later_works_like_one_set_at_once(api: Api, listener: Listener) -> None:
    name = api.created_name()
    api.post(f"/webhook/set/{name}", {"webhook": {"enabled": True, "url": f"{listener.url}/late", "events": []}})
    api.delete(f"/instance/delete/{name}")
    assert listener.wait_for(name, REMOVAL).path == "/late"


def test_a_webhook_never_hears_of_the_creation_and_the_deletion_of_its_own_instance(api: Api, listener: Listener) -> None:
    created, _ = removal_of_an_instance_with(api, listener, events=[])
    assert {call.event for call in listener.of(created["instance"]["instanceName"])} == {REMOVAL}
