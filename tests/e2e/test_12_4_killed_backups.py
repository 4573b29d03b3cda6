"""Backups that are killed or stopped at random moments: nothing is left that looks whole and isn't, neither here nor in the stores."""

from functools import partial
from pathlib import Path

import pytest

from tests.e2e import backups, moments
from tests.e2e.backups import Kept
from tests.e2e.data import Clients
from tests.e2e.environment import Stack, eventually

pytestmark = pytest.mark.backups

_ENDS = (moments.kill, moments.stop, moments.kill, moments.stop, moments.kill)
_SOON = 20


def _is_idle(clients: Clients, database: str) -> bool:
    return not backups.at_work(clients, database)


def test_a_backup_that_was_killed_or_stopped_leaves_nothing_that_looks_like_one(stack: Stack, kept: Kept, tmp_path: Path) -> None:
    clients = Clients(stack, stack.credentials())
    for end in _ENDS:
        run = moments.begin(stack, "backup", "backup of", DIR=str(tmp_path))
        moments.wait_some(kept.ran.seconds - 0.5, run)
        end(run)
        for file in backups.files(tmp_path):  # it was faster than the first one
            checked = stack.make("verify-backup", FILE=str(file))
            assert checked.code == 0, f"it looks like a backup and isn't one:\n{run.told}{checked.told}"
            file.unlink()
        assert end is not moments.stop or backups.half_written(tmp_path) == [], f"it was stopped, and left something:\n{run.told}"
    assert backups.listed(stack, tmp_path) == []
    for database in ("POSTGRES", "EVOLUTION_POSTGRES"):
        eventually(_SOON, partial(_is_idle, clients, database), f"{database} works no more for a backup that was killed")
    kept.assert_restored(clients)  # above all: the messages that it looked at are where they were, in their order

    made = stack.make("backup", DIR=str(tmp_path))
    assert made.code == 0, made.told
    assert [each["name"] for each in backups.listed(stack, tmp_path)] == [file.name for file in backups.files(tmp_path)]
    assert backups.half_written(tmp_path) == [], f"what a killed one left is still there:\n{made.told}"
