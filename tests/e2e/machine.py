"""What the Docker engine has of a stack, and a place between a command and the engine from which to see what it asks for."""

import random
import re
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker import DockerClient
from docker.errors import APIError, NotFound
from docker.utils.socket import frames_iter

from ops.setup.engine import DEFAULT_HOST
from stack.naming import COMPOSE_PROJECT, COMPOSE_SERVICE
from stack.vocabulary import ServiceName

_REQUEST_LINE = re.compile(rb"\b(GET|HEAD|POST|PUT|PATCH|DELETE) (/\S*) HTTP/1\.1\r\n")
READING = frozenset({"GET", "HEAD"})
_PORTS = range(20_000, 32_000)
"""Where no system takes ports for outgoing connections, and where none of this project's defaults lie."""


@dataclass(frozen=True)
class Seen:
    """A container: which it is, and since when it runs."""

    id: str
    name: str
    service: str
    status: str
    health: str
    started: str
    restarts: int
    attributes: dict[str, Any]

    @property
    def identity(self) -> tuple[str, str, int]:
        """What is another after the container was replaced, or restarted by anybody."""
        return self.id, self.started, self.restarts

    @property
    def published(self) -> dict[int, list[tuple[str, int]]]:
        """Addresses and ports of the host, by the container's port."""
        ports = self.attributes["NetworkSettings"]["Ports"] or {}
        return {
            int(inner.partition("/")[0]): [(each["HostIp"], int(each["HostPort"])) for each in bindings]
            for inner, bindings in ports.items()
            if bindings
        }


@dataclass(frozen=True)
class Picture:
    """All that the engine has of a project, to compare with another moment's."""

    containers: dict[str, tuple[str, str, int]]
    networks: dict[str, str]
    volumes: frozenset[str]
    images: frozenset[str]


def containers(client: DockerClient, project: str) -> list[Seen]:
    """The project's containers, by name."""
    found = []
    for listed in client.api.containers(all=True, filters={"label": f"{COMPOSE_PROJECT}={project}"}):
        with suppress(NotFound):
            found.append(_seen(client.api.inspect_container(listed["Id"])))
    return sorted(found, key=lambda each: each.name)


def _seen(attributes: dict[str, Any]) -> Seen:
    state = attributes["State"]
    return Seen(
        id=attributes["Id"],
        name=attributes["Name"].lstrip("/"),
        service=attributes["Config"]["Labels"][COMPOSE_SERVICE],
        status=state["Status"],
        health=(state.get("Health") or {}).get("Status", ""),
        started=state["StartedAt"],
        restarts=attributes["RestartCount"],
        attributes=attributes,
    )


def volumes(client: DockerClient, project: str) -> frozenset[str]:
    """The names of the project's volumes."""
    listed = client.api.volumes()["Volumes"] or []
    return frozenset(each["Name"] for each in listed if each["Name"].startswith(f"{project}_"))


def networks(client: DockerClient, project: str) -> dict[str, str]:
    """The project's networks: ids by name."""
    return {each["Name"]: each["Id"] for each in client.api.networks() if each["Name"].startswith(f"{project}_")}


def picture(client: DockerClient, project: str) -> Picture:
    """What the engine has of the project now."""
    tags = (tag for image in client.api.images() for tag in image["RepoTags"] or [])
    return Picture(
        containers={each.name: each.identity for each in containers(client, project)},
        networks=networks(client, project),
        volumes=volumes(client, project),
        images=frozenset(tag for tag in tags if tag.startswith(f"{project}-{ServiceName.APP}:")),
    )


def remove_everything(client: DockerClient, project: str) -> None:
    """Remove the project's containers, networks and volumes, whatever state they are in. Images stay."""
    for container in client.api.containers(all=True, filters={"label": f"{COMPOSE_PROJECT}={project}"}):
        with suppress(APIError):
            client.api.remove_container(container["Id"], force=True, v=True)
    for network in networks(client, project).values():
        with suppress(APIError):
            client.api.remove_network(network)
    for volume in volumes(client, project):
        with suppress(APIError):
            client.api.remove_volume(volume, force=True)


def run_inside(client: DockerClient, container: str, *command: str, **environment: str) -> tuple[int, str]:
    """Run a command in a container: its exit code, and all that it said."""
    # It waits for a word, for what it says before this client listens would be lost.
    words = ["sh", "-c", 'read -r _ && exec "$@"', "sh", *command]
    run = client.api.exec_create(container, words, stdin=True, environment=environment)["Id"]
    opened: Any = client.api.exec_start(run, socket=True)
    with closing(opened):
        opened._sock.sendall(b"\n")
        opened._sock.shutdown(socket.SHUT_WR)
        output = b"".join(said for _, said in frames_iter(opened, tty=False)).decode(errors="replace")  # type: ignore[no-untyped-call]
    while (code := client.api.exec_inspect(run)["ExitCode"]) is None:
        time.sleep(0.02)
    return code, output


def free_ports(count: int) -> int:
    """The first of `count` neighbouring ports that nobody on this machine holds."""
    while True:
        first = random.choice(_PORTS)  # noqa: S311 - nothing depends on its being hard to guess
        if all(_is_free(port) for port in range(first, first + count)):
            return first


def _is_free(port: int) -> bool:
    with closing(socket.socket()) as candidate:
        try:
            candidate.bind(("0.0.0.0", port))  # noqa: S104 - for a moment, to see whether any address holds it
        except OSError:
            return False
    return True


@contextmanager
def listener(port: int) -> Iterator[None]:
    """A program of somebody else's that holds a port."""
    with socket.create_server(("127.0.0.1", port)):
        yield


@contextmanager
def watched_engine(folder: Path, host: str | None, late: float = 0) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """A socket that passes everything on to the engine: its address for DOCKER_HOST, and the requests that came (method, path).

    Args:
        folder: for the socket.
        host: the engine's own DOCKER_HOST.
        late: seconds by which its answers come late, and so in one piece with what follows them, as on a busy machine.
    """
    requests: list[tuple[str, str]] = []
    engine = (host or DEFAULT_HOST).removeprefix("unix://")

    class Passage(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with closing(socket.socket(socket.AF_UNIX)) as upstream:
                upstream.connect(engine)
                back = threading.Thread(target=_pass_on, args=(upstream, self.request, late), daemon=True)
                back.start()
                while data := self.request.recv(65536):
                    requests.extend((method.decode(), path.decode()) for method, path in _REQUEST_LINE.findall(data))
                    upstream.sendall(data)
                with suppress(OSError):
                    upstream.shutdown(socket.SHUT_WR)
                back.join()

    class Server(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True
        request_queue_size = 64

    address = folder / "engine.sock"
    with Server(str(address), Passage) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"unix://{address}", requests
        finally:
            server.shutdown()
            thread.join()


def _pass_on(source: socket.socket, target: socket.socket, late: float) -> None:
    with suppress(OSError):
        while source.recv(1, socket.MSG_PEEK):
            time.sleep(late)
            target.sendall(source.recv(65536))
        target.shutdown(socket.SHUT_WR)
