"""A stack of the copy, as its user has it: settings in a file, commands, ports, containers."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from docker import DockerClient

from stack.vocabulary import ServiceName
from tests.e2e import machine
from tests.e2e.machine import Picture, Seen
from tests.e2e.project import Copy, Ran, Running

EIGHT = tuple(sorted(set(ServiceName) - {ServiceName.PGADMIN}))
"""The services of a stack without options."""

_PORT_SETTINGS = ("EVOLUTION_PORT", "POSTGRES_PORT", "EVOLUTION_POSTGRES_PORT", "RABBITMQ_UI_PORT", "MINIO_PORT", "MINIO_CONSOLE_PORT")
_REPLICAS = 3


def fresh_ports() -> dict[str, str]:
    """Host ports that are free now, by setting; the two after APP_PORT are free too, for replicas."""
    first = machine.free_ports(_REPLICAS + len(_PORT_SETTINGS))
    later = range(first + _REPLICAS, first + _REPLICAS + len(_PORT_SETTINGS))
    return {"APP_PORT": str(first), **dict(zip(_PORT_SETTINGS, map(str, later), strict=True))}


@dataclass
class Stack:
    """One stack.

    Attributes:
        name: of the Pulumi stack.
        project: its Compose project name.
        settings: what its settings file has between tests.
        settled: whether it is up with just these settings, as far as is known.
    """

    name: str
    project: str
    copy: Copy
    client: DockerClient
    settings: dict[str, str] = field(default_factory=fresh_ports)
    settled: bool = False

    @property
    def settings_file(self) -> Path:
        return self.copy.folder / f".env.{self.name}"

    def write(self, **changed: str) -> None:
        """Write the settings file, with some settings other than usual."""
        lines = (f"{name}={value}\n" for name, value in {**self.settings, **changed}.items())
        self.settings_file.write_text("".join(lines), encoding="utf-8")

    @contextmanager
    def with_settings(self, **changed: str) -> Iterator[None]:
        """Other settings for a while. They are taken back at the end, and it is for the next `up` to apply that."""
        self.settled = False
        self.write(**changed)
        try:
            yield
        finally:
            self.write()
            self.settled = False  # an `up` within has applied the others

    def make(self, target: str, **variables: str) -> Ran:
        """Run a target of the Makefile on this stack."""
        return self.copy.make(target, self.name, **variables)

    def start(self, target: str) -> Running:
        """Begin a target of the Makefile on this stack."""
        return self.copy.start(["make", target, f"STACK={self.name}"])

    def settle(self) -> None:
        """Bring it up with its usual settings, unless it is so already."""
        if not self.settled:
            self.write()
            self.up()

    def up(self) -> Ran:
        """Run `make up`, which must succeed."""
        ran = self.make("up")
        assert ran.code == 0, f"`make up` failed:\n{ran.told}"
        assert f"{self.name}: {len(EIGHT)} services ready" in ran.output, f"`make up` did not say that all services are ready:\n{ran.told}"
        self.settled = True
        return ran

    def fails(self, target: str = "up") -> Ran:
        """Run a target that must fail."""
        self.settled = False
        ran = self.make(target)
        assert ran.code != 0, f"`make {target}` reported success:\n{ran.told}"
        return ran

    def pulumi(self, arguments: str) -> Ran:
        """Run bare `pulumi`, which must succeed."""
        ran = self.copy.pulumi(self.name, arguments)
        assert ran.code == 0, f"`pulumi {arguments}` failed:\n{ran.told}"
        return ran

    def credentials(self) -> dict[str, str]:
        """The passwords and keys, from the stack's outputs."""
        ran = self.pulumi("stack output credentials --show-secrets --json")
        found: dict[str, str] = json.loads(ran.output[ran.output.index("{") :])
        return found

    def containers(self) -> list[Seen]:
        return machine.containers(self.client, self.project)

    def container(self, service: str, number: int = 1) -> Seen:
        """One container, which must be there."""
        name = f"{self.project}-{service}-{number}"
        found = {each.name: each for each in self.containers()}
        assert name in found, f"there is no container {name}, but {', '.join(found) or 'none at all'}"
        return found[name]

    def identities(self) -> dict[str, tuple[str, str, int]]:
        """Which container of each service runs, and since when."""
        return {each.service: each.identity for each in self.containers()}

    def picture(self) -> Picture:
        return machine.picture(self.client, self.project)

    def inside(self, service: str, *command: str, number: int = 1, **environment: str) -> tuple[int, str]:
        """Run a command in a container: its exit code, and all that it said."""
        return machine.run_inside(self.client, self.container(service, number).id, *command, **environment)

    def probe(self, service: str) -> tuple[int, str]:
        """What a service's own health check says now: its exit code and its words. The engine asks only every half minute."""
        kind, *words = self.container(service).attributes["Config"]["Healthcheck"]["Test"]
        return self.inside(service, *(words if kind == "CMD" else ("sh", "-c", *words)))

    def url(self, port_setting: str, path: str = "") -> str:
        return f"http://127.0.0.1:{self.settings[port_setting]}{path}"

    def readiness(self, port_offset: int = 0) -> httpx.Response:
        """What the application says of itself through its published port."""
        port = int(self.settings["APP_PORT"]) + port_offset
        return httpx.get(f"http://127.0.0.1:{port}/health/ready", timeout=10)

    def assert_works(self) -> None:
        """All eight run, and the application reaches what it needs."""
        states = {each.service: each.status for each in self.containers()}
        assert states == dict.fromkeys(EIGHT, "running"), f"not all eight run: {states}"
        answer = self.readiness()
        assert answer.status_code == httpx.codes.OK, f"the application is not ready: {answer.text}"

    def remove(self) -> None:
        """Remove everything of it from the engine, by force."""
        machine.remove_everything(self.client, self.project)
        self.settled = False


def eventually(seconds: float, attempt: Callable[[], bool], what: str) -> float:
    """Try until it returns true, and say how long that took.

    Raises:
        AssertionError: it did not within `seconds`; with what the last attempt raised.
    """
    begun = time.monotonic()
    last: Exception | None = None
    while time.monotonic() - begun < seconds:
        try:
            if attempt():
                return time.monotonic() - begun
        except (httpx.HTTPError, OSError, AssertionError) as error:
            last = error
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {seconds} s ({last})")
