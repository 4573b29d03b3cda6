"""Services whose surroundings fail: the network, the disk."""

import io
import time

import asyncpg
import pytest
from docker import DockerClient
from minio.error import S3Error

from ops.doctor.trouble import signs_in
from tests.e2e.environment import EIGHT, eventually
from tests.faults.scene import BY_UP, Case, Scene

_ROOM_MADE = "room made, `make up`"
_SECONDS_TO_REPAIR = 60
_DATABASES = {"db": "POSTGRES", "evolution_postgres": "EVOLUTION_POSTGRES"}
_TOLD = {
    "db": "its disk is full",
    "evolution_postgres": "its disk is full",
    "redis": "it can't write its data",
    "rabbitmq": "it is full, and takes no more messages",
}


def test_services_that_lost_the_network_are_named_and_made_again_with_their_data(scene: Scene) -> None:
    scene.stack.settled = False
    case = Case(scene, "lost network", EIGHT)
    network = scene.stack.client.networks.get(f"{scene.stack.project}_app-network")
    for service in EIGHT:
        network.disconnect(scene.stack.container(service).id, force=True)
    repaired = scene.stack.up()
    for service in EIGHT:
        case.is_told(
            service, repaired, "lost the network; to be made again", f"{scene.stack.project}-{service}-1", beside=_SECONDS_TO_REPAIR
        )
    case.is_repaired(BY_UP, repaired.seconds)


def test_an_application_whose_database_lost_the_network_says_so_until_up_mends_it(scene: Scene) -> None:
    stack = scene.stack
    stack.settled = False
    case = Case(scene, "lost network, its dependents", ("db",))
    stack.client.networks.get(f"{stack.project}_app-network").disconnect(stack.container("db").id, force=True)
    doctor = stack.make("doctor")
    assert doctor.code != 0, doctor.told
    case.is_told("db", doctor, f"{stack.project}-app-1: database")
    case.is_repaired_by_up(BY_UP, f"repair: {stack.project}-db-1 lost the network")


def _write(scene: Scene, service: str) -> None:
    """Try to store what no longer fits. RabbitMQ looks for room by itself, and has to be written to by nobody."""
    if service in _DATABASES:
        with pytest.raises(asyncpg.DiskFullError):
            scene.clients.sql(_DATABASES[service], "CREATE TABLE too_much AS SELECT repeat('x', 1000) FROM generate_series(1, 50000)")
    if service == "redis":
        # A file that grows has some blocks in reserve, hence more than one write.
        for _ in range(30):
            if scene.clients.redis("EVAL", "return redis.call('SET', 'too:much', string.rep('x', 1048576))", "0") != "OK":
                break
            time.sleep(0.2)


@pytest.mark.parametrize("service", ["db", *(pytest.param(each, marks=pytest.mark.slow) for each in _TOLD if each != "db")])
def test_a_full_volume_is_told_by_the_doctor_and_loses_nothing(scene: Scene, service: str) -> None:
    container = scene.stack.container(service)
    case = Case(scene, "full volume", (service,))
    scene.stack.settled = False
    scene.volume(service).fill()
    try:
        _write(scene, service)
        client = scene.stack.client

        def complains() -> bool:
            return bool(signs_in(service, _log(client, container.id, case.moment), []))

        eventually(40, complains, f"{service} logs that it has no room")
        doctor = scene.stack.make("doctor")
        case.is_told(service, doctor, f"{container.name}: {_TOLD[service]}", "room")
    finally:
        scene.volume(service).make_room()
    case.is_repaired_by_up(_ROOM_MADE)


def _log(client: DockerClient, container: str, since: float) -> list[str]:
    raw: bytes = client.api.logs(container, since=int(since))
    return raw.decode(errors="replace").splitlines()


def test_a_database_that_ended_while_its_volume_is_full_is_named_with_what_mends_it(scene: Scene) -> None:
    stack, volume = scene.stack, scene.volume("db")
    stack.settled = False
    case = Case(scene, "full volume, at its start", ("db",))
    stack.client.api.stop(stack.container("db").id)
    volume.fill()
    try:
        failed = stack.fails()
        case.is_told("db", failed, "db does not stay up", "No space left on device", "is full: make room")
    finally:
        volume.make_room()
    case.is_repaired_by_up(_ROOM_MADE)


@pytest.mark.slow
def test_a_full_volume_of_minio_is_told_to_its_client_and_loses_nothing(scene: Scene) -> None:
    """It logs nothing of it, and its health check reads only."""
    case = Case(scene, "full volume", ("minio",))
    scene.stack.settled = False
    scene.volume("minio").fill()
    try:
        with pytest.raises(S3Error, match="Full") as refused:
            scene.clients.minio().put_object("e2e-bucket", "too-much", io.BytesIO(bytes(10_000_000)), 10_000_000)
        case.notes("minio", f"to its client: {refused.value.code}", time.monotonic() - case.begun)
    finally:
        scene.volume("minio").make_room()
    case.is_repaired_by_up(_ROOM_MADE)
