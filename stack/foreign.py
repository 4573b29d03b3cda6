"""Containers with which nothing may be done: under the project's name, but not made by this program; or the stack's own, under another.

Two servers on one data volume destroy it, and neither sees the other's lock from its own container. So a Compose project whose volumes are
to be adopted has to be taken down first, not only stopped: the engine may start its containers again.
"""

from collections.abc import Iterable
from pathlib import Path

from docker.api import APIClient

from stack.naming import COMPOSE_PROJECT, FOLDER_LABEL, STACK_LABEL


def containers(engine: APIClient, project: str, stack: str) -> list[str]:
    """Names of the containers that carry the project's name, and are not of the stack."""
    listed = engine.containers(all=True, filters={"label": [f"{COMPOSE_PROJECT}={project}"]})
    return sorted(each["Names"][0].lstrip("/") for each in listed if (each.get("Labels") or {}).get(STACK_LABEL) != stack)


def refusal(project: str, names: Iterable[str]) -> tuple[str, str, str]:
    """What is refused, what that left, and what to do."""
    return (
        f"Containers that this program did not make carry the Compose project name {project}: {', '.join(names)}.",
        "They were left alone, and nothing was changed.",
        (
            f"To take over their volumes: `docker compose -p {project} down` (volumes stay), then run this again. "
            "To live beside them: set PROJECT_NAME to another name."
        ),
    )


def users_of(engine: APIClient, volumes: Iterable[str], stack: str) -> list[str]:
    """A sentence for each running container that may write to one of the volumes, and is not of the stack.

    It need not be of the project: Compose takes any volume as an external one, and so does `docker run`.
    """
    wanted = set(volumes)
    found = engine.containers(filters={"volume": sorted(wanted)})  # without `all`: those that run
    return sorted(
        f"{each['Names'][0].lstrip('/')} runs on volume {mount['Name']}: stop it, or take the volume away from it. "
        "Two servers on one volume destroy it."
        for each in found
        for mount in each.get("Mounts", ())
        if (each.get("Labels") or {}).get(STACK_LABEL) != stack and mount.get("Name") in wanted and mount.get("RW")
    )


def renaming(engine: APIClient, project: str, stack: str, folder: Path) -> str | None:
    """Why the stack can't get the project's name: it is there under another one, as are its volumes; None when it isn't.

    Args:
        engine: where to look.
        project: the Compose project name that the settings give.
        stack: the stack's name.
        folder: the project's folder: a stack of another clone may well have another name.
    """
    labels = [f"{STACK_LABEL}={stack}", f"{FOLDER_LABEL}={folder}"]
    listed = (each.get("Labels") or {} for each in engine.containers(all=True, filters={"label": labels}))
    other = next((labels[COMPOSE_PROJECT] for labels in listed if labels.get(COMPOSE_PROJECT) not in {None, project}), None)
    if other is None:
        return None
    return (
        f"PROJECT_NAME: this stack is on the engine as {other}, and its data is in volumes that are called after that: as {project} it "
        f"would begin without data. To go on: PROJECT_NAME={other}. To begin without: `make down` first; the old volumes stay. "
        "To take the data along: `make backup` and `make down` first, and after `make up` restore it (`make restore FILE=...`)."
    )
