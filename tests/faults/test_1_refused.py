"""What is refused before anything is changed: wrong settings, ports that somebody holds, images that can't be had."""

from contextlib import ExitStack

import pytest

from tests.e2e.machine import free_ports, listener
from tests.faults.scene import BY_SETTING, Case, Scene

_WRONG = {
    "app": ("APP_REPLICAS", "many"),
    "db": ("POSTGRES_MAX_CONNECTIONS", "5"),
    "evolution-api": ("QRCODE_LIMIT", "0"),
    "evolution_postgres": ("EVOLUTION_POSTGRES_USER", "pg_evolution"),
    "redis": ("REDIS_MEMORY_MB", "8"),
    "rabbitmq": ("RABBITMQ_DEFAULT_USER", "two words"),
    "minio": ("MINIO_ROOT_PASSWORD", "short"),
    "audio-converter": ("AUDIO_CONVERTER_PORT", "99999"),
}
_PORTS = {
    "app": "APP_PORT",
    "db": "POSTGRES_PORT",
    "evolution-api": "EVOLUTION_PORT",
    "evolution_postgres": "EVOLUTION_POSTGRES_PORT",
    "rabbitmq": "RABBITMQ_UI_PORT",
    "minio": "MINIO_PORT",
}
_IMAGES = {
    "redis": "REDIS_IMAGE",
    "app": "APP_PYTHON_IMAGE",
    "db": "POSTGRES_IMAGE",
    "evolution-api": "EVOLUTION_IMAGE",
    "evolution_postgres": "EVOLUTION_POSTGRES_IMAGE",
    "rabbitmq": "RABBITMQ_IMAGE",
    "minio": "MINIO_IMAGE",
    "audio-converter": "AUDIO_CONVERTER_IMAGE",
}
_NOWHERE = "127.0.0.1:9/nowhere/{service}:1"
"""Port 9 discards, and nobody listens there: the answer comes at once."""
_QUICK = ("redis", "app")


def test_a_wrong_value_for_each_service_is_refused_by_the_name_of_its_setting(scene: Scene) -> None:
    before = scene.stack.picture()
    case = Case(scene, "bad variable", tuple(_WRONG))
    with scene.stack.with_settings(**dict(_WRONG.values())):
        failed = scene.stack.fails()
    for service, (setting, _) in _WRONG.items():
        case.is_told(service, failed, setting, "nothing was changed")
    assert scene.stack.picture() == before
    case.is_repaired_by_up(BY_SETTING)


@pytest.mark.parametrize("setting", ["POSTGRES_DB", "EVOLUTION_POSTGRES_USER"])
def test_a_name_under_which_a_database_would_not_be_found_is_refused(scene: Scene, setting: str) -> None:
    before = scene.stack.picture()
    service = "db" if setting == "POSTGRES_DB" else "evolution_postgres"
    case = Case(scene, "another user or database", (service,))
    with scene.stack.with_settings(**{setting: "another"}):
        failed = scene.stack.fails()
    case.is_told(service, failed, setting, "nothing was changed", "make rename")
    assert scene.stack.picture() == before
    case.is_repaired_by_up(BY_SETTING)


def test_ports_that_somebody_holds_are_all_named_before_anything_is_changed(scene: Scene) -> None:
    before = scene.stack.picture()
    first = free_ports(len(_PORTS))
    ports = {setting: str(first + number) for number, setting in enumerate(_PORTS.values())}
    case = Case(scene, "port taken", tuple(_PORTS))
    with ExitStack() as held, scene.stack.with_settings(**ports):
        for port in ports.values():
            held.enter_context(listener(int(port)))
        failed = scene.stack.fails()
    for service, setting in _PORTS.items():
        case.is_told(service, failed, f"{setting}: port {ports[setting]} is held by another program", "nothing was changed")
    assert scene.stack.picture() == before
    case.is_repaired_by_up(BY_SETTING)


@pytest.mark.parametrize("service", [*_QUICK, *(pytest.param(each, marks=pytest.mark.slow) for each in _IMAGES if each not in _QUICK)])
def test_an_image_that_cannot_be_had_is_named_and_the_service_runs_on(scene: Scene, service: str) -> None:
    before = scene.stack.identities()
    reference = _NOWHERE.format(service=service)
    case = Case(scene, "bad image", (service,))
    with scene.stack.with_settings(**{_IMAGES[service]: reference}, **({"EVOLUTION": "api"} if service == "evolution-api" else {})):
        failed = scene.stack.fails()
    # The application's own image is built upon the one that can't be had.
    case.is_told(service, failed, "image app: Error" if service == "app" else f"image {reference}: Unable", "127.0.0.1:9", "refused")
    assert scene.stack.identities() == before, "a service was stopped for the sake of an image that can't be had"
    case.is_repaired_by_up(BY_SETTING)
