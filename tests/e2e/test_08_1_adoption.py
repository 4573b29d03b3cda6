"""The volumes of a Compose project that was there before, adopted by its name: its data, under new passwords."""

import asyncio
import io
import json
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import httpx
import pytest
from docker import DockerClient
from minio import Minio
from minio.error import S3Error

from stack.naming import STACK_LABEL
from stack.vocabulary import VolumeName
from tests.e2e import backups
from tests.e2e.compose_project import ComposeProject, Part
from tests.e2e.conftest import OLD_PROJECT
from tests.e2e.data import Clients, succeeded
from tests.e2e.environment import EIGHT, Stack
from tests.e2e.machine import free_ports, volumes

_VALUE, _PASSWORD = "whatTheOldProjectKept", "theOldPassword"
_NAMES = {
    "POSTGRES_USER": "postgres",
    "POSTGRES_DB": "shop",
    "EVOLUTION_POSTGRES_USER": "evolution",
    "EVOLUTION_POSTGRES_DB": "evolution",
    "RABBITMQ_DEFAULT_USER": "admin",
    "MINIO_ROOT_USER": "admin",
}
"""As the old project's compose file has them."""

_QUEUES = {"old-classic": "classic", "old-quorum": "quorum"}
_RABBITMQ_PORT = 15672


def _postgres(service: str, volume: VolumeName, user: str, database: str, **more: str) -> Part:
    psql = f"psql -h 127.0.0.1 -U {user} -d {database} -qAt --set=ON_ERROR_STOP=1 -c"  # over TCP: after the image's first start
    return Part(
        service,
        ("/var/lib/postgresql/data", volume),
        ready=f"{psql} 'SELECT 1'",
        fill=(f"""{psql} "CREATE TABLE kept AS SELECT '{_VALUE}'::text AS value" """,),
        environment={"POSTGRES_USER": user, "POSTGRES_PASSWORD": _PASSWORD, "POSTGRES_DB": database, **more},
    )


def _parts(rabbitmq_port: int) -> tuple[Part, ...]:
    minio = f"mc -q alias set old http://127.0.0.1:9000 admin {_PASSWORD}"
    return (
        _postgres("db", VolumeName.POSTGRES_ADK_DATA, "postgres", "shop"),
        # As Evolution API's own compose file has it: nobody is asked for a password.
        _postgres("evolution_postgres", VolumeName.POSTGRES_EVO_DATA, "evolution", "evolution", POSTGRES_HOST_AUTH_METHOD="trust"),
        # Without a log: what it keeps is a dump, written when it stops.
        Part("redis", ("/data", VolumeName.REDIS_DATA), "redis-cli ping | grep -q PONG", (f"redis-cli -n 6 HSET session key {_VALUE}",)),
        # Without a hostname: its data is kept under the container's id.
        Part(
            "rabbitmq",
            ("/var/lib/rabbitmq", VolumeName.RABBITMQ_DATA),
            "test -e /var/lib/rabbitmq/.erlang.cookie && rabbitmq-diagnostics -q check_port_connectivity",
            environment={"RABBITMQ_DEFAULT_USER": "admin", "RABBITMQ_DEFAULT_PASS": _PASSWORD},
            user="999",
            ports={_RABBITMQ_PORT: rabbitmq_port},
        ),
        Part(
            "minio",
            ("/data", VolumeName.MINIO_DATA),
            minio,
            (f"{minio} && mc -q mb old/kept && echo {_VALUE} | mc -q pipe old/kept/object",),
            ("server", "/data", "--console-address", ":9001"),
            {"MINIO_ROOT_USER": "admin", "MINIO_ROOT_PASSWORD": _PASSWORD, "MC_CONFIG_DIR": "/tmp/.mc"},
        ),
        Part(
            "evolution-api",
            ("/evolution/instances", VolumeName.EVOLUTION_INSTANCES),
            "true",
            (f"echo {_VALUE} > /evolution/instances/kept",),
            ("sleep", "infinity"),
        ),
    )


@pytest.fixture(scope="module")
def old(shared: Stack, docker_client: DockerClient) -> Iterator[ComposeProject]:
    """The old project, up and with data."""
    shared.settle()
    images = {str(service): str(shared.container(service).attributes["Image"]) for service in EIGHT}
    port = free_ports(1)
    # Evolution API's own image would start Evolution API, which nothing here needs.
    project = ComposeProject(docker_client, OLD_PROJECT, {**images, "evolution-api": images["redis"]}, _parts(port))
    project.up()
    for queue, kind in _QUEUES.items():
        url, login = f"http://127.0.0.1:{port}/api", ("admin", _PASSWORD)
        declared = {"durable": True, "arguments": {"x-queue-type": kind}}
        succeeded(httpx.put(f"{url}/queues/%2F/{queue}", auth=login, json=declared, timeout=20))
        message = {"routing_key": queue, "payload": _VALUE, "payload_encoding": "string", "properties": {"delivery_mode": 2}}
        assert succeeded(httpx.post(f"{url}/exchanges/%2F/amq.default/publish", auth=login, json=message, timeout=20)).json()["routed"]
    yield project
    shared.copy.make("wipe", "e2e-adopting", YES="1")


@pytest.fixture(scope="module")
def adopting(shared: Stack, old: ComposeProject) -> Stack:
    """The stack that is to adopt it, of which there is nothing yet."""
    stack = Stack("e2e-adopting", old.name, shared.copy, shared.client)
    stack.settings |= {"EVOLUTION": "simulator", "PROJECT_NAME": old.name, **_NAMES}
    stack.write()
    return stack


def _assert_is_refused(stack: Stack, old: ComposeProject) -> None:
    before = stack.picture(), old.volumes(), {each.name: each.status for each in old.containers()}
    refused = stack.fails()
    refused.assert_tells(
        f"Containers that this program did not make carry the Compose project name {old.name}",
        old.container("db"),
        "nothing was changed",
        f"docker compose -p {old.name} down",
    )
    refused.assert_soon()
    assert (stack.picture(), old.volumes(), {each.name: each.status for each in old.containers()}) == before


def test_a_stack_that_is_up_does_not_take_the_volumes_of_a_project_that_runs(stack: Stack, old: ComposeProject) -> None:
    with stack.with_settings(PROJECT_NAME=old.name):
        _assert_is_refused(stack, old)
    assert "nothing to change" in stack.up().output


def test_a_project_that_runs_or_is_only_stopped_is_refused(adopting: Stack, old: ComposeProject) -> None:
    _assert_is_refused(adopting, old)
    old.stop()
    _assert_is_refused(adopting, old)


def test_names_that_its_databases_do_not_have_are_told_and_can_be_set_right(adopting: Stack, old: ComposeProject) -> None:
    old.remove()
    with adopting.with_settings(POSTGRES_USER="app", POSTGRES_DB="app"):
        adopting.fails().assert_tells('POSTGRES_USER is "app", but the volume\'s cluster has no such role; it has: postgres')


def test_the_volumes_of_a_project_that_was_taken_down_are_adopted_with_their_data(adopting: Stack, old: ComposeProject) -> None:
    before = old.volumes()
    old.remove()
    ran = adopting.up()
    adopting.assert_works()
    assert old.volumes() == before, f"a volume was made anew, or others beside them:\n{ran.told}"
    assert {each.attributes["Config"]["Labels"][STACK_LABEL] for each in adopting.containers()} == {adopting.name}
    clients = Clients(adopting, adopting.credentials(), user="admin")
    for prefix in ("POSTGRES", "EVOLUTION_POSTGRES"):
        assert _sql(adopting, prefix, clients.credentials[f"{prefix}_PASSWORD"]) == _VALUE
    assert clients.redis("-n", "6", "HGET", "session", "key") == _VALUE, "what Redis had dumped is not read"
    for queue in _QUEUES:
        question = {"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"}
        messages = succeeded(clients.rabbitmq("POST", f"/queues/%2F/{queue}/get", **question)).json()
        assert [each["payload"] for each in messages] == [_VALUE], "what RabbitMQ kept under another hostname is not there"
    with clients.minio().get_object("kept", "object") as answer:
        assert answer.read().decode().strip() == _VALUE
    assert adopting.inside("evolution-api", "cat", "/evolution/instances/kept")[1].strip() == _VALUE


def test_after_it_the_old_passwords_are_refused(adopting: Stack) -> None:
    for prefix in ("POSTGRES", "EVOLUTION_POSTGRES"):
        with pytest.raises(asyncpg.InvalidPasswordError):
            _sql(adopting, prefix, _PASSWORD)
    assert adopting.inside("redis", "redis-cli", "ping")[1].startswith("NOAUTH")
    answer = httpx.get(adopting.url("RABBITMQ_UI_PORT", "/api/whoami"), auth=("admin", _PASSWORD), timeout=20)
    assert answer.status_code == httpx.codes.UNAUTHORIZED
    minio = Minio(f"127.0.0.1:{adopting.settings['MINIO_PORT']}", "admin", _PASSWORD, secure=False, region="us-east-1")
    with pytest.raises(S3Error, match="SignatureDoesNotMatch"):
        minio.list_buckets()


def test_it_stays_so_and_down_keeps_what_was_adopted(adopting: Stack, old: ComposeProject) -> None:
    before = old.volumes()
    clients = Clients(adopting, adopting.credentials(), user="admin")
    clients.redis("SET", "written", "later")
    clients.minio().put_object("kept", "later", io.BytesIO(b"later"), 5)
    assert "nothing to change" in adopting.up().output
    down = adopting.make("down")
    assert down.code == 0, down.told
    assert (adopting.picture().containers, adopting.picture().networks) == ({}, {})
    assert old.volumes() == before, down.told
    adopting.up()
    clients = Clients(adopting, adopting.credentials(), user="admin")
    assert clients.redis("GET", "written") == "later", "Redis began with the old dump again"
    assert clients.redis("-n", "6", "HGET", "session", "key") == _VALUE
    _assert_has_the_queues(clients)


def test_a_backup_of_it_is_restored_although_rabbitmq_went_on_under_another_hosts_name(adopting: Stack, tmp_path: Path) -> None:
    made = adopting.make("backup", DIR=str(tmp_path))
    assert made.code == 0, made.told
    (file,) = backups.files(tmp_path)
    restored = adopting.make("restore", FILE=str(file), YES="1")
    assert restored.code == 0, restored.told
    _assert_has_the_queues(Clients(adopting, adopting.credentials(), user="admin"))
    assert "nothing to change" in adopting.up().output


def test_wipe_removes_what_was_adopted(adopting: Stack, old: ComposeProject) -> None:
    wiped = adopting.make("wipe", YES="1")
    assert wiped.code == 0, wiped.told
    assert volumes(adopting.client, old.name) == frozenset(), wiped.told


def _assert_has_the_queues(clients: Clients) -> None:
    queues = succeeded(clients.rabbitmq("GET", "/queues/%2F")).json()
    assert {each["name"] for each in queues} >= set(_QUEUES), json.dumps(queues)


def _sql(stack: Stack, prefix: str, password: str) -> str:
    """What a database has, asked by its user through the published port."""

    async def ask() -> str:
        connection = await asyncpg.connect(
            host="127.0.0.1",
            port=int(stack.settings[f"{prefix}_PORT"]),
            user=_NAMES[f"{prefix}_USER"],
            database=_NAMES[f"{prefix}_DB"],
            password=password,
            timeout=10,
        )
        try:
            return str(await connection.fetchval("SELECT value FROM kept"))
        finally:
            await connection.close()

    return asyncio.run(ask())
