"""What a developer who edits the sources sees."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.environment import Stack, eventually

_SECONDS = 3.0
_ROUTE = '\n\n@app.get("/edited")\nasync def edited() -> str:\n    return "edited"\n'


@pytest.fixture
def edited(stack: Stack) -> Iterator[Path]:
    """A source file of the copy, and it is as it was at the end."""
    file = stack.copy.folder / "src" / "main.py"
    text = file.read_text()
    yield file
    file.write_text(text)
    eventually(20, lambda: stack.readiness().status_code == httpx.codes.OK, "the application is ready again with its own sources")


def test_an_edited_file_shows_through_the_published_port_within_three_seconds(stack: Stack, edited: Path) -> None:
    before = stack.identities()
    assert httpx.get(stack.url("APP_PORT", "/edited")).status_code == httpx.codes.NOT_FOUND
    edited.write_text(edited.read_text() + _ROUTE)

    def shows() -> bool:
        return httpx.get(stack.url("APP_PORT", "/edited"), timeout=_SECONDS).text == '"edited"'

    took = eventually(_SECONDS, shows, "the edited source is served")
    print(f"hot reload took {took:.1f} s")  # noqa: T201 - pytest shows it with a failure
    assert stack.identities() == before, "the container was restarted; it should reload by itself"
