"""The simulator fails on demand, and only where it is asked to."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.app.simulator_support import Broker, Process, eventually, new_name
from tests.app.simulator_webhooks import Receiver, receiving

pytest_plugins = ["tests.app.simulator_fixtures"]

Run = Callable[..., Process]
Alone = Callable[[], dict[str, str]]

OFF: dict[str, Any] = {
    "latencyMs": 0,
    "errorRate": 0,
    "dropAnswers": 0,
    "duplicateEvents": 0,
    "reorderEvents": 0,
    "disconnect": [],
    "converter": None,
    "loseBroker": False,
}


@pytest.fixture(scope="module")
def process(run_for_all: Run, alone: Alone) -> Process:
    return run_for_all(alone())


@pytest.fixture(autouse=True)
def _no_faults_afterwards(process: Process) -> Iterator[None]:
    yield
    process.api.delete("/simulator/faults").raise_for_status()


def fail(process: Process, **faults: object) -> None:
    answer = process.api.put("/simulator/faults", json=faults)
    assert answer.status_code == 200, answer.text


def test_faults_are_all_off_until_they_are_asked_for_and_replaced_as_a_whole(process: Process) -> None:
    assert process.api.get("/simulator/faults").json() == OFF
    fail(process, latencyMs=1, converter="refuse")
    assert process.api.get("/simulator/faults").json() == OFF | {"latencyMs": 1, "converter": "refuse"}
    fail(process, converter="down")
    assert process.api.get("/simulator/faults").json() == OFF | {"converter": "down"}
    assert process.api.delete("/simulator/faults").json() == OFF


def test_the_status_says_that_this_is_a_simulator_and_which_faults_are_on(process: Process) -> None:
    status = process.api.get("/simulator/status").json()
    assert (status["simulator"], status["faults"]) == (True, {})
    fail(process, errorRate=0.5)
    assert process.api.get("/simulator/status").json()["faults"] == {"errorRate": 0.5}


@pytest.mark.parametrize("path", ["/simulator/status", "/simulator/faults"])
def test_only_the_global_key_opens_the_faults(process: Process, path: str) -> None:
    token = process.create()["hash"]
    for key in ("", "wrong", token):
        assert process.api.get(path, headers={"apikey": key}).status_code == 401


def test_all_that_is_wrong_with_a_wish_for_faults_is_named_at_once(process: Process) -> None:
    wrong = {
        "latencyMs": -1,
        "errorRate": 2,
        "dropAnswers": True,
        "duplicateEvents": "often",
        "disconnect": "all",
        "converter": "broken",
        "loseBroker": 1,
        "nope": 0,
    }
    answer = process.api.put("/simulator/faults", json=wrong)
    assert answer.status_code == 400
    (said,) = answer.json()["response"]["message"]
    assert {name for name in wrong if not any(name in each for each in said)} == set()
    unknown = process.api.put("/simulator/faults", json={"disconnect": ["nobody"]})
    assert (unknown.status_code, "nobody" in unknown.text) == (400, True)
    assert process.api.get("/simulator/faults").json() == OFF


def test_faults_end_with_the_process(run: Run, alone: Alone) -> None:
    other = run(alone())
    fail(other, latencyMs=5)
    other.restart()
    assert other.api.get("/simulator/faults").json() == OFF


def test_latency_is_added_to_evolutions_own_routes_and_to_no_others(process: Process) -> None:
    fail(process, latencyMs=1500)

    def seconds(path: str) -> float:
        begun = time.monotonic()
        process.api.get(path).raise_for_status()
        return time.monotonic() - begun

    assert seconds("/instance/fetchInstances") >= 1.5
    assert max(seconds("/"), seconds("/simulator/status"), seconds("/manager/")) < 1.5


def test_errors_come_at_the_rate_that_was_asked_for(process: Process) -> None:
    fail(process, errorRate=1)
    failed = process.api.get("/instance/fetchInstances")
    assert failed.status_code == 500
    assert failed.json()["error"] == "Internal Server Error"
    assert isinstance(failed.json()["response"]["message"], str)
    assert process.api.get("/").status_code == 200, "the health probe is left alone"
    fail(process, errorRate=0.5)
    statuses = [process.api.get("/instance/fetchInstances").status_code for _ in range(60)]
    assert 5 < statuses.count(500) < 55


def test_a_dropped_answer_is_one_whose_work_is_done(process: Process) -> None:
    fail(process, dropAnswers=1)
    name = new_name()
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        process.api.post("/instance/create", json={"instanceName": name, "integration": "WHATSAPP-BAILEYS"})
    process.api.delete("/simulator/faults").raise_for_status()
    assert process.row(name)["name"] == name, "the instance was created"


def test_a_disconnected_instance_connects_in_vain_until_the_fault_ends(process: Process) -> None:
    name = process.create()["instance"]["instanceName"]
    process.pair(name)

    def state() -> str:
        return str(process.api.get(f"/instance/connectionState/{name}").json()["instance"]["state"])

    fail(process, disconnect=[name])
    assert state() == "connecting"
    time.sleep(0.5)
    assert state() == "connecting"
    assert process.row(name)["connectionStatus"] == "open", "2.2.3 keeps what it last knew"
    process.api.delete("/simulator/faults").raise_for_status()
    eventually(lambda: state() == "open", "it opens by itself, without being paired again")


@pytest.fixture(scope="module")
def told(run_for_all: Run, alone: Alone) -> Iterator[tuple[Process, Receiver]]:
    """A simulator and who is told its events."""
    with receiving() as receiver:
        yield run_for_all(alone(), WEBHOOK_GLOBAL_ENABLED="true", WEBHOOK_GLOBAL_URL=receiver.url), receiver


def test_events_are_doubled_on_demand(told: tuple[Process, Receiver]) -> None:
    process, receiver = told
    name = process.create()["instance"]["instanceName"]
    fail(process, duplicateEvents=1)
    process.pair(name)
    eventually(lambda: len(receiver.named("connection.update", name)) == 2, "both")
    one, other = receiver.named("connection.update", name)
    assert one.body == other.body
    fail(process)


def test_events_come_out_of_order_on_demand_and_none_is_lost(told: tuple[Process, Receiver]) -> None:
    process, receiver = told
    name = process.create()["instance"]["instanceName"]
    fail(process, reorderEvents=0.5)
    process.api.post(f"/simulator/instances/{name}/storm", json={"perSecond": 200, "seconds": 1}).raise_for_status()
    eventually(lambda: len(receiver.named("connection.update", name)) == 200, "all events", 15)
    times = [hook.body["date_time"] for hook in receiver.named("connection.update", name)]
    assert times != sorted(times)
    fail(process)


def test_a_storm_emits_as_many_events_as_it_says_at_its_rate_and_outlives_its_instance(told: tuple[Process, Receiver]) -> None:
    process, receiver = told
    name = process.create()["instance"]["instanceName"]
    begun = time.monotonic()
    answer = process.api.post(f"/simulator/instances/{name}/storm", json={"perSecond": 90, "seconds": 2})
    assert (answer.status_code, answer.json()) == (202, {"instance": name, "events": 180})
    process.api.delete(f"/instance/delete/{name}").raise_for_status()
    eventually(lambda: len(receiver.named("connection.update", name)) == 180, "all events", 15)
    assert 1.8 < time.monotonic() - begun < 10
    time.sleep(0.3)
    assert len(receiver.named("connection.update", name)) == 180
    assert receiver.named("connection.update", name)[0].body["data"] == {"instance": name, "state": "connecting", "statusReason": 200}


@pytest.mark.parametrize("body", [{}, {"perSecond": 0, "seconds": 1}, {"perSecond": 90, "seconds": 601}, {"perSecond": 1001, "seconds": 1}])
def test_a_storm_is_bounded(process: Process, body: dict[str, int]) -> None:
    name = process.create()["instance"]["instanceName"]
    assert process.api.post(f"/simulator/instances/{name}/storm", json=body).status_code == 400


def test_a_lost_broker_gets_no_events_until_the_fault_ends(run: Run, alone: Alone, broker: Broker, with_rabbitmq: dict[str, str]) -> None:
    exchange = new_name()
    process = run(alone(), with_rabbitmq, RABBITMQ_EXCHANGE_NAME=exchange, RABBITMQ_PREFIX_KEY=exchange)
    process.wait_for_line("Initializing global queues")
    tap = broker.tap(exchange, "instance.create")
    assert process.api.get("/simulator/status").json()["rabbitmqConnected"] is True
    fail(process, loseBroker=True)
    assert process.api.get("/simulator/status").json()["rabbitmqConnected"] is False
    lost, after = new_name(), new_name()
    process.create(lost)
    process.api.delete("/simulator/faults").raise_for_status()
    eventually(lambda: process.api.get("/simulator/status").json()["rabbitmqConnected"], "as after a restart it is connected")
    process.create(after)
    (message,) = eventually(tap.messages, "an event")
    assert json.loads(message["payload"])["instance"] == after, "what was lost stays lost"
