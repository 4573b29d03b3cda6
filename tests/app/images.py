"""Builds the local images that these tests start, as the program builds them, where no stack has done so yet."""

import os
from pathlib import Path

import docker
import pulumi.automation as automation
from docker.errors import ImageNotFound

from ops.setup import prepare
from stack.images import LOCAL_PREFIX, Images
from stack.settings import load
from stack.settings_table import ImageSource
from stack.vocabulary import ServiceName

PROJECT = Path(__file__).resolve().parents[2]
STARTED = {
    f"{LOCAL_PREFIX}/postgres:16": ServiceName.DB,
    f"{LOCAL_PREFIX}/redis": ServiceName.REDIS,
    f"{LOCAL_PREFIX}/rabbitmq": ServiceName.RABBITMQ,
    f"{LOCAL_PREFIX}/minio": ServiceName.MINIO,
}
"""The images that the tests start, by name."""


def ensure_images(state: Path) -> None:
    """Build what is missing; nothing where images come from a registry, for the engine pulls those by itself.

    Args:
        state: an empty folder for the state of the build, which nothing needs afterwards.
    """
    settings = load(PROJECT, "dev", {})
    if settings.images is not ImageSource.LOCAL or not _missing():
        return

    def program() -> None:
        images = Images(settings, PROJECT)
        for service in STARTED.values():
            images.of(service)

    environment = prepare(PROJECT, "dev").variables
    backend = automation.ProjectBackend(url=state.as_uri())
    options = automation.LocalWorkspaceOptions(
        project_settings=automation.ProjectSettings(name="whatsapp-test-images", runtime="python", backend=backend),
        pulumi_command=automation.PulumiCommand(root=str(Path(environment["PATH"].partition(os.pathsep)[0]).parent)),
        env_vars={**environment, "PULUMI_BACKEND_URL": state.as_uri()},
    )
    stack = automation.create_or_select_stack("test", project_name="whatsapp-test-images", program=program, opts=options)
    stack.up(on_output=print)


def _missing() -> list[str]:
    engine = docker.from_env()

    def is_missing(name: str) -> bool:
        try:
            engine.images.get(name)
        except ImageNotFound:
            return True
        return False

    return [name for name in STARTED if is_missing(name)]
