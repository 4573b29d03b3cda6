"""Services that end: at their start, later, or for lack of memory."""

import time

import pytest

from tests.e2e.environment import EIGHT, eventually
from tests.faults.crashing import LAST_WORDS, crashing_image
from tests.faults.scene import BY_ITSELF, BY_SETTING, Case, Scene

_IMAGES = {
    "redis": "REDIS_IMAGE",
    "db": "POSTGRES_IMAGE",
    "evolution-api": "EVOLUTION_IMAGE",
    "evolution_postgres": "EVOLUTION_POSTGRES_IMAGE",
    "rabbitmq": "RABBITMQ_IMAGE",
    "minio": "MINIO_IMAGE",
    "audio-converter": "AUDIO_CONVERTER_IMAGE",
}
_QUICK = ("db",)
_TOO_LITTLE = {"app": "APP_MEMORY_MB", "evolution-api": "EVOLUTION_MEMORY_MB"}
_SECONDS_TO_COME_BACK = 90
_OUTGROW = "head -c 1000000 /dev/zero | tr '\\0' x > /tmp/x; for n in $(seq 300); do redis-cli -x SET fill:$n < /tmp/x || exit; done"


@pytest.mark.parametrize("service", [*_QUICK, *(pytest.param(each, marks=pytest.mark.slow) for each in _IMAGES if each not in _QUICK)])
def test_a_service_that_ends_at_its_start_is_named_with_its_last_words(scene: Scene, service: str) -> None:
    case = Case(scene, "crash at start", (service,))
    with crashing_image(scene.stack, service) as image:
        kind = {"EVOLUTION": "api"} if service == "evolution-api" else {}
        with scene.stack.with_settings(**{_IMAGES[service]: image}, **kind):
            failed = scene.stack.fails()
        case.is_told(service, failed, f"{service} does not stay up", LAST_WORDS, f"make logs SERVICE={service}")
        failed.assert_tells(*(f"    {other}: " for other in EIGHT if other != service and other != "app"))
        case.is_repaired_by_up(BY_SETTING)


def test_an_application_with_a_setting_that_it_refuses_is_named_with_what_it_says_of_it(scene: Scene) -> None:
    case = Case(scene, "bad variable at start", ("app",))
    with scene.stack.with_settings(APP_ENV_WEBHOOK_URL="nonsense"):
        failed = scene.stack.fails()
    case.is_told("app", failed, "app does not stay up", "WEBHOOK_URL: Input should be a valid URL", "make logs SERVICE=app")
    failed.assert_soon()
    case.is_repaired_by_up(BY_SETTING)


def test_evolution_with_keys_that_differ_is_named_by_the_application(scene: Scene) -> None:
    case = Case(scene, "bad variable at start", ("evolution-api",))
    with scene.stack.with_settings(AUTHENTICATION_API_KEY="theRightKey", EVOLUTION_API_KEY="aKeyThatIsNotTheRightOne"):
        failed = scene.stack.fails()
    case.is_told("evolution-api", failed, "app is running, but its credentials are refused", "EVOLUTION_API_KEY", "AUTHENTICATION_API_KEY")
    failed.assert_soon()
    case.is_repaired_by_up(BY_SETTING)


def test_every_service_comes_back_by_itself_when_its_process_was_killed_and_the_doctor_tells(scene: Scene) -> None:
    scene.stack.settled = False
    before = {each.service: each for each in scene.stack.containers()}
    case = Case(scene, "crash later", EIGHT)
    for service in EIGHT:
        scene.signal(service, "KILL")
    scene.wait_until_healthy(EIGHT, _SECONDS_TO_COME_BACK)
    seconds = time.monotonic() - case.begun
    for each in scene.stack.containers():
        assert each.id == before[each.service].id, f"{each.service} was replaced"
        assert each.restarts > before[each.service].restarts, f"{each.service} was not ended"
    doctor = scene.stack.make("doctor")
    for service in EIGHT:
        case.is_told(
            service, doctor, f"{scene.stack.project}-{service}-1: ended by itself and was restarted", f"make logs SERVICE={service}"
        )
    case.is_repaired(BY_ITSELF, seconds)
    # Evolution API does not look for its broker again, whether it ended later than that one or not: the next `up` sees to it.
    scene.stack.up()


@pytest.mark.parametrize("service", ["app", pytest.param("evolution-api", marks=pytest.mark.slow)])
def test_a_memory_limit_that_is_too_small_to_start_with_is_named_by_its_setting(scene: Scene, service: str) -> None:
    case = Case(scene, "out of memory at start", (service,))
    scene.stack.client.api.remove_container(scene.stack.container(service).id, force=True)
    with scene.stack.with_settings(**{_TOO_LITTLE[service]: "32"}):
        failed = scene.stack.fails()
    case.is_told(service, failed, f"{service} was killed for lack of memory", f"raise {_TOO_LITTLE[service]}")
    case.is_repaired_by_up(BY_SETTING)


def test_a_memory_limit_below_what_is_in_use_is_refused_and_the_service_runs_on(scene: Scene) -> None:
    before = scene.stack.identities()
    case = Case(scene, "memory limit below its use", ("app",))
    with scene.stack.with_settings(APP_MEMORY_MB="32"):
        failed = scene.stack.fails()
    case.is_told("app", failed, "app: Unable to update a container", "current usage")
    failed.assert_soon()
    assert scene.stack.identities() == before
    case.is_repaired_by_up(BY_SETTING)


@pytest.mark.slow
def test_a_redis_that_outgrows_its_memory_comes_back_with_its_keys_and_the_doctor_tells(scene: Scene) -> None:
    stack = scene.stack
    stack.settled = False
    restarts = stack.container("redis").restarts
    case = Case(scene, "out of memory", ("redis",))
    stack.inside("redis", "sh", "-c", _OUTGROW, REDISCLI_AUTH=scene.clients.credentials["REDIS_PASSWORD"])
    eventually(60, lambda: stack.container("redis").restarts > restarts, "redis is ended for lack of memory")
    scene.wait_until_healthy(["redis"], _SECONDS_TO_COME_BACK)
    doctor = stack.make("doctor")
    case.is_told("redis", doctor, f"{stack.project}-redis-1: uses ", "REDIS_MEMORY_MB", "ended by itself and was restarted")
    with stack.with_settings(REDIS_MEMORY_MB="700"):
        repaired = stack.up()
        case.is_repaired("`REDIS_MEMORY_MB` raised, `make up`", repaired.seconds)
    scene.clients.redis("EVAL", "for n = 1, 300 do redis.call('DEL', 'fill:' .. n) end", "0")
    scene.clients.redis("BGREWRITEAOF")
    eventually(60, lambda: "aof_rewrite_in_progress:0" in scene.clients.redis("INFO", "persistence"), "the log is short again")
    stack.up()
