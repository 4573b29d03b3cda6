"""Services that run and do not answer, or not as they should."""

import re
from collections.abc import Callable, Iterable

import pytest

from tests.e2e.data import succeeded
from tests.e2e.environment import EIGHT, eventually
from tests.faults.scene import BY_UP, Case, Scene

_SERVED_BY_ANOTHER = ("app", "rabbitmq")
"""Services whose first process does not serve: it watches the files, or waits for the one that does."""
_SECONDS_UNTIL_CHECKED = 130
"""One health check: it comes after half a minute, for RabbitMQ after a whole one, and waits for an answer that doesn't come."""
_END_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
_SECONDS_UNTIL_UNHEALTHY = 300
"""Three in a row."""


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


def _fail_checks(scene: Scene, services: Iterable[str], times: int = 1) -> bool:
    """Whether as many health checks of each have failed in a row.

    Raises:
        AssertionError: not yet; with those that have not.
    """
    health = {service: scene.stack.container(service).attributes["State"]["Health"] for service in services}
    passing = [service for service in services if health[service]["FailingStreak"] < times]
    assert not passing, f"fewer than {times} checks of {', '.join(passing)} failed"
    return True


def _begin(scene: Scene, fault: str, services: tuple[str, ...]) -> Case:
    """Wait until the engine calls them healthy, as it does with a service that has run for a while: until then it counts no failure."""
    eventually(
        _SECONDS_UNTIL_CHECKED,
        lambda: all(scene.stack.container(service).health == "healthy" for service in services),
        "the engine calls all healthy",
    )
    scene.stack.settled = False
    return Case(scene, fault, services)


def _spoil_redis(scene: Scene) -> None:
    assert scene.clients.redis("CONFIG", "SET", "requirepass", "another") == "OK"


def _spoil_database(scene: Scene, service: str, user: str) -> None:
    for statement in (f"ALTER ROLE {user} PASSWORD 'another'", _END_SESSIONS):
        assert scene.stack.inside(service, "psql", "-U", user, "-c", statement)[0] == 0


def _spoil_rabbitmq(scene: Scene) -> None:
    assert scene.stack.inside("rabbitmq", "rabbitmqctl", "-q", "stop_app")[0] == 0


def _spoil_minio(scene: Scene) -> None:
    assert scene.stack.inside("minio", "rm", "/data/.minio.sys/format.json")[0] == 0


def _spoil_evolution(scene: Scene) -> None:
    succeeded(scene.clients.evolution("PUT", "/simulator/faults", errorRate=1))


_SPOILT: dict[str, Callable[[Scene], None]] = {
    "redis": _spoil_redis,
    "db": lambda scene: _spoil_database(scene, "db", "app"),
    "evolution_postgres": lambda scene: _spoil_database(scene, "evolution_postgres", "evolution"),
    "rabbitmq": _spoil_rabbitmq,
    "minio": _spoil_minio,
    "evolution-api": _spoil_evolution,
    "app": lambda _: None,
}
"""What makes each run on and be of no use; the application is it without the others."""


def test_a_redis_that_refuses_its_users_is_told_and_restarted_after_one_health_check(scene: Scene) -> None:
    stack = scene.stack
    before = stack.identities()
    case = _begin(scene, "unhealthy, for half a minute", ("redis",))
    _spoil_redis(scene)
    eventually(_SECONDS_UNTIL_CHECKED, lambda: _fail_checks(scene, ["redis"]), "the engine finds that its check fails")
    doctor = stack.make("doctor")
    assert doctor.code != 0, doctor.told
    name = f"{stack.project}-redis-1"
    case.is_told(
        "redis", doctor, f"{name}: refuses what evolution-api uses", f"{name}: runs, but its last health check failed", "WRONGPASS"
    )
    case.is_repaired_by_up(BY_UP, "redis is restarted: it was running, but unhealthy")
    after = stack.identities()
    assert {service for service in EIGHT if after[service] != before[service]} == {"redis"}


@pytest.mark.slow
def test_services_that_run_and_are_of_no_use_are_told_and_restarted_by_name(scene: Scene) -> None:
    stack = scene.stack
    before = stack.identities()
    case = _begin(scene, "unhealthy", tuple(_SPOILT))
    for spoil in _SPOILT.values():
        spoil(scene)
    eventually(_SECONDS_UNTIL_UNHEALTHY, lambda: _fail_checks(scene, _SPOILT, 3), "the engine calls them unhealthy")
    doctor = stack.make("doctor")
    for service in _SPOILT:
        case.is_told(service, doctor, f"{stack.project}-{service}-1: runs, but its health check fails", f"make logs SERVICE={service}")
    doctor.assert_tells("password authentication failed", "WRONGPASS", "A fault of the simulator")
    repaired = stack.up()
    # The application is well again as soon as the others are.
    repaired.assert_tells(*(f"{service} is restarted: " for service in _SPOILT if service != "app"))
    assert _containers(stack.identities()) == _containers(before), "one was replaced"
    case.is_repaired(BY_UP, repaired.seconds)


@pytest.mark.slow
def test_services_that_hang_are_told_and_restarted_by_name(scene: Scene) -> None:
    stack = scene.stack
    before = stack.identities()
    case = _begin(scene, "hang", EIGHT)
    for service in EIGHT:
        (scene.signal_all if service in _SERVED_BY_ANOTHER else scene.signal)(service, "STOP")
    eventually(_SECONDS_UNTIL_CHECKED, lambda: _fail_checks(scene, EIGHT), "the engine finds that their checks fail")
    doctor = stack.make("doctor")
    for service in EIGHT:
        # Who is asked more often may have failed three times by now, and be called unhealthy.
        said = rf"{stack.project}-{service}-1: runs, but its (last health check failed|health check fails): "
        assert re.search(said, doctor.output), doctor.told
        case.is_told(service, doctor, f"{stack.project}-{service}-1: runs, but its ", f"make logs SERVICE={service}")
    repaired = stack.up()
    repaired.assert_tells(*(f"{service} is restarted: " for service in EIGHT))
    assert _containers(stack.identities()) == _containers(before), "one was replaced"
    case.is_repaired(BY_UP, repaired.seconds)


def _containers(identities: dict[str, tuple[str, str, int]]) -> dict[str, str]:
    return {service: identity[0] for service, identity in identities.items()}
