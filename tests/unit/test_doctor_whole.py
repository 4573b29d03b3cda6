"""What the doctor says of a stack as a whole, and what it counts, also where it can't look."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from ops import doctor as subject
from ops import engine, recovery
from ops.checkpoint import Checkpoint, KnownContainer
from ops.containers import NotUpError, of_stack
from ops.doctor import running, state
from ops.doctor.findings import Finding, Verdict, good
from ops.doctor.state import compared
from ops.engine import Observed, SeenContainer
from ops.errors import OperatorError

PROJECT, STACK = "whatsapp-dev", "dev"


def known(service: str) -> KnownContainer:
    return KnownContainer(service, f"{PROJECT}-{service}-1", PROJECT, service, must_run=True, image_urns=())


def seen(service: str) -> SeenContainer:
    return SeenContainer(service, f"{PROJECT}-{service}-1", PROJECT, service, STACK, "running")


CHECKPOINT = Checkpoint(containers=(known("app"), known("minio")), volumes=frozenset({"whatsapp-dev_minio_data"}))
WHOLE = Observed(containers=(seen("app"), seen("minio")), volumes=CHECKPOINT.volumes)


def found(observed: Observed) -> list[Finding]:
    return list(compared(recovery.plan(CHECKPOINT, observed, PROJECT, STACK), observed, STACK))


def test_a_container_and_a_volume_that_somebody_removed_are_bad_each_with_what_up_makes_of_it() -> None:
    assert found(WHOLE) == []
    container, volume = found(replace(WHOLE, containers=(seen("app"),), volumes=frozenset()))
    assert (container.verdict, container.subject, container.said) == (Verdict.BAD, "minio", "is gone")
    assert container.mend == "`make up STACK=dev` makes it again"
    assert (volume.verdict, volume.subject) == (Verdict.BAD, "volume whatsapp-dev_minio_data")
    assert volume.mend.endswith("makes it again, empty")


def test_of_a_stack_that_is_down_nothing_is_missing() -> None:
    assert found(Observed(volumes=CHECKPOINT.volumes)) == []


def test_an_image_that_up_would_exchange_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    moved = recovery.Plan(differences=(recovery.Difference("image postgres:16", recovery.ANOTHER),))
    monkeypatch.setattr(recovery, "plan", lambda *_: moved)
    (finding,) = found(WHOLE)
    assert (finding.verdict, finding.said) == (Verdict.WARNING, moved.drift[0])


@pytest.mark.parametrize("service", ["upgrade", "restore"])
def test_what_a_killed_upgrade_or_restore_left_is_a_left_over_and_no_service(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    left = seen(service)
    (finding,) = found(replace(WHOLE, containers=(*WHOLE.containers, left)))
    assert (finding.verdict, finding.subject) == (Verdict.WARNING, left.name)
    assert "`make up STACK=dev` removes what is left" in finding.mend
    monkeypatch.setattr("ops.containers.project_name", lambda *_: PROJECT)
    monkeypatch.setattr(engine, "containers", lambda *_: [seen("app"), left])
    assert of_stack(Mock(), STACK) == [seen("app")], "who restarts or judges all services can't do so with it"
    monkeypatch.setattr(engine, "containers", lambda *_: [left])
    with pytest.raises(NotUpError):
        of_stack(Mock(), STACK)


def test_the_containers_of_another_clone_are_not_called_left_overs() -> None:
    assert found(replace(WHOLE, containers=(*WHOLE.containers, replace(seen("db"), folder="/another/clone")))) == []


@pytest.fixture
def well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project on a machine that is well, as far as this shows it."""
    for module in (subject, state):
        monkeypatch.setattr(module, "FOLDER", tmp_path)
    monkeypatch.setattr(engine, "connect", Mock)
    monkeypatch.setattr(subject, "machine", lambda *_: iter([good("engine", "well")]))
    monkeypatch.setattr("ops.doctor.plans.plans", lambda *_: iter([good("settings", "well")]))
    monkeypatch.setattr("ops.backup.services.project_of", lambda _: PROJECT)
    monkeypatch.setattr(subject, "whole", lambda *_: iter(()))


def fails(error: OperatorError) -> Any:  # noqa: ANN401 - it stands for a function
    def look(*_: object) -> None:
        raise error

    return look


@pytest.mark.usefixtures("well")
def test_a_state_that_cannot_be_read_is_counted_and_in_the_json_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ops.backup.services.project_of", fails(OperatorError("The state can't be read.", "It is no JSON.", "Mend it.")))
    assert subject.doctor(STACK, as_json=False) == 1
    said = capsys.readouterr()
    assert "stack: The state can't be read. It is no JSON." in said.out
    assert "1 thing wrong" in said.err
    assert subject.doctor(STACK, as_json=True) == 1
    assert json.loads(capsys.readouterr().out)[-1]["verdict"] == "bad"


@pytest.mark.usefixtures("well")
def test_a_stack_that_is_down_is_nothing_wrong(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(running, "look", fails(NotUpError(STACK)))
    assert subject.doctor(STACK, as_json=False) == 0
    assert "Stack dev has no containers. Bring it up: make up STACK=dev" in capsys.readouterr().out


def test_without_an_engine_the_reason_is_one_finding_and_all_that_needs_none_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(subject, "FOLDER", tmp_path)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    assert subject.doctor(STACK, as_json=True) == 1
    told = {each["subject"]: each for each in json.loads(capsys.readouterr().out)}
    assert told["engine"]["said"] == f"No Docker engine answers at unix://{tmp_path}/none.sock. It is not there."
    assert {"disk of the project", "sources", "passphrase", "settings"} <= told.keys()
    assert [each["subject"] for each in told.values() if each["verdict"] == "bad"] == ["engine"]
