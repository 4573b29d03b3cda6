"""`ps`, `exec`, `restart`, `psql`, `smoke`: single services, through the engine's labels."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

from ops import checkpoint, engine
from ops.backup import marker
from ops.console import columns, say
from ops.errors import OperatorError
from ops.refusals import explained
from ops.session import FOLDER, project_name, state_folder
from stack.vocabulary import ServiceName

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docker import DockerClient

    from ops.engine import SeenContainer

_PSQL = 'PGPASSWORD="$(cat /run/secrets/postgres_password)" exec psql -h "$(hostname)" -U "$POSTGRES_USER" -d "$POSTGRES_DB" "$@"'
"""Over the container's own address, where the password is really asked for."""

_DATABASES = (ServiceName.DB, ServiceName.EVOLUTION_POSTGRES)


class NotUpError(OperatorError):
    """A stack has no containers."""

    def __init__(self, stack: str) -> None:
        super().__init__(f"Stack {stack} has no containers.", mend=f"Bring it up: make up STACK={stack}")


def of_stack(client: DockerClient, stack: str, service: str = "") -> list[SeenContainer]:
    """The containers of the stack's services, or of one service. What a killed upgrade or restore left is none of them.

    Raises:
        NotUpError: there are none.
        OperatorError: the stack has no such service.
    """
    project = project_name(FOLDER, stack, checkpoint.read(state_folder(FOLDER), stack))
    found = [container for container in engine.containers(client, project) if container.stack == stack and is_service(container)]
    if not found:
        raise NotUpError(stack)
    chosen = [container for container in found if service in {"", container.service}]
    if not chosen:
        names = ", ".join(dict.fromkeys(container.service for container in found))
        raise OperatorError(f"Stack {stack} has no service '{service}'.", mend=f"Its services: {names}")
    return chosen


def is_service(container: SeenContainer) -> bool:
    """Whether it serves the stack, and does not help with a restore or an upgrade."""
    return container.service in set(ServiceName)


def ps(stack: str) -> None:
    """List the stack's containers, as the engine sees them."""
    rows: list[tuple[str, ...]] = [("SERVICE", "CONTAINER", "STATUS", "PORTS")]
    for container in of_stack(engine.connect(), stack):
        ports = ", ".join(f"{address}:{host}->{inner}" for address, host, inner in container.ports)
        rows.append((container.service, container.name, container.status, ports))
    for line in columns(rows):
        say(line)


def run_inside(stack: str, service: str, command: Sequence[str], number: int = 1) -> int:
    """Run a command in a service's container, with this terminal when there is one; its exit code.

    Raises:
        OperatorError: the service isn't there or doesn't run.
    """
    client = engine.connect()
    container = next((each for each in of_stack(client, stack, service) if each.number == number), None)
    if container is None or container.state != "running":
        state = container.state if container else f"without a container number {number}"
        raise OperatorError(f"{service} can't run a command: it is {state}.", mend=f"Start it: make up STACK={stack}")
    cli = shutil.which("docker")
    if cli:
        terminal = ["--tty"] if sys.stdin.isatty() and sys.stdout.isatty() else []
        arguments = [cli, "exec", "--interactive", *terminal, container.id, *command]
        os.execve(cli, arguments, {**os.environ, **engine.chosen()})  # noqa: S606 - so that the terminal is its own
    return _without_cli(client, container.id, command)


def psql(stack: str, service: str, arguments: Sequence[str]) -> int:
    """Open psql on a database; its exit code.

    Raises:
        OperatorError: the service is no database, isn't there or doesn't run.
    """
    return run_inside(stack, database(service), ("sh", "-c", _PSQL, "psql", *arguments))


def database(service: str) -> ServiceName:
    """The database of that name.

    Raises:
        OperatorError: it is none.
    """
    if service not in _DATABASES:
        raise OperatorError(f"'{service}' is no database.", mend=f"Databases: {', '.join(_DATABASES)}")
    return ServiceName(service)


def _without_cli(client: DockerClient, container: str, command: Sequence[str]) -> int:
    run = client.api.exec_create(container, list(command))["Id"]
    for out, error in client.api.exec_start(run, stream=True, demux=True):
        sys.stdout.buffer.write(out or b"")
        sys.stderr.buffer.write(error or b"")
        sys.stdout.flush()
    return int(client.api.exec_inspect(run)["ExitCode"])


def restart(stack: str, service: str) -> None:
    """Restart one service with those that can't reconnect to it, or all, each after what it needs, and wait until each is ready again.

    Raises:
        OperatorError: one doesn't become ready, or the stack's data is not whole.
    """
    from ops.gates import Gates  # noqa: PLC0415 - the other commands need none

    client = engine.connect()
    chosen = of_stack(client, stack, service)
    marker.guard(client, chosen[0].project, stack)
    for container, lost in followers(of_stack(client, stack), chosen):
        say(f"{container.name} is restarted after {lost}: it would not reconnect", "yellow")
        chosen.append(container)
    try:
        Gates(client).restart(chosen)
    except OperatorError as error:
        raise OperatorError(explained(client, FOLDER, stack, error.what)) from error


def followers(everything: Sequence[SeenContainer], chosen: Sequence[SeenContainer]) -> list[tuple[SeenContainer, str]]:
    """The containers that have to be restarted with the chosen ones, each with the service to which it can't reconnect."""
    services = {container.service for container in chosen}
    found = [
        (container, lost)
        for container in everything
        if container.service not in services
        and (lost := next((name for name, restarts in container.needs.items() if restarts and name in services), None))
    ]
    return found + (followers(everything, [*chosen, *(container for container, _ in found)]) if found else [])
