"""Whether what the stack is about to be can be: its settings, passphrase, ports and images."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from docker.errors import APIError, DockerException, ImageNotFound

from ops.doctor.findings import Finding, bad, good
from ops.errors import OperatorError
from ops.session import settings_file, stack_settings
from ops.setup.passphrase import passphrase_variables
from stack import ports
from stack.engine import Engine, EngineError
from stack.images import registry_references

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from docker import DockerClient

    from stack.settings import Settings


def plans(client: DockerClient | None, folder: Path, stack: str) -> Iterator[Finding]:
    """Look at everything that `up` would look at before it creates something, and at what it would fetch.

    Args:
        client: of the engine; without one, what it would be asked is left out.
        folder: the project.
        stack: the stack's name.
    """
    yield _passphrase(folder, stack)
    try:
        file = settings_file(folder, stack)
        settings = stack_settings(folder, stack)
    except OperatorError as error:
        yield bad("settings", str(error), "correct what is named")
        return
    yield good("settings", f"{file.name} is fine" if file.is_file() else f"defaults; there is no {file.name}")
    if client is not None:
        yield _ports(client, settings)
        yield from _images(client, settings)


def _passphrase(folder: Path, stack: str) -> Finding:
    try:
        passphrase_variables(folder, stack, os.environ)
    except OperatorError as error:
        return bad("passphrase", str(error), "see above")
    return good("passphrase", "there is one for the stack's secrets")


def _ports(client: DockerClient, settings: Settings) -> Finding:
    try:
        taken = ports.look(Engine(client), settings).problems
    except EngineError as error:
        return bad("ports", str(error), "see above")
    if taken:
        return bad("ports", " ".join(taken), "see above")
    wanted = sorted(each.port for each in ports.wanted(settings))
    return good("ports", f"{', '.join(map(str, wanted))} are free, or this stack's own")


def _images(client: DockerClient, settings: Settings) -> Iterator[Finding]:
    references = sorted(registry_references(settings))
    if not references:
        yield good("images", "all are built here, from packages")
        return
    with ThreadPoolExecutor(max_workers=len(references)) as pool:
        for reference, problem in zip(references, pool.map(lambda each: _problem(client, each), references), strict=True):
            if problem:
                instead = f"use local images (IMAGES={settings.images} now; IMAGES=local builds them)"
                mend = f"correct the reference, log in to its registry, or {instead}"
                yield bad("images", f"{reference} is neither here nor to be had: {problem}", mend)
            else:
                yield good("images", f"{reference} is here or can be fetched")


def _problem(client: DockerClient, reference: str) -> str:
    """Why an image can't be had; nothing when it can."""
    try:
        client.images.get(reference)
    except ImageNotFound:
        try:
            client.images.get_registry_data(reference)
        except (APIError, DockerException) as error:
            return str(getattr(error, "explanation", None) or error)
    return ""
