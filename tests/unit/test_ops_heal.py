"""What is at work on a stack already, here or in another clone of the project, is left alone."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ops.engine import SeenContainer
from ops.errors import OperatorError
from ops.heal import end_what_runs_for_nobody, refuse_neighbours
from ops.recovery import Plan
from ops.session import Session
from tests.unit.runs import at_work

SEEN = SeenContainer(id="c1", name="whatsapp-dev-db-1", project="whatsapp-dev", service="db", stack="dev", state="running")
KEPT = {"version": 3, "checkpoint": {"latest": {"resources": [{"type": "pulumi:pulumi:Stack", "urn": "urn"}]}}}


def clone(folder: Path, document: object = None) -> Path:
    """A folder of the project with a state of stack dev, or without one."""
    folder.mkdir()
    if document is not None:
        file = folder / ".state" / ".pulumi" / "stacks" / "whatsapp" / "dev.json"
        file.parent.mkdir(parents=True)
        file.write_text(document if isinstance(document, str) else json.dumps(document))
    return folder


def refuse(here: Path, made_from: Path | None) -> None:
    orphan = replace(SEEN, folder=None if made_from is None else str(made_from))
    refuse_neighbours(Session(here, "dev", Path("pulumi"), {}), Plan(orphans=(orphan,)))


def test_containers_of_another_clone_that_knows_the_stack_are_refused_with_its_folder_and_the_ways_out(tmp_path: Path) -> None:
    here, there = clone(tmp_path / "here"), clone(tmp_path / "there", KEPT)
    with pytest.raises(OperatorError) as refused:
        refuse(here, there)
    assert str(there) in refused.value.what
    assert "whatsapp-dev-db-1" in refused.value.what
    assert "nothing was changed" in refused.value.cause
    for way in ("STACK=name", "PROJECT_NAME", f"`make down STACK=dev` in {there}"):
        assert way in refused.value.mend


def test_a_state_that_can_not_be_read_is_somebodys_all_the_same(tmp_path: Path) -> None:
    with pytest.raises(OperatorError):
        refuse(clone(tmp_path / "here"), clone(tmp_path / "there", "not what Pulumi writes"))


def test_containers_from_this_folder_whose_state_is_lost_are_taken_over(tmp_path: Path) -> None:
    here = clone(tmp_path / "here")
    refuse(here, here)


def test_what_an_interrupted_run_in_this_folder_left_is_taken_over_although_the_state_knows_the_stack(tmp_path: Path) -> None:
    here = clone(tmp_path / "here", KEPT)
    refuse(here, here)


def test_containers_from_a_folder_that_is_gone_or_was_moved_are_taken_over(tmp_path: Path) -> None:
    refuse(clone(tmp_path / "here"), tmp_path / "gone")


def test_containers_from_a_folder_whose_state_is_gone_are_taken_over(tmp_path: Path) -> None:
    emptied = {"version": 3, "checkpoint": {"latest": {}}}
    refuse(clone(tmp_path / "here"), clone(tmp_path / "without"))
    refuse(tmp_path / "here", clone(tmp_path / "emptied", emptied))


def test_containers_of_an_older_version_that_say_no_folder_are_taken_over(tmp_path: Path) -> None:
    refuse(clone(tmp_path / "here"), None)


def test_a_run_that_is_alive_holds_the_stack_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_work(tmp_path, "dev", monkeypatch)
    assert end_what_runs_for_nobody(tmp_path, "other") == ()
    with pytest.raises(OperatorError, match="Another run is at work on stack dev"):
        end_what_runs_for_nobody(tmp_path, "dev")
