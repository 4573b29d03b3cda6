"""What a service is, as plain data that knows no engine and no provider.

`stack.service` realises a spec as containers; other realisers (a compose file, Swarm services) can follow from the same data.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pulumi

from stack.vocabulary import ServiceName, VolumeName

RESTART_POLICY = "unless-stopped"
LOG_DRIVER = "json-file"
LOG_OPTIONS = {"max-size": "10m", "max-file": "3"}
DROPPED_CAPABILITIES = ("ALL",)
SECURITY_OPTIONS = ("no-new-privileges:true",)
"""What all services have alike, in Docker's own words; capabilities that a service needs are given back by its spec."""


@dataclass(frozen=True)
class Probe:
    """How to tell that a container is ready: a command in it that exits with 0.

    Attributes:
        test: the command, in Docker's form: ("CMD", program, argument, ...) or ("CMD-SHELL", line).
        limit: seconds within which the container has to become ready.
        refused_exit_code: the exit code of `test` that says that waiting won't help, for a credential is refused.
        restart_exit_code: the exit code of `test` that says that only a restart helps, for a connection is lost that is made but once.
        precondition: a cheap command that must pass before `test` is worth running, for tests that cost much CPU.
        interval: seconds between the engine's own health checks, once the container runs: calm, for each one costs CPU.
        timeout: seconds after which one run of the test has failed.
        retries: failures in a row after which the engine calls the container unhealthy.
    """

    test: tuple[str, ...]
    limit: int
    refused_exit_code: int | None = None
    restart_exit_code: int | None = None
    precondition: tuple[str, ...] | None = None
    interval: int = 30
    timeout: int = 10
    retries: int = 3


@dataclass(frozen=True)
class File:
    """A file that the container finds when it starts.

    Attributes:
        path: absolute, in the container; its folder is made.
        content: the text; secret or not.
        mode: permissions in octal. Files belong to root, so secrets of a service with a user of its own are 0444.
    """

    path: str
    content: pulumi.Input[str]
    mode: str = "0444"


@dataclass(frozen=True)
class Port:
    """A port of the container and where the host publishes it; replicas take the host ports after `host`."""

    container: int
    host: int


@dataclass(frozen=True)
class BindMount:
    """A file or folder of the host, in the container."""

    source: Path
    target: str
    read_only: bool = True


@dataclass(frozen=True)
class Limits:
    """What one container may use at most: memory in MiB (no swap beside it), CPU in cores."""

    memory_mib: int
    cpus: float


@dataclass(frozen=True)
class ServiceSpec:
    """One service.

    Attributes:
        name: network alias, hostname and Compose service name.
        image: an image that the engine has, by id.
        probe: what ready means.
        limits: of each container.
        command: arguments in place of the image's own.
        entrypoint: program in place of the image's own.
        environment: variables; values may be secret.
        files: secrets and configuration.
        volumes: data volumes by the path at which they are mounted.
        binds: host files and folders.
        ports: those that the host publishes, by ascending container port.
        aliases: further names on the network.
        user: user id and group id; the image's own when None.
        capabilities: kernel capabilities that the service was proven to need; all others are dropped.
        stop_grace_seconds: time to end in peace before it is killed.
        replicas: number of containers.
        needs: the services whose endpoints are among its values: they have to be ready before it starts.
        restarts_with: dependencies to which the service can't reconnect, each with the id of its container: when that one is replaced
            or restarted, this service is too.
    """

    name: ServiceName
    image: pulumi.Input[str]
    probe: Probe
    limits: Limits
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    environment: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    files: tuple[File, ...] = ()
    volumes: Mapping[str, VolumeName] = field(default_factory=dict)
    binds: tuple[BindMount, ...] = ()
    ports: tuple[Port, ...] = ()
    aliases: tuple[str, ...] = ()
    user: str | None = None
    capabilities: tuple[str, ...] = ()
    stop_grace_seconds: int = 10
    replicas: int = 1
    needs: tuple[ServiceName, ...] = ()
    restarts_with: Mapping[ServiceName, pulumi.Input[str]] = field(default_factory=dict)
