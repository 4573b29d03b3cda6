"""Services that end: at their start, or later."""

import time

import pytest

from tests.e2e.environment import EIGHT
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
_SECONDS_TO_COME_BACK = 150
"""Evolution API may have connected to RabbitMQ in the moment before that one ended: then it is started again after a minute."""


@pytest.mark.parametrize("service", [*_QUICK, *(pytest.param(each, marks=pytest.mark.slow) for each in _IMAGES if each not in _QUICK)])
def test_a_service_that_ends_at_its_start_is_named_with_its_last_words(scene: Scene, service: str) -> None:
    with crashing_image(scene.stack, service) as image:
        case = Case(scene, "crash at start", (service,))
        kind = {"EVOLUTION": "api"} if service == "evolution-api" else {}
        with scene.stack.with_settings(**{_IMAGES[service]: image}, **kind):
            failed = scene.stack.fails()
        case.is_told(service, failed, f"{service} does not stay up", LAST_WORDS, f"make logs SERVICE={service}")
        failed.assert_tells(*(f"    {other}: " for other in EIGHT if other not in {service, "app"}))
        case.is_repaired_by_up(BY_SETTING)


@pytest.mark.parametrize("file", ["alembic/versions/9999_broken.py", "src/messages/routes.py"])
def test_an_application_that_ends_at_its_start_is_named_with_its_last_words(scene: Scene, file: str) -> None:
    """Its image is built from the project, so it is a mistake in the project that ends it: in a migration, or in what it serves."""
    stack = scene.stack
    stack.settled = False
    case = Case(scene, f"crash at start, by {file.partition('/')[0]}", ("app",))
    broken = stack.copy.folder / file
    before = broken.read_text(encoding="utf-8") if broken.exists() else None
    broken.write_text(f'raise RuntimeError("{LAST_WORDS}")\n', encoding="utf-8")
    try:
        stack.client.api.restart(stack.container("app").id)
        failed = stack.fails()
    finally:
        broken.unlink() if before is None else broken.write_text(before, encoding="utf-8")
    case.is_told("app", failed, "app does not stay up", LAST_WORDS, "make logs SERVICE=app")
    case.is_repaired_by_up("mistake mended, `make up`")


def test_an_application_with_a_setting_that_it_refuses_is_named_with_what_it_says_of_it(scene: Scene) -> None:
    case = Case(scene, "bad variable at start", ("app",))
    with scene.stack.with_settings(APP_ENV_WEBHOOK_URL="nonsense"):
        failed = scene.stack.fails()
    case.is_told("app", failed, "app does not stay up", "WEBHOOK_URL: Input should be a valid URL", "make logs SERVICE=app")
    case.is_repaired_by_up(BY_SETTING)


def test_evolution_with_keys_that_differ_is_named_by_the_application(scene: Scene) -> None:
    case = Case(scene, "bad variable at start", ("evolution-api",))
    with scene.stack.with_settings(AUTHENTICATION_API_KEY="theRightKey", EVOLUTION_API_KEY="aKeyThatIsNotTheRightOne"):
        failed = scene.stack.fails()
    case.is_told("evolution-api", failed, "app is running, but its credentials are refused", "EVOLUTION_API_KEY", "AUTHENTICATION_API_KEY")
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
