"""What Pulumi's state says the stack has, read straight from the local backend's file.

Asking the CLI (`pulumi stack export`) for the same costs half a second of each `up`.
"""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ops.errors import OperatorError
from stack.naming import COMPOSE_PROJECT, COMPOSE_SERVICE

PULUMI_PROJECT = "whatsapp"
"""The `name` in Pulumi.yaml: the local backend keeps each project's stacks apart."""

CONTAINER = "docker:index/container:Container"
NETWORK = "docker:index/network:Network"
VOLUME = "docker:index/volume:Volume"
IMAGE = "docker:index/remoteImage:RemoteImage"
STACK = "pulumi:pulumi:Stack"


@dataclass(frozen=True)
class KnownContainer:
    """A container as the state has it."""

    id: str
    name: str
    project: str
    service: str
    must_run: bool
    image_urns: tuple[str, ...]


@dataclass(frozen=True)
class KnownImage:
    """An image as the state has it; `built` when it was built here, under a tag that names its content."""

    id: str
    name: str
    built: bool


@dataclass(frozen=True)
class Checkpoint:
    """The last state of a stack.

    Attributes:
        exists: whether the stack has been initialised in the local backend.
        resources: how many resources it has, of any type.
        networks: names by id.
        pending_creates: URNs whose creation was under way when a run was killed.
        outputs: the stack's outputs; secrets among them are encrypted objects, not strings.
    """

    exists: bool = False
    resources: int = 0
    containers: tuple[KnownContainer, ...] = ()
    networks: dict[str, str] = field(default_factory=dict)
    volumes: frozenset[str] = frozenset()
    images: tuple[KnownImage, ...] = ()
    pending_creates: tuple[str, ...] = ()
    outputs: dict[str, Any] = field(default_factory=dict)

    @property
    def project(self) -> str | None:
        """The Compose project name that the stack's containers carry; None while it has none."""
        return next((container.project for container in self.containers if container.project), None)


def stack_file(state: Path, stack: str) -> Path:
    """Where the local backend below `state` keeps the stack (`.gz` is appended when it compresses)."""
    return state / ".pulumi" / "stacks" / PULUMI_PROJECT / f"{stack}.json"


def read(state: Path, stack: str) -> Checkpoint:
    """The stack's last state; an empty one when there is no stack yet.

    Raises:
        OperatorError: the file isn't the JSON that Pulumi writes.
    """
    plain = stack_file(state, stack)
    packed = plain.with_name(plain.name + ".gz")
    file = plain if plain.is_file() else packed
    if not file.is_file():
        return Checkpoint()
    content = file.read_bytes()
    try:
        return parse(json.loads(gzip.decompress(content) if file == packed else content))
    except (ValueError, OSError, LookupError, AttributeError, TypeError) as error:
        raise OperatorError(
            f"The state of stack {stack} can't be read.",
            f"{file}: {error}",
            f"Put the one before in its place ({file.name}.bak beside it). Without one, remove {file.name}: `make up` then makes the "
            "containers again, finds the volumes by their names, and gives them new generated passwords.",
        ) from error


def is_kept(state: Path, stack: str) -> bool:
    """Whether the backend below `state`, of whichever project, has something of a stack of that name; also when that can't be told."""
    try:
        return read(state, stack).resources > 0
    except (OperatorError, OSError):
        return True


def parse(document: dict[str, Any]) -> Checkpoint:
    """The checkpoint in a stack file's JSON (format version 3)."""
    latest = document.get("checkpoint", {}).get("latest") or {}
    resources = latest.get("resources") or []
    pending = latest.get("pending_operations") or []
    return Checkpoint(
        exists=True,
        resources=len(resources),
        containers=tuple(_containers(resources)),
        networks={each["id"]: each["outputs"].get("name", each["id"]) for each in _of(resources, NETWORK)},
        volumes=frozenset(each["id"] for each in _of(resources, VOLUME)),
        images=tuple(
            KnownImage(outputs["imageId"], outputs.get("name", ""), built=bool(outputs.get("build")))
            for each in _of(resources, IMAGE)
            if (outputs := each["outputs"]).get("imageId")
        ),
        pending_creates=tuple(each["resource"]["urn"] for each in pending if each.get("type") == "creating"),
        outputs=next((each.get("outputs") or {} for each in resources if each.get("type") == STACK), {}),
    )


def _of(resources: list[dict[str, Any]], kind: str) -> Iterator[dict[str, Any]]:
    """Resources of one type that were created; `outputs` is always there."""
    return ({**each, "outputs": each.get("outputs") or {}} for each in resources if each.get("type") == kind and each.get("id"))


def _containers(resources: list[dict[str, Any]]) -> Iterator[KnownContainer]:
    images = {each["urn"] for each in _of(resources, IMAGE)}
    for each in _of(resources, CONTAINER):
        pairs = each["outputs"].get("labels") or []
        labels = {pair["label"]: pair["value"] for pair in pairs if isinstance(pair, dict) and "label" in pair}
        yield KnownContainer(
            id=each["id"],
            name=each["outputs"].get("name", ""),
            project=labels.get(COMPOSE_PROJECT, ""),
            service=labels.get(COMPOSE_SERVICE, ""),
            must_run=(each.get("inputs") or {}).get("mustRun", True),  # not the output: a refresh sets that to what it saw
            image_urns=tuple(urn for urn in each.get("dependencies") or [] if urn in images),
        )
