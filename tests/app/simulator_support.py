"""The simulator as a process, the real services that it uses, and a way to take one of them away.

Needs a Docker engine. Each image is the local one where it was built, else the official one, which the engine pulls.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any, TypeVar

import docker
import httpx
import pytest
from docker.errors import DockerException, ImageNotFound
from docker.models.containers import Container

ROOT = Path(__file__).parents[2]
KEY = "the-global-key"
SECRET = "a-secret-password"
START_LIMIT_S = 60
PHONE = "5511999990001"
BAILEYS = "WHATSAPP-BAILEYS"

T = TypeVar("T")


def eventually(look: Callable[[], T], why: str, limit_s: float = 20) -> T:
    """Look again until there is something to see, and give it."""
    deadline = time.monotonic() + limit_s
    while not (seen := look()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {limit_s} s: {why}")
        time.sleep(0.05)
    return seen


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Passage:
    """A TCP port that leads to a service, until it is shut."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._open = Event()
        self._sockets: list[socket.socket] = []
        self.port = free_port()
        self.open()

    def open(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._open.set()
        Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def shut(self) -> None:
        """Drop every connection and take no new one."""
        self._open.clear()
        for each in [self._listener, *self._sockets]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._sockets.clear()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while self._open.is_set():
                near, _ = listener.accept()
                far = socket.create_connection(self._target)
                self._sockets += [near, far]
                for pair in ((near, far), (far, near)):
                    Thread(target=self._copy, args=pair, daemon=True).start()

    @staticmethod
    def _copy(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@dataclass
class Service:
    """A service in a container, on a port of this machine."""

    container: Container
    ports: dict[str, int] = field(default_factory=dict)

    def logs(self) -> str:
        return self.container.logs(tail=10).decode()


class Services:
    """Starts containers on a network of their own, and forgets none."""

    def __init__(self) -> None:
        try:
            self._engine = docker.from_env()
        except DockerException as error:
            pytest.fail(f"These tests start containers, but no Docker engine answers: {error}. `make setup` brings one.")
        self._prefix = f"whatsapp-test-simulator-{uuid.uuid4().hex[:8]}"
        self._network = self._engine.networks.create(self._prefix)
        self._containers: list[Container] = []

    def start(
        self, image: str, official: str, ports: tuple[int, ...], environment: dict[str, str], command: list[str] | None = None
    ) -> Service:
        local = f"whatsapp-local/{image}"
        try:
            self._engine.images.get(local)
            official = local
        except ImageNotFound:
            pass  # `run` pulls the official one
        name = image.partition(":")[0]
        container = self._engine.containers.run(
            official,
            name=f"{self._prefix}-{name}",
            network=self._network.name,
            ports={f"{port}/tcp": ("127.0.0.1", 0) for port in ports},
            detach=True,
            hostname=name,
            environment=environment,
            command=command,
        )
        self._containers.append(container)
        container.reload()
        return Service(container, {str(port): int((container.ports[f"{port}/tcp"] or [])[0]["HostPort"]) for port in ports})

    def close(self) -> None:
        for container in self._containers:
            container.remove(force=True, v=True)
        self._network.remove()


def redis_cli(server: Service, *command: str) -> str:
    """Run a command in the database that the simulator is given, number 6."""
    output = server.container.exec_run(["redis-cli", "-n", "6", *command], environment={"REDISCLI_AUTH": SECRET}).output
    assert isinstance(output, bytes)
    return output.decode().strip()


class Broker:
    """RabbitMQ, looked at through its management API."""

    def __init__(self, server: Service) -> None:
        self.server = server
        self.port = server.ports["5672"]
        self.api = httpx.Client(base_url=f"http://127.0.0.1:{server.ports['15672']}/api/", auth=("evolution", SECRET), timeout=10)

    @property
    def uri(self) -> str:
        return f"amqp://evolution:{SECRET}@127.0.0.1:{self.port}/%2F?frameMax=131072"

    def bindings(self, exchange: str) -> set[tuple[str, str]]:
        """The queue and the key of every binding of an exchange."""
        answer = self.api.get(f"exchanges/%2F/{exchange}/bindings/source")
        return {(each["destination"], each["routing_key"]) for each in answer.json()} if answer.is_success else set()

    def queue(self, name: str) -> dict[str, Any] | None:
        answer = self.api.get(f"queues/%2F/{name}")
        return dict(answer.json()) if answer.is_success else None

    def tap(self, exchange: str, key: str) -> "Tap":
        """A queue of the test's own, which gets what is published with a key."""
        name = f"tap-{uuid.uuid4().hex[:8]}"
        self.api.put(f"queues/%2F/{name}", json={"durable": True}).raise_for_status()
        self.api.post(f"bindings/%2F/e/{exchange}/q/{name}", json={"routing_key": key}).raise_for_status()
        return Tap(self, name)


@dataclass
class Tap:
    broker: Broker
    name: str

    def messages(self) -> list[dict[str, Any]]:
        """Take what is there."""
        answer = self.broker.api.post(
            f"queues/%2F/{self.name}/get", json={"count": 100, "ackmode": "ack_requeue_false", "encoding": "auto"}
        ).raise_for_status()
        return list(answer.json())

    def of(self, instance: str) -> list[dict[str, Any]]:
        """Take what is there, and give what tells of an instance: others' events may come late."""
        return [each for each in self.messages() if json.loads(each["payload"])["instance"] == instance]


def answers(url: str, auth: tuple[str, str] | None = None) -> bool:
    try:
        return httpx.get(url, auth=auth).is_success
    except httpx.TransportError:
        return False


class Process:
    """The simulator, with exactly the variables that it is given."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.environment = {"LOG_COLOR": "false", "TZ": "America/Sao_Paulo", "SERVER_PORT": str(free_port()), **environment}
        self._folder = folder
        self._output = folder / "output"
        self.url = f"http://127.0.0.1:{self.environment['SERVER_PORT']}"
        self.api = httpx.Client(base_url=self.url, headers={"apikey": self.environment.get("AUTHENTICATION_API_KEY", "")}, timeout=20)
        self._popen = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        path = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
        with self._output.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "simulator"], cwd=self._folder, env=path | self.environment, stdout=output, stderr=output
            )

    def output(self) -> str:
        return self._output.read_text()

    def wait_until_ready(self) -> None:
        def ready() -> bool:
            if self._popen.poll() is not None:
                pytest.fail(f"the simulator ended with {self._popen.returncode}: {self.output()}")
            return answers(f"{self.url}/")

        eventually(ready, f"the simulator answers: {self.output()}", START_LIMIT_S)

    def wait_for_line(self, text: str, limit_s: float = 15) -> None:
        eventually(lambda: text in self.output(), f"{text!r} in the log", limit_s)

    def wait_for_end(self) -> int:
        return self._popen.wait(START_LIMIT_S)

    def stop(self) -> int:
        self._popen.terminate()
        return self.wait_for_end()

    def kill(self) -> None:
        self._popen.kill()
        self._popen.wait()

    def restart(self) -> None:
        self.stop()
        self._popen = self._start()
        self.wait_until_ready()

    def create(self, name: str | None = None, **body: object) -> dict[str, Any]:
        """Make an instance and give the answer."""
        answer = self.api.post("/instance/create", json={"instanceName": name or new_name(), "integration": BAILEYS, **body})
        assert answer.status_code == 201, f"create answered {answer.status_code}: {answer.text}"
        return dict(answer.json())

    def pair(self, name: str) -> None:
        """Pair a phone with an instance."""
        body = {"number": PHONE, "profileName": "Ana"}
        self.api.post(f"/simulator/instances/{name}/pair", json=body).raise_for_status()

    def row(self, name: str) -> dict[str, Any]:
        """What the list says of an instance."""
        return dict(self.api.get("/instance/fetchInstances", params={"instanceName": name}).raise_for_status().json()[0])


def new_name() -> str:
    return f"test-{uuid.uuid4().hex[:8]}"
