"""Services that get too little memory: to start with, or later, for what they have to do."""

from collections.abc import Callable

import asyncpg
import pytest

from tests.e2e.environment import eventually
from tests.faults.root import UnableError
from tests.faults.scene import BY_ITSELF, BY_SETTING, Case, Scene

_TOO_LITTLE = {"app": "APP_MEMORY_MB", "evolution-api": "EVOLUTION_MEMORY_MB", "rabbitmq": "RABBITMQ_MEMORY_MB", "minio": "MINIO_MEMORY_MB"}
"""The least that a setting allows, 32 MiB, is too little for these to start with."""

_DATABASES = {"db": "POSTGRES", "evolution_postgres": "EVOLUTION_POSTGRES"}
_SECONDS_TO_COME_BACK = 90
_OUTGROW = "head -c 1000000 /dev/zero | tr '\\0' x > /tmp/x; for n in $(seq 300); do redis-cli -x SET fill:$n < /tmp/x || exit; done"
_UPLOAD = """
import os
from urllib.request import Request, urlopen

body = b"base64=" + b"A" * 40_000_000
urlopen(Request("http://audio-converter:4040/process-audio", body, {"apikey": os.environ["KEY"]}), timeout=60)
"""


@pytest.mark.parametrize("service", ["app", *(pytest.param(each, marks=pytest.mark.slow) for each in _TOO_LITTLE if each != "app")])
def test_a_memory_limit_that_is_too_small_to_start_with_is_named_by_its_setting(scene: Scene, service: str) -> None:
    case = Case(scene, "out of memory at start", (service,))
    scene.stack.client.api.remove_container(scene.stack.container(service).id, force=True)
    with scene.stack.with_settings(**{_TOO_LITTLE[service]: "32"}):
        failed = scene.stack.fails()
    case.is_told(service, failed, f"{service} was killed for lack of memory", f"raise {_TOO_LITTLE[service]}")
    case.is_repaired_by_up(BY_SETTING)


def test_a_memory_limit_below_what_is_in_use_is_refused_and_the_service_runs_on(scene: Scene) -> None:
    if scene.stack.client.info().get("CgroupVersion") != "1":
        raise UnableError("Only control groups of version 1 refuse a limit below what is in use; later ones end the service for it.")
    before = scene.stack.identities()
    case = Case(scene, "memory limit below its use", ("app",))
    with scene.stack.with_settings(APP_MEMORY_MB="32"):
        failed = scene.stack.fails()
    case.is_told("app", failed, "app: Unable to update a container", "current usage")
    assert scene.stack.identities() == before
    case.is_repaired_by_up(BY_SETTING)


@pytest.mark.parametrize("service", ["db", pytest.param("evolution_postgres", marks=pytest.mark.slow)])
def test_a_query_that_takes_more_memory_than_there_is_ends_and_the_database_goes_on(scene: Scene, service: str) -> None:
    stack = scene.stack
    stack.settled = False
    before = stack.container(service)
    case = Case(scene, "out of memory in a query", (service,))
    with pytest.raises((asyncpg.PostgresConnectionError, ConnectionError)):
        scene.clients.sql(_DATABASES[service], "SELECT length(repeat('x', 1000000000))")
    seconds = scene.wait_until_healthy([service, "evolution-api", "app"], _SECONDS_TO_COME_BACK)
    assert stack.container(service).identity == before.identity, "it was restarted for the sake of one query"
    case.is_told(
        service, stack.make("doctor"), f"{before.name}: one of its processes was killed, most likely for lack of memory", "_MEMORY_MB"
    )
    case.is_repaired(BY_ITSELF, seconds)


def _end_for_lack_of_memory(scene: Scene, service: str, outgrow: Callable[[], object]) -> None:
    restarts = scene.stack.container(service).restarts
    outgrow()
    eventually(60, lambda: scene.stack.container(service).restarts > restarts, f"{service} is ended for lack of memory")
    scene.wait_until_healthy([service], _SECONDS_TO_COME_BACK)


@pytest.mark.slow
def test_a_redis_whose_memory_is_full_refuses_writes_keeps_its_keys_and_the_doctor_tells(scene: Scene) -> None:
    stack = scene.stack
    stack.settled = False
    before = stack.container("redis")
    case = Case(scene, "full memory", ("redis",))
    _, said = stack.inside("redis", "sh", "-c", _OUTGROW, REDISCLI_AUTH=scene.clients.credentials["REDIS_PASSWORD"])
    assert "OOM command not allowed" in said, said[-500:]
    assert stack.container("redis").identity == before.identity, "it was ended for lack of memory"
    doctor = stack.make("doctor")
    case.is_told("redis", doctor, f"{before.name}: uses ", "REDIS_MEMORY_MB")
    with stack.with_settings(REDIS_MEMORY_MB="700"):
        repaired = stack.up()
        assert scene.clients.redis("SET", "after", "1") == "OK"
        case.is_repaired("`REDIS_MEMORY_MB` raised, `make up`", repaired.seconds)
    scene.clients.redis("EVAL", "for n = 1, 300 do redis.call('DEL', 'fill:' .. n) end", "0")
    scene.clients.redis("BGREWRITEAOF")
    eventually(60, lambda: "aof_rewrite_in_progress:0" in scene.clients.redis("INFO", "persistence"), "the log is short again")
    stack.up()


@pytest.mark.slow
def test_an_audio_converter_that_outgrows_its_memory_comes_back_and_the_doctor_tells(scene: Scene) -> None:
    stack = scene.stack
    with stack.with_settings(AUDIO_CONVERTER_MEMORY_MB="64"):
        stack.up()
        case = Case(scene, "out of memory", ("audio-converter",))
        key = scene.clients.credentials["AUDIO_CONVERTER_API_KEY"]
        _end_for_lack_of_memory(scene, "audio-converter", lambda: stack.inside("app", "python", "-c", _UPLOAD, KEY=key))
        doctor = stack.make("doctor")
        name = f"{stack.project}-audio-converter-1"
        case.is_told("audio-converter", doctor, f"{name}: ended for lack of memory and was restarted", "AUDIO_CONVERTER_MEMORY_MB")
    repaired = stack.up()
    case.is_repaired("`AUDIO_CONVERTER_MEMORY_MB` raised, `make up`", repaired.seconds)
