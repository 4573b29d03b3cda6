"""The stack's containers, as backup and restore need them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ops import checkpoint, engine
from ops.backup import inside
from ops.errors import OperatorError
from ops.gates import Gates
from ops.session import FOLDER, project_name, state_folder
from stack.vocabulary import ServiceName

if TYPE_CHECKING:
    from collections.abc import Iterable

    from docker import DockerClient

KEEPERS = (ServiceName.DB, ServiceName.EVOLUTION_POSTGRES, ServiceName.REDIS, ServiceName.RABBITMQ, ServiceName.MINIO)
"""The services that keep data and have to run while it is read or written."""

USERS = (ServiceName.APP, ServiceName.EVOLUTION_API)
"""The services that change data."""

_GRACE_SECONDS = 10


@dataclass(frozen=True)
class Place:
    """A container, and the variables that it was made with."""

    container: str
    variables: dict[str, str]


def project_of(stack: str) -> str:
    """The stack's Compose project name."""
    return project_name(FOLDER, stack, checkpoint.read(state_folder(FOLDER), stack))


def listed(client: DockerClient, project: str, stack: str) -> list[engine.SeenContainer]:
    """The stack's containers, in whatever state."""
    return [each for each in engine.containers(client, project) if each.stack == stack]


def places(client: DockerClient, project: str, stack: str) -> dict[ServiceName, Place]:
    """Where each service that keeps or knows data runs.

    Raises:
        OperatorError: one of them doesn't run.
    """
    found = {each.service: each for each in listed(client, project, stack)}
    wanted = (*KEEPERS, ServiceName.EVOLUTION_API)
    away = [name for name in wanted if name not in found or (name in KEEPERS and found[name].state != "running")]
    if away:
        raise OperatorError(
            f"Stack {stack} can't be read: {', '.join(away)} {'does' if len(away) == 1 else 'do'} not run.",
            mend=f"Bring it up first: make up STACK={stack}",
        )
    return {name: Place(found[name].id, inside.variables(client, found[name].id)) for name in wanted}


def start(client: DockerClient, containers: Iterable[str]) -> None:
    """Start containers together, and wait until each is ready.

    Raises:
        OperatorError: one does not become so.
    """
    gates, started = Gates(client), list(containers)
    for container in started:
        client.api.start(container)
    gates.wait(started)


def stop(client: DockerClient, containers: Iterable[str]) -> None:
    """Stop containers together, each within its own grace."""

    def stop_one(container: str) -> None:
        grace = client.api.inspect_container(container)["Config"].get("StopTimeout") or _GRACE_SECONDS
        client.api.stop(container, timeout=grace)

    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(stop_one, containers))
