"""Who may not start a stack: while a restore or an upgrade works on its data, and after a restore that was interrupted."""

from pathlib import Path
from typing import Any

import pytest

from ops.backup import marker
from ops.errors import OperatorError
from tests.unit.backup_samples import Volumes

MARK = {"whatsapp-dev_restore_unfinished"}


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(marker, "FOLDER", tmp_path)


def refuse(volumes: set[str]) -> None:
    marker.refuse_unfinished("whatsapp-dev", "dev", volumes)


def test_a_stack_whose_restore_was_interrupted_is_refused_with_the_way_out() -> None:
    refuse({"whatsapp-dev_redis_data"})
    with pytest.raises(OperatorError, match="was interrupted") as caught:
        refuse(MARK)
    assert "make restore FILE=... STACK=dev" in caught.value.mend
    with marker.exclusive("dev", "restore"):
        with pytest.raises(OperatorError, match="A restore is at work on stack dev"):
            refuse(MARK)
        with marker.passing():
            refuse(MARK)


@pytest.mark.parametrize(("what", "told"), [("restore", "A restore is at work"), ("upgrade", "An upgrade of a database is at work")])
def test_nothing_is_started_beside_a_restore_that_has_not_set_its_mark_yet_nor_beside_an_upgrade(what: str, told: str) -> None:
    engine: Any = Volumes()
    with marker.exclusive("dev", what):
        with pytest.raises(OperatorError, match=told):
            refuse(set())
        with pytest.raises(OperatorError, match=told):
            marker.guard(engine, "whatsapp-dev", "dev")
        marker.guard(engine, "whatsapp-other", "other")
    refuse(set())


def test_a_stack_is_not_taken_away_under_a_restore_but_after_one_that_was_interrupted() -> None:
    with marker.exclusive("dev", "restore"), pytest.raises(OperatorError, match="A restore is at work on stack dev"):
        marker.refuse_at_work("dev")
    marker.refuse_at_work("dev")


def test_beside_a_backup_a_stack_may_be_started_also_where_a_restore_held_it_before() -> None:
    with marker.exclusive("dev", "restore"):
        pass
    with marker.exclusive("dev", "backup"):
        refuse(set())
        with pytest.raises(OperatorError, match="was interrupted"):
            refuse(MARK)


def test_of_backups_restores_and_upgrades_one_works_on_a_stack_at_a_time() -> None:
    with (
        marker.exclusive("dev", "restore"),
        pytest.raises(OperatorError, match="another backup or restore"),
        marker.exclusive("dev", "backup"),
    ):
        pass
