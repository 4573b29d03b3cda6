"""Where Evolution API 2.2.3 would not start, the simulator doesn't either; where it starts and limps, the simulator limps alike."""

import asyncio
import time
from collections.abc import Callable

import pytest

from simulator.__main__ import serve
from simulator.settings import StartRefusedError, load
from tests.app.simulator_support import SECRET, Broker, Passage, Process, Service, eventually, new_name, redis_cli

pytest_plugins = ["tests.app.simulator_fixtures"]

Run = Callable[..., Process]
Alone = Callable[[], dict[str, str]]

REFUSED: list[tuple[dict[str, str | None], str]] = [
    ({"DATABASE_PROVIDER": None}, "Error: Database provider  invalid."),
    ({"DATABASE_PROVIDER": "postgres"}, "Error: Database provider postgres invalid."),
    ({"DATABASE_PROVIDER": "mysql"}, "The simulator keeps its data in Postgres only"),
    ({"DATABASE_CONNECTION_URI": ""}, "P1012"),
    ({"DATABASE_CONNECTION_URI": "postgresql://u:p@127.0.0.1:1/evo"}, "P1001: Can't reach database server at `127.0.0.1:1`"),
    ({"CACHE_REDIS_ENABLED": "true", "CACHE_REDIS_URI": "redis://h:6379/abc"}, "TypeError: Invalid pathname"),
    ({"S3_ENABLED": "true", "S3_ENDPOINT": "http://minio"}, "InvalidEndpointError: Invalid endPoint : http://minio"),
    ({"SERVER_TYPE": "https", "SSL_CONF_FULLCHAIN": "/nowhere"}, "ENOENT: no such file or directory, open '/nowhere'"),
    ({"SERVER_TYPE": ""}, "Cannot read properties of undefined (reading 'listen')"),
]


@pytest.mark.parametrize(("change", "why"), REFUSED, ids=[str(change) for change, _ in REFUSED])
def test_a_start_that_the_real_one_refuses_is_refused_and_says_why(alone: Alone, change: dict[str, str | None], why: str) -> None:
    environment = {name: value for name, value in (alone() | change).items() if value is not None}
    with pytest.raises(StartRefusedError) as refused:
        asyncio.run(serve(load(environment)))
    assert why in str(refused.value)


def test_a_refused_start_ends_the_process_with_status_1_and_its_reason(run: Run) -> None:
    process = run(ready=False)
    assert process.wait_for_end() == 1
    assert "Error: Database provider  invalid." in process.output()


def test_a_wrong_database_password_ends_the_start_and_is_not_printed(run: Run, alone: Alone) -> None:
    environment = alone()
    environment["DATABASE_CONNECTION_URI"] = environment["DATABASE_CONNECTION_URI"].replace(f":{SECRET}@", ":not-the-password@")
    process = run(environment, ready=False)
    assert process.wait_for_end() == 1
    assert "P1000: Authentication failed" in process.output()
    assert "Migration failed" in process.output()
    assert "not-the-password" not in process.output()


def test_redis_rabbitmq_and_minio_may_be_away_and_the_api_answers(run: Run, alone: Alone) -> None:
    process = run(
        alone(),
        {"CACHE_REDIS_ENABLED": "true", "CACHE_REDIS_URI": "redis://127.0.0.1:1/6"},
        {"RABBITMQ_ENABLED": "true", "RABBITMQ_URI": "amqp://127.0.0.1:1"},
        {"RABBITMQ_GLOBAL_ENABLED": "true", "RABBITMQ_EVENTS_INSTANCE_CREATE": "true"},
        {
            "S3_ENABLED": "true",
            "S3_ENDPOINT": "127.0.0.1",
            "S3_PORT": "1",
            "S3_USE_SSL": "false",
            "S3_ACCESS_KEY": "a",
            "S3_SECRET_KEY": "b",
        },
    )
    name = process.create()["instance"]["instanceName"]
    assert process.row(name)["name"] == name
    process.wait_for_line("S3 ERROR:")
    process.wait_for_line("[unhandledRejection] connect ECONNREFUSED 127.0.0.1:1")
    eventually(lambda: process.output().count("redis disconnected") > 5, "the client keeps trying to reach Redis")
    assert process.output().count("unhandledRejection") == 1, "RabbitMQ is tried once"


def test_redis_is_taken_up_again_when_it_comes_back(run: Run, alone: Alone, redis_server: Service) -> None:
    passage = Passage("127.0.0.1", redis_server.ports["6379"])
    process = run(alone(), CACHE_REDIS_ENABLED="true", CACHE_REDIS_URI=f"redis://:{SECRET}@127.0.0.1:{passage.port}/6")
    process.wait_for_line("redis ready")
    passage.shut()
    process.wait_for_line("redis disconnected")
    passage.open()
    eventually(lambda: process.output().count("redis ready") == 2, "Redis is ready again")


def test_pairing_waits_for_a_redis_that_is_away(run: Run, alone: Alone, redis_server: Service) -> None:
    passage = Passage("127.0.0.1", redis_server.ports["6379"])
    passage.shut()
    process = run(alone(), CACHE_REDIS_ENABLED="true", CACHE_REDIS_URI=f"redis://:{SECRET}@127.0.0.1:{passage.port}/6")
    instance = process.create()["instance"]
    with pytest.raises(Exception, match="timed out"):
        process.api.post(f"/simulator/instances/{instance['instanceName']}/pair", json={"number": "551"}, timeout=1)
    passage.open()
    process.wait_for_line("redis ready")
    process.api.post(f"/simulator/instances/{instance['instanceName']}/pair", json={"number": "551"}).raise_for_status()
    assert redis_cli(redis_server, "hkeys", f"evolution:instance:{instance['instanceId']}") == "session-551.0"


def test_a_broker_that_went_away_is_never_taken_up_again(run: Run, alone: Alone, broker: Broker, with_rabbitmq: dict[str, str]) -> None:
    passage = Passage("127.0.0.1", broker.port)
    exchange = new_name()
    uri = broker.uri.replace(str(broker.port), str(passage.port))
    process = run(alone(), with_rabbitmq, RABBITMQ_URI=uri, RABBITMQ_EXCHANGE_NAME=exchange, RABBITMQ_PREFIX_KEY=exchange)
    process.wait_for_line("Initializing global queues")
    tap = broker.tap(exchange, "instance.create")
    process.create()
    eventually(tap.messages, "an event before the broker went away")
    said = process.output()
    passage.shut()
    process.create()
    passage.open()
    time.sleep(1)
    process.create()
    time.sleep(0.5)
    assert tap.messages() == [], "events are dropped until the process restarts"
    assert process.output() == said, "and nothing is said about it"
    process.restart()
    eventually(lambda: process.output().count("Initializing global queues") == 2, "it has connected once more")
    process.create()
    eventually(tap.messages, "an event after the restart")


def test_a_stop_takes_less_than_a_second_and_looks_like_npms(run: Run, alone: Alone) -> None:
    process = run(alone())
    begun = time.monotonic()
    assert process.stop() == 1
    assert time.monotonic() - begun < 1


def test_the_simulator_says_what_it_is(simulator: Process) -> None:
    assert simulator.output().startswith("*** Evolution API simulator")
    for path in ("/", "/nope", "/instance/fetchInstances", "/manager/"):
        assert "stand-in for Evolution API 2.2.3" in simulator.api.get(path).headers["X-Simulator"], path
    assert "This is a simulator" in simulator.api.get("/manager/").text


def test_without_a_manager_and_with_an_origin_list_the_answers_are_the_real_ones(run: Run, alone: Alone) -> None:
    process = run(alone(), ready=False, SERVER_DISABLE_MANAGER="true", CORS_ORIGIN="https://a.example")
    process.wait_for_line("HTTP - ON")
    origin = {"Origin": "https://a.example"}
    assert process.api.get("/manager", headers=origin).status_code == 404
    welcome = process.api.get("/", headers=origin)
    assert "manager" not in welcome.json()
    assert welcome.headers["Access-Control-Allow-Origin"] == "https://a.example"
    for headers in ({}, {"Origin": "https://b.example"}):
        refused = process.api.get("/", headers=headers)
        assert (refused.status_code, refused.json()["response"]["message"]) == (500, "Not allowed by CORS")
    preflight = process.api.options("/instance/create", headers=origin)
    assert (preflight.status_code, preflight.headers["Access-Control-Allow-Methods"]) == (204, "GET,POST,PUT,DELETE")
