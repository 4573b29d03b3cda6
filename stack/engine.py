"""What the program asks of the Docker engine beside the provider: states, probes, logs, ports. It makes nothing."""

import contextlib
import select
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import docker
import requests
from docker import DockerClient
from docker.errors import APIError, DockerException, NotFound
from docker.models.containers import Container
from docker.utils.socket import read

from stack import host_ports
from stack.naming import COMPOSE_PROJECT, COMPOSE_SERVICE

_FRAME_HEADER = struct.Struct(">BxxxL")
_TIMEOUT = 30
"""Seconds without an answer after which a call to the engine has failed; longer than any probe's own time."""

_GRACE_SECONDS = 10
"""The engine's own default."""


NO_ANSWER = -1
"""The exit code of a probe that could not be run, or did not end in time."""


class EngineError(Exception):
    """The engine can't be used, with what to do about it."""


@dataclass(frozen=True)
class ContainerState:
    """A container as the engine sees it now.

    Attributes:
        name: the container's name.
        service: its Compose service.
        status: created, running, paused, restarting, removing, exited or dead; "gone" when there is none.
        health: starting, healthy or unhealthy; "" without a health check.
        exit_code: of its last end.
        restarts: how often the engine restarted it since it was last started by hand.
        started: when it was last started.
        out_of_memory: whether its last end was the kernel's, for lack of memory.
        error: why the engine could not start it.
        failing: how often in a row its health check has failed; the engine calls it unhealthy only after several.
    """

    name: str
    service: str
    status: str
    health: str = ""
    exit_code: int = 0
    restarts: int = 0
    started: datetime | None = None
    out_of_memory: bool = False
    error: str = ""
    failing: int = 0

    @property
    def in_words(self) -> str:
        """The state in a few words, as `docker compose ps` has them."""
        if self.status == "running":
            return f"running ({self.health})" if self.health else "running"
        code = f" ({self.exit_code})" if self.status in {"exited", "restarting", "dead"} else ""
        return f"{self.status}{code}{', out of memory' if self.out_of_memory else ''}"


@dataclass(frozen=True)
class ProbeResult:
    """How one run of a probe ended: its exit code (0 is ready) and what it printed."""

    exit_code: int
    output: str


class Engine:
    """A Docker engine.

    Attributes:
        connected: when the program began to look.
        is_local: whether it publishes ports on this machine.
    """

    def __init__(self, client: DockerClient | None = None) -> None:
        """Connect to the engine that DOCKER_HOST, or else the default socket, gives, unless a client is given.

        Raises:
            EngineError: no engine answers.
        """
        try:
            self._client = client or docker.from_env(timeout=_TIMEOUT, max_pool_size=32)
            self._client.ping()
        except (DockerException, requests.RequestException) as error:
            raise EngineError(
                f"No Docker engine answers ({error}). Start it (`make up` does where it may), or point DOCKER_HOST at one."
            ) from error
        self.connected = datetime.now(UTC)
        self.is_local: bool = self._client.api.base_url.startswith(("http+docker://local", "http://localhost", "http://127.0.0.1"))

    @property
    def api(self) -> docker.APIClient:
        """The engine's own interface, for what only one service needs."""
        return self._client.api

    @property
    def cores(self) -> int:
        """How many cores it has. It refuses a container that is to get more."""
        return int(self.api.info()["NCPU"])

    def state(self, container_id: str) -> ContainerState:
        """The state of one container."""
        try:
            return _state(self._client.containers.get(container_id).attrs)
        except NotFound:
            return ContainerState(name=container_id[:12], service="", status="gone")

    def states(self, project: str) -> list[ContainerState]:
        """The states of all containers of a Compose project, by name."""
        found = self._client.containers.list(all=True, filters={"label": f"{COMPOSE_PROJECT}={project}"}, ignore_removed=True)
        return sorted((_state(container.attrs) for container in found), key=lambda state: state.name)

    def probe(self, container_id: str, test: tuple[str, ...], seconds: float) -> ProbeResult:
        """Run a probe in the container once, with the variables of Docker's own health check; see `run_probe`."""
        return run_probe(self._client.api, container_id, test, seconds)

    def logs(self, container_id: str, lines: int) -> list[str]:
        """The last lines that the container logged."""
        try:
            return self._client.containers.get(container_id).logs(tail=lines).decode(errors="replace").splitlines()
        except APIError:
            return []

    def start(self, container_id: str) -> None:
        """Start a container that is stopped, or let a paused one go on.

        Raises:
            EngineError: the engine can't start it.
        """
        try:
            container = self._client.containers.get(container_id)
            if container.status == "paused":
                container.unpause()
            elif container.status == "restarting":
                container.restart()
            else:
                container.start()
        except APIError as error:
            raise EngineError(str(error.explanation or error)) from error

    def restart(self, container_id: str, grace_seconds: int) -> None:
        """Restart a container, giving it some seconds to end in peace.

        Raises:
            EngineError: the engine can't, or the container is gone.
        """
        try:
            container = self._client.containers.get(container_id)
            with contextlib.suppress(APIError):
                container.kill(signal="SIGCONT")  # one that somebody halted would not hear that it is to end
            container.restart(timeout=grace_seconds)
        except (APIError, requests.RequestException) as error:
            raise EngineError(str(getattr(error, "explanation", None) or error)) from error

    def address_problem(self, address: str) -> str:
        """Why no port can be published on an address, in a sentence; empty when that can't be said from here, or nothing is wrong."""
        if not self.is_local or host_ports.is_here(address):
            return ""
        return f"BIND_ADDRESS: {address} is no address of this machine: give one that `ip address` shows, or 0.0.0.0 for all of them."

    def running(self) -> list[Container]:
        """All running containers, of whatever project."""
        return self._client.containers.list(ignore_removed=True)

    def stop(self, container: Container) -> None:
        """Stop a container within its own grace, and return when the engine has let go of its ports.

        Raises:
            EngineError: the engine can't.
        """
        grace = container.attrs["Config"].get("StopTimeout") or _GRACE_SECONDS
        try:
            container.stop(timeout=grace)
            container.reload()  # answered only when the engine is through with the end
        except NotFound:
            return
        except (APIError, requests.RequestException) as error:
            raise EngineError(str(getattr(error, "explanation", None) or error)) from error


def run_probe(
    api: docker.APIClient, container_id: str, test: tuple[str, ...], seconds: float, environment: Mapping[str, str] | None = None
) -> ProbeResult:
    """Run a command in a container once, for a limited time.

    A container that can't run it (it just ended, say) fails the probe; its state tells why. So does one that gives no answer within
    `seconds`: a service that hangs must not hold up whoever asks for ever.

    Args:
        api: the engine's own interface.
        container_id: the container, or its name.
        test: the command, in Docker's form: see `stack.spec.Probe`.
        seconds: after which no answer is one too.
        environment: variables beside the container's own.
    """
    command = list(test[1:]) if test[0] == "CMD" else ["/bin/sh", "-c", test[1]]
    try:
        run = api.exec_create(container_id, command, environment=dict(environment or {}))
        output = _read_all(api.exec_start(run["Id"], socket=True), seconds)
        if output is None:
            return ProbeResult(exit_code=NO_ANSWER, output=f"no answer within {seconds:g} s")
        code = api.exec_inspect(run["Id"])["ExitCode"]
    except APIError as error:
        return ProbeResult(exit_code=NO_ANSWER, output=str(error.explanation or error))
    except requests.RequestException:
        return ProbeResult(exit_code=NO_ANSWER, output=f"no answer within {_TIMEOUT} s")
    return ProbeResult(exit_code=NO_ANSWER if code is None else code, output=output)


def _read_all(stream: Any, seconds: float) -> str | None:  # noqa: ANN401 - whatever the transport has for a socket
    """What a program in a container wrote until it ended; None when it did not end in time. The SDK itself would wait without a limit."""
    limit = time.monotonic() + seconds
    received = b""
    try:
        while (left := limit - time.monotonic()) > 0:
            if select.select([stream], [], [], left)[0]:
                part = read(stream)
                if not part:
                    return _plain(received).decode(errors="replace").strip()
                received += part
        return None
    finally:
        stream.close()


def _plain(frames: bytes) -> bytes:
    """Both streams of a program, as they came: the engine puts each piece behind its stream's number and its length."""
    text = b""
    while len(frames) >= _FRAME_HEADER.size:
        end = _FRAME_HEADER.size + _FRAME_HEADER.unpack_from(frames)[1]
        text, frames = text + frames[_FRAME_HEADER.size : end], frames[end:]
    return text


def _state(attributes: Mapping[str, Any]) -> ContainerState:
    state = attributes["State"]
    return ContainerState(
        name=attributes["Name"].lstrip("/"),
        service=attributes["Config"]["Labels"].get(COMPOSE_SERVICE, ""),
        status=state["Status"],
        health=(state.get("Health") or {}).get("Status", ""),
        exit_code=state["ExitCode"],
        restarts=attributes["RestartCount"],
        started=_moment(state["StartedAt"]),
        out_of_memory=state["OOMKilled"],
        error=state["Error"],
        failing=(state.get("Health") or {}).get("FailingStreak", 0),
    )


def _moment(text: str) -> datetime | None:
    """The engine's times have nanoseconds; its "never" is the year 1."""
    moment = datetime.fromisoformat(f"{text[:19]}+00:00")
    fraction = text[19:].strip("Z").lstrip(".")
    return None if moment.year == 1 else moment.replace(microsecond=int(fraction[:6].ljust(6, "0") or 0))
