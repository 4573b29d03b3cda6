"""What is run inside a container: nothing of its output is lost, and it ends when nobody is there any more to take that."""

import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.backup import inside
from ops.backup.inside import _LED, _WHEN_TOLD, InsideError

MARK = "0123456789abcdef" * 2


def led(*command: str) -> subprocess.Popen[bytes]:
    words = ["sh", "-c", _LED, MARK, *command]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_behind_the_output_follows_the_mark_with_the_exit_code_and_it_waits_until_that_was_taken() -> None:
    with led("sh", "-c", "printf 'out\\0put'; echo complaint >&2; exit 7") as program:
        time.sleep(0.3)
        assert program.poll() is None, "it did not wait"
        said, complained = program.communicate()  # which hangs up
        assert (said, complained) == (b"out\0put" + MARK.encode() + b"007", b"complaint\n")


def test_a_program_gets_no_input() -> None:
    with led("cat") as program:
        assert program.stdout is not None
        assert program.stdout.read(len(MARK) + 3) == MARK.encode() + b"000"


def test_a_program_is_ended_when_its_caller_hangs_up() -> None:
    with led("sleep", "60") as program:
        time.sleep(0.3)
        begun = time.monotonic()
        assert program.communicate()[0] == MARK.encode() + b"%03d" % (128 + signal.SIGTERM)
        assert time.monotonic() - begun < 5


def test_a_program_begins_when_it_is_told_to_with_its_whole_input_and_not_when_nobody_tells() -> None:
    words = ["sh", "-c", _WHEN_TOLD, "sh", "cat"]
    assert subprocess.run(words, input=b"\n\n\0input\n", capture_output=True, check=True).stdout == b"\n\0input\n"
    assert subprocess.run([*words[:-1], "echo", "begun"], input=b"", capture_output=True, check=False).stdout == b""


class Pieces:
    """Stands for a program whose output comes in pieces."""

    what = "pg_dump"

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces: Iterator[bytes] = iter(pieces)

    def read(self, _: int) -> bytes:
        return next(self._pieces, b"")

    def said(self) -> str:
        return ""


@given(content=st.binary(max_size=100), cuts=st.lists(st.integers(0, 135), max_size=6))
def test_the_output_ends_at_the_mark_wherever_it_was_cut_and_is_refused_without_one(content: bytes, cuts: list[int]) -> None:
    sent = content + MARK.encode() + b"042"
    places = [0, *sorted(cuts), len(sent)]
    pieces = [piece for begin, end in pairwise(places) if (piece := sent[begin:end])]

    def taken(pieces: list[bytes]) -> tuple[bytes, int]:
        code = 0

        def take() -> Iterator[bytes]:
            nonlocal code
            code = yield from inside._up_to(MARK.encode(), Pieces(pieces))  # type: ignore[arg-type]

        return b"".join(take()), code

    assert taken(pieces) == (content, 42)
    with pytest.raises(InsideError, match="the output of pg_dump broke off"):
        taken(pieces[:-1])


class Engine:
    """Stands for an engine in which a program reads a little, complains, and ends."""

    def __init__(self, complaint: bytes, code: int) -> None:
        self.api = self
        self._ours, self._theirs = socket.socketpair()
        self._complaint, self._code = complaint, code

    def exec_create(self, *_: object, **__: object) -> dict[str, str]:
        return {"Id": "program"}

    def exec_start(self, _: str, *, socket: bool) -> socket.socket:
        assert socket
        threading.Thread(target=self._run).start()
        return self._ours

    def _run(self) -> None:
        self._theirs.recv(1000)
        self._theirs.sendall(struct.pack(">BxxxL", 2, len(self._complaint)) + self._complaint)
        self._theirs.close()

    def exec_inspect(self, _: str) -> dict[str, int]:
        return {"ExitCode": self._code}


def feed(complaint: bytes, code: int) -> str:
    """What is told of a program that ends before it has its input."""
    engine: Any = Engine(complaint, code)
    with pytest.raises(InsideError) as caught:
        inside.feed(engine, "db", ("sh", "-c", "exec pg_restore"), [b"x" * 100_000] * 50, what="pg_restore")
    return str(caught.value)


def test_of_a_program_that_ends_before_it_has_its_input_the_cause_is_told_and_not_only_that_it_takes_no_more() -> None:
    assert feed(b"pg_restore: error: unsupported version", 1) == "pg_restore failed (exit code 1): pg_restore: error: unsupported version"


def test_a_program_that_ends_well_without_its_whole_input_has_failed_all_the_same() -> None:
    assert "pg_restore takes no more input" in feed(b"enough", 0)
