"""What a user sees of a run of Pulumi, from its events."""

from typing import Any

import pytest

from ops.checkpoint import CONTAINER, IMAGE, VOLUME
from ops.progress import Progress, plain

PREFIX = "urn:pulumi:dev::whatsapp::whatsapp:stack:Service$"
DB = f"{PREFIX}{CONTAINER}::db"
PORT_TAKEN = "Unable to start container: listen tcp4 127.0.0.1:8000: bind: address already in use"


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def progress(clock: Clock) -> Progress:
    return Progress(clock=clock)


def metadata(operation: str, urn: str = DB, kind: str = CONTAINER, **more: object) -> dict[str, Any]:
    return {"metadata": {"op": operation, "urn": urn, "type": kind, **more}}


def message(severity: str, text: str, urn: str = "") -> dict[str, Any]:
    return {"diagnosticEvent": {"severity": severity, "message": text, **({"urn": urn} if urn else {})}}


def test_a_container_is_told_when_it_begins_and_when_it_is_there(
    progress: Progress, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    progress.event({"resourcePreEvent": metadata("create")})
    clock.now += 1.5
    progress.event({"resOutputsEvent": metadata("create")})
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [["db", "creating"], ["db", "created,", "1.5", "s"]]
    assert progress.steps == [("db created", 1.5)]


def test_a_replacement_says_what_changed(progress: Progress, capsys: pytest.CaptureFixture[str]) -> None:
    progress.event({"resourcePreEvent": metadata("create-replacement", diffs=["envs", "uploads"])})
    assert "envs, uploads changed" in capsys.readouterr().out


def test_what_stays_as_it_is_is_not_told(progress: Progress, capsys: pytest.CaptureFixture[str]) -> None:
    progress.event({"resourcePreEvent": metadata("same")})
    progress.event({"resOutputsEvent": metadata("same")})
    progress.event({"resourcePreEvent": metadata("refresh")})
    progress.event({"resOutputsEvent": metadata("refresh")})
    progress.event(message("debug", "[DEBUG] Docker container inspect: PASSWORD=hunter2"))
    assert capsys.readouterr().out == ""


def test_a_volume_that_is_let_go_is_said_to_be_kept(progress: Progress, capsys: pytest.CaptureFixture[str]) -> None:
    event = metadata("delete", f"{PREFIX}{VOLUME}::postgres_adk_data", VOLUME, old={"retainOnDelete": True})
    progress.event({"resourcePreEvent": event})
    progress.event({"resOutputsEvent": event})
    out = capsys.readouterr().out
    assert "kept, with its data" in out
    assert "removed" not in out, "a user would think that the data is gone"


def test_a_volume_that_was_there_is_said_to_be_found(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(clock=clock, volumes=frozenset({"whatsapp-dev_redis_data"}))
    for volume in ("redis_data", "minio_data"):
        event = metadata("create", f"{PREFIX}{VOLUME}::{volume}", VOLUME, new={"inputs": {"name": f"whatsapp-dev_{volume}"}})
        progress.event({"resourcePreEvent": event})
        progress.event({"resOutputsEvent": event})
    redis, minio = capsys.readouterr().out.splitlines()
    assert "found, with its data" in redis, "Pulumi calls it created, and a user fears for the data"
    assert "created" in minio


def test_an_image_is_built_or_fetched(progress: Progress, capsys: pytest.CaptureFixture[str]) -> None:
    progress.event({"resourcePreEvent": metadata("create", f"{PREFIX}{IMAGE}::app", IMAGE, new={"inputs": {"build": {"context": "."}}})})
    progress.event({"resourcePreEvent": metadata("create", f"{PREFIX}{IMAGE}::redis:7", IMAGE, new={"inputs": {}})})
    out = capsys.readouterr().out
    assert "image app" in out
    assert "building" in out
    assert "fetching" in out


def test_a_silence_is_broken_by_what_is_waited_for(progress: Progress, clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    progress.event({"resourcePreEvent": metadata("create")})
    capsys.readouterr()
    clock.now += 4
    progress.tick()
    assert capsys.readouterr().out == "", "too early"
    clock.now += 4
    progress.tick()
    assert "8 s, creating db" in capsys.readouterr().out
    progress.event({"resOutputsEvent": metadata("create")})
    capsys.readouterr()
    clock.now += 6
    progress.tick()
    assert "until ready: db" in capsys.readouterr().out


def test_a_long_silence_is_not_broken_every_few_seconds(progress: Progress, clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    progress.event({"resourcePreEvent": metadata("create", f"{PREFIX}{IMAGE}::app", IMAGE, new={"inputs": {"build": {"context": "."}}})})
    for _ in range(120):
        clock.now += 1
        progress.tick()
    told = [line for line in capsys.readouterr().out.splitlines() if "..." in line]
    assert [line.split()[1] for line in told] == ["5", "15", "35", "75", "115"]
    assert "building image app" in told[0]


def test_a_run_that_changes_nothing_says_that_services_are_waited_for(
    progress: Progress, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    clock.now += 6
    progress.tick()
    assert "still at work" in capsys.readouterr().out
    progress.event({"resOutputsEvent": metadata("same")})
    clock.now += 40
    progress.tick()
    assert "until services are ready" in capsys.readouterr().out


def test_a_service_that_says_it_is_ready_is_no_longer_waited_for(
    progress: Progress, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    progress.event({"resourcePreEvent": metadata("create")})
    progress.event({"resOutputsEvent": metadata("create")})
    clock.now += 3
    progress.event(message("info", "db is ready"))
    clock.now += 6
    progress.tick()
    out = capsys.readouterr().out
    assert "ready, 3.0 s" in out
    assert "until ready: db" not in out
    assert ("db ready", 3.0) in progress.steps


def test_a_providers_error_is_told_once_with_its_service_and_without_nesting(progress: Progress) -> None:
    echo = f"  sdk-v2/provider2.go:571: sdk.helper_schema: {PORT_TAKEN}: provider=docker@5.2.0\n"
    nested = f"1 error occurred:\n\t* creating {DB}: 1 error occurred:\n\t* {PORT_TAKEN}\n\n\n\n\n"
    progress.event(message("error", echo, DB))
    progress.event(message("error", nested, DB))
    progress.event(message("error", "update failed\n"))
    assert progress.failures == [f"db: {PORT_TAKEN}"]


def test_a_failure_is_told_as_it_is_explained_and_still_once(clock: Clock) -> None:
    progress = Progress(clock=clock, explain=lambda text: f"APP_PORT is taken.\n{text}" if "already in use" in text else text)
    for _ in range(2):
        progress.event(message("error", f"1 error occurred:\n\t* creating {DB}: 1 error occurred:\n\t* {PORT_TAKEN}\n", DB))
    progress.event(message("error", "redis is gone"))
    assert progress.failures == [f"db: APP_PORT is taken.\n{PORT_TAKEN}", "redis is gone"]


def test_the_programs_own_message_is_told_as_it_is(progress: Progress) -> None:
    text = "db does not stay up: it is exited (1).\nIts last 2 log lines:\n    first\n    second"
    progress.event(message("error", text))
    progress.event(message("error", "update failed"))
    assert progress.failures == [text]


def test_a_generic_message_is_told_when_nothing_says_more(progress: Progress) -> None:
    progress.event(message("error", "update failed"))
    assert progress.failures == ["update failed"]


def test_what_the_program_writes_to_stderr_is_the_failure_when_it_fails(progress: Progress) -> None:
    for line in ("Traceback (most recent call last):\n\n", '  File "x.py", line 1\n\n', '  File "x.py", line 1\n\n', "ValueError: no\n\n"):
        progress.event(message("info#err", line))
    progress.event({"summaryEvent": {"result": "failed", "resourceChanges": {}}})
    progress.finish()
    expected = 'Traceback (most recent call last):\n  File "x.py", line 1\n  File "x.py", line 1\nValueError: no'
    assert progress.failures == [expected], "lines are lost, doubled or out of order"


def test_what_the_program_writes_to_stderr_is_not_lost_when_it_succeeds(progress: Progress, capsys: pytest.CaptureFixture[str]) -> None:
    progress.event(message("info#err", "DeprecationWarning: mind this\n\n"))
    progress.event({"summaryEvent": {"result": "succeeded", "resourceChanges": {"same": 3, "create": 2, "replace": 1}}})
    progress.finish()
    assert "mind this" in capsys.readouterr().out
    assert progress.changed == 3


def test_a_warning_is_told_once(progress: Progress, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        progress.event(message("warning", "the disk is nearly full"))
    assert capsys.readouterr().out.count("nearly full") == 1


def test_the_stacks_outputs_are_kept_for_the_summary(progress: Progress) -> None:
    urn = "urn:pulumi:dev::whatsapp::pulumi:pulumi:Stack::whatsapp-dev"
    progress.event({"resOutputsEvent": metadata("same", urn, "pulumi:pulumi:Stack", new={"outputs": {"app_url": "http://localhost:8000"}})})
    assert progress.outputs == {"app_url": "http://localhost:8000"}


def test_an_error_without_wrapping_is_left_alone() -> None:
    assert plain("2 errors of yours: creating urn is fun") == "2 errors of yours: creating urn is fun"


def test_a_build_that_fails_says_how_to_see_its_own_output(progress: Progress) -> None:
    build = {
        "context": "/p/images/redis",
        "networkMode": "host",
        "target": "dev",
        "buildArgs": {"BASE_IMAGE": "base:12", "https_proxy": "[secret]"},
        "secrets": [{"id": "ca_bundle", "src": "/etc/ca.pem"}],
    }
    urn = f"{PREFIX}{IMAGE}::redis"
    progress.event(message("error", "1 error occurred:\n\t* Error running buildx build: exit code: 1\n\n", urn))
    progress.event({"resOpFailedEvent": metadata("create", urn, IMAGE, new={"inputs": {"build": build}})})
    arguments = (
        "--network host --target dev --build-arg BASE_IMAGE=base:12 --build-arg https_proxy --secret id=ca_bundle,src=/etc/ca.pem "
        "/p/images/redis"
    )
    command = f"DOCKER_BUILDKIT=1 docker build --progress plain {arguments}"
    assert progress.failures == [
        "image redis: Error running buildx build: exit code: 1",
        "image redis: what it prints: " + command,
    ]
