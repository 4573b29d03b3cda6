"""Containers in the way of a stack: who writes to its volumes, and the stack itself under another name."""

from pathlib import Path
from typing import Any

import pytest

from stack.foreign import renaming, users_of

FOLDER = Path("/project")
VOLUME = "old_postgres_adk_data"


class FakeEngine:
    """An engine that lists what it is given, as far as the filters match."""

    def __init__(self, *listed: dict[str, Any]) -> None:
        self._listed = listed

    def containers(self, filters: dict[str, list[str]], all: bool = False) -> list[dict[str, Any]]:  # noqa: A002, ARG002 - the SDK's own
        volumes = set(filters.get("volume", []))
        labels = [label.split("=") for label in filters.get("label", [])]
        return [
            each
            for each in self._listed
            if not volumes.isdisjoint(mount["Name"] for mount in each["Mounts"]) or not volumes
            if all_match(each["Labels"] or {}, labels)
        ]


def all_match(own: dict[str, str], wanted: list[list[str]]) -> bool:
    return all(own.get(name) == value for name, value in wanted)


def container(labels: dict[str, str] | None, volume: str = VOLUME, *, writes: bool = True) -> dict[str, Any]:
    return {"Names": ["/somebodys-postgres"], "Labels": labels, "Mounts": [{"Type": "volume", "Name": volume, "RW": writes}]}


def test_whoever_runs_on_a_volume_of_the_stack_is_named_whatever_made_it() -> None:
    (problem,) = users_of(FakeEngine(container(None)), [VOLUME, "another"], "dev")  # type: ignore[arg-type]
    assert problem.startswith(f"somebodys-postgres runs on volume {VOLUME}: stop it")


@pytest.mark.parametrize(
    "harmless",
    [container({"whatsapp.stack": "dev"}), container(None, writes=False), container(None, "a volume of their own")],
    ids=["the stack's own", "a reader, as one that backs up", "another volume"],
)
def test_nobody_else_is(harmless: dict[str, Any]) -> None:
    assert users_of(FakeEngine(harmless), [VOLUME], "dev") == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("labels", "other"),
    [
        ({"com.docker.compose.project": "before", "whatsapp.stack": "dev", "whatsapp.folder": "/project"}, "before"),
        ({"com.docker.compose.project": "now", "whatsapp.stack": "dev", "whatsapp.folder": "/project"}, None),
        ({"com.docker.compose.project": "before", "whatsapp.stack": "dev", "whatsapp.folder": "/another/clone"}, None),
        ({"com.docker.compose.project": "before", "whatsapp.stack": "prod", "whatsapp.folder": "/project"}, None),
    ],
    ids=["under another name", "as it is called", "of another clone", "another stack"],
)
def test_a_stack_that_is_there_under_another_name_is_found(labels: dict[str, str], other: str | None) -> None:
    said = renaming(FakeEngine(container(labels)), "now", "dev", FOLDER)  # type: ignore[arg-type]
    assert (said is not None) == (other is not None)
    assert other is None or f"PROJECT_NAME={other}" in str(said)
