"""Builds the local images that these tests start, where no stack has done so yet."""

import docker
from docker.errors import ImageNotFound

from ops.local_images import build
from ops.session import open_session
from stack.images import LOCAL_PREFIX
from stack.settings import load
from stack.settings_table import ImageSource

STARTED = ("postgres:16", "redis", "rabbitmq", "minio")
"""The images that the tests start."""


def ensure_images() -> None:
    """Build what is missing; nothing where images come from a registry, for the engine pulls those by itself."""
    session = open_session("dev")
    settings = load(session.folder, session.stack, {})
    if settings.images is ImageSource.LOCAL and (missing := _missing()):
        build(session, settings, missing)


def _missing() -> list[str]:
    engine = docker.from_env()

    def is_missing(name: str) -> bool:
        try:
            engine.images.get(f"{LOCAL_PREFIX}/{name}")
        except ImageNotFound:
            return True
        return False

    return [name for name in STARTED if is_missing(name)]
