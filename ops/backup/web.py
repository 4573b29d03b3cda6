"""HTTP to a service's own port, through a tunnel into its container."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING, cast

from ops.backup.inside import PIECE_BYTES, InsideError, tunnel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from socket import socket

    from docker import DockerClient


class Web(http.client.HTTPConnection):
    """One connection, used for one request after the other, and made again when the server has closed it."""

    def __init__(self, client: DockerClient, container: str, port: int) -> None:
        super().__init__("127.0.0.1", port)
        self._client, self._container = client, container

    def connect(self) -> None:
        """Open the tunnel."""
        self.sock = cast("socket", tunnel(self._client, self._container, self.port))  # it has what is used of one

    def ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | Iterable[bytes] | None = None,
    ) -> http.client.HTTPResponse:
        """Send a request, and return the answer with its body still to be read. A length goes with the headers, where the body is no bytes.

        Raises:
            InsideError: no answer came.
        """
        try:
            self.request(method, path, body, dict(headers))
            return self.getresponse()
        except (http.client.HTTPException, OSError) as error:
            self.close()
            raise InsideError(f"{method} {path}: no answer ({error or type(error).__name__})") from error


def pieces(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    """The body of an answer.

    Raises:
        InsideError: it broke off.
    """
    try:
        while piece := answer.read(PIECE_BYTES):
            yield piece
    except (http.client.HTTPException, OSError) as error:
        raise InsideError(f"an answer broke off ({error or type(error).__name__})") from error


def whole(answer: http.client.HTTPResponse) -> bytes:
    """The body of an answer that is short.

    Raises:
        InsideError: it broke off.
    """
    return b"".join(pieces(answer))
