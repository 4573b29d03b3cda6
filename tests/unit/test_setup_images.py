"""Where images come from: decided once for a machine, overruled by a stack's own settings."""

from collections.abc import Collection
from pathlib import Path

import pytest

from ops.setup import images
from stack import images as stack_images

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / ".state").mkdir()
    return tmp_path


def answering(monkeypatch: pytest.MonkeyPatch, *hosts: str) -> None:
    def reachable(urls: Collection[str], _seconds: float) -> dict[str, bool]:
        return {url: any(host in url for host in hosts) for url in urls}

    monkeypatch.setattr(images, "reachable", reachable)


@pytest.mark.parametrize(
    ("hosts", "choice", "named"),
    [
        (("docker.io", "quay.io"), "registry", "the registries answer"),
        ((), "local", "registry-1.docker.io and quay.io cannot be reached"),
        (("docker.io",), "local", "images: quay.io cannot be reached"),
    ],
)
def test_a_machine_takes_local_images_when_any_registry_is_away(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], hosts: tuple[str, ...], choice: str, named: str
) -> None:
    answering(monkeypatch, *hosts)
    images.decide_source(project)
    assert (project / ".state" / "machine.env").read_text() == f"IMAGES={choice}\n"
    said = capsys.readouterr().err
    assert named in said
    assert said.count("\n") == 1, "one line says it"


def test_what_was_decided_stays(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (project / ".state" / "machine.env").write_text("IMAGES=local\n")
    answering(monkeypatch, "docker.io", "quay.io")
    images.decide_source(project)
    assert (project / ".state" / "machine.env").read_text() == "IMAGES=local\n"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("env", "configured", "machine", "expected"),
    [
        (None, None, None, "registry"),
        (None, None, "IMAGES=local\n", "local"),
        (None, "registry", "IMAGES=local\n", "registry"),
        ('APP_PORT=1\nexport IMAGES="local"\n', "registry", "IMAGES=registry\n", "local"),
        ("\ufeffIMAGES=local\n", None, "IMAGES=registry\n", "local"),
        ("# IMAGES=registry\nREDIS_IMAGES=registry\n", None, "IMAGES=local\n", "local"),
    ],
)
def test_the_settings_file_wins_over_the_stack_and_that_over_the_machine(
    project: Path, env: str | None, configured: str | None, machine: str | None, expected: str
) -> None:
    if env is not None:
        (project / ".env").write_text(env)
    if machine is not None:
        (project / ".state" / "machine.env").write_text(machine)
    assert images.source_of(project, ".env", configured) == expected


@pytest.mark.parametrize("content", [b"IMAGES=local # caf\xe9\n", None])
def test_a_settings_file_that_is_no_text_is_left_to_the_settings_to_refuse(project: Path, content: bytes | None) -> None:
    (project / ".env").mkdir() if content is None else (project / ".env").write_bytes(content)
    assert images.source_of(project, ".env", None) == "registry"


def test_the_set_up_makes_the_images_that_the_stack_builds_on() -> None:
    go_mod = (PROJECT / "images" / "minio" / "binaries" / "go.mod").read_text()
    assert images.minio_binaries_name(go_mod) == stack_images.MINIO_BINARIES_IMAGE
    assert images.BASE == stack_images.BASE_IMAGE


def test_a_go_mod_without_minio_is_refused() -> None:
    with pytest.raises(ValueError, match="names no version"):
        images.minio_binaries_name("module x\n\ngo 1.26\n")


def test_a_key_changes_with_each_input_and_with_where_one_ends() -> None:
    keys = {images.key_of(b"a", b"b"), images.key_of(b"ab", b""), images.key_of(b"a", b"c"), images.key_of(b"a")}
    assert len(keys) == 4
