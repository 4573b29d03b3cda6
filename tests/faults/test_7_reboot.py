"""The machine is started again: all end at once, and are started in whatever order the engine takes them."""

import os
import shlex
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.data import assert_events_are_published
from tests.e2e.environment import EIGHT
from tests.faults.scene import BY_ITSELF, Case, Scene

RESTART_ENGINE = "FAULTS_RESTART_ENGINE"
"""The command that restarts the engine, where nobody else uses it: `systemctl restart docker`."""
_DEPENDENTS_FIRST = ("app", "evolution-api", "audio-converter", "minio", "rabbitmq", "redis", "db", "evolution_postgres")
_KEEP_DATA = ("db", "evolution_postgres", "redis", "rabbitmq", "minio")
_KILLED = 137
_SECONDS_TO_COME_BACK = 180


def test_after_a_reboot_all_come_back_without_a_command_even_when_dependents_are_started_first(scene: Scene) -> None:
    stack = scene.stack
    stack.settled = False
    containers = {each.service: each for each in stack.containers()}
    case = Case(scene, "reboot", EIGHT)
    case.needs_no_telling()
    with ThreadPoolExecutor(max_workers=len(EIGHT)) as pool:
        list(pool.map(lambda each: stack.client.api.stop(each.id, timeout=_grace(each.attributes)), containers.values()))
    ended = {each.service: each.attributes["State"]["ExitCode"] for each in stack.containers()}
    assert not [service for service in _KEEP_DATA if ended[service] == _KILLED], f"data-keeping services did not end cleanly: {ended}"
    begun = time.monotonic()
    for service in _DEPENDENTS_FIRST:
        stack.client.api.start(containers[service].id)
    scene.wait_until_healthy(EIGHT, _SECONDS_TO_COME_BACK)
    seconds = time.monotonic() - begun
    assert {service: identity[0] for service, identity in stack.identities().items()} == {
        name: each.id for name, each in containers.items()
    }
    case.is_repaired(BY_ITSELF, seconds)
    assert_events_are_published(scene.clients)


def _grace(attributes: dict[str, dict[str, int]]) -> int:
    return attributes["Config"].get("StopTimeout") or 10


@pytest.mark.slow
@pytest.mark.skipif(RESTART_ENGINE not in os.environ, reason=f"it would stop everybody's containers: {RESTART_ENGINE} is not set")
def test_after_a_restart_of_the_engine_all_come_back_without_a_command(scene: Scene) -> None:
    scene.stack.settled = False
    case = Case(scene, "engine restart", EIGHT)
    case.needs_no_telling()
    subprocess.run(shlex.split(os.environ[RESTART_ENGINE]), check=True)
    seconds = scene.wait_until_healthy(EIGHT, _SECONDS_TO_COME_BACK)
    case.is_repaired(BY_ITSELF, seconds)
