"""The toolchain's build: patches that fit, and failures that say what the tool said."""

import json
from pathlib import Path

import pytest

from toolchain import build

SOURCES = Path(__file__).parents[2] / "toolchain"


def test_a_patch_replaces_exactly_what_it_names(tmp_path: Path) -> None:
    file = tmp_path / "x.go"
    file.write_text("delay = 2\nother = 2\n")
    build._patch(file, {"delay = 2": "delay = 0"})
    assert file.read_text() == "delay = 0\nother = 2\n"


@pytest.mark.parametrize("text", ["delay = 3\n", "delay = 2\ndelay = 2\n"])
def test_a_patch_that_does_not_fit_stops_the_build(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.go"
    file.write_text(text)
    with pytest.raises(build.BuildError, match="not once"):
        build._patch(file, {"delay = 2": "delay = 0"})
    assert file.read_text() == text


def test_every_patch_says_why() -> None:
    for patch in json.loads((SOURCES / "patches.json").read_text()):
        assert patch["why"]
        assert patch["replace"]


def test_a_failing_tool_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(build.BuildError) as raised:
        build._run(["sh", "-c", "echo one >&2; echo undefined: two >&2; exit 3"], tmp_path, lambda _line: None)
    assert "undefined: two" in str(raised.value)
    assert "ended with 3" in str(raised.value)


def test_a_long_step_shows_that_it_is_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "_SECONDS_BETWEEN_SIGNS_OF_LIFE", 0)
    said: list[str] = []
    build._run(["sh", "-c", "echo a >&2; echo b >&2"], tmp_path, said.append)
    assert said[-1].strip().startswith("2 packages after")
