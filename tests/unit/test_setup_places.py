"""Files that the set-up keeps: whole or absent, and not for everyone's eyes."""

from pathlib import Path

import pytest

from ops.setup import places


def test_the_state_is_for_its_owner_alone(tmp_path: Path) -> None:
    assert places.ensure_state(tmp_path).stat().st_mode & 0o777 == 0o700


def test_a_write_that_is_interrupted_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    places.write_atomically(file, "old")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        places.write_atomically(file, "new")
    assert [entry.read_text() for entry in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_a_damaged_memory_counts_as_none(tmp_path: Path, content: str) -> None:
    places.ensure_state(tmp_path)
    (tmp_path / ".state" / "go.json").write_text(content)
    assert places.recall(tmp_path, "go") == {}
    places.remember(tmp_path, "go", {"version": "1"})
    assert places.recall(tmp_path, "go") == {"version": "1"}
