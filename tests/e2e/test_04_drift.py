"""What somebody did behind Pulumi's back is mended by the next `up`: by bare Pulumi when it refreshes, by `make up` unasked."""

from collections.abc import Callable

import pytest

from tests.e2e.environment import Stack

_UP_REFRESH = "up --refresh --yes --skip-preview --non-interactive"


def _bare_pulumi(stack: Stack) -> None:
    stack.pulumi(_UP_REFRESH)


def _make(stack: Stack) -> None:
    stack.up()


mended_by = pytest.mark.parametrize("mend", [_bare_pulumi, _make], ids=["pulumi up --refresh", "make up"])


@mended_by
def test_a_stopped_a_killed_and_a_removed_container_come_back(stack: Stack, mend: Callable[[Stack], None]) -> None:
    stack.settled = False
    stack.client.api.stop(stack.container("app").id, timeout=2)
    stack.client.api.kill(stack.container("audio-converter").id)
    stack.client.api.remove_container(stack.container("redis").id, force=True)
    assert {each.service for each in stack.containers() if each.status == "running"} == {
        "db",
        "evolution-api",
        "evolution_postgres",
        "minio",
        "rabbitmq",
    }
    mend(stack)
    stack.assert_works()
    stack.settled = True


@mended_by
def test_a_removed_network_comes_back_with_every_container_on_it(stack: Stack, mend: Callable[[Stack], None]) -> None:
    stack.settled = False
    network = stack.client.networks.get(f"{stack.project}_app-network")
    for container in stack.containers():
        network.disconnect(container.id, force=True)
    network.remove()
    mend(stack)
    stack.assert_works()
    name = f"{stack.project}_app-network"
    identifier = stack.picture().networks[name]
    attached = {each.service: each.attributes["NetworkSettings"]["Networks"].get(name, {}).get("NetworkID") for each in stack.containers()}
    assert set(attached.values()) == {identifier}, f"not every container is on the new network: {attached}"
    stack.settled = True
