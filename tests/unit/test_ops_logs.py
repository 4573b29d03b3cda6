"""Log lines, and the end of following them."""

import errno
import os
from dataclasses import replace
from datetime import UTC, datetime
from unittest.mock import Mock

import pytest

from ops import logs as subject
from ops.__main__ import commands
from ops.errors import OperatorError
from ops.logs import Line, label, moment, split
from tests.unit.test_ops_commands import APP


def test_log_lines_carry_their_service_and_keep_their_text() -> None:
    assert split(b"2026-01-01T00:00:00.5Z GET / 200  ok\r\n", "app") == Line("2026-01-01T00:00:00.5Z", "app", "GET / 200  ok")
    assert label(APP) == "app"
    assert label(replace(APP, number=2)) == "app-2"


@pytest.mark.parametrize(("since", "age"), [("90s", 90), ("10m", 600), ("2h", 7200), ("1d", 86400), ("2026-11-22T11:59:00+00:00", 60)])
def test_logs_begin_at_an_age_or_a_moment(since: str, age: int) -> None:
    now = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    assert moment(since, now) == now.timestamp() - age


def test_what_is_neither_age_nor_moment_is_refused_with_examples() -> None:
    with pytest.raises(OperatorError, match="no age") as refused:
        moment("yesterday", datetime.now(UTC))
    assert "10m" in refused.value.mend


def test_following_ends_at_once_when_a_line_finds_no_reader_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "of_stack", Mock(side_effect=[[APP], AssertionError("it went on")]))
    monkeypatch.setattr(subject, "_LOOK_AGAIN_SECONDS", 5)
    client, painter = Mock(), Mock()
    client.api.logs.return_value = [b"2026-01-01T00:00:00.5Z GET / 200\n"]
    painter.write.side_effect = BrokenPipeError
    with pytest.raises(BrokenPipeError):
        subject._follow(client, "dev", "", painter, 0.0)


def test_a_reader_that_has_gone_is_noticed_before_there_is_something_to_say() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as output:
        assert not subject._is_unread(output)
        os.close(reading)
        assert subject._is_unread(output)


def test_a_command_whose_reader_has_gone_is_told_from_one_that_found_something_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.containers.ps", Mock(side_effect=BrokenPipeError(errno.EPIPE, "Broken pipe")))
    with pytest.raises(BrokenPipeError):  # of which `main` makes 141, and click would make 1
        commands(["ps", "--stack", "dev"], standalone_mode=False)
