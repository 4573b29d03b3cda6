"""Services that run and do not answer."""

import pytest

from tests.e2e.environment import eventually
from tests.faults.scene import BY_UP, Case, Scene

_HANGING = ("app", "db", "evolution-api", "evolution_postgres", "minio", "audio-converter")
_SECONDS_UNTIL_NOTICED = 150
"""Three health checks in a row, half a minute apart, each of which waits for an answer that doesn't come."""


@pytest.mark.parametrize("service", ["redis", pytest.param("rabbitmq", marks=pytest.mark.slow)])
def test_a_paused_service_goes_on(scene: Scene, service: str) -> None:
    before = scene.stack.container(service)
    case = Case(scene, "paused", (service,))
    scene.stack.settled = False
    scene.stack.client.api.pause(before.id)
    doctor = scene.stack.make("doctor")
    assert doctor.code != 0, doctor.told
    case.is_told(service, doctor, f"{before.name}: paused", "`make up` starts it")
    case.is_repaired_by_up(BY_UP, f"repair: starting {before.name} (paused)")
    assert scene.stack.container(service).identity == before.identity, f"{service} was restarted or replaced"


@pytest.mark.slow
def test_services_that_hang_or_refuse_are_told_and_restarted_once_by_name(scene: Scene) -> None:
    stack = scene.stack
    stack.settled = False
    before = stack.identities()
    hang = Case(scene, "hang", _HANGING)
    unhealthy = Case(scene, "unhealthy", ("redis",))
    for service in _HANGING:
        scene.signal(service, "STOP")
    assert scene.clients.redis("CONFIG", "SET", "requirepass", "another") == "OK"
    affected = (*_HANGING, "redis")

    def are_unhealthy() -> bool:
        return all(stack.container(service).health == "unhealthy" for service in affected)

    eventually(_SECONDS_UNTIL_NOTICED, are_unhealthy, "the engine calls them unhealthy")
    doctor = stack.make("doctor")
    for service in affected:
        case = unhealthy if service == "redis" else hang
        case.is_told(service, doctor, f"{stack.project}-{service}-1: runs, but its health check fails", f"make restart SERVICE={service}")
    repaired = stack.up()
    repaired.assert_tells(*(f"{service} is restarted: it was running, but unhealthy" for service in affected))
    after = stack.identities()
    assert {service: after[service][0] for service in after} == {service: before[service][0] for service in before}, "one was replaced"
    assert after["rabbitmq"] == before["rabbitmq"], "rabbitmq had no part in it"
    hang.is_repaired(BY_UP, repaired.seconds)
    unhealthy.is_repaired(BY_UP, repaired.seconds)
