"""Names and labels on the engine: Compose's own conventions.

So `docker compose -p whatsapp-dev ps|logs|exec|stop|start` and every dashboard that groups by project work unchanged.
Which labels its client needs was tried: project, service, oneoff, config-hash with any value; container-number for `exec --index`.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from stack.vocabulary import ServiceName, VolumeName

STACK_LABEL = "whatsapp.stack"
"""On every container, volume and network of a stack, with the stack's name: what tells ours from a Compose project's of the same name."""

COMPOSE_PROJECT = "com.docker.compose.project"
COMPOSE_SERVICE = "com.docker.compose.service"
COMPOSE_NUMBER = "com.docker.compose.container-number"
COMPOSE_NEEDS = "com.docker.compose.depends_on"
"""On a container, what its service needs. Compose's client starts, stops and restarts by it."""

FOLDER_LABEL = "whatsapp.folder"
"""On every container, the folder of the project that made it: what tells our containers from those of another clone."""

RESTARTS_WITH = "whatsapp.restarts-with"
"""Prefix of the labels that hold the container id of a dependency to which a service can't reconnect."""

_PROJECT_NAME = re.compile(r"[a-z0-9]+(?:(?:__?|-+)[a-z0-9]+)*-*")


def is_project_name(name: str) -> bool:
    """Whether Compose takes a project's name, and an image can be called after it (`<name>-app`)."""
    return _PROJECT_NAME.fullmatch(name) is not None


def settings_file_name(stack: str, configuration: Mapping[str, str]) -> str:
    """The file with a stack's settings: `.env` for dev, `.env.<stack>` for others, unless its configuration names one (ENV_FILE)."""
    return configuration.get("ENV_FILE") or (".env" if stack == "dev" else f".env.{stack}")


def host_in_urls(address: str) -> str:
    """The host under which this machine reaches a port that is published on an address; nothing stands for all addresses."""
    parsed = ip_address(address or "0.0.0.0")  # noqa: S104
    if parsed.is_unspecified or address in {"127.0.0.1", "::1"}:
        return "localhost"
    return f"[{parsed}]" if parsed.version == 6 else str(parsed)


def needs_label(needs: Collection[str], restarts_with: Collection[str]) -> str:
    """What a service needs, in Compose's own words: `service:condition:whether it restarts with that one`, separated by commas.

    The condition is one for which Compose's client does not wait: it would be for the engine's next health check, a minute away.
    """
    return ",".join(f"{name}:service_started:{'true' if name in restarts_with else 'false'}" for name in sorted(needs))


def needs_of(label: str) -> dict[str, bool]:
    """What `needs_label` says: the services, each with whether it takes a restart with it."""
    parts = (each.split(":") for each in label.split(",") if each)
    return {name: rest[-1:] == ["true"] for name, *rest in parts}


@dataclass(frozen=True)
class Naming:
    """What things of one stack are called.

    Attributes:
        project: the Compose project name, as in whatsapp-dev.
        stack: the Pulumi stack's name.
        volumes: the volumes that are not called as usual.
    """

    project: str
    stack: str
    volumes: Mapping[VolumeName, str] = field(default_factory=dict)

    def container(self, service: ServiceName, number: int) -> str:
        """The container's name; `number` counts replicas from 1."""
        return f"{self.project}-{service}-{number}"

    def network(self) -> str:
        """The network's name."""
        return f"{self.project}_app-network"

    def volume(self, volume: VolumeName) -> str:
        """The volume's name."""
        return f"{self.project}_{self.volumes.get(volume, volume)}"

    def container_labels(self, service: ServiceName, number: int) -> dict[str, str]:
        """What Compose's client looks for on a container, and our own label."""
        return {
            COMPOSE_PROJECT: self.project,
            COMPOSE_SERVICE: service,
            COMPOSE_NUMBER: str(number),
            "com.docker.compose.oneoff": "False",
            "com.docker.compose.config-hash": "pulumi",
            STACK_LABEL: self.stack,
        }

    def network_labels(self) -> dict[str, str]:
        """What Compose's client looks for on a network, and our own label."""
        return {COMPOSE_PROJECT: self.project, "com.docker.compose.network": "app-network", STACK_LABEL: self.stack}

    def volume_labels(self, volume: VolumeName) -> dict[str, str]:
        """What Compose's client looks for on a volume, and our own label."""
        return {COMPOSE_PROJECT: self.project, "com.docker.compose.volume": volume, STACK_LABEL: self.stack}
