"""`upgrade`: what images an `up` would change, and whether newer ones are to be had under the same names."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from docker.errors import DockerException, ImageNotFound

from ops import engine
from ops.console import columns, complain, say
from ops.containers import of_stack
from ops.session import FOLDER, stack_settings
from ops.status import image_name
from stack.images import local_image, reference_of
from stack.services import postgres_versions
from stack.vocabulary import ServiceName

if TYPE_CHECKING:
    from docker import DockerClient

    from ops.engine import SeenContainer
    from stack.settings import Settings


@dataclass(frozen=True)
class Change:
    """One service's image.

    Attributes:
        runs: names of the image that its container runs, or its id.
        named: what the settings name; "built here" for one that an `up` builds when its sources change.
        note: what an `up` would do, or what stands in its way.
        changes: whether an `up` would replace the container for its image.
    """

    service: str
    runs: str
    named: str
    note: str
    changes: bool


def upgrade(stack: str, as_json: bool) -> int:
    """Tell; 1 when a change would be refused."""
    client = engine.connect()
    settings = stack_settings(FOLDER, stack)
    found = {each.service: each for each in reversed(of_stack(client, stack)) if each.service in set(ServiceName)}
    with ThreadPoolExecutor(max_workers=len(found)) as pool:
        changes = list(
            pool.map(lambda container: _change(client, settings, container), sorted(found.values(), key=lambda each: each.service))
        )
    refused = list(postgres_versions.problems(client.api, settings))
    if as_json:
        say(json.dumps({"images": [asdict(each) for each in changes], "refused": refused}, indent=2))
    else:
        for line in columns([("SERVICE", "RUNS", "SETTINGS", ""), *((each.service, each.runs, each.named, each.note) for each in changes)]):
            say(line)
        for sentence in refused:
            complain(sentence)
        if not refused:
            say("`make up` applies what changes; `docker pull` fetches a newer image of the same name first.")
    return 1 if refused else 0


def _change(client: DockerClient, settings: Settings, container: SeenContainer) -> Change:
    running = client.api.inspect_container(container.id)["Image"]
    runs = image_name(client, running, container.project)
    service = ServiceName(container.service)
    if service is ServiceName.APP or local_image(settings, service):
        return Change(service, runs, "built here", "", changes=False)
    reference = reference_of(settings, service)
    try:
        here = client.images.get(reference)
    except ImageNotFound:
        return Change(service, runs, reference, "changes, and will be fetched", changes=True)
    if here.id != running:
        return Change(service, runs, reference, "changes", changes=True)
    return Change(service, runs, reference, _newer(client, reference, here.attrs.get("RepoDigests") or []), changes=False)


def _newer(client: DockerClient, reference: str, digests: list[str]) -> str:
    """Whether the registry has another image under the same name by now."""
    try:
        digest = client.images.get_registry_data(reference).id
    except DockerException:
        return "the same; its registry doesn't answer"
    return "the same" if any(each.endswith(f"@{digest}") for each in digests) else "a newer one is at the registry"
