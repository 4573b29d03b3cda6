"""When the toolchain is built: not when its inputs are as they were, and always when one of them has changed."""

import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from ops.setup import golang, places, toolchain
from ops.setup.errors import SetupError
from toolchain.inputs import sources_key


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a small toolchain directory, on a machine with Go 1.26.8."""
    sources = tmp_path / "toolchain"
    (sources / "cmd").mkdir(parents=True)
    (sources / "go.mod").write_text("module x\n\ngo 1.26.0\n")
    (sources / "cmd" / "main.go").write_text("package main\n")
    (tmp_path / ".state").mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    put_go(tmp_path, "go1.26.8")
    return tmp_path


def put_go(project: Path, version: str, switched: str | None = None) -> None:
    """A `go` of this version; beside a go.mod it answers with the one that it would switch to."""
    directory = project / "go"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    (directory / "go").write_text(
        f"#!/bin/sh\necho called >> {project}/go-calls\n[ -e go.mod ] && echo {switched or version} || echo {version}\n"
    )
    (directory / "go").chmod(0o755)
    os.environ["PATH"] = f"{directory}:/usr/bin:/bin"


@pytest.fixture(autouse=True)
def restored_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.environ["PATH"])


def test_the_key_changes_with_each_input_and_not_with_what_is_generated(project: Path) -> None:
    sources = project / "toolchain"
    seen = [sources_key(sources)]
    (sources / "cmd" / "schema.json").write_text("{}")
    (sources / "__pycache__").mkdir()
    (sources / "__pycache__" / "build.pyc").write_text("x")
    assert sources_key(sources) == seen[0]
    for change in (
        lambda: (sources / "go.sum").write_text("h1:x"),
        lambda: (sources / "cmd" / "main.go").write_text("package other\n"),
        lambda: (sources / "cmd" / "main.go").rename(sources / "cmd" / "other.go"),
    ):
        change()
        key = sources_key(sources)
        assert key not in seen, "an input changed, so what is built must change"
        seen.append(key)


def test_another_go_is_another_toolchain_and_an_unchanged_one_is_not_asked_again(project: Path) -> None:
    sources = project / "toolchain"
    assert golang.version_for(project, sources, "it") == "go1.26.8"
    calls = (project / "go-calls").read_text()
    assert golang.version_for(project, sources, "it") == "go1.26.8"
    assert (project / "go-calls").read_text() == calls
    put_go(project, "go1.26.10")
    assert golang.version_for(project, sources, "it") == "go1.26.10"


def test_a_go_from_1_21_on_fetches_the_newer_one_itself(project: Path) -> None:
    put_go(project, "go1.22.1", switched="go1.26.0")
    assert golang.version_for(project, project / "toolchain", "it") == "go1.26.0"


@pytest.mark.parametrize(
    ("version", "switched", "mend"), [("go1.19.8", None, "https://go.dev/dl"), ("go1.22.1", "go1.22.1", "unset GOTOOLCHAIN")]
)
def test_a_go_that_is_too_old_is_named_with_what_is_needed(project: Path, version: str, switched: str | None, mend: str) -> None:
    put_go(project, version, switched)
    with pytest.raises(SetupError) as raised:
        toolchain.ensure(project)
    assert "needs Go 1.26.0 or newer" in raised.value.cause
    assert version.removeprefix("go") in raised.value.cause
    assert mend in raised.value.mend


def test_without_go_a_finished_toolchain_serves_and_without_that_the_user_reads_what_is_missing(project: Path) -> None:
    built = places.cache() / "toolchain" / f"{sources_key(project / 'toolchain')}-go1.25.0"
    built.mkdir(parents=True)
    os.environ["PATH"] = "/usr/bin:/bin"
    assert toolchain.already_built(project) == built
    (project / "toolchain" / "go.sum").write_text("changed")
    assert toolchain.already_built(project) is None
    with pytest.raises(SetupError, match="not on PATH"):
        toolchain.ensure(project)


def test_two_builds_at_once_are_one(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    builds = []

    def build(_project: Path, final: Path) -> None:
        time.sleep(0.2)
        builds.append(final)
        final.mkdir()

    monkeypatch.setattr(toolchain, "_build", build)
    threads = [threading.Thread(target=toolchain.ensure, args=(project,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(builds) == 1
    assert "another build is under way" in capsys.readouterr().err


def test_an_interrupted_build_leaves_nothing_that_passes_for_a_finished_one(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(_sources: Path, work: Path, result: Path, _say: object) -> None:
        work.mkdir()
        (result / "bin").mkdir(parents=True)
        raise KeyboardInterrupt

    monkeypatch.setattr("toolchain.build.build", build)
    with pytest.raises(KeyboardInterrupt):
        toolchain.ensure(project)
    assert [entry.name for entry in (places.cache() / "toolchain").iterdir()] == [".lock"]


def test_only_the_newest_toolchains_are_kept(tmp_path: Path) -> None:
    for age, name in enumerate(["new-go1", "middle-go1", "old-go1", "oldest-go1"]):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (1_000_000 - age, 1_000_000 - age))
    toolchain._forget_old(tmp_path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["middle-go1", "new-go1", "old-go1"]


def test_what_a_killed_build_left_is_removed_by_the_next(tmp_path: Path) -> None:
    (tmp_path / ".build-left" / "big").mkdir(parents=True)
    with places.scratch(tmp_path) as directory:
        assert [entry.name for entry in tmp_path.iterdir()] == [directory.name]
    assert list(tmp_path.iterdir()) == []


def test_too_little_disk_is_said_before_the_build_begins(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")._replace(free=2_000_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(SetupError) as raised:
        toolchain.ensure(project)
    assert "needs about 8 GB" in raised.value.cause
    assert "2.0 GB are free" in raised.value.cause
