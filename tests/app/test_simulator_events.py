"""The simulator's events reach RabbitMQ as Evolution API 2.2.3's do."""

import asyncio
import contextlib
import json
import socket
from datetime import UTC, datetime, timedelta, timezone
from threading import Thread
from typing import Any

import pytest
from pamqp import commands as amqp
from pamqp.frame import marshal, unmarshal
from pamqp.header import ProtocolHeader

from simulator.events.rabbitmq import RabbitMQ
from simulator.journal import Journal
from simulator.settings import load
from tests.app.simulator_support import Broker, Process, eventually, new_name

pytest_plugins = ["tests.app.simulator_fixtures"]


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
    (message,) = eventually(lambda: tap.of(instance["instanceName"]), "the event")
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
    simulator.pair(name)
    (body,) = [json.loads(each["payload"]) for each in eventually(lambda: tap.of(name), "the event")]
    jid = "5511999990001@s.whatsapp.net"
    assert body["sender"] == jid
    assert body["data"] == {"instance": name, "wuid": jid, "profileName": "Ana", "state": "open", "statusReason": 200}


def test_an_instance_may_have_an_exchange_of_its_own_name_which_outlives_it(simulator: Process, broker: Broker) -> None:
    name = new_name()
    created = simulator.create(name, rabbitmq={"enabled": True, "events": ["CONNECTION_UPDATE"]})
    assert created["rabbitmq"] == {"enabled": True}
    assert simulator.row(name)["Rabbitmq"]["events"] == ["CONNECTION_UPDATE"]
    simulator.pair(name)
    eventually(lambda: broker.bindings(name) == {(f"{name}.connection.update", "connection.update")}, "its exchange and queue")
    simulator.api.delete(f"/instance/delete/{name}").raise_for_status()
    eventually(lambda: simulator.api.get(f"/instance/connectionState/{name}").status_code == 404, "the instance is gone")
    assert broker.queue(f"{name}.connection.update"), "2.2.3 leaves it behind"


def test_a_deletion_is_told_globally(simulator: Process, broker: Broker) -> None:
    tap = broker.tap("evolution", "instance.delete")
    instance = simulator.create()["instance"]
    simulator.api.delete(f"/instance/delete/{instance['instanceName']}").raise_for_status()
    (body,) = [json.loads(each["payload"]) for each in eventually(lambda: tap.of(instance["instanceName"]), "the event")]
    assert body["data"] == {"instanceName": instance["instanceName"], "instanceId": instance["instanceId"]}


def start_rabbitmq(uri: str) -> None:
    settings = load({"RABBITMQ_ENABLED": "true", "RABBITMQ_URI": uri, "LOG_COLOR": "false"})
    asyncio.run(RabbitMQ(settings.rabbitmq, Journal(settings.log, "test")).start())


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("amqp://evolution:wrong@127.0.0.1:{port}", "Handshake terminated by server: 403 (ACCESS-REFUSED)"),
        (
            "amqp://evolution:a-secret-password@127.0.0.1:{port}/nowhere",
            "Expected ConnectionOpenOk; got <ConnectionClose channel:0> (530:",
        ),
        ("amqp://127.0.0.1:1", "connect ECONNREFUSED 127.0.0.1:1"),
        ("http://127.0.0.1", "Expected amqp: or amqps: as the protocol; got http:"),
        ("amqp://127.0.0.1:port", "Port could not be cast to integer value as 'port' in RABBITMQ_URI"),
    ],
)
def test_a_broker_that_takes_no_connection_is_one_line_in_the_log(
    broker: Broker, uri: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    start_rabbitmq(uri.format(port=broker.port))
    (line,) = capsys.readouterr().out.splitlines()
    assert f"[unhandledRejection] {reason}" in line


@pytest.mark.parametrize(("query_string", "frame_max"), [("", 4096), ("?frameMax=131072", 131072), ("?frameMax=0", 131072)])
def test_the_frame_size_offered_is_amqplibs(query_string: str, frame_max: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Before a broker as strict as RabbitMQ 4.1, which takes no less than 8192."""
    broker = StrictBroker()
    start_rabbitmq(f"amqp://127.0.0.1:{broker.port}/{query_string}")
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
