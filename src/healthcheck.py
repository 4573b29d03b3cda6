"""The container's probe: `python -m src.healthcheck` prints the readiness of the application beside it.

Exit code 0 when it is ready, 1 when it isn't, 3 when waiting can't make it so: a key or password is refused.

Runs every few seconds for as long as the container lives, so it is made of the standard library's smallest parts: importing
http.client alone would double its cost.
"""

import socket
import sys

ADDRESS = ("127.0.0.1", 8000)
REFUSED_EXIT_CODE = 3
TIMEOUT_SECONDS = 5.0
"""More than the application takes to give up on a dependency that hangs: its answer, which says what is wrong, should arrive."""


def main(address: tuple[str, int] = ADDRESS) -> int:
    """Ask once, print what was answered, and return the exit code."""
    try:
        answer = _get(address, "/health/ready")
    except OSError as error:
        sys.stdout.write(f"The application does not answer at http://{address[0]}:{address[1]}: {error}\n")
        return 1
    head, _, body = answer.partition(b"\r\n\r\n")
    sys.stdout.write(body.decode("utf-8", "replace") + "\n")
    if head.split(b" ")[1:2] == [b"200"]:
        return 0
    return REFUSED_EXIT_CODE if b'"credentials_refused"' in body else 1


def _get(address: tuple[str, int], path: str) -> bytes:
    request = f"GET {path} HTTP/1.0\r\nHost: {address[0]}\r\n\r\n"
    with socket.create_connection(address, timeout=TIMEOUT_SECONDS) as connection:
        connection.sendall(request.encode())
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


if __name__ == "__main__":
    sys.exit(main())
