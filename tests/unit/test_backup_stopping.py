"""Being asked to stop in the midst of what must not be cut in two."""

import errno
import io
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from ops.backup.stopping import end_in_peace, held_back
from ops.backup.telling import step


@pytest.fixture(autouse=True)
def _nothing_is_ignored() -> Iterator[None]:
    """Whoever runs the tests in the background may have had these ignored."""
    handlers: dict[int, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def ask(number: int = signal.SIGINT) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_step_ends_before_a_stop_counts(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    done = False
    with held_back("a moment") as asked:
        ask(number)
        done = True
    assert done
    assert asked == [number]
    assert capsys.readouterr().err == "a moment\n"


def test_asked_twice_it_stops_at_once() -> None:
    def step() -> None:
        with held_back("a moment"):
            ask()
            ask()
            pytest.fail("it went on")

    with pytest.raises(KeyboardInterrupt):
        step()


def test_afterwards_a_stop_counts_as_before() -> None:
    with held_back("a moment"):
        pass
    with pytest.raises(KeyboardInterrupt):
        ask()


def test_being_asked_to_end_is_the_same_as_ctrl_c() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        end_in_peace()
        for number in before:
            with pytest.raises(KeyboardInterrupt):
                ask(number)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_what_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        end_in_peace()
        with held_back("a moment") as asked:
            ask(signal.SIGHUP)
        assert asked == []
    finally:
        signal.signal(signal.SIGHUP, before)


def test_steps_go_on_when_nobody_listens_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("sys.stdout", Closed())
    monkeypatch.setattr("sys.stderr", Closed())
    done = False
    with step("going back") as telling, held_back("stopping") as asked:
        telling.so_far("half way")
        ask()
        done = True
    assert done
    assert asked
    with pytest.raises(KeyboardInterrupt), step("going back"):  # not what the output says
        raise KeyboardInterrupt
