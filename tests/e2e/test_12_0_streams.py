"""Backups are made of the output of programs in containers: it comes whole to a slow machine, and nobody works on for a dead one."""

import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from docker import DockerClient

from ops import engine
from ops.backup import inside
from tests.e2e.environment import Stack, eventually
from tests.e2e.machine import watched_engine

_BUSY = "busy-for-nobody"

_SIZES = range(1_000_000, 2_000_000, 20_000)
"""Bytes of output. Where they lie between what the engine holds for a reader and what the program can write before it waits, a reader that
pauses once lost some of them."""

_PAUSE_SECONDS = 5
"""More than the engine waits for a reader of a program that has ended."""


def _numbers(size: int) -> str:
    return f"seq 1 1000000 | head -c {size}"


def test_the_beginning_of_an_output_is_there_although_it_comes_in_one_piece_with_the_engines_answer(stack: Stack, tmp_path: Path) -> None:
    if not os.environ.get("DOCKER_HOST", "unix://").startswith("unix://"):
        pytest.skip("the engine is not behind a socket of this machine")
    with watched_engine(tmp_path, os.environ.get("DOCKER_HOST"), late=0.2) as (host, _):
        client = DockerClient(base_url=host, version="auto")
        try:
            assert inside.text(client, stack.container("db").id, ("echo", "hello")) == "hello"
        finally:
            client.close()


def test_the_end_of_an_output_is_there_although_its_reader_pauses(stack: Stack) -> None:
    container = stack.container("db").id

    def read(size: int) -> tuple[int, str]:
        # Each with a client of its own: one client closes its oldest connections when it has many at once, those in use among them.
        with closing(engine.connect()) as client:
            pieces = inside.output(client, container, ("sh", "-c", _numbers(size)))
            first = next(pieces)
            time.sleep(_PAUSE_SECONDS)
            whole = first + b"".join(pieces)
        return len(whole), hashlib.sha256(whole).hexdigest()

    with ThreadPoolExecutor(max_workers=len(_SIZES)) as pool:
        found = dict(zip(_SIZES, pool.map(read, _SIZES), strict=True))
    expected = "".join(f"{number}\n" for number in range(1, 1_000_000)).encode()
    assert found == {size: (size, hashlib.sha256(expected[:size]).hexdigest()) for size in _SIZES}


def test_a_program_ends_when_its_reader_does_and_leaves_nobody_to_the_server_whose_container_it_is(stack: Stack) -> None:
    container = stack.container("db")
    pieces = inside.output(stack.client, container.id, ("sh", "-c", f"while :; do echo {_BUSY}; done"))
    while not next(pieces):
        pass
    assert _busy(stack)
    pieces.close()  # type: ignore[attr-defined]  # a generator
    eventually(10, lambda: not _busy(stack), "everything has ended that was started in the container")
    assert stack.container("db").identity == container.identity
    said = stack.client.api.logs(container.id, tail=20).decode(errors="replace")
    assert "terminated by signal" not in said, f"the server was hit by it:\n{said}"


def _busy(stack: Stack) -> list[str]:
    """The processes in `db` that were started for the endless output."""
    found = stack.client.api.top(stack.container("db").id, ps_args="-eo pid,args")["Processes"]
    return [each[-1] for each in found if _BUSY in each[-1]]
