"""What is run inside a container: nothing of its output is lost, and it ends when nobody is there any more to take that."""

import signal
import subprocess
import time
from collections.abc import Iterator
from itertools import pairwise

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
