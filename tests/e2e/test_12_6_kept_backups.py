"""Which backups there are, how many are kept, and whether they are whole."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ops.backup.shelf import LIST
from tests.e2e import backups
from tests.e2e.backups import Kept
from tests.e2e.environment import Stack

pytestmark = pytest.mark.backups


def _backup(stack: Stack, folder: Path, **settings: str) -> Path:
    """Make another backup in a folder, with certain settings of how many are kept; the new one."""
    there = set(backups.files(folder))
    stack.write(**settings)
    ran = stack.make("backup", DIR=str(folder))
    stack.write()
    assert ran.code == 0, ran.told
    for name in {file.name for file in there} - {file.name for file in backups.files(folder)}:
        ran.assert_tells(f"removed {name}, which BACKUP_KEEP or BACKUP_KEEP_DAYS no longer keeps")
    (new,) = set(backups.files(folder)) - there
    return new


def _let_days_pass(folder: Path, name: str, days: int) -> None:
    """Make a backup look as it would some days later."""
    noted = json.loads((folder / LIST).read_text())
    for entry in noted["backups"]:
        if entry["name"] == name:
            entry["created"] = (datetime.now(UTC) - timedelta(days=days)).isoformat()
    (folder / LIST).write_text(json.dumps(noted))


def test_backups_that_are_too_many_or_too_old_go_and_nothing_else_does(stack: Stack, kept: Kept, tmp_path: Path) -> None:
    copied = tmp_path / "copied by hand.tar"
    copied.write_bytes(kept.file.read_bytes())
    foreign = tmp_path / "photos.tar"
    foreign.write_bytes(b"no backup")
    first = _backup(stack, tmp_path, BACKUP_KEEP="2")
    second = _backup(stack, tmp_path, BACKUP_KEEP="2")
    third = _backup(stack, tmp_path, BACKUP_KEEP="2")
    assert backups.files(tmp_path) == sorted([copied, foreign, second, third]), f"not just {first.name} went"

    _let_days_pass(tmp_path, second.name, 3)
    fourth = _backup(stack, tmp_path, BACKUP_KEEP="0", BACKUP_KEEP_DAYS="2")
    assert backups.files(tmp_path) == sorted([copied, foreign, third, fourth]), f"not just {second.name} went"

    listed = {each["name"]: each for each in backups.listed(stack, tmp_path)}
    assert set(listed) == {file.name for file in backups.files(tmp_path)}
    newest = listed[fourth.name]
    assert (newest["stack"], newest["project"], newest["size"]) == (stack.name, stack.project, fourth.stat().st_size)
    assert (newest["ours"], newest["encrypted"], bool(newest["verified"])) == (True, False, True)
    assert (listed[copied.name]["stack"], listed[copied.name]["ours"], listed[copied.name]["verified"]) == (stack.name, False, "")
    assert listed[foreign.name]["created"] == "", "what is no backup is listed as if it were one"
    table = stack.make("backups", DIR=str(tmp_path))
    table.assert_tells("NAME", "VERIFIED", fourth.name, "not a backup")


def test_a_backup_is_read_to_its_end_when_asked_and_told_what_is_in_it(stack: Stack, kept: Kept, encrypted: Path) -> None:
    before = stack.picture()
    whole = stack.make("verify-backup", FILE=kept.file.name)
    assert whole.code == 0, whole.told
    whole.assert_tells(f"backup of {stack.project} (stack {stack.name})", "rows", "messages", "objects", f"{kept.file.name} is whole")
    opened = stack.make("verify-backup", FILE=str(encrypted), KEY=backups.KEY)
    assert opened.code == 0, opened.told
    closed = stack.make("verify-backup", FILE=str(encrypted))
    assert closed.code != 0, closed.told
    closed.assert_tells("no key was given")
    assert stack.picture() == before


def test_a_backup_is_not_written_over_another_file_and_none_is_made_of_a_stack_that_is_not_up(stack: Stack, kept: Kept) -> None:
    content = kept.file.read_bytes()
    refused = stack.make("backup", FILE=str(kept.file))
    assert refused.code != 0, refused.told
    refused.assert_tells(f"{kept.file} is there already")
    assert kept.file.read_bytes() == content

    stack.settled = False
    stack.client.api.stop(stack.container("redis").id)
    refused = stack.make("backup", FILE="backups/of-a-stopped-stack.tar")
    assert refused.code != 0, refused.told
    refused.assert_tells("redis does not run", f"make up STACK={stack.name}")
    assert backups.half_written(kept.file.parent) == []
    assert not (kept.file.parent / "of-a-stopped-stack.tar").exists()
