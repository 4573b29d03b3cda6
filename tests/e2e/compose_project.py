"""A project of somebody else's, as Docker Compose would have made it: with the images' own entrypoints, users and defaults."""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from docker import DockerClient
from docker.errors import APIError, NotFound

from stack.naming import COMPOSE_PROJECT, COMPOSE_SERVICE
from stack.vocabulary import VolumeName
from tests.e2e import machine

_SECONDS_TO_START = 120
_VERSION = "2.29.7"


@dataclass(frozen=True)
class Part:
    """A service of the project.

    Attributes:
        volume: where which volume is mounted.
        ready: a line of shell that passes when it is ready.
        fill: lines of shell that make its data.
        user: who runs those.
        ports: published ones, by the container's port.
    """

    service: str
    volume: tuple[str, VolumeName]
    ready: str
    fill: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    ports: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ComposeProject:
    """The project on the engine.

    Attributes:
        images: by service.
    """

    client: DockerClient
    name: str
    images: Mapping[str, str]
    parts: tuple[Part, ...]

    @property
    def network(self) -> str:
        return f"{self.name}_app-network"

    def volume(self, name: VolumeName) -> str:
        return f"{self.name}_{name}"

    def up(self) -> None:
        """What `docker compose up -d --wait` does, and then fill it."""
        api = self.client.api
        labels = {COMPOSE_PROJECT: self.name, "com.docker.compose.version": _VERSION}
        api.create_network(self.network, driver="bridge", labels={**labels, "com.docker.compose.network": "app-network"})
        for volume in VolumeName:
            api.create_volume(self.volume(volume), labels={**labels, "com.docker.compose.volume": str(volume)})
        for part in self.parts:
            self._start(part, labels)
        for part in self.parts:
            self._wait_until_ready(part)
            for command in part.fill:
                code, said = self.run(part, command)
                assert code == 0, f"{part.service}: {command}: {said}"

    def _start(self, part: Part, labels: Mapping[str, str]) -> None:
        api = self.client.api
        target, volume = part.volume
        alias = api.create_endpoint_config(aliases=[part.service])
        made = api.create_container(
            self.images[part.service],
            command=list(part.command) or None,
            name=self.container(part.service),
            environment=dict(part.environment),
            labels={
                **labels,
                COMPOSE_SERVICE: part.service,
                "com.docker.compose.container-number": "1",
                "com.docker.compose.oneoff": "False",
                "com.docker.compose.config-hash": "c0ffee",
                "com.docker.compose.project.config_files": "/home/somebody/old/docker-compose.yml",
                "com.docker.compose.project.working_dir": "/home/somebody/old",
            },
            ports=list(part.ports),
            host_config=api.create_host_config(
                binds=[f"{self.volume(volume)}:{target}:rw"],
                network_mode=self.network,
                port_bindings={inner: ("127.0.0.1", outer) for inner, outer in part.ports.items()},
                restart_policy={"Name": "always"},
            ),
            networking_config=api.create_networking_config({self.network: alias}),  # type: ignore[arg-type]  # its stub is wrong
        )
        api.start(made["Id"])

    def container(self, service: str) -> str:
        return f"{self.name}-{service}-1"

    def run(self, part: Part, command: str) -> tuple[int, str]:
        """Run a line of shell in a service: its exit code, and what it said."""
        api = self.client.api
        run = api.exec_create(self.container(part.service), ["sh", "-c", command], user=part.user)["Id"]
        said = api.exec_start(run).decode(errors="replace")
        return api.exec_inspect(run)["ExitCode"], said

    def _wait_until_ready(self, part: Part) -> None:
        limit = time.monotonic() + _SECONDS_TO_START
        while time.monotonic() < limit:
            with suppress(APIError):  # it is between two starts
                if self.run(part, part.ready)[0] == 0:
                    return
            time.sleep(0.3)
        raise AssertionError(f"{part.service}: {self.client.api.logs(self.container(part.service), tail=20).decode(errors='replace')}")

    def containers(self) -> list[machine.Seen]:
        return machine.containers(self.client, self.name)

    def stop(self) -> None:
        """What `docker compose stop` does."""
        for part in self.parts:
            self.client.api.stop(self.container(part.service))

    def remove(self) -> None:
        """What `docker compose rm --stop --force` does: the network stays, as the volumes do."""
        for part in self.parts:
            with suppress(NotFound):
                self.client.api.stop(self.container(part.service))
                self.client.api.remove_container(self.container(part.service))

    def volumes(self) -> dict[str, object]:
        """The volumes with what the engine says of them. (When they were made it can't say: it tells when they last changed.)"""
        return {
            volume: [self.client.api.inspect_volume(volume)[key] for key in ("Labels", "Driver", "Options", "Mountpoint")]
            for volume in machine.volumes(self.client, self.name)
        }
