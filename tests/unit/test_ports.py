"""Who gets which host port, who is in the way, and what is said of a port that somebody took at the last moment."""

import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from stack import ports
from stack.settings import Settings, load
from stack.vocabulary import ServiceName

PROJECT, STACK = "whatsapp-dev", "dev"


@dataclass
class Running:
    """A running container that holds host ports, as the Docker client gives it."""

    service: str
    holds: tuple[int, ...]
    number: int = 1
    project: str = PROJECT
    stack: str | None = STACK

    @property
    def id(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        return f"{self.project}-{self.service}-{self.number}"

    @property
    def labels(self) -> dict[str, str]:
        labels = {
            "com.docker.compose.project": self.project,
            "com.docker.compose.service": self.service,
            "com.docker.compose.container-number": str(self.number),
        }
        return labels if self.stack is None else labels | {"whatsapp.stack": self.stack}

    @property
    def ports(self) -> dict[str, Any]:
        return {f"{number}/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(port)}] for number, port in enumerate(self.holds)} | {
            "9/tcp": None
        }


@dataclass
class FakeEngine:
    """An engine elsewhere, unless it is said to be local, so that this machine's own ports don't count."""

    containers: list[Running]
    is_local: bool = False
    stopped: list[str] = field(default_factory=list)

    def address_problem(self, _address: str) -> str:
        return ""

    def running(self) -> list[Running]:
        return self.containers

    def stop(self, container: Running) -> None:
        self.stopped.append(container.name)


@pytest.fixture(autouse=True)
def _without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_SECONDS_TO_LET_GO", 0.001)


@pytest.fixture
def held() -> Iterator[int]:
    """A port of this machine that this process holds."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield int(server.getsockname()[1])


def settings(folder: Path, **given: object) -> Settings:
    (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in given.items()))
    return load(folder, STACK, {})


def look(engine: FakeEngine, of: Settings) -> ports.Findings:
    return ports.look(engine, of)  # type: ignore[arg-type]


def test_every_host_port_belongs_to_one_container(tmp_path: Path) -> None:
    wanted = ports.wanted(settings(tmp_path, APP_REPLICAS=3, PGADMIN_ENABLED="true"))
    assert {each.port: (each.service, each.number) for each in wanted} == {
        8000: (ServiceName.APP, 1),
        8001: (ServiceName.APP, 2),
        8002: (ServiceName.APP, 3),
        8080: (ServiceName.EVOLUTION_API, 1),
        5432: (ServiceName.DB, 1),
        5433: (ServiceName.EVOLUTION_POSTGRES, 1),
        15672: (ServiceName.RABBITMQ, 1),
        9000: (ServiceName.MINIO, 1),
        9001: (ServiceName.MINIO, 1),
        5050: (ServiceName.PGADMIN, 1),
    }


def test_ports_that_their_own_containers_hold_are_in_nobodys_way(tmp_path: Path) -> None:
    engine = FakeEngine([Running("app", (8000,)), Running("evolution-api", (8080,)), Running("minio", (9000, 9001))])
    assert look(engine, settings(tmp_path)) == ports.Findings()


def test_with_two_ports_swapped_both_holders_are_in_the_way_and_nothing_is_refused(tmp_path: Path) -> None:
    app, evolution = Running("app", (8000,)), Running("evolution-api", (8080,))
    found = look(FakeEngine([app, evolution]), settings(tmp_path, APP_PORT=8080, EVOLUTION_PORT=8000))
    assert found.problems == ()
    assert {clash.in_words for clash in found.clashes} == {
        "whatsapp-dev-app-1 is stopped: it holds port 8000, which evolution-api is to get",
        "whatsapp-dev-evolution-api-1 is stopped: it holds port 8080, which app is to get",
    }


def test_with_the_first_port_of_replicas_moved_by_one_each_that_another_follows_is_in_the_way(tmp_path: Path) -> None:
    replicas = [Running("app", (8000 + number,), number + 1) for number in range(3)]
    found = look(FakeEngine(replicas), settings(tmp_path, APP_PORT=8001, APP_REPLICAS=3))
    assert [clash.holder.name for clash in found.clashes] == ["whatsapp-dev-app-2", "whatsapp-dev-app-3"]


def test_a_holder_in_the_way_of_two_is_stopped_once(tmp_path: Path) -> None:
    engine = FakeEngine([Running("minio", (9000, 9001))])
    found = look(engine, settings(tmp_path, APP_PORT=9000, EVOLUTION_PORT=9001, MINIO_PORT=8000, MINIO_CONSOLE_PORT=8001))
    ports.make_room(engine, found.clashes)  # type: ignore[arg-type]
    assert engine.stopped == ["whatsapp-dev-minio-1"]


@pytest.mark.parametrize("other", [{"project": "whatsapp-prod", "stack": "prod"}, {"stack": None}, {"stack": "prod"}])
def test_a_container_that_is_not_of_this_stack_is_named_and_never_stopped(tmp_path: Path, other: dict[str, str]) -> None:
    holder = Running("web", (8000,), **other)  # type: ignore[arg-type]
    found = look(FakeEngine([holder]), settings(tmp_path))
    assert found.clashes == ()
    assert found.problems == (f"APP_PORT: port 8000 is held by container {holder.name}: stop it, or give APP_PORT another port.",)


def test_a_program_that_holds_a_port_is_named(tmp_path: Path, held: int) -> None:
    problems = look(FakeEngine([], is_local=True), settings(tmp_path, APP_PORT=held)).problems  # this machine may hold others
    assert [each for each in problems if each.startswith(f"APP_PORT: port {held} is held by another program (")]


@pytest.mark.parametrize(
    "message",
    [
        (
            "driver failed programming external connectivity on endpoint app (06): "
            "Error starting userland proxy: listen tcp4 127.0.0.1:8000: bind: address already in use"
        ),
        "driver failed programming external connectivity on endpoint app (06): Bind for 127.0.0.1:8000 failed: port is already allocated",
        "Bind for :::8000 failed: port is already allocated",
        "Error starting userland proxy: listen tcp6 [::1]:8000: bind: address already in use",
        "failed to bind host port for 127.0.0.1:8000:172.18.0.2:8000/tcp: address already in use",
        "failed to bind host port 127.0.0.1:8000/tcp: address already in use",
        "Ports are not available: exposing port TCP 127.0.0.1:8000 -> 127.0.0.1:0: listen tcp 127.0.0.1:8000: bind: address already in use",
        "app can't be started: driver failed: listen tcp 0.0.0.0:8000: bind: address already in use.\nIts last 1 log lines:\n    x",
    ],
)
def test_the_port_is_found_in_what_engines_of_any_age_say(message: str) -> None:
    assert ports.refused_port(message) == 8000


@pytest.mark.parametrize("message", ["port 8000 is fine", "listen tcp 127.0.0.1:80: bind: permission denied", "name is already in use"])
def test_another_failure_is_not_taken_for_a_port(message: str) -> None:
    assert ports.refused_port(message) is None


def test_whoever_took_a_port_is_named_with_its_setting(tmp_path: Path, held: int) -> None:
    own = settings(tmp_path, APP_PORT=held)
    said = ports.holder_in_words(FakeEngine([], is_local=True), own, held)  # type: ignore[arg-type]
    assert said is not None
    assert said.startswith(f"APP_PORT: port {held} is held by another program (")
    assert said.endswith("end it, or give APP_PORT another port.")


def test_of_one_who_has_let_go_by_now_the_setting_is_told(tmp_path: Path) -> None:
    said = ports.holder_in_words(FakeEngine([]), settings(tmp_path), 5432)  # type: ignore[arg-type]
    assert said == "POSTGRES_PORT: port 5432 was held by somebody who has let go of it by now."
    assert ports.holder_in_words(FakeEngine([]), settings(tmp_path), 4) is None  # type: ignore[arg-type]
