"""The state of the local backend, read without Pulumi."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from ops import checkpoint
from ops.errors import OperatorError

URN = "urn:pulumi:dev::whatsapp::"
IMAGE_URN = f"{URN}docker:index/remoteImage:RemoteImage::postgres:16"
RESOURCES: list[dict[str, Any]] = [
    {"type": "pulumi:pulumi:Stack", "urn": f"{URN}pulumi:pulumi:Stack::whatsapp-dev", "outputs": {"app_url": "http://localhost:8000"}},
    {"type": "whatsapp:stack:Service", "urn": f"{URN}whatsapp:stack:Service::db"},
    {"type": checkpoint.NETWORK, "urn": f"{URN}net", "id": "n1", "outputs": {"name": "whatsapp-dev_app-network"}},
    {"type": checkpoint.VOLUME, "urn": f"{URN}vol", "id": "whatsapp-dev_postgres_adk_data", "outputs": {}},
    {"type": checkpoint.IMAGE, "urn": IMAGE_URN, "id": "sha256:1postgres:16", "outputs": {"imageId": "sha256:1", "name": "postgres:16"}},
    {
        "type": checkpoint.CONTAINER,
        "urn": f"{URN}db",
        "id": "c1",
        "inputs": {"mustRun": True},
        "outputs": {
            "name": "whatsapp-dev-db-1",
            "mustRun": False,
            "labels": [
                {"label": "com.docker.compose.project", "value": "whatsapp-dev"},
                {"label": "com.docker.compose.service", "value": "db"},
            ],
        },
        "dependencies": [IMAGE_URN, f"{URN}net"],
    },
]
PENDING = [
    {"type": "creating", "resource": {"urn": f"{URN}redis", "type": checkpoint.CONTAINER}},
    {"type": "deleting", "resource": {"urn": f"{URN}app", "type": checkpoint.CONTAINER}},
]
DOCUMENT = {"version": 3, "checkpoint": {"latest": {"resources": RESOURCES, "pending_operations": PENDING}}}


def write(folder: Path, name: str, content: bytes) -> None:
    file = folder / ".pulumi" / "stacks" / "whatsapp" / name
    file.parent.mkdir(parents=True)
    file.write_bytes(content)


def test_the_state_tells_containers_networks_volumes_images_and_outputs(tmp_path: Path) -> None:
    write(tmp_path, "dev.json", json.dumps(DOCUMENT).encode())
    found = checkpoint.read(tmp_path, "dev")
    (container,) = found.containers
    assert (container.id, container.name, container.service) == ("c1", "whatsapp-dev-db-1", "db")
    assert container.image_urns == (IMAGE_URN,)
    assert found.project == "whatsapp-dev"
    assert found.networks == {"n1": "whatsapp-dev_app-network"}
    assert found.volumes == {"whatsapp-dev_postgres_adk_data"}
    assert found.images == (checkpoint.KnownImage("sha256:1", "postgres:16", built=False),)
    assert found.outputs == {"app_url": "http://localhost:8000"}
    assert found.resources == len(RESOURCES)


def test_whether_a_container_must_run_is_what_the_program_asked_for_not_what_a_refresh_saw(tmp_path: Path) -> None:
    write(tmp_path, "dev.json", json.dumps(DOCUMENT).encode())
    assert checkpoint.read(tmp_path, "dev").containers[0].must_run, "a refresh writes false over the output of a stopped container"


def test_only_creations_count_as_open(tmp_path: Path) -> None:
    write(tmp_path, "dev.json", json.dumps(DOCUMENT).encode())
    assert checkpoint.read(tmp_path, "dev").pending_creates == (f"{URN}redis",)


def test_a_compressed_state_is_read_too(tmp_path: Path) -> None:
    write(tmp_path, "dev.json.gz", gzip.compress(json.dumps(DOCUMENT).encode()))
    assert checkpoint.read(tmp_path, "dev").project == "whatsapp-dev"


def test_a_stack_that_was_never_up_is_empty(tmp_path: Path) -> None:
    assert checkpoint.read(tmp_path, "dev") == checkpoint.Checkpoint()
    write(tmp_path, "dev.json", b'{"version": 3, "checkpoint": {"stack": "organization/whatsapp/dev"}}')
    found = checkpoint.read(tmp_path, "dev")
    assert found.exists, "it is initialised"
    assert found.resources == 0
    assert found.project is None


@pytest.mark.parametrize("content", [b'{"version": 3, "checkp', b"[]", b'{"checkpoint": {"latest": {"resources": [{"type": "x"}, 3]}}}'])
def test_a_damaged_state_is_said_to_be_damaged_and_how_to_mend_it(tmp_path: Path, content: bytes) -> None:
    write(tmp_path, "dev.json", content)
    with pytest.raises(OperatorError, match=r"(?s)state of stack dev can't be read.*dev\.json.*\.bak"):
        checkpoint.read(tmp_path, "dev")
