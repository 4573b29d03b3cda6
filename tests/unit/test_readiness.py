"""The gate: what it mends, what it waits for, and what it says when a service can't become ready."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from stack import readiness
from stack.engine import ContainerState, EngineError, ProbeResult
from stack.readiness import Gate, NotReadyError, Passed
from stack.service import cores, duration
from stack.settings import NAMES
from stack.spec import Probe
from stack.vocabulary import SETTING_PREFIXES, ServiceName

START = datetime(2026, 1, 1, tzinfo=UTC)
RUNNING = ContainerState(name="whatsapp-dev-db-1", service="db", status="running", health="starting", started=START)


@dataclass
class FakeEngine:
    """An engine with one container whose states and probe results are told beforehand; the last of each goes on for ever."""

    seen: list[ContainerState]
    results: list[int] = field(default_factory=lambda: [0])
    others: dict[str, ContainerState] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    fails_to_start: bool = False
    restart_helps: bool = False
    connected: datetime = START - timedelta(minutes=1)

    def state(self, container_id: str) -> ContainerState:
        if container_id in self.others:
            return self.others[container_id]
        return self.seen.pop(0) if len(self.seen) > 1 else self.seen[0]

    def states(self, _project: str) -> list[ContainerState]:
        return [self.seen[0], ContainerState(name="whatsapp-dev-redis-1", service="redis", status="exited", exit_code=1)]

    def probe(self, _container_id: str, test: tuple[str, ...], _seconds: float) -> ProbeResult:
        self.done.append(f"probe {test[-1]}")
        return ProbeResult(self.results.pop(0) if len(self.results) > 1 else self.results[0], "said the probe")

    def logs(self, _container_id: str, lines: int) -> list[str]:
        return [f"line of {lines}"]

    def start(self, _container_id: str) -> None:
        if self.fails_to_start:
            raise EngineError("port is already allocated")
        self.done.append("start")

    def restart(self, _container_id: str, grace_seconds: int) -> None:
        self.done.append(f"restart {grace_seconds}")
        self.seen = [replace(each, started=self.connected + timedelta(seconds=1)) for each in self.seen]
        if self.restart_helps:
            self.results = [0]


@pytest.fixture(autouse=True)
def _without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "_POLL_SECONDS", 0.001)
    monkeypatch.setattr(readiness, "_PATIENCE", 0.01)


def wait(engine: FakeEngine, restarts_with: dict[ServiceName, str] | None = None, **probe: object) -> list[str]:
    """Pass the gate; what was done to the container."""
    spec = replace(Probe(("CMD", "ready"), limit=1), **probe)  # type: ignore[arg-type]
    gate = Gate(engine, "whatsapp-dev", ServiceName.DB, spec, grace_seconds=7, tell=engine.told.append)  # type: ignore[arg-type]
    asyncio.run(gate.wait("id", restarts_with or {}))
    return engine.done


def test_a_container_that_the_engine_calls_healthy_passes_by_one_look() -> None:
    assert wait(FakeEngine([replace(RUNNING, health="healthy")])) == []


def test_the_engine_is_not_believed_when_something_that_the_service_needs_was_away() -> None:
    engine = FakeEngine([replace(RUNNING, health="healthy")], results=[1, 1, 0])
    gate = Gate(engine, "whatsapp-dev", ServiceName.APP, Probe(("CMD", "ready"), limit=1), grace_seconds=7, tell=engine.told.append)  # type: ignore[arg-type]
    assert asyncio.run(gate.wait("id", {}, is_news=True)) == Passed(found_out=True, was_away=True)
    assert engine.done == ["probe ready"] * 3


@pytest.mark.parametrize(("started", "health", "was_away"), [(60, "starting", False), (20, "starting", True), (20, "healthy", False)])
def test_whoever_just_started_was_away_and_whoever_the_engine_knows_was_not(started: int, health: str, was_away: bool) -> None:
    engine = FakeEngine([replace(RUNNING, health=health)], connected=START + timedelta(seconds=started))
    gate = Gate(engine, "whatsapp-dev", ServiceName.DB, Probe(("CMD", "ready"), limit=1), grace_seconds=7, tell=engine.told.append)  # type: ignore[arg-type]
    assert asyncio.run(gate.wait("id", {})).was_away is was_away


def test_it_passes_the_moment_the_probe_does() -> None:
    assert wait(FakeEngine([RUNNING], results=[1, 1, 0])) == ["probe ready"] * 3


def test_a_costly_probe_waits_behind_its_cheap_precondition() -> None:
    engine = FakeEngine([RUNNING], results=[1, 1, 0, 0])
    assert wait(engine, precondition=("port",)) == ["probe port", "probe port", "probe port", "probe ready"]


def test_a_container_that_ran_before_is_not_probed_at_cost_again() -> None:
    engine = FakeEngine([RUNNING], connected=START + timedelta(minutes=1))
    assert wait(engine, precondition=("port",)) == ["probe port"]


def test_one_that_ran_before_and_is_unhealthy_is_probed_in_full() -> None:
    engine = FakeEngine([replace(RUNNING, health="unhealthy")], connected=START + timedelta(minutes=1))
    assert wait(engine, precondition=("port",)) == ["probe port", "probe ready"]


def test_a_precondition_that_the_image_cannot_run_tells_nothing() -> None:
    assert wait(FakeEngine([RUNNING], results=[127, 0]), precondition=("port",)) == ["probe port", "probe ready"]


@pytest.mark.parametrize("status", ["exited", "created", "paused", "restarting", "dead"])
def test_a_container_that_was_stopped_is_started_again(status: str) -> None:
    assert wait(FakeEngine([replace(RUNNING, status=status), RUNNING])) == ["start", "probe ready"]


def test_a_container_whose_dependency_started_later_is_restarted_even_when_healthy() -> None:
    rabbitmq = replace(RUNNING, started=START + timedelta(seconds=5))
    engine = FakeEngine([replace(RUNNING, health="healthy"), RUNNING], others={"rabbit": rabbitmq})
    assert wait(engine, {ServiceName.RABBITMQ: "rabbit"}) == ["restart 7", "probe ready"]


def test_one_that_waited_for_its_dependency_and_is_connected_is_left_alone() -> None:
    later = replace(RUNNING, name="whatsapp-dev-rabbitmq-1", started=START + timedelta(seconds=1))
    healthy = replace(RUNNING, health="healthy")
    engine = FakeEngine([healthy], others={"rabbit": later})
    assert wait(engine, {ServiceName.RABBITMQ: "rabbit"}, restart_exit_code=4) == ["probe ready"]
    deaf = FakeEngine([healthy], results=[4], others={"rabbit": later}, restart_helps=True)
    assert wait(deaf, {ServiceName.RABBITMQ: "rabbit"}, restart_exit_code=4) == ["probe ready", "restart 7", "probe ready"]


def test_a_container_that_started_after_its_dependency_is_left_alone() -> None:
    rabbitmq = replace(RUNNING, started=START - timedelta(seconds=5))
    assert wait(FakeEngine([replace(RUNNING, health="healthy")], others={"rabbit": rabbitmq}), {ServiceName.RABBITMQ: "rabbit"}) == []


@pytest.mark.parametrize(
    ("after", "cause"),
    [
        (replace(RUNNING, status="exited", exit_code=3), "does not stay up: it is exited (3)"),
        (replace(RUNNING, status="restarting", exit_code=1), "does not stay up: it is restarting (1)"),
        (replace(RUNNING, restarts=1), "ended and was started again 1 times"),
        (replace(RUNNING, status="gone"), "its container was removed"),
        (replace(RUNNING, status="exited", exit_code=137, out_of_memory=True), "was killed for lack of memory"),
    ],
)
def test_it_fails_at_once_when_the_container_cannot_become_ready(after: ContainerState, cause: str) -> None:
    engine = FakeEngine([RUNNING, after], results=[1])
    with pytest.raises(NotReadyError) as failure:
        wait(engine, limit=60)
    message = str(failure.value)
    assert message.startswith("db "), "the service comes first"
    assert cause in message
    assert "said the probe" in message
    assert "line of 20" in message
    assert "redis: exited (1)" in message, "the other services are named, each with its state"
    assert "To mend it: " in message
    assert engine.done == ["probe ready"], "a lost cause is not probed again"


@pytest.mark.parametrize("service", ServiceName)
def test_lack_of_memory_names_a_setting_that_exists(service: ServiceName) -> None:
    killed = replace(RUNNING, status="exited", exit_code=137, out_of_memory=True)
    told = readiness.report(service, killed, "was killed for lack of memory", None, [], [])
    setting = f"{SETTING_PREFIXES[service]}_MEMORY_MB"
    assert f"raise {setting} in the settings" in told
    assert setting in NAMES


def test_a_container_that_became_unhealthy_is_believed_after_three_probes() -> None:
    engine = FakeEngine([replace(RUNNING, health="unhealthy")], results=[1])
    with pytest.raises(NotReadyError, match="is running, but unhealthy"):
        wait(engine, limit=60)
    assert len(engine.done) == 3


def hanging(results: list[int], *, restart_helps: bool) -> FakeEngine:
    """One that ran before the `up`, and no longer passes its health checks."""
    state = replace(RUNNING, health="unhealthy", failing=3)
    return FakeEngine([state], results, connected=START + timedelta(minutes=1), restart_helps=restart_helps)


def test_one_that_ran_before_and_hangs_is_restarted_once_and_then_ready() -> None:
    done = wait(hanging([1], restart_helps=True), limit=60)
    assert done[-2:] == ["restart 7", "probe ready"]
    assert done.count("restart 7") == 1


def test_one_that_hangs_although_it_was_restarted_makes_the_up_fail() -> None:
    engine = hanging([1], restart_helps=False)
    with pytest.raises(NotReadyError, match="is running, but unhealthy"):
        wait(engine, limit=60)
    assert engine.done.count("restart 7") == 1


def test_one_that_ran_before_and_recovers_by_itself_is_not_restarted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "_PATIENCE", 60)
    assert wait(hanging([1, 0], restart_helps=False), limit=60) == ["probe ready"] * 2


def test_a_healthy_container_whose_last_health_check_failed_is_not_taken_at_the_engines_word() -> None:
    assert wait(FakeEngine([replace(RUNNING, health="healthy", failing=1)])) == ["probe ready"]


def test_one_whose_probe_says_that_only_a_restart_helps_is_restarted_once_with_the_reason() -> None:
    engine = FakeEngine([RUNNING], results=[1, 4], restart_helps=True)
    done = wait(engine, limit=60, restart_exit_code=4)
    assert done[-2:] == ["restart 7", "probe ready"]
    assert done.count("restart 7") == 1
    assert engine.told == ["db is restarted: said the probe"]


def test_one_that_makes_its_connection_a_moment_after_it_answers_is_not_restarted() -> None:
    assert wait(FakeEngine([RUNNING], results=[4, 0]), limit=60, restart_exit_code=4) == ["probe ready"] * 2


def test_one_for_which_a_restart_did_not_help_fails_at_its_limit_with_what_the_probe_says() -> None:
    class Once(FakeEngine):
        def restart(self, container_id: str, grace_seconds: int) -> None:
            if "restart 7" in self.done:
                raise EngineError("it was restarted once more")
            super().restart(container_id, grace_seconds)

    engine = Once([RUNNING], results=[4])
    with pytest.raises(NotReadyError, match=r"was not ready within its limit of 0.1 s(.|\n)*said the probe"):
        wait(engine, limit=0.1, restart_exit_code=4)
    assert engine.done.count("restart 7") == 1


def test_one_that_is_stopped_while_the_gate_waits_is_started_once_more() -> None:
    stopped = replace(RUNNING, status="exited", exit_code=0)
    engine = FakeEngine([RUNNING, stopped, RUNNING], results=[1, 0])
    assert wait(engine) == ["probe ready", "start", "probe ready"]
    with pytest.raises(NotReadyError, match="does not stay up"):
        wait(FakeEngine([RUNNING, stopped, RUNNING, stopped], results=[1]))


def test_a_full_disk_is_named_with_what_to_do_about_it() -> None:
    class Full(FakeEngine):
        def logs(self, _container_id: str, lines: int) -> list[str]:  # noqa: ARG002
            return ["PANIC: could not write: No space left on device"]

    engine = Full([RUNNING, replace(RUNNING, status="restarting", exit_code=1)], results=[1])
    with pytest.raises(NotReadyError, match="is full: make room"):
        wait(engine)


def test_a_refused_credential_is_not_waited_for() -> None:
    engine = FakeEngine([RUNNING], results=[1, 3])
    with pytest.raises(NotReadyError, match="its credentials are refused"):
        wait(engine, limit=60, refused_exit_code=3)
    assert len(engine.done) == 2


def test_one_that_never_becomes_ready_fails_at_its_limit() -> None:
    with pytest.raises(NotReadyError, match="was not ready within its limit of 0 s"):
        wait(FakeEngine([RUNNING], results=[1]), limit=0)


def test_what_the_engine_says_is_said_once() -> None:
    stopped = replace(RUNNING, status="exited", error="port is already allocated")
    told = readiness.report(ServiceName.DB, stopped, "can't be started: port is already allocated", None, [], [])
    assert told.count("port is already allocated") == 1
    assert "The engine says: port is already allocated" in readiness.report(ServiceName.DB, stopped, "is gone", None, [], [])


def test_what_the_engine_says_of_a_failed_start_is_passed_on() -> None:
    with pytest.raises(NotReadyError, match="can't be started: port is already allocated"):
        wait(FakeEngine([replace(RUNNING, status="exited")], fails_to_start=True))


@pytest.mark.parametrize(("seconds", "text"), [(1, "1s"), (59, "59s"), (60, "1m0s"), (90, "1m30s"), (3600, "1h0m0s"), (3725, "1h2m5s")])
def test_durations_are_written_as_the_engine_gives_them_back(seconds: int, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("value", "text"), [(1, "1.0"), (0.5, "0.5"), (1.25, "1.25"), (2.0, "2.0")])
def test_cores_are_written_as_the_engine_gives_them_back(value: float, text: str) -> None:
    assert cores(value) == text
