"""Whoever starts or restarts the containers, and in whatever order: Evolution API, which connects to RabbitMQ once, ends up connected."""

import re
import socketserver
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Thread

from docker.models.containers import Container

from tests.e2e.data import Clients, assert_events_are_published
from tests.e2e.environment import EIGHT, Stack, eventually
from tests.e2e.machine import free_ports

_DEPENDENTS_FIRST = ("app", "evolution-api", "audio-converter", "minio", "rabbitmq", "redis", "db", "evolution_postgres")
_SECONDS_TO_COME_BACK = 120
_SECONDS_TO_A_CHECK = 40
"""The interval of Evolution API's health check, and a little."""
_SECONDS_TO_HEAL = 90
"""The minute that it is given, and a little."""

_DEAF = "it has no connection to RabbitMQ, and makes none but at its start"


def _probe(stack: Stack) -> tuple[int, str]:
    """What Evolution API's own health check says now."""
    return stack.probe("evolution-api")


def test_after_a_reboot_evolution_waits_for_rabbitmq_and_announces_events_without_a_command(stack: Stack) -> None:
    stack.settled = False
    containers = {each.service: each.id for each in stack.containers()}
    with ThreadPoolExecutor(max_workers=len(EIGHT)) as pool:
        list(pool.map(lambda each: stack.client.api.stop(each, timeout=60), containers.values()))
    for service in _DEPENDENTS_FIRST:
        stack.client.api.start(containers[service])
    eventually(_SECONDS_TO_COME_BACK, lambda: _probe(stack)[0] == 0, "evolution-api answers, and is connected to RabbitMQ")
    assert b"Waiting for RabbitMQ (rabbitmq:5672)" in stack.client.api.logs(containers["evolution-api"], tail=100)
    assert_events_are_published(Clients(stack, stack.credentials()))
    assert stack.container("evolution-api").restarts == 0, "it came up by crashing until RabbitMQ was there"
    eventually(_SECONDS_TO_COME_BACK, lambda: stack.readiness().is_success, "the application is ready again")
    stack.assert_works()
    before = stack.identities()
    stack.up()
    assert stack.identities() == before, "what had come back by itself was restarted"


def test_without_rabbitmq_the_wait_has_an_end_and_evolution_starts_all_the_same(stack: Stack) -> None:
    image = stack.container("evolution-api").attributes["Image"]
    said = stack.client.containers.run(
        image,
        entrypoint=["/bin/bash", "-c", "echo started"],
        # As if bash had run for so long.
        environment={"SECONDS": "118", "RABBITMQ_URI": "amqp://user:password@127.0.0.1:1/%2F", "BASH_ENV": "/start.sh"},
        volumes={str(stack.copy.folder / "stack/services/evolution_start.sh"): {"bind": "/start.sh", "mode": "ro"}},
        remove=True,
    )
    assert said.decode().splitlines() == [
        "Waiting for RabbitMQ (127.0.0.1:1)",
        "RabbitMQ does not answer: starting without it. Events are dropped until it does, and for a minute more",
        "started",
    ]


@contextmanager
def _answering(port: int) -> Iterator[None]:
    """Something that takes connections on this machine, and says nothing."""

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with Server(("127.0.0.1", port), socketserver.BaseRequestHandler) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()


@contextmanager
def _evolution_that_never_connects(stack: Stack, rabbitmq: int) -> Iterator[Container]:
    """A container that starts as Evolution API does, to which a second is a moment, and which serves."""
    serving = free_ports(1)
    container = stack.client.containers.create(
        stack.container("evolution-api").attributes["Image"],
        entrypoint=["/bin/bash", "-c", "command sleep 600; true"],
        environment={
            "RABBITMQ_URI": f"amqp://user:password@127.0.0.1:{rabbitmq}/%2F",
            "SERVER_PORT": str(serving),
            "BASH_ENV": "/start.sh",
            "BASH_FUNC_sleep%%": "() { command sleep 0.05; }",
        },
        volumes={str(stack.copy.folder / "stack/services/evolution_start.sh"): {"bind": "/start.sh", "mode": "ro"}},
        network_mode="host",
    )
    try:
        with _answering(serving):
            container.start()
            yield container
    finally:
        container.remove(force=True)


def test_an_evolution_whose_rabbitmq_went_away_before_it_connected_is_started_again(stack: Stack) -> None:
    rabbitmq = free_ports(1)
    with _evolution_that_never_connects(stack, rabbitmq) as evolution:
        eventually(10, lambda: b"Waiting for RabbitMQ" in evolution.logs(), "it waits")
        with _answering(rabbitmq):
            eventually(10, lambda: len(evolution.top()["Processes"]) > 2, "it has started, and is watched")
        time.sleep(0.5)  # many looks of the watch
        with _answering(rabbitmq):
            evolution.wait(timeout=20)
        assert b"No connection to RabbitMQ, which answers, for 60 s" in evolution.logs()


def test_an_evolution_that_rabbitmq_refuses_is_started_again_ever_more_seldom(stack: Stack) -> None:
    rabbitmq = free_ports(1)
    with _answering(rabbitmq), _evolution_that_never_connects(stack, rabbitmq) as evolution:
        for _ in range(2):
            evolution.wait(timeout=30)
            evolution.start()
        evolution.wait(timeout=30)
        told = re.findall(rb"No connection to RabbitMQ, which answers, for (\d+) s", evolution.logs())
        assert told == [b"60", b"120", b"240"]


def test_a_restart_of_rabbitmq_restarts_evolution_after_it_and_says_so(stack: Stack) -> None:
    before = stack.identities()
    ran = stack.make("restart", SERVICE="rabbitmq")
    assert ran.code == 0, ran.told
    ran.assert_tells(f"{stack.project}-evolution-api-1 is restarted after rabbitmq: it would not reconnect")
    after = stack.identities()
    assert {service for service in after if after[service] != before[service]} == {"rabbitmq", "evolution-api"}
    assert after["evolution-api"][1] > after["rabbitmq"][1]
    assert _probe(stack) == (0, "")
    assert_events_are_published(Clients(stack, stack.credentials()))


def test_a_restart_of_all_takes_each_after_what_it_needs(stack: Stack) -> None:
    before = stack.identities()
    ran = stack.make("restart")
    assert ran.code == 0, ran.told
    after = stack.identities()
    assert all(after[service][1] > before[service][1] for service in EIGHT), ran.told
    last = {
        str(service): line for line, text in enumerate(ran.output.splitlines()) for service in EIGHT if f"-{service}-1 restarted" in text
    }
    assert set(last) == set(EIGHT), ran.told
    assert last["rabbitmq"] < last["evolution-api"] < last["app"], "one was said to be ready before what it needs"
    assert after["rabbitmq"][1] < after["evolution-api"][1] < after["app"][1]
    assert_events_are_published(Clients(stack, stack.credentials()))
    stack.assert_works()


def _lose_connection(stack: Stack) -> None:
    code, said = stack.inside("rabbitmq", "rabbitmqctl", "-q", "close_all_connections", "for a test")
    assert code == 0, said
    eventually(5, lambda: _probe(stack) == (4, f"{_DEAF}\n"), "its health check tells that it is deaf")


def test_an_evolution_that_lost_its_connection_is_seen_to_be_unwell_and_restarted_by_up(stack: Stack) -> None:
    stack.settled = False
    before = stack.identities()
    _lose_connection(stack)

    def is_known() -> bool:
        health = stack.container("evolution-api").attributes["State"]["Health"]
        return bool(health["Status"] != "healthy" or health["FailingStreak"])

    eventually(_SECONDS_TO_A_CHECK, is_known, "the engine no longer calls it healthy")
    stack.up().assert_tells(f"evolution-api is restarted: {_DEAF}")
    after = stack.identities()
    assert {service for service in after if after[service] != before[service]} == {"evolution-api"}
    assert_events_are_published(Clients(stack, stack.credentials()))


def test_an_evolution_that_lost_its_connection_is_started_again_without_a_command(stack: Stack) -> None:
    stack.settled = False
    before = stack.container("evolution-api")
    _lose_connection(stack)
    eventually(_SECONDS_TO_HEAL, lambda: stack.container("evolution-api").restarts > before.restarts, "the engine starts it again")
    eventually(_SECONDS_TO_COME_BACK, lambda: _probe(stack)[0] == 0, "it answers, and is connected")
    assert stack.container("evolution-api").id == before.id
    assert b"No connection to RabbitMQ, which answers, for 60 s" in stack.client.api.logs(before.id, tail=100)
    assert_events_are_published(Clients(stack, stack.credentials()))
    eventually(_SECONDS_TO_COME_BACK, lambda: stack.readiness().is_success, "the application is ready again")
    stack.settled = True
