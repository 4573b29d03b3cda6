"""`rotate`: which secrets, who is restarted, whose word counts. What Pulumi does with it is for the end-to-end tests."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from ops import engine, heal
from ops import rotate as subject
from ops.backup import marker
from ops.errors import OperatorError
from ops.session import Session
from stack.credentials import ACCEPTED_BY, resource_name
from stack.settings import NAMES, is_secret
from tests.unit.backup_samples import Volumes
from tests.unit.recording import Recording, record

RANDOM = "random:index/randomPassword:RandomPassword"
CONTAINER = "docker:index/container:Container"


def step(operation: str, kind: str, name: str, parent: str = "whatsapp:stack:Credentials") -> dict[str, str]:
    return {"op": operation, "urn": f"urn:pulumi:dev::whatsapp::{parent}${kind}::{name}"}


PREVIEW: dict[str, Any] = {
    "steps": [
        {"op": "same", "urn": "urn:pulumi:dev::whatsapp::pulumi:pulumi:Stack::whatsapp-dev"},
        step("replace", RANDOM, "redis-password"),
        step("replace", CONTAINER, "redis", "whatsapp:stack:Service"),
        step("replace", CONTAINER, "evolution-api", "whatsapp:stack:Service"),
        step("same", CONTAINER, "app", "whatsapp:stack:Service"),
        step("create", CONTAINER, "pgadmin", "whatsapp:stack:Service"),
    ]
}


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """A production stack with everything that can have a generated secret."""
    return record(tmp_path_factory.mktemp("rotate"), stack="prod", env="PGADMIN_ENABLED=true\nENVIRONMENT=production\n")


def test_every_secret_that_the_program_generates_can_be_rotated_and_no_other(generated: Recording) -> None:
    made = {each.name for each in generated.resources if each.type == RANDOM}
    assert made == {resource_name(secret) for secret in ACCEPTED_BY}


def test_every_secret_setting_is_generated_or_known_to_be_the_users_own() -> None:
    secrets = {name.lower() for name in NAMES if is_secret(name)}
    assert secrets - ACCEPTED_BY.keys() == {"evolution_api_key", "backup_key"}, "can `rotate` replace it, or is it the user's own?"


@pytest.mark.parametrize(("service", "count"), [("db", 1), ("app", 2), ("", len(ACCEPTED_BY))])
def test_a_service_has_its_own_secrets_and_no_service_means_all(service: str, count: int) -> None:
    secrets = subject.secrets_of(service)
    assert len(secrets) == count
    assert all(service in {"", ACCEPTED_BY[secret]} for secret in secrets)


def test_an_unknown_service_is_refused_with_the_names_of_those_that_there_are() -> None:
    with pytest.raises(OperatorError, match=r"'postgres'(.|\n)*evolution_postgres"):
        subject.secrets_of("postgres")


def test_the_plan_names_secrets_those_who_are_restarted_and_what_else_waits() -> None:
    plan = subject.planned(PREVIEW, ["redis_password"])
    assert plan.urns == {"redis_password": PREVIEW["steps"][1]["urn"]}
    assert plan.replaced == ("evolution-api", "redis")
    assert plan.others == ("create pgadmin",)


def test_a_secret_that_was_not_asked_for_is_not_marked() -> None:
    assert subject.planned(PREVIEW, ["postgres_password"]).urns == {}


class Machine:
    """Stands for Pulumi and the engine: remembers what it was asked for."""

    def __init__(self, folder: Path) -> None:
        self.session = Session(folder, "dev", Path("pulumi"), {})
        self.asked: list[str] = []
        self.preview = json.dumps(PREVIEW)
        self.engine = Volumes()

    def run_quietly(self, _session: Session, arguments: list[str]) -> str:
        self.asked.append(" ".join(arguments))
        if arguments[0] == "preview" and not self.preview.startswith("{"):
            raise OperatorError("`pulumi preview` failed (exit code 255).", self.preview)
        return f"warning: something\n{self.preview}\n" if arguments[0] == "preview" else ""

    def up(self, stack: str) -> None:
        self.asked.append(f"up {stack}")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    monkeypatch.setattr(subject, "open_session", lambda _: made.session)
    monkeypatch.setattr(subject, "run_quietly", made.run_quietly)
    monkeypatch.setattr(subject, "up", made.up)
    monkeypatch.setattr(heal, "free_the_stack", lambda _: None)
    monkeypatch.setattr(engine, "connect", lambda _: made.engine)
    monkeypatch.setattr(marker, "FOLDER", tmp_path)
    return made


def test_secrets_are_marked_in_the_state_before_the_up_so_that_any_later_up_completes_it(machine: Machine) -> None:
    subject.rotate("dev", "redis", agreed=True)
    assert machine.asked[1:] == [f"state taint --yes {PREVIEW['steps'][1]['urn']}", "up dev"]


@pytest.mark.parametrize("answer", [lambda *_, **__: False, lambda *_, **__: (_ for _ in ()).throw(click.Abort)], ids=["no", "no terminal"])
def test_without_a_yes_nothing_is_marked(machine: Machine, monkeypatch: pytest.MonkeyPatch, answer: Callable[..., bool]) -> None:
    monkeypatch.setattr(click, "confirm", answer)
    with pytest.raises(OperatorError, match="Nothing was rotated"):
        subject.rotate("dev", "redis", agreed=False)
    assert len(machine.asked) == 1, "something was changed without a yes"


def test_after_an_interrupted_restore_nothing_is_marked(machine: Machine) -> None:
    machine.engine.names.add(marker.volume("whatsapp-dev"))
    with pytest.raises(OperatorError, match="A restore of stack dev was interrupted"):
        subject.rotate("dev", "redis", agreed=True)
    assert machine.asked == []


def test_given_secrets_are_named_with_their_place_and_left_alone(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    (machine.session.folder / ".env").write_text("POSTGRES_PASSWORD=mine\nEVOLUTION_API_KEY=mine\n")
    subject.rotate("dev", "", agreed=True)
    said = capsys.readouterr().out
    for secret in ("POSTGRES_PASSWORD", "AUTHENTICATION_API_KEY", "EVOLUTION_API_KEY"):
        assert f"{secret} is given in .env and stays" in said
    assert "postgres-password" not in machine.asked[0].replace("evolution-postgres-password", "")
    assert "authentication-api-key" not in machine.asked[0]


def test_when_all_secrets_of_a_service_are_given_nothing_is_done(machine: Machine) -> None:
    (machine.session.folder / ".env").write_text("REDIS_PASSWORD=mine\n")
    with pytest.raises(OperatorError, match=r"given in the settings(.|\n)*make up"):
        subject.rotate("dev", "redis", agreed=True)
    assert machine.asked == []


def test_a_stack_that_is_not_up_has_nothing_to_rotate(machine: Machine) -> None:
    machine.preview = json.dumps({"steps": [step("create", RANDOM, "redis-password")]})
    with pytest.raises(OperatorError, match=r"no generated secret of redis yet(.|\n)*make up"):
        subject.rotate("dev", "redis", agreed=True)


def test_no_value_of_a_secret_is_shown(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    (machine.session.folder / ".env").write_text("POSTGRES_PASSWORD=n0t-to-be-seen\n")
    subject.rotate("dev", "", agreed=True)
    told = capsys.readouterr()
    assert "n0t-to-be-seen" not in told.out + told.err


def test_wrong_settings_are_told_as_an_up_tells_them(machine: Machine) -> None:
    (machine.session.folder / ".env").write_text("POSTGRES_PASWORD=x\n")
    with pytest.raises(OperatorError, match="did you mean POSTGRES_PASSWORD"):
        subject.rotate("dev", "", agreed=True)
    assert machine.asked == []
