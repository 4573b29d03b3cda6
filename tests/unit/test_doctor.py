"""What the doctor makes of what it sees; that it sees it is tried on a real engine."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from ops.backup import marker
from ops.doctor import guard, plans, whole
from ops.doctor.credentials import trials, verdict
from ops.doctor.findings import Verdict
from ops.doctor.instances import strangers
from ops.doctor.machine import clock, disk, engine_version, memory, sources
from ops.doctor.running import condition, log
from ops.doctor.trouble import SIGNS, signs_in
from ops.errors import OperatorError
from ops.status import Status, age
from stack.engine import NO_ANSWER, EngineError, ProbeResult
from stack.settings import Settings
from stack.vocabulary import ServiceName
from tests.unit.backup_samples import Volumes

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def seen(**changed: object) -> Status:
    usual: dict[str, object] = {
        "service": "redis",
        "replica": 1,
        "container": "whatsapp-dev-redis-1",
        "state": "running",
        "health": "healthy",
        "since": "",
        "restarts": 0,
        "exit_code": None,
        "out_of_memory": False,
        "cpu_percent": 0.1,
        "memory_mib": 4.0,
        "memory_limit_mib": 256.0,
        "ports": (),
        "image": "redis:7",
    }
    return Status(**(usual | changed))  # type: ignore[arg-type]


def engine(**info: object) -> Mock:
    client = Mock()
    client.api.api_version = "1.41"
    client.info.return_value = {"ServerVersion": "20.10", "MemTotal": 8 * 1024**3, "DockerRootDir": "/nowhere", "SystemTime": ""} | info
    return client


@pytest.mark.parametrize(("api", "verdict"), [("1.40", Verdict.BAD), ("1.41", Verdict.GOOD), ("1.100", Verdict.GOOD)])
def test_an_engine_older_than_20_10_is_refused(api: str, verdict: Verdict) -> None:
    assert engine_version(api, {}).verdict is verdict


@pytest.mark.parametrize(("free", "verdict"), [(0.9, Verdict.BAD), (3, Verdict.WARNING), (6, Verdict.GOOD)])
def test_a_disk_that_is_nearly_full_is_said_before_databases_stop(free: float, verdict: Verdict) -> None:
    assert disk("disk", Path("/"), free).verdict is verdict


def test_little_memory_is_a_warning() -> None:
    assert (memory(1.0).verdict, memory(4.0).verdict) == (Verdict.WARNING, Verdict.GOOD)


@pytest.mark.parametrize(
    ("told", "verdict"),
    [
        ("2026-11-22T09:00:00.123456789-03:00", Verdict.GOOD),
        ("2026-11-22T12:00:00.1Z", Verdict.GOOD),
        ("2026-11-22T12:05:00Z", Verdict.BAD),
        ("2026-11-22T11:55:00Z", Verdict.BAD),
        ("", Verdict.GOOD),
    ],
)
def test_a_clock_that_is_minutes_off_is_bad_in_either_direction(told: str, verdict: Verdict) -> None:
    assert clock(told, NOW, NOW + timedelta(seconds=1)).verdict is verdict


def test_instances_that_evolution_does_not_load_are_told_with_the_setting_that_does() -> None:
    (found,) = strangers(["evolution_exchange", "evolution"], "evolution")
    assert found.verdict is Verdict.WARNING
    assert "instances of the client name evolution_exchange" in found.said
    assert found.mend.startswith("EVOLUTION_CLIENT_NAME=evolution_exchange in the settings")


@pytest.mark.parametrize(("name", "mode"), [("src/main.py", 0o640), ("src/deep", 0o754), ("images/redis.sh", 0o700)])
def test_sources_that_a_strict_umask_hides_from_the_containers_are_named_with_the_mend(tmp_path: Path, name: str, mode: int) -> None:
    (tmp_path / "src" / "deep").mkdir(parents=True)
    (tmp_path / "images").mkdir()
    for file in ("src/main.py", "src/deep/module.py", "images/redis.sh"):
        (tmp_path / file).touch()
    assert sources(tmp_path).verdict is Verdict.GOOD
    (tmp_path / name).chmod(mode)
    found = sources(tmp_path)
    assert found.verdict is Verdict.BAD
    assert found.said.startswith(f"{name} can't be read")
    assert found.mend.startswith("chmod -R go+rX src ")


def test_the_guard_refuses_an_up_with_all_reasons_and_their_mends(tmp_path: Path) -> None:
    client = engine(SystemTime="2020-01-01T00:00:00Z")
    client.api.api_version = "1.30"
    with pytest.raises(OperatorError) as refused:
        guard(client, tmp_path)
    assert "nothing was changed" in refused.value.what
    assert "clock" in refused.value.cause
    assert "1.41" in refused.value.cause
    assert refused.value.cause.count("Mend:") == 2


def test_the_guard_lets_a_good_machine_pass_without_a_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    guard(engine(), tmp_path)
    assert "BAD" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"state": "exited", "exit_code": 137, "out_of_memory": True, "health": ""}, "exited (exit code 137, out of memory)"),
        ({"health": "unhealthy", "failing": 3, "last_check": "timeout expired"}, "its health check fails: timeout expired"),
        ({"failing": 1, "last_check": "AUTH failed"}, "its last health check failed: AUTH failed"),
        ({"restarts": 3}, "ended by itself and was restarted 3 times"),
        ({"restarts": 2, "out_of_memory": True}, "ended for lack of memory and was restarted 2 times"),
        ({"memory_mib": 250.0, "service": "db"}, "uses 250 of 256 MiB"),
    ],
)
def test_what_ails_a_container_is_said_with_a_mend(changed: dict[str, object], words: str) -> None:
    ailing = [finding for finding in condition(seen(**changed)) if finding.verdict is not Verdict.GOOD]
    assert words in " ".join(finding.said for finding in ailing)
    assert all(finding.mend for finding in ailing)


@pytest.mark.parametrize("changed", [{"restarts": 1, "out_of_memory": True}, {"memory_mib": 250.0}])
@pytest.mark.parametrize("service", ServiceName)
def test_lack_of_memory_is_mended_by_a_setting_that_exists(service: ServiceName, changed: dict[str, object]) -> None:
    mends = " ".join(finding.mend for finding in condition(seen(service=service, **changed)))
    (named,) = re.findall(r"\w+_MEMORY_MB", mends)
    assert named.lower() in Settings.model_fields


def test_redis_is_nearly_full_at_the_bound_above_which_it_refuses_writes() -> None:
    said = {name: " ".join(each.said for each in condition(seen(service=name, memory_mib=180.0))) for name in ("redis", "db")}
    assert "uses 180 of 192 MiB" in said["redis"]
    assert "uses" not in said["db"]


def test_a_service_that_gives_no_answer_to_a_login_hangs_and_refuses_nothing() -> None:
    assert "can't be asked" in verdict("c", ProbeResult(NO_ANSWER, "no answer within 10 s")).said
    usage = "Error: {:no_such_node}\n\nUsage\n\nrabbitmqctl authenticate_user <username>"
    assert verdict("c", ProbeResult(1, usage)).said.endswith("Error: {:no_such_node}"), "the telling line, not the last one"
    assert "refuses" in verdict("c", ProbeResult(2, "FATAL: password authentication failed")).said
    assert verdict("c", ProbeResult(0, "")).verdict is Verdict.GOOD


def test_a_healthy_container_gets_no_more_than_a_good_word() -> None:
    assert [finding.verdict for finding in condition(seen())] == [Verdict.GOOD]


@pytest.mark.parametrize(
    ("service", "line", "times", "meaning"),
    [
        ("evolution-api", "[Evolution API] ERROR [Redis] redis disconnected", 5, "lost Redis"),
        ("evolution-api", "S3 ERROR:  Error: connect ECONNREFUSED 172.18.0.5:9000", 1, "can't use MinIO"),
        ("evolution-api", "[unhandledRejection] connect ECONNREFUSED 172.18.0.4:5672", 1, "started without RabbitMQ"),
        ("evolution-api", "[unhandledRejection] Handshake terminated by server: 403 (ACCESS-REFUSED)", 1, "started without RabbitMQ"),
        ("evolution-api", "ERROR [unhandledRejection] [object] Error: getaddrinfo ENOTFOUND rabbitmq", 1, "started without RabbitMQ"),
        ("evolution-api", "INFO  [ChannelStartupService] [string] Baileys version: 2,3000,1019707846", 300, "reconnects without end"),
        ("evolution-api", "CONNECTION_UPDATE connecting", 300, "reconnects without end"),
        ("db", 'FATAL:  password authentication failed for user "app"', 1, "wrong password"),
        ("db", "LOG:  server process (PID 87) was terminated by signal 9: Killed", 1, "lack of memory"),
        ("rabbitmq", "memory resource limit alarm set on node rabbit@rabbitmq.", 1, "is full"),
        ("redis", "OOM command not allowed when used memory > 'maxmemory'.", 1, "memory is full"),
    ],
)
def test_a_log_line_that_means_trouble_is_explained(service: str, line: str, times: int, meaning: str) -> None:
    assert meaning in " ".join(sign.meaning for sign, _ in signs_in(service, [line] * times, [line] * times))
    assert not signs_in(service, [line] * (times - 1), [line] * (times - 1)), "fewer lines are a passing moment"


def test_a_refused_password_means_nothing_once_those_who_log_in_were_started_with_the_new_one() -> None:
    lines = [f'2026-11-22T13:00:0{second}.123456789Z FATAL:  password authentication failed for user "app"' for second in (1, 2, 5)]
    database = seen(service="db", container="whatsapp-dev-db-1")
    assert not list(log(database, lines[:2], "2026-11-22T13:00:02+00:00"))
    (finding,) = log(database, lines, "2026-11-22T13:00:02+00:00")
    assert "somebody uses an old or wrong password (1 lines in 10 minutes, as in: FATAL:  password" in finding.said


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The clients of the engines that the doctor asked who holds ports; none answers."""
    clients: list[object] = []

    def connect(client: object) -> None:
        clients.append(client)
        raise EngineError("No Docker engine answers. Start it.")

    monkeypatch.setattr(plans, "Engine", connect)
    return clients


def test_the_ports_are_looked_at_on_the_engine_of_all_other_commands(tmp_path: Path, asked: list[object]) -> None:
    (tmp_path / ".state").mkdir()
    (tmp_path / ".state" / "machine.env").write_text("IMAGES=local\n")
    client = Mock()
    found = {finding.subject: finding for finding in plans.plans(client, tmp_path, "dev")}
    assert asked == [client]
    assert (found["ports"].verdict, found["ports"].said) == (Verdict.BAD, "No Docker engine answers. Start it.")
    assert found["settings"].verdict is found["images"].verdict is Verdict.GOOD, "what can be looked at is"


def test_the_doctor_finds_an_empty_passphrase_and_an_unreadable_configuration_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "")
    (tmp_path / "Pulumi.prod.yaml").write_text("config:\n  whatsapp:ENVIRONMENT: production\n")
    found = {finding.subject: finding for finding in plans.plans(Mock(), tmp_path, "prod")}
    assert found["passphrase"].verdict is Verdict.BAD
    assert "PULUMI_CONFIG_PASSPHRASE is empty" in found["passphrase"].said
    (tmp_path / "Pulumi.prod.yaml").write_bytes(b"\xff")
    for finding in plans.plans(Mock(), tmp_path, "prod"):
        assert (finding.verdict, "Pulumi.prod.yaml can't be read" in finding.said) == (Verdict.BAD, True)


def test_ordinary_lines_mean_nothing() -> None:
    lines = ["redis ready", "HTTP - ON: 8080", "database system is ready to accept connections", "Server startup complete"]
    assert not [sign for service in SIGNS for sign in signs_in(service, lines, lines)]


EVOLUTION = {
    "DATABASE_CONNECTION_URI": "postgresql://evolution:s%40cret1@evolution_postgres:5432/evolution?schema=public",
    "CACHE_REDIS_URI": "redis://:secret2@redis:6379/6",
    "RABBITMQ_URI": "amqp://whatsapp:secret3@rabbitmq:5672/%2F?frameMax=131072",
    "S3_ACCESS_KEY": "whatsapp",
    "S3_SECRET_KEY": "secret4",
    "S3_PORT": "9000",
    "API_AUDIO_CONVERTER": "http://audio-converter:4040/process-audio",
    "API_AUDIO_CONVERTER_KEY": "secret5",
}
"""The environment of Evolution API, as far as it names services."""


def test_each_credential_of_evolution_is_tried_where_it_is_used_and_shows_in_no_command_line() -> None:
    tried = {trial.service: trial for trial in trials(EVOLUTION)}
    services = ServiceName.EVOLUTION_POSTGRES, ServiceName.REDIS, ServiceName.RABBITMQ, ServiceName.MINIO, ServiceName.AUDIO_CONVERTER
    assert set(tried) == set(services)
    for number, service in enumerate(services, 1):
        secret = "s@cret1" if number == 1 else f"secret{number}"
        assert any(secret in value for value in tried[service].secrets.values())
        assert secret not in tried[service].line


@pytest.mark.parametrize(("ago", "shown"), [(5, "5s"), (119, "1m"), (7200, "2h"), (200000, "2d")])
def test_an_age_is_told_in_its_largest_unit(ago: int, shown: str) -> None:
    assert age((NOW - timedelta(seconds=ago)).isoformat(), NOW) == shown


def test_rabbitmqs_password_goes_to_its_tool_through_a_pipe() -> None:
    (trial,) = (trial for trial in trials(EVOLUTION) if trial.service is ServiceName.RABBITMQ)
    before, _, tool = trial.line.partition("|")
    assert "$DOCTOR_PASSWORD" in before
    assert before.startswith("printf "), "a program of its own would have the password in its arguments; the shell's printf has none"
    assert "PASSWORD" not in tool, "the shell replaces it, and every process list shows it"


def test_a_password_of_minio_may_hold_what_would_mean_something_in_a_url() -> None:
    (trial,) = (trial for trial in trials(EVOLUTION | {"S3_SECRET_KEY": 'a:b@c/"d\\'}) if trial.service is ServiceName.MINIO)
    server = json.loads(trial.secrets["DOCTOR_CONFIGURATION"])["aliases"]["doctor"]
    assert (server["accessKey"], server["secretKey"], server["url"]) == ("whatsapp", 'a:b@c/"d\\', "http://127.0.0.1:9000")
    assert not any(name.startswith("MC_HOST") for name in trial.secrets), "there mc takes b@c... for a session's token"


def test_a_restore_that_was_interrupted_is_bad_and_its_mend_is_to_run_it_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    engine: Any = Volumes()
    monkeypatch.setattr(marker, "FOLDER", tmp_path)
    assert list(whole(engine, "whatsapp-dev", "dev")) == []
    engine.names.add(marker.volume("whatsapp-dev"))
    (finding,) = whole(engine, "whatsapp-dev", "dev")
    assert finding.verdict is Verdict.BAD
    assert "was interrupted" in finding.said
    assert "make restore FILE=... STACK=dev" in finding.mend
