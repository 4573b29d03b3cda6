"""Services whose surroundings fail: the network, the disk."""

import pytest

from tests.e2e.environment import EIGHT
from tests.faults.scene import BY_UP, Case, Scene

_ROOM_MADE = "room made, `make up`"


def test_services_that_lost_the_network_are_named_and_made_again_with_their_data(scene: Scene) -> None:
    scene.stack.settled = False
    case = Case(scene, "lost network", EIGHT)
    network = scene.stack.client.networks.get(f"{scene.stack.project}_app-network")
    for service in EIGHT:
        network.disconnect(scene.stack.container(service).id, force=True)
    repaired = scene.stack.up()
    for service in EIGHT:
        case.is_told(service, repaired, "lost the network; to be made again", f"{scene.stack.project}-{service}-1")
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


@pytest.mark.parametrize("service", ["db", *(pytest.param(each, marks=pytest.mark.slow) for each in ("evolution_postgres", "redis"))])
def test_a_service_whose_volume_is_full_is_named_with_what_mends_it(scene: Scene, service: str) -> None:
    stack = scene.stack
    stack.settled = False
    case = Case(scene, "full volume", (service,))
    scene.volumes[service].fill()
    try:
        scene.signal(service, "KILL")
        failed = stack.fails()
        case.is_told(service, failed, f"{service} does not stay up", "No space left on device", "make room")
        failed.assert_soon()
    finally:
        scene.volumes[service].make_room()
    case.is_repaired_by_up(_ROOM_MADE)


@pytest.mark.slow
@pytest.mark.parametrize("service", ["rabbitmq", "minio"])
def test_a_full_volume_that_a_service_survives_is_told_by_the_doctor(scene: Scene, service: str) -> None:
    scene.stack.settled = False
    case = Case(scene, "full volume", (service,))
    scene.volumes[service].fill()
    try:
        scene.stack.make("restart", SERVICE=service)
        doctor = scene.stack.make("doctor")
        case.is_told(service, doctor, "room")
    finally:
        scene.volumes[service].make_room()
    case.is_repaired_by_up(_ROOM_MADE)
