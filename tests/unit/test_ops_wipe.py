"""What `wipe` says before it asks."""

import io
from collections.abc import Callable

import pytest

from ops import checkpoint, engine, up
from ops.checkpoint import Checkpoint
from ops.errors import OperatorError
from ops.session import FOLDER, Session


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[Checkpoint, list[str]], str]:
    """Run `wipe` over a state and volumes, answer nothing, and return what it said."""

    def run(known: Checkpoint, volumes: list[str]) -> str:
        monkeypatch.setattr(up, "open_session", lambda stack: Session(FOLDER, stack, FOLDER / "pulumi", {}))
        monkeypatch.setattr(engine, "connect", lambda _: None)
        monkeypatch.setattr(checkpoint, "read", lambda *_: known)
        monkeypatch.setattr(up, "project_name", lambda *_: "whatsapp-dev")
        monkeypatch.setattr(engine, "volumes", lambda *_: volumes)
        monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
        with pytest.raises(OperatorError, match="Nothing was removed"):
            up.wipe("dev", agreed=False)
        return capsys.readouterr().out

    return run


_ANOTHERS = "they may be the data of another clone"


def test_data_that_this_folders_state_does_not_know_is_said_to_be_perhaps_anothers(ask: Callable[[Checkpoint, list[str]], str]) -> None:
    said = ask(Checkpoint(exists=True), ["whatsapp-dev_redis_data"])
    assert "removes for good: whatsapp-dev_redis_data" in said
    assert _ANOTHERS in said


def test_data_of_a_stack_that_was_taken_down_here_is_its_own(ask: Callable[[Checkpoint, list[str]], str]) -> None:
    generated_passwords = 9  # which `down` leaves in the state
    assert _ANOTHERS not in ask(Checkpoint(exists=True, resources=generated_passwords), ["whatsapp-dev_redis_data"])


def test_where_there_is_no_data_nobody_is_warned_of_it(ask: Callable[[Checkpoint, list[str]], str]) -> None:
    assert _ANOTHERS not in ask(Checkpoint(), [])
