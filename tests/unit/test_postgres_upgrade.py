"""Moving a database to another major version: what is seen before it begins, and what is left when it does not come to its end."""

import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock, Mock

import pytest

from ops import engine, operations, postgres_upgrade
from ops.backup import databases, inside, marker, stopping, volumes
from ops.backup.inside import InsideError
from ops.engine import SeenContainer
from ops.errors import OperatorError
from ops.postgres_copy import Copy
from ops.postgres_upgrade import upgrade_postgres
from ops.session import Session
from stack.services.postgres_versions import layout
from tests.unit.runs import at_work

MIB, GIB = 1 << 20, 1 << 30
DB = SeenContainer(id="db", name="whatsapp-dev-db-1", project="whatsapp-dev", service="db", stack="dev", state="running")
APP = SeenContainer(id="app", name="whatsapp-dev-app-1", project="whatsapp-dev", service="app", stack="dev", state="running")


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An upgrade of nothing, each of whose steps is done at once; the names of what is started again."""
    module, started = postgres_upgrade, list[str]()
    client: Any = Mock()
    client.api.inspect_container.return_value = {"State": {"Running": False}}
    monkeypatch.setattr(marker, "FOLDER", tmp_path)
    monkeypatch.setattr(marker, "guard", Mock())
    monkeypatch.setattr(engine, "connect", lambda _: client)
    monkeypatch.setattr(engine, "start_containers", lambda _, containers: started.extend(each.name for each in containers))
    monkeypatch.setattr(module, "open_session", lambda stack: Session(tmp_path, stack, Path("pulumi"), {}))
    monkeypatch.setattr(module, "stack_settings", lambda *_: SimpleNamespace(project="whatsapp-dev", volume_names=MagicMock()))
    monkeypatch.setattr(module, "settings_file", lambda *_: tmp_path / ".env")
    monkeypatch.setattr(module, "of_stack", lambda _client, _stack, service: [DB if service == "db" else APP])
    monkeypatch.setattr(module, "_fetched", lambda *_: "postgres:17")
    monkeypatch.setattr(module, "_check_versions", lambda *_: (16, 17))
    monkeypatch.setattr(module, "run_quietly", Mock())
    monkeypatch.setattr(module, "up", Mock())
    for step in ("clear", "check_room"):
        monkeypatch.setattr(Copy, step, Mock())
    monkeypatch.setattr(Copy, "make", Mock(return_value=3))
    return started


def upgrade() -> None:
    upgrade_postgres("dev", "db", "postgres:17", agreed=True)


def test_an_upgrade_that_comes_to_its_end_leaves_the_start_to_the_up(started: list[str], tmp_path: Path) -> None:
    upgrade()
    assert started == []
    assert "POSTGRES_VOLUME=postgres_adk_data_17" in (tmp_path / ".env").read_text().splitlines()


def test_whoever_was_stopped_is_started_again_when_the_copy_is_stopped(started: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Copy, "make", Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        upgrade()
    assert started == [APP.name]


def test_whoever_was_stopped_is_started_again_when_the_settings_can_not_be_written(
    started: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_upgrade, "run_quietly", Mock(side_effect=OperatorError("pulumi failed")))
    with pytest.raises(OperatorError, match="pulumi failed"):
        upgrade()
    assert started == [APP.name]


def test_nobody_is_started_on_data_that_the_settings_leave(started: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    flip = postgres_upgrade._flip

    def closed(*arguments: Any) -> None:  # noqa: ANN401 - as they come
        flip(*arguments)
        raise OSError(5, "the terminal is gone")

    monkeypatch.setattr(postgres_upgrade, "_flip", closed)
    with pytest.raises(OSError, match="the terminal is gone"):
        upgrade()
    assert started == []


def test_an_upgrade_does_not_begin_while_another_run_is_at_work(
    started: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_work(tmp_path, "dev", monkeypatch)
    with pytest.raises(OperatorError, match="Another run is at work on stack dev"):
        upgrade()
    assert started == []


def test_a_closed_terminal_ends_an_upgrade_as_ctrl_c_does(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(stopping, "end_in_peace", lambda: done.append("signals"))
    monkeypatch.setattr(postgres_upgrade, "upgrade_postgres", lambda *_, **__: done.append("upgrade"))
    operations.upgrade_postgres.main(["--image", "postgres:17"], standalone_mode=False)
    assert done == ["signals", "upgrade"]


def test_an_unfinished_copy_is_removed_whole_even_when_one_asks_to_stop_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    cleared = []

    def clear(_: Copy) -> None:
        signal.raise_signal(signal.SIGINT)
        cleared.append("all of it")

    monkeypatch.setattr(Copy, "_create", Mock(side_effect=InsideError("no such tool")))
    monkeypatch.setattr(Copy, "clear", clear)
    with pytest.raises(OperatorError, match="The copy failed") as caught:
        Copy(Mock(), DB, "postgres:17", layout("postgres:17"), "volume", {}).make()
    assert "no such tool" in str(caught.value)
    assert cleared == ["all of it"]


@pytest.mark.parametrize(
    ("size", "free", "enough"),
    [
        (30 * MIB, 60 * MIB, True),
        (30 * MIB, 59 * MIB, False),
        (100 * GIB, 101 * GIB, True),  # the log does not grow for ever
        (100 * GIB, 100 * GIB, False),
    ],
)
def test_a_copy_begins_only_where_there_is_room_for_it(size: int, free: int, enough: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inside, "variables", lambda *_: {"PGDATA": "/data"})
    monkeypatch.setattr(databases, "size_of_all", lambda *_: size)
    monkeypatch.setattr(volumes, "free_bytes", lambda *arguments: free if arguments[1:] == ("db", "/data") else 0)
    copy = Copy(Mock(), DB, "postgres:17", layout("postgres:17"), "volume", {})
    if enough:
        copy.check_room()
        return
    with pytest.raises(OperatorError, match="no room for a copy of db; nothing was changed"):
        copy.check_room()
