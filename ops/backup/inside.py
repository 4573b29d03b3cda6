"""Programs inside a container, as streams; and through them, the container's own ports.

All data comes and goes through the engine's exec interface: it needs no published port, no further image and no client on this machine, and
works the same with an engine elsewhere.
"""

from __future__ import annotations

import contextlib
import io
import struct
from typing import TYPE_CHECKING, Any

from ops.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from _typeshed import WriteableBuffer
    from docker import DockerClient

PIECE_BYTES = 256 * 1024
_FRAME_HEADER = struct.Struct(">BxxxL")
_STDERR = 2
_KEPT_BYTES = 4096
_ANSWER_SECONDS = 120

# The shell stays, to end the reader when our side hangs up; it needs no program but `cat`.
_TUNNEL = "exec 3<>/dev/tcp/127.0.0.1/{port} || exit 1; cat <&3 2>/dev/null & cat >&3 2>/dev/null; kill $! 2>/dev/null"


class InsideError(Exception):
    """A program in a container failed; its text says how."""


class Program(io.RawIOBase):
    """A running program in a container: read its output, write its input.

    Attributes:
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
    ) -> None:
        """Start it.

        Args:
            client: of the engine.
            container: id or name.
            command: program and arguments.
            environment: further variables.
            seconds: after which silence is a failure; None waits for ever.
        """
        super().__init__()
        self._api = client.api
        self._what = command[0]
        made: dict[str, Any] = self._api.exec_create(container, list(command), stdin=True, environment=dict(environment or {}))
        self._id = made["Id"]
        opened: Any = self._api.exec_start(self._id, socket=True)
        self._opened = opened
        self._socket: Any = getattr(opened, "_sock", opened)
        self._socket.settimeout(seconds)
        self._left = 0
        self.complaint = b""

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
            raise InsideError(f"{self._what} gave no answer: {error}") from error
        self._left -= received
        return received

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            try:
                piece = self._socket.recv(size - len(data))
            except OSError as error:
                raise InsideError(f"{self._what} gave no answer: {error}") from error
            if not piece:
                return b""
            data += piece
        return data

    def sendall(self, data: bytes | bytearray | memoryview) -> None:
        """Write to its input."""
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise InsideError(f"{self._what} takes no more input: {self.said() or error}") from error

    def close_input(self) -> None:
        """Tell it that its input has ended."""
        import socket  # noqa: PLC0415

        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def said(self) -> str:
        """The end of what it complained about."""
        return self.complaint.decode(errors="replace").strip()

    def finish(self) -> None:
        """Check that it ended well.

        Raises:
            InsideError: it did not.
        """
        while self.read(PIECE_BYTES):
            pass
        code = self._api.exec_inspect(self._id)["ExitCode"]
        self.close()
        if code:
            raise InsideError(f"{self._what} failed (exit code {code}): {self.said() or 'it said nothing'}")

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
    """What a program writes, piece by piece.

    Raises:
        InsideError: it failed; known only after its last piece.
    """
    program = Program(client, container, command, environment=environment)
    try:
        reader = program.makefile()
        while piece := reader.read(PIECE_BYTES):
            yield piece
        program.finish()
    finally:
        program.close()


def feed(client: DockerClient, container: str, command: Sequence[str], pieces: Iterable[bytes], **environment: str) -> str:
    """Write to a program's input; what it wrote.

    Raises:
        InsideError: it failed.
    """
    program = Program(client, container, command, environment=environment)
    try:
        for piece in pieces:
            program.sendall(piece)
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


def failed(what: str, error: Exception, mend: str = "") -> OperatorError:
    """A failure of one step, in words."""
    return OperatorError(what, str(error), mend)
