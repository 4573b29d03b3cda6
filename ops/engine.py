"""One look at the Docker engine, and the few things that recovery does to it."""

from __future__ import annotations

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ops.errors import OperatorError
from stack.naming import COMPOSE_NEEDS, COMPOSE_NUMBER, COMPOSE_PROJECT, COMPOSE_SERVICE, FOLDER_LABEL, STACK_LABEL, Naming, needs_of
from stack.vocabulary import VolumeName

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from docker import DockerClient


@dataclass(frozen=True)
class SeenContainer:
    """A container as the engine lists it.

    Attributes:
        stack: our own label; None on a container that this program did not make.
        state: the engine's word: created, running, paused, restarting, removing, exited or dead.
        status: the engine's sentence: "Up 3 minutes (healthy)".
        ports: published ports as (host address, host port, container port), by container port.
        networks: ids of the networks that it is attached to.
        folder: of the project that made it; None on a container that this program did not make.
        needs: the services that have to be ready before it starts, each with whether it has to be restarted with that one.
    """

    id: str
    name: str
    project: str
    service: str
    stack: str | None
    state: str
    status: str = ""
    ports: tuple[tuple[str, int, int], ...] = ()
    networks: frozenset[str] = frozenset()
    number: int = 1
    folder: str | None = None
    needs: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True)
class SeenNetwork:
    """A network as the engine lists it; `project` and `stack` are its labels."""

    id: str
    name: str
    project: str | None = None
    stack: str | None = None


@dataclass(frozen=True)
class Observed:
    """What the engine has: the project's containers; names of all volumes, ids of all images with their tags, all networks."""

    containers: tuple[SeenContainer, ...] = ()
    networks: tuple[SeenNetwork, ...] = ()
    volumes: frozenset[str] = frozenset()
    images: Mapping[str, frozenset[str]] = field(default_factory=dict)


def connect(variables: Mapping[str, str] | None = None) -> DockerClient:
    """A client of the engine that `variables` name, else of the one that the set-up would take.

    Raises:
        OperatorError: no engine answers.
    """
    import docker  # noqa: PLC0415 - costs 0.15 s, which `make help` need not pay
    from docker.errors import DockerException  # noqa: PLC0415

    environment = {**os.environ, **(variables if variables is not None else chosen())}
    try:
        return docker.from_env(environment=environment, version="auto", timeout=60)
    except DockerException as error:
        from ops.setup.engine import DEFAULT_HOST, mend_of, problem_of  # noqa: PLC0415

        where = environment.get("DOCKER_HOST", DEFAULT_HOST)
        problem = problem_of(where)
        cause, mend = f"It {problem}." if problem else str(error), mend_of(problem)
        raise OperatorError(f"No Docker engine answers at {where}.", cause, f"{mend[0].upper()}{mend[1:]}.") from error


def chosen() -> dict[str, str]:
    """What to add to the environment to reach the engine that the set-up would take."""
    from ops.setup.engine import variables_of  # noqa: PLC0415

    return variables_of(os.environ)


def look(client: DockerClient, project: str) -> Observed:
    """What the engine has of `project`."""
    api = client.api
    return Observed(
        containers=tuple(containers(client, project)),
        networks=tuple(_network(each) for each in api.networks()),
        volumes=frozenset(each["Name"] for each in api.volumes()["Volumes"] or ()),
        images={each["Id"]: frozenset(each["RepoTags"] or ()) for each in api.images()},
    )


def containers(client: DockerClient, project: str) -> list[SeenContainer]:
    """All containers of the project, whoever made them, by service and number."""
    listed = client.api.containers(all=True, filters={"label": [f"{COMPOSE_PROJECT}={project}"]})
    return sorted((_container(each) for each in listed), key=lambda each: (each.service, each.number, each.name))


def volumes(client: DockerClient, project: str, stack: str) -> list[str]:
    """The stack's volumes that exist: by name, as adopted ones carry other labels, or by our labels."""
    naming = Naming(project, stack)
    named = {naming.volume(volume) for volume in VolumeName}
    ours = {COMPOSE_PROJECT: project, STACK_LABEL: stack}.items()
    return sorted(
        each["Name"]
        for each in client.api.volumes()["Volumes"] or ()
        if each["Name"] in named or ours <= (each.get("Labels") or {}).items()
    )


def _container(listed: dict[str, Any]) -> SeenContainer:
    labels = listed.get("Labels") or {}
    ports = {(each.get("IP", ""), each["PublicPort"], each["PrivatePort"]) for each in listed.get("Ports") or () if each.get("PublicPort")}
    attached = (listed.get("NetworkSettings") or {}).get("Networks") or {}
    number = labels.get(COMPOSE_NUMBER, "1")
    return SeenContainer(
        id=listed["Id"],
        name=(listed.get("Names") or ["/" + listed["Id"][:12]])[0].lstrip("/"),
        project=labels.get(COMPOSE_PROJECT, ""),
        service=labels.get(COMPOSE_SERVICE, ""),
        stack=labels.get(STACK_LABEL),
        state=listed.get("State", ""),
        status=listed.get("Status", ""),
        ports=tuple(sorted(ports, key=lambda port: (port[2], port[1]))),
        networks=frozenset(each.get("NetworkID", "") for each in attached.values()),
        number=int(number) if number.isdigit() else 1,
        folder=labels.get(FOLDER_LABEL),
        needs=needs_of(labels.get(COMPOSE_NEEDS, "")),
    )


def _network(listed: dict[str, Any]) -> SeenNetwork:
    labels = listed.get("Labels") or {}
    return SeenNetwork(id=listed["Id"], name=listed["Name"], project=labels.get(COMPOSE_PROJECT), stack=labels.get(STACK_LABEL))


def start_containers(client: DockerClient, stopped: Iterable[SeenContainer]) -> None:
    """Start what is stopped or paused, all at once. One that can't be started is left to the run that follows, which says why."""
    from docker.errors import APIError  # noqa: PLC0415

    def start(container: SeenContainer) -> None:
        with contextlib.suppress(APIError):
            (client.api.unpause if container.state == "paused" else client.api.start)(container.id)

    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(start, stopped))


def remove_containers(client: DockerClient, doomed: Iterable[SeenContainer]) -> None:
    """Stop with grace, then remove; all at once. A container that is gone already is fine."""
    from docker.errors import APIError, NotFound  # noqa: PLC0415

    def remove(container: SeenContainer) -> None:
        try:
            if container.state in {"running", "restarting", "paused"}:
                client.api.stop(container.id)  # the container's own grace: it may be a database
            client.api.remove_container(container.id, force=True)
        except NotFound:
            return
        except APIError as error:
            if "already in progress" not in str(error):
                raise

    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(remove, doomed))


def remove_networks(client: DockerClient, doomed: Iterable[SeenNetwork]) -> None:
    """Remove networks that no container uses any more.

    Raises:
        OperatorError: a container that isn't ours is still attached.
    """
    from docker.errors import APIError, NotFound  # noqa: PLC0415

    for network in doomed:
        try:
            client.api.remove_network(network.id)
        except NotFound:
            continue
        except APIError as error:
            mend = "Detach or remove that container, then run this again."
            raise OperatorError(f"The network {network.name} can't be removed.", str(error.explanation or error), mend) from error


def remove_volumes(client: DockerClient, names: Iterable[str]) -> None:
    """Remove volumes with their data.

    Raises:
        OperatorError: a container still uses one.
    """
    from docker.errors import APIError, NotFound  # noqa: PLC0415

    for name in names:
        try:
            client.api.remove_volume(name)
        except NotFound:
            continue
        except APIError as error:
            mend = "Remove the container that uses it, then run this again."
            raise OperatorError(f"The volume {name} can't be removed.", str(error.explanation or error), mend) from error
