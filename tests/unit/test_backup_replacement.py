"""A restore that fails goes back, whatever made it fail, and says one thing."""

import http.client
import json
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from pamqp.exceptions import UnmarshalingException

from ops.backup import marker, replacement
from ops.backup.errors import ArchiveError
from ops.backup.inside import InsideError
from ops.backup.manifest import DUMPS
from ops.backup.replacement import Replacement
from ops.errors import OperatorError, Stopped
from stack.vocabulary import ServiceName
from tests.unit.backup_samples import Volumes
from tests.unit.runs import at_work

FAILURES = {
    "a program inside": (InsideError("pg_restore failed"), "pg_restore failed"),
    "the archive": (ArchiveError("it has changed"), "it has changed"),
    "the engine": (ConnectionResetError(104, "Connection reset by peer"), "Connection reset by peer"),
    "JSON that is none": (json.JSONDecodeError("Expecting value", "not json", 0), "JSONDecodeError: Expecting value"),
    "a message that can't be read": (UnmarshalingException("a", "b"), "UnmarshalingException"),
    "an answer that broke off": (http.client.IncompleteRead(b"half"), "IncompleteRead"),
    "a mistake of the program": (KeyError("vhost"), "KeyError: 'vhost'"),
    "Ctrl-C": (KeyboardInterrupt(), "it was stopped"),
    "being asked to stop": (Stopped(), "it was stopped"),
}


@pytest.fixture
def restore(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Replacement:
    """A restore of nothing, whose steps do nothing yet."""
    monkeypatch.setattr(replacement, "FOLDER", tmp_path)
    monkeypatch.setattr(replacement, "check_fit", Mock())
    for step in ("_stage", "_fill_stores", "_swap", "_forget", "_start_users"):
        monkeypatch.setattr(Replacement, step, Mock())
    engine: Any = Volumes()
    return Replacement(engine, "whatsapp-dev", "dev", Mock(), {ServiceName(name): Mock() for name in DUMPS})


@pytest.mark.parametrize("step", ["_stage", "_fill_stores", "_swap"])
@pytest.mark.parametrize("kind", FAILURES)
def test_whatever_fails_a_restore_goes_back_and_says_why(
    restore: Replacement, monkeypatch: pytest.MonkeyPatch, kind: str, step: str
) -> None:
    failure, told = FAILURES[kind]

    def go_back(_: object) -> None:
        if marker.is_set(restore.client, "whatsapp-dev"):
            marker.clear(restore.client, "whatsapp-dev")

    back = Mock(side_effect=go_back)
    monkeypatch.setattr(Replacement, step, Mock(side_effect=failure))
    monkeypatch.setattr(Replacement, "_go_back", back)
    with pytest.raises(OperatorError, match="has the data that it had") as caught:
        restore.run("archive.tar")
    back.assert_called_once()
    assert told in caught.value.cause
    assert "make restore FILE=... STACK=dev" in caught.value.mend


@pytest.mark.parametrize("kind", FAILURES)
def test_whatever_hinders_it_from_going_back_is_told_too_and_the_mark_stays(
    restore: Replacement, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    failure, told = FAILURES[kind]
    monkeypatch.setattr(Replacement, "_fill_stores", Mock(side_effect=InsideError("the first cause")))
    monkeypatch.setattr(Replacement, "_go_back", Mock(side_effect=failure))
    with pytest.raises(OperatorError, match="is not whole now") as caught:
        restore.run("archive.tar")
    assert "the first cause; and going back failed too" in caught.value.cause
    assert told in caught.value.cause
    assert marker.is_set(restore.client, "whatsapp-dev")


def test_a_run_that_began_just_before_a_restore_is_seen_before_anything_is_stopped(
    restore: Replacement, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stores = Mock()
    monkeypatch.setattr(Replacement, "_fill_stores", stores)
    monkeypatch.setattr(Replacement, "_stage", lambda *_: None if (tmp_path / ".state").exists() else at_work(tmp_path, "dev", monkeypatch))
    monkeypatch.setattr(Replacement, "_go_back", Mock())
    with pytest.raises(OperatorError, match="has the data that it had") as caught:
        restore.run("archive.tar")
    assert "Another run is at work on stack dev" in caught.value.cause
    stores.assert_not_called()
