"""Containers that this program did not make under its project's name: with any of them there, nothing may be done.

Two servers on one data volume destroy it, and neither sees the other's lock from its own container. So a Compose project whose volumes are
to be adopted has to be taken down first, not only stopped: the engine may start its containers again.
"""

from collections.abc import Iterable

from docker.api import APIClient

from stack.naming import COMPOSE_PROJECT, STACK_LABEL


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
