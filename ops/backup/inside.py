"""Programs inside a container, as streams; and through them, the container's own ports.

All data comes and goes through the engine's exec interface: it needs no published port, no further image and no client on this machine, and
works the same with an engine elsewhere.
"""

from __future__ import annotations

import contextlib
import io
import math
import struct
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

    from _typeshed import WriteableBuffer
    from docker import DockerClient

PIECE_BYTES = 256 * 1024
_FRAME_HEADER = struct.Struct(">BxxxL")
_STDERR = 2
_KEPT_BYTES = 4096
_ANSWER_SECONDS = 120
_POLL_SECONDS = 0.02
_EARLY_SECONDS = 5
"""From the moment when a program takes no more input to its end, of which the engine tells."""

# The shell stays, to end the reader when our side hangs up; it needs no program but `cat`.
_TUNNEL = "exec 3<>/dev/tcp/127.0.0.1/{port} || exit 1; cat <&3 2>/dev/null & cat >&3 2>/dev/null; kill $! 2>/dev/null"

# A program begins when we say so. What came before, in one piece with the engine's answer, would stay with the HTTP client, whose socket is
# taken over: under load the beginning of an output was lost, and nothing told of it.
_WHEN_TOLD = 'read -r _ && exec "$@"'

# And it ends when we have everything. Two seconds after a program's end the engine drops what nobody took yet (tried: a reader that paused
# lost the last 100 KB, with exit code 0), so behind the output follows a mark that can't be in it, and then it waits for us to hang up.
# Where we hang up before, the program is ended: else the engine would take its output for nobody, and a dump of hours go on with its locks.
# No child is left to itself: in a container of Postgres it would become the server's, which takes an end by a signal for a crash.
_LED = """
exec 3<&0
"$@" </dev/null 3<&- & led=$!
{ read -r _ <&3; kill "$led"; } >/dev/null 2>&1 & watcher=$!
wait "$led"; code=$?
kill "$watcher" 2>/dev/null; wait "$watcher" 2>/dev/null
printf '%s%03d' "$0" "$code"
read -r _ <&3
"""
_END_BYTES = 32 + 3


class InsideError(Exception):
    """A program in a container failed; its text says how."""


class InputEndedError(InsideError):
    """A program takes no more input, for it has ended."""


class Program(io.RawIOBase):
    """A running program in a container: read its output, write its input.

    Attributes:
        what: what to call it.
        complaint: the end of what it wrote to its standard error.
    """

    def __init__(
        self,
        client: DockerClient,
        container: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        seconds: float | None = None,
        what: str = "",
    ) -> None:
        """Start it.

        Args:
            client: of the engine.
            container: id or name.
            command: program and arguments.
            environment: further variables.
            seconds: after which silence is a failure; None waits for ever.
            what: what to call it in a failure; its command when empty.
        """
        super().__init__()
        self._api = client.api
        self.what = what or command[0]
        made: dict[str, Any] = self._api.exec_create(
            container, ["sh", "-c", _WHEN_TOLD, self.what, *command], stdin=True, environment=dict(environment or {})
        )
        self._id = made["Id"]
        opened: Any = self._api.exec_start(self._id, socket=True)
        self._opened = opened
        self._socket: Any = getattr(opened, "_sock", opened)
        self._socket.settimeout(seconds)
        self._left = 0
        self.complaint = b""
        self.sendall(b"\n")

    def readable(self) -> bool:
        """Its output can be read."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read some of its output; nothing at its end."""
        view = memoryview(buffer).cast("B")
        while not self._left:
            head = self._exactly(_FRAME_HEADER.size)
            if not head:
                return 0
            kind, size = _FRAME_HEADER.unpack(head)
            if kind == _STDERR:
                self.complaint = (self.complaint + self._exactly(size))[-_KEPT_BYTES:]
            else:
                self._left = size
        try:
            received: int = self._socket.recv_into(view[: self._left])
        except OSError as error:
            raise InsideError(f"{self.what} gave no answer: {error}") from error
        self._left -= received
        return received

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            try:
                piece = self._socket.recv(size - len(data))
            except OSError as error:
                raise InsideError(f"{self.what} gave no answer: {error}") from error
            if not piece:
                return b""
            data += piece
        return data

    def sendall(self, data: bytes | bytearray | memoryview) -> None:
        """Write to its input."""
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise InputEndedError(f"{self.what} takes no more input: {self.said() or error}") from error

    def close_input(self) -> None:
        """Tell it that its input has ended."""
        import socket  # noqa: PLC0415

        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def said(self) -> str:
        """The end of what it complained about."""
        return self.complaint.decode(errors="replace").strip()

    def finish(self, *, early: bool = False) -> None:
        """Check that it ended well.

        Args:
            early: it took no more input, so its connection may be broken, behind what it said.

        Raises:
            InsideError: it did not.
        """
        with contextlib.suppress(*([InsideError] if early else [])):
            self.read_away()
        limit = time.monotonic() + (_EARLY_SECONDS if early else math.inf)
        while (code := self._api.exec_inspect(self._id)["ExitCode"]) is None and time.monotonic() < limit:
            time.sleep(_POLL_SECONDS)  # its output may end a moment before it does
        self.close()
        self.check(code or 0)

    def read_away(self) -> None:
        """Read up to its end, for what it complains about."""
        while self.read(PIECE_BYTES):
            pass

    def check(self, code: int) -> None:
        """Check the code with which it ended.

        Raises:
            InsideError: it did not end well.
        """
        if code:
            raise InsideError(f"{self.what} failed (exit code {code}): {self.said() or 'it said nothing'}")

    def close(self) -> None:
        """Hang up."""
        if not self.closed:
            with contextlib.suppress(OSError):
                self._socket.close()
            with contextlib.suppress(OSError):
                self._opened.close()
        super().close()

    # What http.client wants of a socket:

    def makefile(self, *_arguments: object, **_options: object) -> io.BufferedReader:
        """Its output, buffered; closing that leaves this open."""
        return io.BufferedReader(_Unclosed(self), PIECE_BYTES)

    def settimeout(self, seconds: float | None) -> None:
        """Set after how long silence is a failure."""
        self._socket.settimeout(seconds)


class _Unclosed(io.RawIOBase):
    """A view of a stream that outlives it."""

    def __init__(self, stream: Program) -> None:
        super().__init__()
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        return self._stream.readinto(buffer)


def tunnel(client: DockerClient, container: str, port: int) -> Program:
    """A connection to a port of the container, from inside of it."""
    return Program(client, container, ("bash", "-c", _TUNNEL.format(port=port)), seconds=_ANSWER_SECONDS)


def output(client: DockerClient, container: str, command: Sequence[str], **environment: str) -> Iterator[bytes]:
    """What a program writes, to its last byte, piece by piece. It is ended when this is, however this ends.

    Raises:
        InsideError: it failed, or broke off; known only after its last piece.
    """
    mark = uuid4().hex
    program = Program(client, container, ("sh", "-c", _LED, mark, *command), environment=environment, what=command[0])
    try:
        code = yield from _up_to(mark.encode(), program)
        if code:
            program.close_input()
            program.read_away()
        program.check(code)
    finally:
        program.close()


def _up_to(mark: bytes, program: Program) -> Generator[bytes, None, int]:
    """Give what comes before the mark, and return the exit code behind it."""
    held = b""
    while len(held) < _END_BYTES or not held[-_END_BYTES:].startswith(mark):
        yield held[:-_END_BYTES]
        held = held[-_END_BYTES:]
        piece = program.read(PIECE_BYTES)
        if not piece:
            raise InsideError(f"the output of {program.what} broke off: {program.said() or 'its container, or the engine, ended'}")
        held += piece
    yield held[:-_END_BYTES]
    return int(held[-_END_BYTES:].removeprefix(mark))


def feed(
    client: DockerClient, container: str, command: Sequence[str], pieces: Iterable[bytes], *, what: str = "", **environment: str
) -> str:
    """Write to a program's input; what it wrote.

    Args:
        client: of the engine.
        container: id or name.
        command: program and arguments.
        pieces: its input.
        what: what to call it in a failure; its command when empty.
        environment: further variables.

    Raises:
        InsideError: it failed.
    """
    program = Program(client, container, command, environment=environment, what=what)
    try:
        try:
            for piece in pieces:
                program.sendall(piece)
        except InputEndedError:
            program.finish(early=True)  # why it ended is to be told, and not that it takes no more
            raise
        program.close_input()
        said = program.makefile().read().decode(errors="replace")
        program.finish()
    finally:
        program.close()
    return said


def text(client: DockerClient, container: str, command: Sequence[str], **environment: str) -> str:
    """What a program writes, as text without the last line break.

    Raises:
        InsideError: it failed.
    """
    return b"".join(output(client, container, command, **environment)).decode(errors="replace").rstrip("\n")


def variables(client: DockerClient, container: str) -> dict[str, str]:
    """The container's environment, as it was made with."""
    pairs = (each.partition("=") for each in client.api.inspect_container(container)["Config"]["Env"] or ())
    return {name: value for name, _, value in pairs}
