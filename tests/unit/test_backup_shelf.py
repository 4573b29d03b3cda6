"""The folder of backups: what is listed, what may go, and that nothing half-written looks like a backup."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.backup import create, marker, restore, shelf
from ops.backup.listing import backups
from ops.backup.manifest import Header
from ops.backup.plan import Options, options, path_of, read_key
from ops.backup.shelf import PARTIAL, Entry, Shelf, new_file, too_many
from ops.errors import OperatorError
from tests.unit.backup_samples import WHEN, Part, archive, encrypted, parts, sealed

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def entry(age: float, *, verified: bool = True, ours: bool = True) -> Entry:
    created = (NOW - timedelta(days=age)).isoformat()
    return Entry(f"b-{age}.tar", created, "dev", "whatsapp-dev", 1, 1, encrypted=False, verified=created if verified else "", ours=ours)


def of_the_future() -> list[Part]:
    """A backup of a time that ours has no name for."""
    members = parts(archive())
    members[0].content = members[0].content.replace(b"2026-11-22T15:00:00Z", b"9999-12-31T23:00:00-05:00")
    assert b"9999" in members[0].content
    return members


def put(folder: Path, name: str, days: int = 0, content: bytes = b"x") -> Path:
    """A backup in the folder, as `backup` leaves it there."""
    header = Header(project="whatsapp-dev", stack="dev", created=WHEN - timedelta(days=days))
    with new_file(folder / name, lambda written: Shelf(folder).put(written, name, header, encrypted=False)) as file:
        file.write(content)
    return folder / name


@pytest.mark.parametrize(
    ("ages", "keep", "days", "left"),
    [
        ([0, 1, 2, 3], 2, 0, [0, 1]),
        ([0, 1, 2, 3], 0, 0, [0, 1, 2, 3]),
        ([0, 1, 2, 3], 0, 2, [0, 1, 2]),
        ([0, 1, 2, 3], 3, 1, [0, 1]),
        ([5, 6, 7], 0, 2, [5]),  # all too old: the newest stays
        ([5], 7, 1, [5]),
    ],
)
def test_backups_go_when_they_are_too_many_or_too_old(ages: list[int], keep: int, days: int, left: list[int]) -> None:
    entries = [entry(age) for age in ages]
    gone = too_many(entries, keep, days, NOW)
    assert [each for each in entries if each not in gone] == [entry(age) for age in left]


@given(
    st.lists(st.tuples(st.floats(0, 100), st.booleans(), st.booleans()), max_size=12, unique_by=lambda each: each[0]),
    st.integers(0, 5),
    st.integers(0, 50),
)
def test_whatever_the_limits_the_newest_whole_backup_stays_and_nothing_of_others_goes(
    kinds: list[tuple[float, bool, bool]], keep: int, days: int
) -> None:
    entries = [entry(age, verified=verified, ours=ours) for age, verified, ours in kinds]
    gone = too_many(entries, keep, days, NOW)
    assert all(each.ours for each in gone)
    whole = [each for each in entries if each.ours and each.verified]
    if whole:
        assert max(whole, key=lambda each: each.created) not in gone


def test_only_what_this_program_wrote_there_is_removed(tmp_path: Path) -> None:
    written = [put(tmp_path, f"whatsapp-dev-{number}.tar", days=9 - number) for number in range(4)]
    copied = tmp_path / "precious copy.tar"
    copied.write_bytes(archive())
    alike = tmp_path / "whatsapp-dev-20200101T000000Z.tar"
    alike.write_bytes(b"somebody's own file")
    notes = tmp_path / "notes.txt"
    notes.write_text("keep")
    written[0].write_bytes(b"replaced by hand")

    removed = Shelf(tmp_path).prune("whatsapp-dev", "dev", keep=2, days=0)
    assert removed == ["whatsapp-dev-1.tar"], "three are as they were written, and two are kept"
    assert {copied, alike, notes, written[0], written[2], written[3]} <= set(tmp_path.iterdir())


def test_backups_of_another_stack_are_left_alone(tmp_path: Path) -> None:
    put(tmp_path, "whatsapp-dev-1.tar", days=1)
    put(tmp_path, "whatsapp-dev-2.tar")
    assert Shelf(tmp_path).prune("whatsapp-other", "other", keep=1, days=0) == []
    assert Shelf(tmp_path).prune("whatsapp-dev", "other", keep=1, days=0) == []


def test_without_its_list_nothing_is_taken_for_this_programs_own(tmp_path: Path) -> None:
    put(tmp_path, "whatsapp-dev-1.tar", days=1)
    put(tmp_path, "whatsapp-dev-2.tar")
    (tmp_path / shelf.LIST).write_text("{broken")
    assert Shelf(tmp_path).prune("whatsapp-dev", "dev", keep=1, days=0) == []


def test_the_list_says_of_every_file_what_can_be_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put(tmp_path, "ours.tar", content=archive())
    (tmp_path / "moved-here.tar").write_bytes(archive())
    (tmp_path / "sealed.tar.age").write_bytes(encrypted(archive()))
    (tmp_path / "damaged.tar").write_bytes(b"nothing")
    (tmp_path / "of-the-future.tar").write_bytes(sealed(of_the_future()))
    (tmp_path / "notes.txt").write_text("no backup at all")
    (tmp_path / f"{PARTIAL}abc.tar").write_bytes(archive())
    monkeypatch.setattr("ops.backup.listing.options", lambda *_: Options(tmp_path, None, 7, 0))

    backups("dev", as_json=True)
    listed = {each["name"]: each for each in json.loads(capsys.readouterr().out)}
    assert set(listed) == {"ours.tar", "moved-here.tar", "sealed.tar.age", "damaged.tar", "of-the-future.tar"}
    assert listed["ours.tar"]["ours"] is True
    assert listed["ours.tar"]["verified"]
    assert listed["moved-here.tar"]["stack"] == "dev"
    assert listed["moved-here.tar"]["verified"] == ""
    assert listed["sealed.tar.age"]["encrypted"] is True

    backups("dev")
    table = capsys.readouterr().out
    assert table.count("not a backup") == 2
    assert "encrypted elsewhere" in table


def test_a_backup_takes_its_name_only_when_it_is_whole_and_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    target = tmp_path / "backups" / "one.tar"
    with new_file(target, lambda written: written.rename(target)) as file:
        file.write(b"half")
        file.flush()
        assert not target.exists()
        assert Shelf(target.parent).entries() == [], "what is half written is listed as a backup"
    assert target.read_bytes() == b"half"
    assert target.stat().st_mode & 0o777 == 0o600


def finished(_: Path) -> None:
    pytest.fail("it is not whole")


def test_a_backup_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), new_file(tmp_path / "one.tar", finished):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", ["rename", "replace"])
def test_a_backup_that_is_killed_as_it_takes_its_name_is_there_and_counted_or_not_there_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    put(tmp_path, "before.tar", days=2)
    done = getattr(Path, step)

    def die(*arguments: Path) -> None:
        done(*arguments)
        raise SystemExit  # as a kill: nothing is undone

    monkeypatch.setattr(Path, step, die)
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
    with pytest.raises(SystemExit):
        put(tmp_path, "killed.tar", days=1)
    monkeypatch.undo()
    assert all(each.ours for each in Shelf(tmp_path).entries()), "there is a backup that is never counted"
    put(tmp_path, "after.tar")
    assert {each.name for each in Shelf(tmp_path).entries()} == {"before.tar", "after.tar"} | (
        {"killed.tar"} if step == "rename" else set()
    )


@pytest.mark.parametrize("read", [restore.verify_backup, partial(restore.restore, agreed=True)])
def test_a_backup_that_is_found_damaged_is_no_longer_listed_as_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[str, str], None]
) -> None:
    monkeypatch.setattr(restore, "engine", Mock())
    monkeypatch.setattr(marker, "FOLDER", tmp_path)
    monkeypatch.setattr("ops.backup.services.project_of", lambda _: "whatsapp-dev")
    monkeypatch.setattr(restore, "options", lambda *_, **__: Options(tmp_path, None, 7, 0))
    content = archive()
    file = put(tmp_path, "ours.tar", content=content)
    status = file.stat()
    restore.verify_backup("dev", str(file))
    assert Shelf(tmp_path).entries()[0].verified
    file.write_bytes(content[:5000] + b"?" + content[5001:])  # as a disk does that loses a bit
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(OperatorError, match="can't be used"):
        read("dev", str(file))
    (entry,) = Shelf(tmp_path).entries()
    assert (entry.ours, entry.verified) == (True, "")


def test_a_backup_in_a_folder_that_is_not_this_programs_is_verified_without_a_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restore, "options", lambda *_, **__: Options(tmp_path, None, 7, 0))
    (tmp_path / "copied.tar").write_bytes(archive())
    restore.verify_backup("dev", "copied.tar")
    assert [each.name for each in tmp_path.iterdir()] == ["copied.tar"]


def test_a_folder_that_can_only_be_read_hinders_no_verification(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restore, "options", lambda *_, **__: Options(tmp_path, None, 7, 0))
    put(tmp_path, "ours.tar", content=archive())
    monkeypatch.setattr(Shelf, "_locked", Mock(side_effect=OSError(30, "Read-only file system")))
    restore.verify_backup("dev", "ours.tar")


def test_a_wrong_key_says_nothing_of_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restore, "options", lambda *_, **__: Options(tmp_path, "another key", 7, 0))
    put(tmp_path, "ours.tar.age", content=encrypted(archive()))
    with pytest.raises(OperatorError, match="can't be used"):
        restore.verify_backup("dev", "ours.tar.age")
    assert Shelf(tmp_path).entries()[0].verified


def test_a_full_disk_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="can't be written") as caught, new_file(tmp_path / "one.tar", finished):
        raise OSError(28, "No space left on device")
    assert "No space left" in caught.value.cause
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_removed_by_the_next_one_and_what_a_living_run_writes_is_not(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from ops.backup.shelf import new_file\n"
        "with new_file(Path(sys.argv[1]), print) as file:\n    file.write(b'x'); file.flush(); print('begun', flush=True); time.sleep(60)"
    )

    def begin(name: str) -> subprocess.Popen[str]:
        process = subprocess.Popen([sys.executable, "-c", script, tmp_path / name], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        return process

    with begin("killed.tar") as killed, begin("alive.tar") as alive:
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
        assert len(list(tmp_path.glob(f"{PARTIAL}*"))) == 2
        put(tmp_path, "next.tar")
        assert len(list(tmp_path.glob(f"{PARTIAL}*"))) == 1
        alive.kill()
    assert Shelf(tmp_path).entries()[0].name == "next.tar"


def test_a_key_is_itself_or_what_a_file_holds_and_a_path_without_a_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("secret words\n")
    assert read_key("secret words") == "secret words"
    assert read_key(str(file)) == "secret words"
    with pytest.raises(OperatorError, match="No key can be read from"):
        read_key(str(tmp_path / "mistyped"))  # or its name would be the key, and nobody would know
    file.write_text("\n")
    with pytest.raises(OperatorError, match="No key can be read from"):
        read_key(str(file))
    assert read_key("k" * 500) == "k" * 500  # too long for a name


@pytest.mark.parametrize(
    "read",
    [
        path_of,
        read_key,
        lambda given: options("dev", folder=given),
        lambda given: restore.verify_backup("dev", given),
        lambda given: create._target(Header(project="p", stack="s", created=WHEN), Path(), given, encrypted=False),
    ],
)
def test_a_path_in_the_home_of_nobody_is_said_to_lead_nowhere(read: Callable[[str], object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.backup.plan.stack_settings", Mock(return_value=Mock(backup_key=None, backup_dir="backups")))
    with pytest.raises(OperatorError, match="leads nowhere") as caught:
        read("~no-such-user/x")
    assert "~no-such-user" in caught.value.cause
