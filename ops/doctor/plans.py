"""Whether what the stack is about to be can be: its settings, passphrase, ports and images."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from docker.errors import APIError, DockerException, ImageNotFound

from ops.doctor.findings import Finding, bad, good
from ops.setup import SetupError
from ops.setup.images import source_of
from ops.setup.stack_state import configuration_of, passphrase_variables
from stack.engine import Engine
from stack.images import registry_references
from stack.naming import settings_file_name
from stack.settings import Settings, SettingsError, load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from docker import DockerClient


def plans(client: DockerClient, folder: Path, stack: str) -> Iterator[Finding]:
    """Look at everything that `up` would look at before it creates something, and at what it would fetch."""
    yield _passphrase(folder, stack)
    try:
        configuration = configuration_of(folder, stack)
        settings = load(folder, stack, configuration)
    except (SettingsError, SetupError) as error:
        yield bad("settings", str(error), "correct what is named")
        return
    file = settings_file_name(stack, configuration)
    yield good("settings", f"{file} is fine" if (folder / file).is_file() else f"defaults; there is no {file}")
    yield _ports(settings)
    yield from _images(client, settings, source_of(folder, file, configuration.get("IMAGES")))


def _passphrase(folder: Path, stack: str) -> Finding:
    try:
        passphrase_variables(folder, stack, os.environ)
    except SetupError as error:
        return bad("passphrase", str(error), "see above")
    return good("passphrase", "there is one for the stack's secrets")


def _ports(settings: Settings) -> Finding:
    wanted = {port: name for name, port in settings.host_ports()}
    taken = Engine().taken_ports(settings.project, settings.bind_address, wanted)
    if taken:
        return bad("ports", " ".join(taken), "see above")
    return good("ports", f"{', '.join(map(str, sorted(wanted)))} are free, or this stack's own")


def _images(client: DockerClient, settings: Settings, source: str) -> Iterator[Finding]:
    references = sorted(registry_references(settings))
    if not references:
        yield good("images", "all are built here, from packages")
        return
    with ThreadPoolExecutor(max_workers=len(references)) as pool:
        for reference, problem in zip(references, pool.map(lambda each: _problem(client, each), references), strict=True):
            if problem:
                mend = f"correct the reference, log in to its registry, or use local images (IMAGES={source} now; IMAGES=local builds them)"
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
