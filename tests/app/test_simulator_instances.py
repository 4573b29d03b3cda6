"""What happens to a simulated instance over time: codes, pairing, losing WhatsApp, restarts; and what it was told survives."""

import asyncio
import base64
import struct
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from simulator import connections
from simulator.database import migrate, parse_uri
from simulator.events.event import Event
from simulator.instance import Instance
from simulator.journal import Journal
from simulator.qr import picture
from simulator.runtime import Simulator
from simulator.settings import load
from tests.app.simulator_support import BAILEYS, PHONE, Passage, Process, Service, eventually, new_name
from tests.app.simulator_webhooks import Receiver, receiving

pytest_plugins = ["tests.app.simulator_fixtures"]

Run = Callable[..., Process]
Alone = Callable[[], dict[str, str]]
Told = tuple[Process, Receiver]

PNG = b"\x89PNG\r\n\x1a\n"
PAIRING_ALPHABET = set("123456789ABCDEFGHJKLMNPQRSTVWXYZ")


@pytest.fixture(scope="module")
def told(run_for_all: Run, alone: Alone) -> Iterator[Told]:
    """A simulator and who is told its events."""
    with receiving() as receiver:
        yield run_for_all(alone(), WEBHOOK_GLOBAL_ENABLED="true", WEBHOOK_GLOBAL_URL=receiver.url), receiver


def state(process: Process, name: str) -> str:
    return str(process.api.get(f"/instance/connectionState/{name}").json()["instance"]["state"])


def get(process: Process, path: str) -> Any:  # noqa: ANN401  (any JSON)
    return process.api.get(path).raise_for_status().json()


def created(process: Process, **body: object) -> str:
    return str(process.create(None, **body)["instance"]["instanceName"])


def size_of_png(data_uri: str) -> tuple[int, int]:
    assert data_uri.startswith("data:image/png;base64,")
    png = base64.b64decode(data_uri.partition(",")[2], validate=True)
    assert png.startswith(PNG)
    return struct.unpack(">II", png[16:24])


# Codes


def test_a_closed_instance_shows_a_code_after_two_seconds_and_tells_of_it(told: Told) -> None:
    process, receiver = told
    name = created(process)
    begun = time.monotonic()
    code = get(process, f"/instance/connect/{name}")
    assert 2 <= time.monotonic() - begun < 5
    assert list(code) == ["pairingCode", "code", "base64", "count"]
    assert (code["pairingCode"], code["count"]) == (None, 1)
    reference, *keys = code["code"].split(",")
    assert reference.startswith("2@")
    assert [len(base64.b64decode(key, validate=True)) for key in keys] == [32, 32, 32]
    width, height = size_of_png(code["base64"])
    assert width == height > 300, "four pixels a module"
    (hook,) = receiver.named("qrcode.updated", name)
    assert hook.body["data"] == {
        "qrcode": {"instance": name, "pairingCode": None, "code": code["code"], "base64": code["base64"]},
    }
    assert "sender" not in hook.body, "nobody is paired yet"
    (connecting,) = receiver.named("connection.update", name)
    assert connecting.body["data"] == {"instance": name, "state": "connecting", "statusReason": 200}
    assert process.row(name)["connectionStatus"] == "connecting"
    begun = time.monotonic()
    assert get(process, f"/instance/connect/{name}") == code, "while it waits for a phone, the same code comes at once"
    assert time.monotonic() - begun < 2


def test_a_number_asks_for_a_code_to_type_besides_the_one_to_scan(told: Told) -> None:
    process, _ = told
    code = get(process, f"/instance/connect/{created(process)}?number={PHONE}")
    assert len(code["pairingCode"]) == 8
    assert set(code["pairingCode"]) <= PAIRING_ALPHABET
    assert code["code"].startswith("2@")


def test_create_with_a_wish_for_a_code_waits_five_seconds_and_has_it_in_the_answer(told: Told) -> None:
    process, _ = told
    begun = time.monotonic()
    answer = process.create(qrcode=True)
    assert 5 <= time.monotonic() - begun < 10
    assert answer["instance"]["status"] == "connecting"
    assert answer["qrcode"] == get(process, f"/instance/connect/{answer['instance']['instanceName']}")


def test_the_colour_of_a_code_is_the_settings_and_what_is_no_colour_is_black() -> None:
    drawn = {colour: base64.b64decode(picture("2@x", colour).partition(",")[2]) for colour in ("#175197", "#000000", "no colour")}
    assert b"\x17\x51\x97" in drawn["#175197"]
    assert drawn["no colour"] == drawn["#000000"] != drawn["#175197"]


@asynccontextmanager
async def simulating(uri: str, **settings: str) -> AsyncIterator[tuple[Simulator, list[Event]]]:
    """One in this process, and the events that it emits."""
    known = load({"DATABASE_CONNECTION_URI": uri, "CACHE_REDIS_ENABLED": "false", "LOG_LEVEL": "NONE", **settings})
    await migrate(parse_uri(uri))
    simulator = await Simulator.start(known, Journal(known.log, "test"))
    events: list[Event] = []

    def heard(_: Instance, event: Event) -> None:
        events.append(event)

    simulator.events.listen(heard)
    try:
        yield simulator, events
    finally:
        await simulator.stop()


async def until(look: Callable[[], bool], why: str, limit_s: float = 5) -> None:
    deadline = time.monotonic() + limit_s
    while not look():
        assert time.monotonic() < deadline, f"not within {limit_s} s: {why}"
        await asyncio.sleep(0.01)


def test_a_new_code_comes_every_45_seconds() -> None:
    assert connections.NEW_CODE_EVERY_S == 45


def test_codes_follow_each_other_up_to_the_limit_where_the_connection_is_refused(
    database_uri: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(connections, "NEW_CODE_EVERY_S", 0.1)
    monkeypatch.setattr(connections, "FIRST_CODE_S", 0.01)

    async def work() -> None:
        async with simulating(database_uri(), QRCODE_LIMIT="3") as (simulator, events):
            await simulator.instances.create({"instanceName": "a", "integration": BAILEYS})
            instance = simulator.instances.simulated("a")
            simulator.connections.connect(instance)
            await until(lambda: instance.state == "close", "the limit closes it")
            codes = [event.data for event in events if event.name == "qrcode.updated"]
            assert len({code["qrcode"]["code"] for code in codes[:-1]}) == 3, "three codes, all different"  # type: ignore[index]
            assert codes[-1] == {"message": "QR code limit reached, please login again", "statusCode": 500}
            assert events[-1].data == {"instance": "a", "state": "refused", "statusReason": 428}
            assert instance.code.shown() == {"count": 0}
            await asyncio.sleep(0.2)
            (row,) = await simulator.instances.described("a", None, None)
            assert (row["connectionStatus"], row["disconnectionReasonCode"]) == ("close", 401)
            assert "Log out instance: a" in row["disconnectionObject"]

    asyncio.run(work())


def test_a_paired_instance_shows_no_more_codes(database_uri: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(connections, "NEW_CODE_EVERY_S", 0.05)

    async def work() -> None:
        async with simulating(database_uri()) as (simulator, events):
            await simulator.instances.create({"instanceName": "a", "integration": BAILEYS})
            instance = simulator.instances.simulated("a")
            simulator.connections.connect(instance)
            await until(lambda: instance.code.count > 0, "a code")
            await simulator.connections.pair(instance, PHONE, "Ana")
            shown = instance.code.count
            await asyncio.sleep(0.3)
            assert (instance.state, instance.code.count) == ("open", shown)
            assert events[-1].data == {
                "instance": "a",
                "wuid": f"{PHONE}@s.whatsapp.net",
                "profileName": "Ana",
                "state": "open",
                "statusReason": 200,
            }

    asyncio.run(work())


# Pairing and losing it


def paired(told: Told, **more: object) -> str:
    """The name of a new paired instance, whose opening has been told: webhooks are not waited for, so a later one could come before it."""
    process, receiver = told
    name = created(process, **more)
    process.pair(name)
    eventually(lambda: receiver.named("connection.update", name), "the opening")
    return name


def test_an_open_instance_restarts_over_connecting_and_answers_that_it_is_open(told: Told) -> None:
    process, receiver = told
    name = paired(told)
    answer = process.api.post(f"/instance/restart/{name}")
    assert (answer.status_code, answer.json()) == (200, {"instance": {"instanceName": name, "state": "open"}})
    eventually(lambda: len(receiver.named("connection.update", name)) == 3, "open, connecting and open again")
    assert [hook.body["data"]["state"] for hook in receiver.named("connection.update", name)] == ["open", "connecting", "open"]
    assert state(process, name) == "open"


def test_a_restart_while_a_code_is_shown_gives_that_code_and_then_shows_another(told: Told) -> None:
    process, _ = told
    name = created(process)
    code = get(process, f"/instance/connect/{name}")
    assert process.api.post(f"/instance/restart/{name}").json() == code
    another = eventually(lambda: (now := get(process, f"/instance/connect/{name}"))["count"] == 2 and now, "another code")
    assert another["code"] != code["code"]


def test_a_closed_instance_does_not_restart_and_says_so_with_status_200(told: Told) -> None:
    process, _ = told
    answer = process.api.post(f"/instance/restart/{created(process)}")
    assert (answer.status_code, answer.json()) == (200, {"error": True, "message": "[object Object]"})


def test_a_logout_tells_the_instances_targets_and_loses_the_pairing(told: Told) -> None:
    process, receiver = told
    with receiving() as own:
        name = paired(told, webhook={"url": own.url, "events": []})
        answer = process.api.delete(f"/instance/logout/{name}")
        assert (answer.status_code, answer.json()["response"]) == (200, {"message": "Instance logged out"})
        eventually(lambda: own.named("logout.instance", name), "the instance's own targets are told")
        # Before its own receiver goes: it is called first, and where it is not reached the other one waits for half a minute.
        eventually(lambda: len(receiver.named("connection.update", name)) == 2, "the closing")
    closed = receiver.named("connection.update", name)[-1]
    assert closed.body["data"] == {"instance": name, "state": "close", "statusReason": 401}
    row = process.row(name)
    assert (row["connectionStatus"], row["disconnectionReasonCode"]) == ("close", 401)
    assert row["disconnectionAt"] is not None
    again = process.api.delete(f"/instance/logout/{name}")
    assert (again.status_code, again.json()["response"]["message"]) == (400, [f'The "{name}" instance is not connected'])
    assert get(process, f"/instance/connect/{name}")["count"] == 1, "it has to be paired anew"


def test_a_phone_that_removes_the_device_closes_the_instance(told: Told) -> None:
    process, receiver = told
    name = created(process)
    path = f"/simulator/instances/{name}/unpair"
    assert process.api.post(path).status_code == 400, "nothing is paired yet"
    process.pair(name)
    eventually(lambda: receiver.named("connection.update", name), "the opening")
    process.api.post(path).raise_for_status()
    assert state(process, name) == "close"
    eventually(lambda: len(receiver.named("connection.update", name)) == 2, "the closing")
    assert receiver.named("connection.update", name)[-1].body["data"]["statusReason"] == 401
    process.restart()
    assert process.row(name)["connectionStatus"] != "open", "and it stays so"


def test_whatsapp_may_go_away_and_come_back_without_a_new_pairing(told: Told) -> None:
    process, receiver = told
    name = paired(told)
    process.api.post(f"/simulator/instances/{name}/offline").raise_for_status()
    assert state(process, name) == "connecting"
    process.api.post(f"/simulator/instances/{name}/online").raise_for_status()
    eventually(lambda: state(process, name) == "open", "it opens again")

    def states() -> list[str]:
        return [hook.body["data"]["state"] for hook in receiver.named("connection.update", name)]

    eventually(lambda: states().count("open") == 2, "its opening is told when it was paired and when it is back")


def test_an_unpaired_instance_whose_whatsapp_is_away_gets_no_code(told: Told) -> None:
    process, _ = told
    name = created(process)
    process.api.post(f"/simulator/instances/{name}/offline").raise_for_status()
    assert get(process, f"/instance/connect/{name}") == {"count": 0}, "as of the real one in a closed network"
    process.api.post(f"/simulator/instances/{name}/online").raise_for_status()
    eventually(lambda: get(process, f"/instance/connect/{name}").get("count") == 1, "then it gets one")


def test_a_presence_is_shown_by_an_open_instance_only(told: Told) -> None:
    process, _ = told
    name = created(process)

    def show(presence: str) -> httpx.Response:
        return process.api.post(f"/instance/setPresence/{name}", json={"presence": presence})

    def words(answer: httpx.Response) -> object:
        return answer.json()["response"]["message"]

    never = show("available")
    assert (never.status_code, words(never)) == (400, ["TypeError: Cannot read properties of undefined (reading 'sendPresenceUpdate')"])
    get(process, f"/instance/connect/{name}")
    pending = show("available")
    assert (pending.status_code, words(pending)) == (400, ["TypeError: Cannot read properties of undefined (reading 'name')"])
    process.pair(name)
    shown = show("composing")
    assert (shown.status_code, shown.json()) == (201, {"presence": "composing"})
    assert words(show("asleep")) == [["presence is not one of enum values: unavailable,available,composing,recording,paused"]]


def test_an_open_instance_is_in_no_group(told: Told) -> None:
    process, _ = told
    name = created(process)
    process.pair(name)
    assert get(process, f"/group/fetchAllGroups/{name}?getParticipants=false") == []


def test_deleting_an_open_instance_logs_it_out_first_and_removes_its_files(
    database_uri: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    async def work() -> None:
        async with simulating(database_uri()) as (simulator, events):
            await simulator.instances.create({"instanceName": "a", "integration": BAILEYS})
            instance = simulator.instances.simulated("a")
            await simulator.connections.pair(instance, PHONE, "Ana")
            assert list((tmp_path / "instances" / instance.id).iterdir())
            await simulator.instances.delete("a")
            await until(lambda: simulator.instances.get("a") is None, "it is gone")
            assert not (tmp_path / "instances" / instance.id).exists()
            assert [event.name for event in events[-4:]] == ["logout.instance", "connection.update", "instance.delete", "remove.instance"]

    asyncio.run(work())


# What it was told


def test_targets_settings_and_proxy_survive_a_restart(run: Run, alone: Alone, with_rabbitmq: dict[str, str]) -> None:
    process = run(alone(), with_rabbitmq)
    name = created(process)
    webhook = {"enabled": True, "url": "http://app:8000/hook", "events": ["SEND_MESSAGE"], "headers": {"X-Webhook-Secret": "s"}}
    process.api.post(f"/webhook/set/{name}", json={"webhook": webhook}).raise_for_status()
    process.api.post(f"/rabbitmq/set/{name}", json={"rabbitmq": {"enabled": True, "events": []}}).raise_for_status()
    process.api.post(f"/proxy/set/{name}", json={"enabled": False, "host": "h", "port": "1", "protocol": "http"}).raise_for_status()
    flags = ("rejectCall", "groupsIgnore", "alwaysOnline", "readMessages", "readStatus", "syncFullHistory")
    process.api.post(f"/settings/set/{name}", json=dict.fromkeys(flags, True) | {"msgCall": "later"}).raise_for_status()
    paths = [f"/{kind}/find/{name}" for kind in ("webhook", "rabbitmq", "settings", "proxy")]
    before = [get(process, path) for path in paths]
    process.restart()
    assert [get(process, path) for path in paths] == before
    found_webhook, rabbitmq, settings, proxy = before
    assert found_webhook["headers"] == {"X-Webhook-Secret": "s"}
    assert len(rabbitmq["events"]) == 27, "no choice is a choice of all"
    assert (settings["msgCall"], settings["alwaysOnline"]) == ("later", True)
    assert (proxy["enabled"], proxy["host"]) == (False, ""), "a disabled proxy is kept without its values"
    assert process.row(name)["Proxy"]["id"] == proxy["id"]


def test_what_a_webhook_is_not_told_again_stays(told: Told) -> None:
    process, _ = told
    name = created(process)
    whole = {"enabled": True, "url": "http://app:8000/a", "events": ["CALL"], "headers": {"a": "b"}, "byEvents": True, "base64": True}
    first = process.api.post(f"/webhook/set/{name}", json={"webhook": whole}).json()
    second = process.api.post(f"/webhook/set/{name}", json={"webhook": {"enabled": True, "url": "http://app:8000/b", "events": []}}).json()
    assert second == first | {"url": "http://app:8000/b", "events": second["events"], "updatedAt": second["updatedAt"]}
    assert list(second) == [
        "id", "url", "headers", "enabled", "events", "webhookByEvents", "webhookBase64", "createdAt", "updatedAt", "instanceId",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "body", "status", "message"),
    [
        ("webhook", {}, 400, [['instance requires property "webhook"']]),
        ("webhook", {"webhook": {"url": "http://app"}}, 400, [['webhook requires property "enabled"']]),
        ("webhook", {"webhook": {"enabled": True, "url": ""}}, 400, [['The "url" cannot be empty']]),
        ("webhook", {"webhook": {"enabled": True, "url": "http://my_app:8000", "events": []}}, 400, ['Invalid "url" property']),
        ("webhook", {"webhook": {"enabled": False, "url": "no url"}}, 400, ['Invalid "url" property']),
        ("webhook", {"webhook": {"enabled": True, "url": "http://app"}}, 500, "Cannot read properties of undefined (reading 'length')"),
        ("rabbitmq", {"rabbitmq": {"events": []}}, 400, [['rabbitmq requires property "enabled"']]),
        (
            "sqs",
            {"sqs": {"enabled": "yes"}},
            400,
            [["sqs.enabled is not of a type(s) boolean", "sqs.enabled is not one of enum values: true,false"]],
        ),
        ("proxy", {"enabled": True, "host": "h", "port": "1", "protocol": "http"}, 400, ["Invalid proxy"]),
        ("proxy", {"enabled": True, "host": "", "port": "1", "protocol": "http"}, 400, [['The "host" cannot be empty']]),
        ("settings", {"rejectCall": "no"}, 400, None),
    ],
)
def test_what_is_told_wrongly_is_refused_in_the_real_words(told: Told, kind: str, body: object, status: int, message: object) -> None:
    process, _ = told
    answer = process.api.post(f"/{kind}/set/{created(process)}", json=body)
    assert answer.status_code == status
    if message is not None:
        assert answer.json()["response"]["message"] == message


def test_an_unknown_event_is_refused_with_the_list_of_those_there_are(told: Told) -> None:
    process, _ = told
    name = created(process)
    for kind, body in (("webhook", {"url": "http://app:8000"}), ("rabbitmq", {})):
        for event in ("INSTANCE_CREATE", "GROUPS_UPDATE"):
            answer = process.api.post(f"/{kind}/set/{name}", json={kind: {"enabled": True, "events": ["CALL", event], **body}})
            ((words,),) = answer.json()["response"]["message"]
            assert answer.status_code == 400
            assert words.startswith(f"{kind}.events[1] is not one of enum values: APPLICATION_STARTUP,QRCODE_UPDATED,")
            assert words.endswith("GROUP_UPDATE,GROUP_PARTICIPANTS_UPDATE,CONNECTION_UPDATE,LABELS_EDIT,LABELS_ASSOCIATION,CALL,"
                                  "TYPEBOT_START,TYPEBOT_CHANGE_STATUS,REMOVE_INSTANCE,LOGOUT_INSTANCE")  # fmt: skip


def test_an_instance_of_another_client_name_is_known_to_no_route_that_needs_it_in_memory(run: Run, alone: Alone) -> None:
    environment = alone()
    name = created(run(environment))
    other = run(environment, DATABASE_CONNECTION_CLIENT_NAME="other")
    assert get(other, f"/instance/connect/{name}") == {"error": True, "message": "[object Object]"}
    assert get(other, f"/webhook/find/{name}") is None
    webhook = {"webhook": {"enabled": True, "url": "http://app", "events": []}}
    answer = other.api.post(f"/webhook/set/{name}", json=webhook)
    assert (answer.status_code, answer.json()["response"]["message"]) == (500, "Cannot read properties of undefined (reading 'instanceId')")
    assert other.api.get(f"/proxy/find/{name}").status_code == 404


def test_an_open_instance_reopens_only_when_redis_can_give_its_keys(
    run: Run, alone: Alone, with_redis: dict[str, str], redis_server: Service
) -> None:
    passage = Passage("127.0.0.1", redis_server.ports["6379"])
    environment = alone() | with_redis
    environment["CACHE_REDIS_URI"] = environment["CACHE_REDIS_URI"].replace(str(redis_server.ports["6379"]), str(passage.port))
    process = run(environment)
    process.wait_for_line("redis ready")
    name = new_name()
    process.create(name)
    process.pair(name)
    passage.shut()
    process.restart()
    time.sleep(0.7)
    assert state(process, name) == "connecting"
    passage.open()
    eventually(lambda: state(process, name) == "open", "it opens as soon as Redis is back")
