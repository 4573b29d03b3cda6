"""From nothing to eight services that work together."""

import json
import os
from pathlib import Path

import httpx
import pytest

from tests.e2e.environment import EIGHT, Stack
from tests.e2e.machine import READING, watched_engine

_INTERNAL_PORTS = {
    "app": 8000,
    "db": 5432,
    "evolution-api": 8080,
    "evolution_postgres": 5432,
    "redis": 6379,
    "rabbitmq": 5672,
    "minio": 9000,
    "audio-converter": 4040,
}
_REACHES = """
import json, socket, sys
found = {}
for name, port in json.loads(sys.argv[1]).items():
    with socket.create_connection((name, port), timeout=5) as connection:
        found[name] = connection.getpeername()[0]
print(json.dumps(found))
"""


def test_a_preview_of_a_stack_that_is_not_there_lists_what_would_be_made_and_only_reads_from_the_engine(
    shared: Stack, tmp_path: Path
) -> None:
    if not os.environ.get("DOCKER_HOST", "unix://").startswith("unix://"):
        pytest.skip("what a command asks of the engine is seen on a Unix socket only")
    before = shared.picture()
    with watched_engine(tmp_path, os.environ.get("DOCKER_HOST")) as (host, requests):
        shown = shared.copy.run("make", "preview", f"STACK={shared.name}", DOCKER_HOST=host)
    assert shown.code == 0, shown.told
    for service in EIGHT:
        assert f"{shared.project}-{service}-1" in shown.output, f"{service} is not in it:\n{shown.told}"
    assert requests, "the command did not come by the watched socket, so this saw nothing"
    assert [each for each in requests if each[0] not in READING] == [], f"the preview wrote to the engine:\n{shown.told}"
    assert shared.picture() == before, "something of the stack is on the engine after a preview"


def test_one_command_brings_up_all_eight_services_and_says_which_are_ready_and_where(shared: Stack) -> None:
    ran = shared.up()
    for service in EIGHT:
        assert f"{service} is ready" in ran.output or f"{service:<28} ready" in ran.output, (
            f"{service} is not said to be ready:\n{ran.told}"
        )
    for setting in ("APP_PORT", "EVOLUTION_PORT", "RABBITMQ_UI_PORT", "MINIO_CONSOLE_PORT"):
        assert f"http://localhost:{shared.settings[setting]}" in ran.output, f"the address of {setting} is not shown:\n{ran.told}"
    shared.assert_works()


def test_the_application_says_through_its_published_port_that_it_reaches_all_it_needs(stack: Stack) -> None:
    answer = stack.readiness()
    assert answer.json() == {"ready": True, "dependencies": {name: {"state": "ok"} for name in ("rabbitmq", "database", "evolution")}}
    assert answer.status_code == httpx.codes.OK


@pytest.mark.parametrize(
    ("port", "page"),
    [("APP_PORT", "Swagger UI"), ("RABBITMQ_UI_PORT", "RabbitMQ Management"), ("MINIO_CONSOLE_PORT", "MinIO Console")],
    ids=["app", "RabbitMQ", "MinIO"],
)
def test_the_first_page_of_each_web_interface_answers(stack: Stack, port: str, page: str) -> None:
    answer = httpx.get(stack.url(port), follow_redirects=True)
    assert answer.status_code == httpx.codes.OK, answer.text
    assert page in answer.text, f"{stack.url(port)} shows something else:\n{answer.text[:2000]}"


def test_every_service_is_reached_from_the_application_by_its_name_and_internal_port(stack: Stack) -> None:
    code, output = stack.inside("app", "python", "-c", _REACHES, json.dumps(_INTERNAL_PORTS))
    assert code == 0, f"a service is not reached by its name:\n{output}"
    addresses = {
        each.service: next(iter(each.attributes["NetworkSettings"]["Networks"].values()))["IPAddress"] for each in stack.containers()
    }
    assert json.loads(output) == addresses, "a name leads to another container"


def test_the_application_and_evolution_work_together_with_the_right_key_only(stack: Stack) -> None:
    ran = stack.make("smoke")
    assert ran.code == 0, ran.told
    for step in ("accepts EVOLUTION_API_KEY", "refuses a call without a key", "refuses a wrong key"):
        assert f"ok    it {step}" in ran.output, f"the smoke test did not show that it {step}:\n{ran.told}"


def test_every_port_is_published_on_this_machine_only(stack: Stack) -> None:
    addresses = {(each.service, address) for each in stack.containers() for bound in each.published.values() for address, _ in bound}
    assert addresses == {(service, "127.0.0.1") for service in ("app", "db", "evolution-api", "evolution_postgres", "rabbitmq", "minio")}, (
        "another set of services, or another address, is published"
    )


def test_one_command_lists_the_containers_and_another_shows_the_log_of_one(stack: Stack) -> None:
    listed = stack.make("ps")
    assert all(f"{stack.project}-{service}-1" in listed.output for service in EIGHT), listed.told
    shown = stack.copy.run("python3", "ops/bootstrap.py", "logs", "--stack", stack.name, "--service", "db", "--no-follow")
    assert "database system is ready to accept connections" in shown.output, shown.told
    assert "rabbitmq" not in shown.output, f"the log of another service is in it:\n{shown.told}"
