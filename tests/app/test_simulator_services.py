"""The simulator uses its Postgres, Redis, RabbitMQ and MinIO for real."""

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from threading import Thread
from typing import Any

import asyncpg
import httpx
import pytest
from pamqp import commands as amqp
from pamqp.frame import marshal, unmarshal
from pamqp.header import ProtocolHeader

from simulator.events.rabbitmq import RabbitMQ
from simulator.journal import Journal
from simulator.settings import load
from tests.app.simulator_support import BAILEYS, Broker, Passage, Process, Service, eventually, new_name, redis_cli

pytest_plugins = ["tests.app.simulator_fixtures"]

Run = Callable[..., Process]
Alone = Callable[[], dict[str, str]]


@pytest.fixture(scope="module")
def simulator(
    run_for_all: Run, alone: Alone, with_redis: dict[str, str], with_minio: dict[str, str], with_rabbitmq: dict[str, str]
) -> Process:
    """One with everything."""
    process = run_for_all(alone(), with_redis, with_minio, with_rabbitmq)
    process.wait_for_line("Initializing global queues")
    return process


def pair(process: Process, name: str, number: str = "5511999990001") -> None:
    process.api.post(f"/simulator/instances/{name}/pair", json={"number": number, "profileName": "Ana"}).raise_for_status()


def state(process: Process, name: str) -> str:
    return str(process.api.get(f"/instance/connectionState/{name}").json()["instance"]["state"])


def query(uri: str, sql: str) -> list[asyncpg.Record]:
    async def run_query() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(uri.partition("?")[0])
        try:
            return await connection.fetch(sql)
        finally:
            await connection.close()

    return asyncio.run(run_query())


# Postgres


def test_its_tables_leave_the_schema_of_the_uri_empty_for_the_real_one(simulator: Process) -> None:
    rows = query(
        simulator.environment["DATABASE_CONNECTION_URI"], "select schemaname, tablename from pg_tables where tablename !~ '^(pg|sql)_'"
    )
    assert {row["schemaname"] for row in rows} == {"public_simulator"}, "Prisma refuses to migrate a schema that isn't empty (P3005)"


def test_instances_and_a_pairing_survive_a_restart(run: Run, alone: Alone, with_redis: dict[str, str]) -> None:
    process = run(alone(), with_redis)
    paired, unpaired = new_name(), new_name()
    process.create(paired, token="the-token")
    process.create(unpaired)
    pair(process, paired)
    before = process.row(paired)
    assert (before["connectionStatus"], before["ownerJid"], before["profileName"]) == ("open", "5511999990001@s.whatsapp.net", "Ana")
    process.restart()
    assert process.row(paired) == before
    eventually(lambda: state(process, paired) == "open", "a paired instance is open again")
    assert state(process, unpaired) == "connecting", "every stored instance tries to connect at a start"
    assert process.api.get(f"/instance/connectionState/{paired}", headers={"apikey": "the-token"}).status_code == 200


def test_two_that_start_at_once_on_an_empty_database_both_come_up(run: Run, alone: Alone) -> None:
    environment = alone()
    first = run(environment)  # makes the database itself, which two can't do at once
    first.stop()
    query(environment["DATABASE_CONNECTION_URI"], "drop schema public_simulator cascade")
    both = [run(environment, ready=False) for _ in range(2)]
    for process in both:
        process.wait_until_ready()


def test_without_saved_instances_a_restart_knows_none_and_no_token_opens_the_list(run: Run, alone: Alone) -> None:
    process = run(alone(), DATABASE_SAVE_DATA_INSTANCE="false")
    created = process.create()
    name = created["instance"]["instanceName"]
    assert process.api.get("/instance/fetchInstances", headers={"apikey": created["hash"]}).status_code == 401
    process.restart()
    assert process.api.get(f"/instance/connectionState/{name}").json() == {"instance": {"instanceName": name}}


def test_instances_of_another_client_name_are_not_listed_and_their_names_are_taken(run: Run, alone: Alone) -> None:
    environment = alone()
    one = run(environment)
    other = run(environment, DATABASE_CONNECTION_CLIENT_NAME="other")
    name = one.create()["instance"]["instanceName"]
    assert other.api.get("/instance/fetchInstances").json() == []
    assert other.api.post("/instance/create", json={"instanceName": name, "integration": BAILEYS}).status_code == 403
    assert other.api.get("/").json()["clientName"] == "other"


def test_with_postgres_away_what_is_in_memory_answers_and_the_rest_says_500_until_it_is_back(run: Run, alone: Alone) -> None:
    environment = alone()
    uri = environment["DATABASE_CONNECTION_URI"]
    host, _, port = uri.partition("@")[2].partition("/")[0].partition(":")
    passage = Passage(host, int(port))
    process = run(environment, DATABASE_CONNECTION_URI=uri.replace(f":{port}/", f":{passage.port}/"))
    created = process.create()
    name = created["instance"]["instanceName"]
    passage.shut()
    assert process.api.get("/").status_code == 200
    assert process.api.get(f"/instance/connectionState/{name}").json() == {"instance": {"instanceName": name, "state": "close"}}
    unknown = process.api.get("/instance/connectionState/nope")
    assert unknown.status_code == 500
    assert unknown.json()["response"]["message"][0].startswith("PrismaClientKnownRequestError: \nInvalid"), "a guard's failure is a list"
    listed = process.api.get("/instance/fetchInstances")
    assert (listed.status_code, listed.json()["error"]) == (500, "Internal Server Error")
    assert listed.json()["response"]["message"].startswith("\nInvalid `this.prismaRepository"), "any other is a string"
    passage.open()
    assert process.row(name)["name"] == name, "it recovers with the first request"


# Redis


def test_a_pairing_leaves_a_hash_without_a_time_to_live_which_outlives_the_instance(simulator: Process, redis_server: Service) -> None:
    instance = simulator.create()["instance"]
    key = f"evolution:instance:{instance['instanceId']}"
    assert redis_cli(redis_server, "exists", key) == "0"
    pair(simulator, instance["instanceName"])
    assert redis_cli(redis_server, "hkeys", key) == "session-5511999990001.0"
    assert redis_cli(redis_server, "ttl", key) == "-1"
    simulator.api.delete(f"/instance/delete/{instance['instanceName']}").raise_for_status()
    eventually(
        lambda: simulator.api.get(f"/instance/connectionState/{instance['instanceName']}").status_code == 404, "the instance is gone"
    )
    assert redis_cli(redis_server, "exists", key) == "1", "2.2.3 leaves it behind"


def test_a_pairing_is_lost_with_its_keys(run: Run, alone: Alone, with_redis: dict[str, str], redis_server: Service) -> None:
    process = run(alone(), with_redis)
    instance = process.create()["instance"]
    pair(process, instance["instanceName"])
    redis_cli(redis_server, "del", f"evolution:instance:{instance['instanceId']}")
    process.restart()
    process.wait_for_line("has lost its session")
    assert state(process, instance["instanceName"]) == "connecting"
    eventually(lambda: process.row(instance["instanceName"])["connectionStatus"] == "close", "the list no longer says open")


def test_without_redis_the_keys_are_files_and_survive_too(run: Run, alone: Alone) -> None:
    process = run(alone())
    name = process.create()["instance"]["instanceName"]
    pair(process, name)
    process.restart()
    eventually(lambda: state(process, name) == "open", "a paired instance is open again")


def test_only_the_global_key_pairs_a_phone(simulator: Process) -> None:
    created = simulator.create()
    path = f"/simulator/instances/{created['instance']['instanceName']}/pair"
    assert simulator.api.post(path, json={"number": "551"}, headers={"apikey": created["hash"]}).status_code == 401
    assert simulator.api.post(path, json={"number": "no number"}).status_code == 400


# MinIO


def test_the_bucket_is_made_and_anybody_may_read_it(simulator: Process, minio_server: Service) -> None:
    simulator.wait_for_line("S3 Bucket evolution - ON")
    url = f"http://127.0.0.1:{minio_server.ports['9000']}/evolution"
    assert httpx.get(f"{url}/missing").status_code == 404, "reading is allowed: a missing object is missing"
    assert httpx.get(url).status_code == 403, "listing is not"
    assert httpx.put(f"{url}/written", content=b"x").status_code == 403, "nor is writing"


def test_a_second_start_finds_the_bucket_there(run: Run, alone: Alone, with_minio: dict[str, str]) -> None:
    run(alone(), with_minio).wait_for_line("S3 Bucket evolution - ON")


def test_wrong_credentials_for_minio_are_logged_and_survived(run: Run, alone: Alone, with_minio: dict[str, str]) -> None:
    process = run(alone(), with_minio, S3_SECRET_KEY="not-the-secret")
    process.wait_for_line("S3 ERROR:")
    assert process.api.get("/instance/fetchInstances").status_code == 200


# RabbitMQ


def test_global_queues_are_declared_at_start_and_bound_with_keys_that_nothing_is_published_with(simulator: Process, broker: Broker) -> None:  # noqa: ARG001
    expected = {
        ("evolution.application.startup", "APPLICATION_STARTUP"),
        ("evolution.instance.create", "INSTANCE_CREATE"),
        ("evolution.instance.delete", "INSTANCE_DELETE"),
        ("evolution.connection.update", "CONNECTION_UPDATE"),
        ("evolution.group.update", "GROUP_UPDATE"),
        ("evolution.group.participants.update", "GROUP_PARTICIPANTS_UPDATE"),
    }
    eventually(lambda: expected <= broker.bindings("evolution"), f"{expected} are bound")
    exchange = broker.api.get("exchanges/%2F/evolution").json()
    assert (exchange["type"], exchange["durable"], exchange["auto_delete"]) == ("topic", True, False)
    for name, _ in expected:
        queue = broker.queue(name)
        assert queue, name
        assert (queue["durable"], queue["auto_delete"], queue["arguments"]) == (True, False, {"x-queue-type": "quorum"})


def test_an_event_reaches_whoever_binds_its_name_with_the_real_body_and_no_properties(simulator: Process, broker: Broker) -> None:
    tap = broker.tap("evolution", "instance.create")
    created = simulator.create()
    now = datetime.now(UTC)
    instance = created["instance"]
    (message,) = [each for each in eventually(tap.messages, "the event") if instance["instanceId"] in each["payload"]]
    assert (message["exchange"], message["routing_key"], message["properties"]) == ("evolution", "instance.create", [])
    body: dict[str, Any] = json.loads(message["payload"])
    told = datetime.fromisoformat(body.pop("date_time").replace("Z", "")).replace(tzinfo=timezone(timedelta(hours=-3)))
    assert abs(told - now) < timedelta(seconds=10), "local time in TZ, whatever its Z says"
    assert body == {
        "event": "instance.create",
        "instance": instance["instanceName"],
        "data": {"instanceName": instance["instanceName"], "instanceId": instance["instanceId"]},
        "server_url": "http://localhost:8080",
        "apikey": created["hash"],
    }
    assert ("evolution.instance.create", "instance.create") in broker.bindings("evolution"), "the right binding comes with the first event"


def test_a_paired_instance_names_its_phone_as_sender_and_tells_of_its_connection(simulator: Process, broker: Broker) -> None:
    tap = broker.tap("evolution", "connection.update")
    name = simulator.create()["instance"]["instanceName"]
    pair(simulator, name)
    bodies = [json.loads(each["payload"]) for each in eventually(tap.messages, "the event")]
    (body,) = [each for each in bodies if each["instance"] == name]
    jid = "5511999990001@s.whatsapp.net"
    assert body["sender"] == jid
    assert body["data"] == {"instance": name, "wuid": jid, "profileName": "Ana", "state": "open", "statusReason": 200}


def test_an_instance_may_have_an_exchange_of_its_own_name_which_outlives_it(simulator: Process, broker: Broker) -> None:
    name = new_name()
    created = simulator.create(name, rabbitmq={"enabled": True, "events": ["CONNECTION_UPDATE"]})
    assert created["rabbitmq"] == {"enabled": True}
    assert simulator.row(name)["Rabbitmq"]["events"] == ["CONNECTION_UPDATE"]
    pair(simulator, name)
    eventually(lambda: broker.bindings(name) == {(f"{name}.connection.update", "connection.update")}, "its exchange and queue")
    simulator.api.delete(f"/instance/delete/{name}").raise_for_status()
    eventually(lambda: simulator.api.get(f"/instance/connectionState/{name}").status_code == 404, "the instance is gone")
    assert broker.queue(f"{name}.connection.update"), "2.2.3 leaves it behind"


def test_a_deletion_is_told_globally(simulator: Process, broker: Broker) -> None:
    tap = broker.tap("evolution", "instance.delete")
    instance = simulator.create()["instance"]
    simulator.api.delete(f"/instance/delete/{instance['instanceName']}").raise_for_status()
    (body,) = [json.loads(each["payload"]) for each in eventually(tap.messages, "the event")]
    assert body["data"] == {"instanceName": instance["instanceName"], "instanceId": instance["instanceId"]}


def test_a_wish_for_a_code_waits_five_seconds_and_leaves_the_instance_connecting(simulator: Process) -> None:
    created = simulator.create(qrcode=True)
    assert created["qrcode"] == {"count": 0}
    assert created["instance"]["status"] == "connecting"


@pytest.mark.parametrize(("query_string", "frame_max"), [("", 4096), ("?frameMax=131072", 131072), ("?frameMax=0", 131072)])
def test_the_frame_size_offered_is_amqplibs(query_string: str, frame_max: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Before a broker as strict as RabbitMQ 4.1, which takes no less than 8192."""
    broker = StrictBroker()
    settings = load({"RABBITMQ_ENABLED": "true", "RABBITMQ_URI": f"amqp://127.0.0.1:{broker.port}/{query_string}", "LOG_COLOR": "false"})
    asyncio.run(RabbitMQ(settings.rabbitmq, Journal(settings.log, "test")).start())
    assert broker.offered == frame_max
    said = capsys.readouterr().out
    refused = "negotiated frame_max = 4096 is lower than the minimum allowed value (8192)"
    assert (refused in said) is (frame_max < 8192), said
    assert ("?frameMax=131072" in said) is (frame_max < 8192), "the mend is named"


class StrictBroker:
    """Does the broker's part of the handshake, and ends it over a frame size below 8192."""

    def __init__(self) -> None:
        self.offered: int | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(len(ProtocolHeader().marshal()))
            connection.sendall(marshal(amqp.Connection.Start(server_properties={}), 0))
            connection.recv(65536)
            connection.sendall(marshal(amqp.Connection.Tune(channel_max=2047, frame_max=131072, heartbeat=60), 0))
            _, _, tune_ok = unmarshal(connection.recv(65536))
            assert isinstance(tune_ok, amqp.Connection.TuneOk)
            self.offered = tune_ok.frame_max
            refusal = f"NOT_ALLOWED - negotiated frame_max = {tune_ok.frame_max} is lower than the minimum allowed value (8192)"
            connection.sendall(
                marshal(amqp.Connection.Close(530, refusal, 10, 31) if tune_ok.frame_max < 8192 else amqp.Connection.OpenOk(), 0)
            )
