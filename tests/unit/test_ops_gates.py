"""Restarting by hand: in which order, who has to be restarted too, and what is told when one does not come back."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from unittest.mock import Mock

import pytest

from ops import gates
from ops.containers import followers
from ops.engine import SeenContainer
from ops.errors import OperatorError
from ops.gates import Gates
from stack import readiness
from stack.engine import ContainerState, ProbeResult

NOW = datetime.now(UTC)


def seen(service: str, **needs: bool) -> SeenContainer:
    return SeenContainer(
        id=service,
        name=f"whatsapp-dev-{service}-1",
        project="whatsapp-dev",
        service=service,
        stack="dev",
        state="running",
        needs={name.replace("_", "-"): restarts for name, restarts in needs.items()},
    )


RABBITMQ, DB = seen("rabbitmq"), seen("db")
EVOLUTION = seen("evolution-api", rabbitmq=True, redis=False)
APP = seen("app", db=False, evolution_api=False)
EVERYTHING = [APP, DB, EVOLUTION, RABBITMQ]


@dataclass
class FakeEngine:
    """An engine whose containers become ready at their second probe, but for those that crash."""

    crashing: frozenset[str] = frozenset()
    done: list[str] = field(default_factory=list)
    connected: datetime = NOW

    @property
    def api(self) -> Mock:
        return Mock(inspect_container=self._inspect)

    def _inspect(self, container: str) -> dict[str, Any]:
        labels = {"com.docker.compose.project": "whatsapp-dev", "com.docker.compose.service": container.removesuffix("-2")}
        check = {"Test": ["CMD", "ready"], "Interval": 10**9, "Timeout": 10**9, "StartPeriod": 60 * 10**9, "Retries": 3}
        return {"Config": {"Labels": labels, "Healthcheck": check, "StopTimeout": 7}}

    def state(self, container: str) -> ContainerState:
        status = "exited" if container in self.crashing and f"probe {container}" in self.done else "running"
        return ContainerState(name=container, service=container, status=status, health="starting", exit_code=3, started=NOW)

    def states(self, _project: str) -> list[ContainerState]:
        return []

    def logs(self, _container: str, _lines: int) -> list[str]:
        return ["its last words"]

    def restart(self, container: str, grace: int) -> None:
        assert grace == 7, "it gets its own time to end in peace"
        self.done.append(f"restart {container}")

    def probe(self, container: str, _test: tuple[str, ...], _seconds: float) -> ProbeResult:
        again = f"probe {container}" in self.done
        self.done.append(f"probe {container}")
        return ProbeResult(0 if again and container not in self.crashing else 1, "")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    fake = FakeEngine()
    monkeypatch.setattr(gates, "Engine", lambda _client: fake)
    monkeypatch.setattr(readiness, "_POLL_SECONDS", 0.001)
    return fake


def test_what_can_not_reconnect_is_restarted_too_with_what_it_lost() -> None:
    assert followers(EVERYTHING, [RABBITMQ]) == [(EVOLUTION, "rabbitmq")]
    assert followers(EVERYTHING, [DB]) == []


def test_what_is_restarted_anyway_is_not_restarted_twice() -> None:
    assert followers(EVERYTHING, EVERYTHING) == []


def test_one_that_follows_takes_those_with_it_that_can_not_reconnect_to_it() -> None:
    last = seen("last", evolution_api=True)
    assert followers([last, *EVERYTHING], [RABBITMQ]) == [(EVOLUTION, "rabbitmq"), (last, "evolution-api")]


def test_each_is_restarted_when_what_it_needs_is_ready_again(engine: FakeEngine) -> None:
    Gates(Mock()).restart(EVERYTHING)
    for service, needed in (("evolution-api", "rabbitmq"), ("app", "db"), ("app", "evolution-api")):
        ready = max(place for place, what in enumerate(engine.done) if what == f"probe {needed}")
        assert engine.done.index(f"restart {service}") > ready, f"{service} was restarted before {needed} was ready: {engine.done}"
    assert engine.done.index("restart db") < engine.done.index("probe rabbitmq"), "they don't need each other, and one waits for the other"


def test_replicas_are_restarted_one_after_another_and_the_others_serve(engine: FakeEngine) -> None:
    Gates(Mock()).restart([APP, replace(APP, id="app-2")])
    assert engine.done == ["restart app", "probe app", "probe app", "restart app-2", "probe app-2", "probe app-2"]


def test_replicas_behind_one_that_crashes_go_on(engine: FakeEngine) -> None:
    engine.crashing = frozenset({"app"})
    with pytest.raises(OperatorError, match="app does not stay up"):
        Gates(Mock()).restart([APP, replace(APP, id="app-2")])
    assert "restart app-2" not in engine.done


def test_one_that_crashes_is_told_once_with_its_last_words_and_those_that_need_it_are_left_alone(engine: FakeEngine) -> None:
    engine.crashing = frozenset({"rabbitmq"})
    with pytest.raises(OperatorError) as failed:
        Gates(Mock()).restart(EVERYTHING)
    told = failed.value.what
    assert told.count("rabbitmq does not stay up: it is exited (3)") == 1
    assert "its last words" in told
    assert "make logs SERVICE=rabbitmq" in told
    assert "restart evolution-api" not in engine.done
    assert "restart app" not in engine.done
    assert "restart db" in engine.done


def test_containers_that_were_started_are_waited_for(engine: FakeEngine) -> None:
    Gates(Mock()).wait(["db", "rabbitmq"])
    assert sorted(engine.done) == ["probe db"] * 2 + ["probe rabbitmq"] * 2
