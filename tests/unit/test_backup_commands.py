"""What `backup`, `verify-backup` and `restore` make of a file and a key, and what they say for programs."""

import json
from pathlib import Path
from unittest.mock import Mock

import pytest

from ops.__main__ import main
from ops.backup import create, marker, restore
from ops.backup.manifest import Header
from ops.backup.plan import Options
from ops.errors import OperatorError
from tests.unit.backup_samples import KEY, WHEN, archive, encrypted
from tests.unit.runs import at_work

HEADER = Header(project="whatsapp-dev", stack="dev", created=WHEN)
PLAIN_NAME, SEALED_NAME = "whatsapp-dev-20261122T150000Z.tar", "whatsapp-dev-20261122T150000Z.tar.age"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose stack has a key, and whose backups are where everything is; no engine is asked."""
    for module in (restore, marker, create):
        monkeypatch.setattr(module, "FOLDER", tmp_path)
    for module in (restore, create):
        monkeypatch.setattr(module, "options", lambda *_, **__: Options(tmp_path, KEY, 7, 0))
        monkeypatch.setattr(module, "engine", Mock())
    monkeypatch.setattr("ops.backup.services.project_of", lambda _: "whatsapp-dev")
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["ops", *arguments])
    monkeypatch.setattr("ops.backup.commands.end_in_peace", Mock())
    return main()


def test_for_programs_a_verification_says_what_is_known_on_stdout_and_all_else_on_stderr(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content = encrypted(archive())
    (folder / "one.tar.age").write_bytes(content)
    assert run(monkeypatch, "verify-backup", "--file", "one.tar.age", "--json") == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == {
        "file": str(folder / "one.tar.age"),
        "created": WHEN.isoformat(),
        "stack": "dev",
        "project": "whatsapp-dev",
        "size": len(content),
        "encrypted": True,
        "left_out": [],
    }
    assert "is whole" in said.err


def test_for_programs_a_backup_says_what_was_written_on_stdout_and_how_far_it_is_on_stderr(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content = encrypted(archive())
    monkeypatch.setattr(marker, "guard", Mock())
    monkeypatch.setattr("ops.backup.services.places", Mock())
    monkeypatch.setattr(create, "_write_all", lambda _source, raw, *_: (raw.write(content), raw.flush()))
    assert run(monkeypatch, "backup", "--file", str(folder / "one.tar.age"), "--json") == 0
    said = capsys.readouterr()
    known = json.loads(said.out)
    assert known["file"] == str(folder / "one.tar.age")
    assert Path(known["file"]).stat().st_size == known["size"] == len(content)
    assert (known["encrypted"], known["left_out"]) == (True, [])
    assert "verifying" in said.err


def test_a_backup_that_fails_says_nothing_on_stdout(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "verify-backup", "--file", str(folder / "missing.tar"), "--json") == 1
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("encrypted", [True, False])
@pytest.mark.parametrize("given", ["disk", "disk/", "new/"])
def test_a_file_that_is_a_folder_is_the_folder_of_the_backup(folder: Path, given: str, encrypted: bool) -> None:
    (folder / "disk").mkdir()
    target = create._target(HEADER, folder / "usual", given, encrypted=encrypted)
    assert target == folder / given / (SEALED_NAME if encrypted else PLAIN_NAME)


def test_without_a_key_nothing_is_written_under_a_name_that_says_it_is_encrypted(folder: Path) -> None:
    with pytest.raises(OperatorError, match="would not be encrypted"):
        create._target(HEADER, folder, "one.tar.age", encrypted=False)
    assert create._target(HEADER, folder, "one.tar.age", encrypted=True) == folder / "one.tar.age"


def test_an_archive_that_is_not_encrypted_where_a_key_is_set_is_told_before_the_question(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "plain.tar").write_bytes(archive())
    (folder / "sealed.tar.age").write_bytes(encrypted(archive()))
    monkeypatch.setattr("click.prompt", Mock(return_value="no"))
    for name, told in (("plain.tar", True), ("sealed.tar.age", False)):
        with pytest.raises(OperatorError, match="Nothing was changed"):
            restore.restore("dev", name, agreed=False)
        assert ("is not encrypted" in capsys.readouterr().out) is told


def test_a_restore_does_not_begin_while_another_run_is_at_work(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "one.tar").write_bytes(archive())
    at_work(folder, "dev", monkeypatch)
    begun = Mock()
    monkeypatch.setattr(restore, "_bring_up", begun)
    with pytest.raises(OperatorError, match="Another run is at work on stack dev"):
        restore.restore("dev", "one.tar", agreed=True)
    begun.assert_not_called()
