"""The commands around Pulumi: files they read and write, what they show, and the Makefile in front of them."""

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ops import bootstrap, checks, containers, engine, tasks
from ops.__main__ import commands, main
from ops.checkpoint import Checkpoint, KnownContainer
from ops.engine import SeenContainer
from ops.errors import OperatorError, Stopped
from ops.session import project_name, settings_file
from ops.setup import SetupError
from ops.tasks import image_urns, with_setting
from ops.up import table

FOLDER = Path(__file__).parents[2]
APP = SeenContainer(
    id="a",
    name="whatsapp-dev-app-1",
    project="whatsapp-dev",
    service="app",
    stack="dev",
    state="running",
    ports=(("127.0.0.1", 8000, 8000),),
)


def test_every_make_target_calls_a_command_that_exists() -> None:
    makefile = (FOLDER / "Makefile").read_text()
    called = set(re.findall(r"\$\(ops\) ([\w-]+)", makefile))
    assert called, "the Makefile calls nothing"
    assert called <= set(commands.commands), "a target calls a command that is not there"
    assert set(commands.commands) <= called, "a command has no target"


def test_every_make_target_is_phony_and_explained_in_help() -> None:
    makefile = (FOLDER / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z][\w-]*):", makefile, re.MULTILINE))
    phony = set(re.search(r"\.PHONY: (.*?)\n\n", makefile, re.DOTALL)[1].replace("\\", " ").split())  # type: ignore[index]
    explained = set(re.findall(r"^([a-z][\w-]*):.*## ", makefile, re.MULTILINE))
    assert targets == phony == explained


def test_continuous_integration_runs_what_a_person_runs() -> None:
    assert (FOLDER / ".ci" / "run").read_text().splitlines()[-1] == "exec make test"


def test_make_test_runs_every_check_cheapest_first_all_but_backups_on_the_engine_and_one_fault_of_each_kind() -> None:
    *others, on_the_engine, damaged = checks.GROUPS["test"]
    groups = ("lint", "test-unit", "test-app", "contract")
    assert others == [step for group in groups for step in checks.GROUPS[group]]
    for step, group, left_out in ((on_the_engine, "test-e2e", "not backups"), (damaged, "test-faults", "not slow")):
        (whole,) = checks.GROUPS[group]
        assert step.command == (*whole.command, "-m", left_out)


def test_every_check_gets_the_test_packages_first() -> None:
    assert checks.GROUPS.keys() <= bootstrap.NEEDS_TESTS


def test_a_failing_check_is_named_and_ends_the_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    steps = (
        checks.Step("first", ("this",), "x"),
        checks.Step("second", ("no_such_module_at_all",), "make x"),
        checks.Step("third", ("this",), "x"),
    )
    monkeypatch.setitem(checks.GROUPS, "trial", steps)
    with pytest.raises(OperatorError, match="Failed: second"):
        checks.run("trial", ())
    assert "third" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "APP_REPLICAS=3\n"),
        ("TZ=UTC", "TZ=UTC\nAPP_REPLICAS=3\n"),
        ("APP_REPLICAS=1\nTZ=UTC\n", "APP_REPLICAS=3\nTZ=UTC\n"),
        ("export APP_REPLICAS = 2  # two\n", "APP_REPLICAS=3\n"),
        ("# APP_REPLICAS=1\nMY_APP_REPLICAS=9\n", "# APP_REPLICAS=1\nMY_APP_REPLICAS=9\nAPP_REPLICAS=3\n"),
    ],
)
def test_scaling_changes_one_line_of_the_settings_and_no_other(before: str, after: str) -> None:
    assert with_setting(before, "APP_REPLICAS", "3") == after


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the project's place, where an `up` does nothing."""
    monkeypatch.setattr(tasks, "FOLDER", tmp_path)
    monkeypatch.setattr(tasks, "up", lambda _stack: None)
    return tmp_path


def test_scaling_writes_the_number_down(project: Path) -> None:
    tasks.scale("dev", 20)
    assert (project / ".env").read_text() == "APP_REPLICAS=20\n"


@pytest.mark.parametrize(
    ("before", "replicas", "word"),
    [
        (b"TZ=UTC\n", 33, "APP_REPLICAS = '33'"),
        (b"TZ=UTC\n", 0, "APP_REPLICAS = '0'"),
        (b"APP_PORT=8079\n", 2, "both take host port 8080"),
        (b"", 32, "raise POSTGRES_MAX_CONNECTIONS to 138"),
        (b"APP_REPLICAS=1\nAPP_REPLICAS=2\n", 3, "is given before"),
        (b"TZ=caf\xe9\n", 2, ".env can't be read"),
        (None, 33, "APP_REPLICAS = '33'"),
    ],
)
def test_a_number_that_the_settings_refuse_is_not_written_down(project: Path, before: bytes | None, replicas: int, word: str) -> None:
    file = project / ".env"
    if before is not None:
        file.write_bytes(before)
    with pytest.raises(OperatorError) as refused:
        tasks.scale("dev", replicas)
    assert word in str(refused.value)
    assert (file.read_bytes() if file.exists() else None) == before


def test_scaling_makes_no_settings_of_a_production_stack_that_has_none(project: Path) -> None:
    (project / "Pulumi.prod.yaml").write_text("config:\n  whatsapp:ENVIRONMENT: production\n")
    with pytest.raises(OperatorError, match=r"\.env\.prod is missing"):
        tasks.scale("prod", 2)
    assert not (project / ".env.prod").exists(), "with it, the stack would no longer be refused"


def test_the_settings_file_is_the_one_that_the_stack_names(tmp_path: Path) -> None:
    assert settings_file(tmp_path, "dev").name == ".env"
    assert settings_file(tmp_path, "prod").name == ".env.prod"
    (tmp_path / "Pulumi.prod.yaml").write_text("config:\n  whatsapp:ENV_FILE: elsewhere.env\n  whatsapp:KEY: {secure: v1}\n")
    assert settings_file(tmp_path, "prod").name == "elsewhere.env"


def test_the_project_is_called_as_its_containers_are_else_as_the_settings_say(tmp_path: Path) -> None:
    known = KnownContainer(id="c", name="n", project="adopted", service="db", must_run=True, image_urns=())
    assert project_name(tmp_path, "dev", Checkpoint(containers=(known,))) == "adopted"
    assert project_name(tmp_path, "dev", Checkpoint()) == "whatsapp-dev"
    (tmp_path / ".env").write_text("PROJECT_NAME=mine\n")
    assert project_name(tmp_path, "dev", Checkpoint()) == "mine"


def test_wrong_settings_are_said_before_anything_is_touched(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("APP_PROT=1\n")
    with pytest.raises(OperatorError, match="APP_PORT"):
        project_name(tmp_path, "dev", Checkpoint())


def test_the_images_to_rebuild_are_those_of_the_service() -> None:
    app = KnownContainer(id="c", name="n", project="p", service="app", must_run=True, image_urns=("urn:app",))
    known = Checkpoint(containers=(app, replace(app, id="d"), replace(app, id="e", service="db", image_urns=("urn:db",))))
    assert image_urns(known, "app") == ["urn:app"]
    with pytest.raises(OperatorError, match="app, db"):
        image_urns(known, "ap")


def test_the_summary_shows_where_each_service_is() -> None:
    db = replace(APP, service="db", ports=(("127.0.0.1", 5432, 5432),))
    second = replace(APP, number=2, ports=(("127.0.0.1", 8001, 8000),))
    minio = replace(APP, service="minio", ports=(("fd00::1", 9000, 9000),))
    redis = replace(APP, service="redis", ports=(), state="exited")
    rows = table([APP, second, db, minio, redis], {"app_url": "http://localhost:8000", "containers": ["x"], "credentials": "[secret]"})
    assert rows == [
        ("SERVICE", "STATE", "URL"),
        ("app", "ready", "http://localhost:8000"),
        ("app (2)", "ready", "localhost:8001"),
        ("db", "ready", "localhost:5432"),
        ("minio", "ready", "[fd00::1]:9000"),
        ("redis", "exited", ""),
    ]


def test_a_command_inside_a_container_is_run_on_the_engine_of_all_other_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, str] = {}
    monkeypatch.setattr(engine, "connect", lambda: None)
    monkeypatch.setattr(engine, "chosen", lambda: {"DOCKER_HOST": "unix:///rootless.sock"})
    monkeypatch.setattr(containers, "of_stack", lambda *_: [APP])
    monkeypatch.setattr(containers, "_without_cli", lambda *_: 0)
    monkeypatch.setattr(shutil, "which", lambda _name: "/usr/bin/docker")
    monkeypatch.setattr(os, "execve", lambda _file, _arguments, environment: seen.update(environment))
    containers.run_inside("dev", "app", ["true"])
    assert seen["DOCKER_HOST"] == "unix:///rootless.sock"


def fail(error: BaseException) -> Callable[..., object]:
    def run(**_: object) -> None:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code", "word"),
    [
        (OperatorError("It is broken.", "Somebody broke it.", "Mend it."), 1, "It is broken.\nSomebody broke it.\nMend it.\n"),
        (SetupError("Docker", "it is away.", "start it"), 1, "Docker: it is away.\n  To mend it: start it\n"),
        (Stopped(), 130, "run the same command again"),
        (KeyboardInterrupt(), 130, "run the same command again"),
        (ConnectionError("the engine went away"), 1, "the engine went away"),
    ],
)
def test_every_way_to_fail_ends_in_words_and_an_exit_code(
    error: BaseException, code: int, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(fail(error)) == code
    said = capsys.readouterr().err
    assert word.lower() in said.lower()
    assert "Traceback" not in said
