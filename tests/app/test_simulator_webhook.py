"""The simulator posts events to webhooks as Evolution API 2.2.3 does, with its traps."""

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest

from simulator.background import Background
from simulator.events import webhook as deliveries
from simulator.events.event import Event
from simulator.events.webhook import Webhooks
from simulator.journal import Journal
from simulator.preferences import Target
from simulator.settings import load
from tests.app.simulator_support import Process, eventually, free_port, new_name
from tests.app.simulator_webhooks import Receiver, receiving

pytest_plugins = ["tests.app.simulator_fixtures"]

Run = Callable[..., Process]
Alone = Callable[[], dict[str, str]]

INSTANCE_CREATE = Event("instance.create", "a", {}, "http://s", "2026-01-01T00:00:00.000Z", None, None)
CONNECTION_UPDATE = Event("connection.update", "a", {}, "http://s", "2026-01-01T00:00:00.000Z", None, None)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def shared() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def process(run_for_all: Run, alone: Alone, shared: Receiver) -> Process:
    """A simulator whose global webhook is the shared receiver."""
    events = {f"WEBHOOK_EVENTS_{event}": "true" for event in ("INSTANCE_CREATE", "INSTANCE_DELETE", "CONNECTION_UPDATE")}
    return run_for_all(
        alone(), events, WEBHOOK_GLOBAL_ENABLED="true", WEBHOOK_GLOBAL_URL=f"{shared.url}/global", SERVER_URL="http://evolution-api:8080"
    )


def test_a_global_webhook_gets_the_real_body_and_headers(process: Process, shared: Receiver) -> None:
    created = process.create()
    now = datetime.now(UTC)
    instance = created["instance"]
    (hook,) = eventually(lambda: shared.named("instance.create", instance["instanceName"]), "the event")
    assert hook.path == "/global", "the name of the event is in the path only with by-events on"
    assert hook.headers["content-type"] == "application/json"
    assert hook.headers["user-agent"] == "axios/1.7.9"
    assert "apikey" not in hook.headers, "nothing authenticates a global webhook"
    assert list(hook.body) == ["event", "instance", "data", "destination", "date_time", "server_url", "apikey"]
    told = datetime.fromisoformat(hook.body.pop("date_time").replace("Z", "")).replace(tzinfo=timezone(timedelta(hours=-3)))
    assert abs(told - now) < timedelta(seconds=10), "local time in TZ, whatever its Z says"
    assert hook.body == {
        "event": "instance.create",
        "instance": instance["instanceName"],
        "data": {"instanceName": instance["instanceName"], "instanceId": instance["instanceId"]},
        "destination": f"{shared.url}/global/instance-create",
        "server_url": "http://evolution-api:8080",
        "apikey": created["hash"],
    }


def test_an_instance_gets_its_own_headers_and_the_event_in_the_path_and_the_destination_names_its_address_everywhere(
    process: Process, shared: Receiver, receiver: Receiver
) -> None:
    webhook = {"url": f"{receiver.url}/inst", "events": ["CONNECTION_UPDATE"], "byEvents": True, "headers": {"X-Webhook-Secret": "s"}}
    name = process.create(webhook=webhook)["instance"]["instanceName"]
    process.pair(name)
    (own,) = eventually(lambda: receiver.named("connection.update", name), "the instance's own webhook is told")
    (everywhere,) = eventually(lambda: shared.named("connection.update", name), "the global webhook is told too")
    assert own.path == "/inst/connection-update"
    assert own.headers["x-webhook-secret"] == "s"
    assert own.body == everywhere.body, "both get the same body"
    assert own.body["destination"] == f"{receiver.url}/inst", "without the event, and also in the global post"
    assert own.body["sender"] == "5511999990001@s.whatsapp.net"
    (created,) = shared.named("instance.create", name)
    assert created.body["destination"] == f"{receiver.url}/inst"
    assert receiver.named("instance.create") == [], "creation is a global event only"


def test_a_disabled_webhook_gets_nothing_and_still_names_the_destination(process: Process, shared: Receiver, receiver: Receiver) -> None:
    name = process.create()["instance"]["instanceName"]
    webhook = {"enabled": False, "url": f"{receiver.url}/off", "events": ["CONNECTION_UPDATE"]}
    assert process.api.post(f"/webhook/set/{name}", json={"webhook": webhook}).json()["events"] == []
    process.pair(name)
    (hook,) = eventually(lambda: shared.named("connection.update", name), "the global webhook is told")
    assert hook.body["destination"] == f"{receiver.url}/off"
    assert receiver.hooks == []


def test_with_by_events_the_global_path_names_the_event(run: Run, alone: Alone, receiver: Receiver) -> None:
    process = run(
        alone(),
        WEBHOOK_GLOBAL_ENABLED="true",
        WEBHOOK_GLOBAL_URL=f"{receiver.url}/g2",
        WEBHOOK_GLOBAL_WEBHOOK_BY_EVENTS="true",
        AUTHENTICATION_EXPOSE_IN_FETCH_INSTANCES="false",
    )
    process.create(qrcode=True)
    (hook,) = eventually(lambda: receiver.named("qrcode.updated"), "the event")
    assert hook.path == "/g2/qrcode-updated"
    assert hook.body["apikey"] is None, "the token goes out only when the settings expose it"
    assert receiver.named("instance.create") == [], "the image has this event off"


def test_events_that_no_flag_names_never_leave(process: Process, shared: Receiver, receiver: Receiver) -> None:
    name = process.create(webhook={"url": receiver.url, "events": []})["instance"]["instanceName"]
    process.pair(name)
    process.api.delete(f"/instance/logout/{name}").raise_for_status()
    process.api.delete(f"/instance/delete/{name}").raise_for_status()
    eventually(lambda: shared.named("instance.delete", name), "the deletion is told globally")
    eventually(lambda: receiver.named("remove.instance", name), "an instance may ask for its removal")
    assert [hook.body["data"] for hook in receiver.named("logout.instance", name)] == [None]
    assert {hook.body["event"] for hook in shared.hooks if hook.body["instance"] == name} == {
        "instance.create",
        "connection.update",
        "instance.delete",
    }


def test_a_webhook_that_never_answers_holds_up_no_request_and_no_later_event(process: Process, receiver: Receiver) -> None:
    name = process.create(webhook={"url": receiver.url, "events": ["CONNECTION_UPDATE", "LOGOUT_INSTANCE"]})["instance"]["instanceName"]
    receiver.answering.clear()
    begun = time.monotonic()
    process.pair(name)
    process.api.delete(f"/instance/logout/{name}").raise_for_status()
    assert time.monotonic() - begun < 10
    eventually(lambda: len(receiver.hooks) == 3, "open, the logout and the closing come, though the first was never answered")


def deliver(events: list[Event], target: Target | None, settings: dict[str, str]) -> None:
    """Deliver events in this process, until all are delivered or given up."""

    async def work() -> None:
        known = load({"LOG_COLOR": "false", **settings})
        background = Background()
        webhooks = Webhooks(known.webhook, background, Journal(known.log, "test"))
        for event in events:
            webhooks.deliver(event, {"webhook": target} if target else {})
        async with asyncio.timeout(20):
            await background.finished()
        await webhooks.close()

    asyncio.run(work())


def everywhere(url: str) -> dict[str, str]:
    return {
        "WEBHOOK_GLOBAL_ENABLED": "true",
        "WEBHOOK_GLOBAL_URL": url,
        "WEBHOOK_EVENTS_CONNECTION_UPDATE": "true",
        "WEBHOOK_EVENTS_INSTANCE_CREATE": "true",
    }


def own_webhook(url: str) -> Target:
    return Target("webhook", enabled=True, events=("CONNECTION_UPDATE",), url=url, headers={}, by_events=False, base64=False)


def test_a_failing_webhook_is_tried_ten_times_half_a_minute_apart() -> None:
    assert (deliveries.ATTEMPTS, deliveries.RETRY_S) == (10, 30)


def test_a_webhook_is_tried_until_it_takes_the_event(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(deliveries, "RETRY_S", 0.01)
    receiver.statuses = [500, 404, 200]
    deliver([CONNECTION_UPDATE], own_webhook(receiver.url), {})
    assert len(receiver.hooks) == 3
    said = capsys.readouterr().out
    assert "Tentativa 1/10 falhou: Request failed with status code 500" in said
    assert "Tentativa 2/10 falhou: Request failed with status code 404" in said


def test_a_webhook_that_nobody_serves_is_given_up_after_ten_attempts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(deliveries, "RETRY_S", 0)
    deliver([CONNECTION_UPDATE], own_webhook(f"http://127.0.0.1:{free_port()}"), {})
    said = capsys.readouterr().out
    assert said.count("falhou: connect ECONNREFUSED") == 10
    assert "Todas as tentativas falharam" in said


def test_while_an_instances_webhook_is_tried_again_the_global_one_waits_for_that_event_and_not_for_others(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "RETRY_S", 0.3)
    with receiving() as failing:
        failing.statuses = [500, 500]
        settings = everywhere(f"{receiver.url}/g")
        deliver([CONNECTION_UPDATE, INSTANCE_CREATE], own_webhook(failing.url), settings)
        assert [hook.body["event"] for hook in receiver.hooks] == ["instance.create", "connection.update"]
        assert len(failing.hooks) == 3, "the global one was told when the instance's own had taken it"


@pytest.mark.parametrize(
    ("url", "called"), [("http://localhost:{port}/g", False), ("http://my_app.internal:{port}/g", False), ("{ip}/g", True)]
)
def test_a_global_webhook_without_a_top_level_domain_is_silently_never_called(
    receiver: Receiver, url: str, called: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = everywhere(url.format(port=receiver.port, ip=receiver.url))
    deliver([INSTANCE_CREATE], None, settings)
    assert bool(receiver.hooks) is called
    assert capsys.readouterr().out == ""


def test_the_apis_own_failures_are_posted_with_the_global_key_where_the_settings_want_it(
    run: Run, alone: Alone, receiver: Receiver
) -> None:
    process = run(alone(), WEBHOOK_EVENTS_ERRORS="true", WEBHOOK_EVENTS_ERRORS_WEBHOOK=f"{receiver.url}/errors")
    name = new_name()
    process.api.get(f"/instance/connectionState/{name}")
    process.api.get("/nope")
    (hook,) = eventually(lambda: receiver.hooks, "the failure")
    message = [f'The "{name}" instance does not exist']
    assert (hook.path, hook.body["event"], hook.body["api_key"]) == ("/errors", "error", process.environment["AUTHENTICATION_API_KEY"])
    assert hook.body["data"] == {"error": "Not Found", "message": message, "status": 404, "response": {"message": message}}
