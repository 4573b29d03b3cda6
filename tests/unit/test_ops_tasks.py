"""What changes files: the settings of a stack, and the pinned requirements."""

import errno
import os
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from ops import containers, tasks
from ops.errors import OperatorError
from ops.session import write_settings


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / ".env"
    made.write_text("TZ=UTC\n")
    made.chmod(0o640)
    return made


def test_settings_are_replaced_and_keep_their_mode_and_owner(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owners: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "chown", lambda _path, *owner: owners.append(owner))
    write_settings(file, "TZ=America/São_Paulo\n")
    assert file.read_text(encoding="utf-8") == "TZ=America/São_Paulo\n"
    assert file.stat().st_mode & 0o777 == 0o640
    assert owners == [(file.stat().st_uid, file.stat().st_gid)]


def test_a_link_to_settings_that_are_elsewhere_stays_one(file: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    moved = file.rename(tmp_path / "elsewhere" / "settings")
    file.symlink_to(moved)
    write_settings(file, "TZ=Asia/Tokyo\n")
    assert file.is_symlink()
    assert moved.read_text() == "TZ=Asia/Tokyo\n"


def test_new_settings_are_for_their_owner_alone(tmp_path: Path) -> None:
    write_settings(tmp_path / ".env", "TZ=UTC\n")
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600


def test_scaling_on_a_full_disk_leaves_the_settings_as_they_were(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tasks, "FOLDER", file.parent)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        tasks.scale("dev", 2)
    assert file.read_text() == "TZ=UTC\n"
    assert [each.name for each in file.parent.iterdir()] == [".env"], "half of the settings is left there"


@pytest.mark.parametrize("upgrade", [False, True])
def test_what_is_pinned_stays_unless_an_upgrade_is_asked_for(monkeypatch: pytest.MonkeyPatch, upgrade: bool) -> None:
    lines: list[list[str]] = []

    def run(line: list[str], **_: object) -> SimpleNamespace:
        lines.append(line)
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(shutil, "which", lambda _name: "uv")
    monkeypatch.setattr(subprocess, "run", run)
    tasks.lock(upgrade)
    assert {line[line.index("--output-file") + 1] for line in lines} >= {"tests/requirements.txt", "src/requirements.txt"}
    assert {"--upgrade" in line for line in lines} == {upgrade}
    assert {line[-3] for line in lines if "--constraint" not in line} == {"tests/requirements.in", "images/pgadmin/requirements.in"}


def test_psql_is_for_databases_and_says_which_there_are() -> None:
    with pytest.raises(OperatorError, match="'redis' is no database") as refused:
        containers.psql("dev", "redis", ())
    assert refused.value.mend == "Databases: db, evolution_postgres"
