"""A stack's own configuration: plain values read here, encrypted ones through Pulumi, and only where there are any."""

import json
from pathlib import Path

import pulumi as pulumi_sdk
import pytest

from ops.backup.plan import options
from ops.errors import OperatorError
from ops.session import stack_settings
from ops.setup import configuration, full_configuration, places, pulumi_cli
from ops.setup.errors import SetupError
from stack.rehearsal import rehearse

SECRET = "a$ecret-of-the-stack"
ENCRYPTED = "config:\n  whatsapp:BACKUP_KEY:\n    secure: v1:x\n  whatsapp:BACKUP_KEEP: 3\n  docker:host: other\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / ".state").mkdir()
    return tmp_path


@pytest.fixture
def pulumi(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Pulumi that tells one secret; what it was asked for is in the file."""
    asked = project / ".state" / "asked"
    found = {
        "whatsapp:BACKUP_KEY": {"value": SECRET, "secret": True},
        "whatsapp:BACKUP_KEEP": {"value": "3"},
        "docker:host": {"value": "other"},
    }
    program = project / ".state" / "pulumi"
    program.write_text(
        f'#!/bin/sh\necho "$@ with $PULUMI_CONFIG_PASSPHRASE" >> {asked}\necho "warning: it is late" >&2\n'
        f"[ \"$PULUMI_CONFIG_PASSPHRASE\" = development ] || exit 1\n[ $1 != config ] || echo '{json.dumps(found)}'\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr(pulumi_cli, "ensure", lambda _project: pulumi_cli.Cli(program))
    return asked


def test_plain_and_encrypted_values_are_told_apart_and_other_packages_keys_left_out(project: Path) -> None:
    (project / "Pulumi.prod.yaml").write_text(ENCRYPTED)
    assert configuration.configuration_of(project, "prod") == {"BACKUP_KEEP": "3"}
    assert configuration.encrypted_names(project, "prod") == {"BACKUP_KEY"}
    assert configuration.configuration_of(project, "none") == {}


@pytest.mark.parametrize("content", [b"- a list\n", b"config: [\n", b"config: 2026-99-99\n", b"config:\n  whatsapp:TZ: caf\xe9\n", None])
def test_a_configuration_that_is_none_is_named_with_what_to_do(project: Path, content: bytes | None) -> None:
    file = project / "Pulumi.dev.yaml"
    file.mkdir() if content is None else file.write_bytes(content)
    with pytest.raises(SetupError) as refused:
        configuration.configuration_of(project, "dev")
    assert "Pulumi.dev.yaml can't be read" in str(refused.value)
    assert "To mend it: correct Pulumi.dev.yaml" in str(refused.value)


def test_pulumi_is_not_asked_where_nothing_is_encrypted(project: Path, pulumi: Path) -> None:
    (project / "Pulumi.dev.yaml").write_text("config:\n  whatsapp:BACKUP_KEEP: 3\n")
    assert full_configuration(project, "dev") == {"BACKUP_KEEP": "3"}
    assert not pulumi.exists(), "asking takes a quarter of a second"


def test_encrypted_settings_are_read_through_pulumi_and_written_nowhere(project: Path, pulumi: Path) -> None:
    (project / "Pulumi.dev.yaml").write_text(ENCRYPTED)
    settings = stack_settings(project, "dev")
    assert settings.backup_key is not None
    assert settings.backup_key.get_secret_value() == SECRET
    assert settings.backup_keep == 3
    assert pulumi.read_text().splitlines() == [
        "stack init dev --non-interactive --no-select with development",
        "config --show-secrets --json --stack dev --non-interactive with development",
    ]
    pulumi.with_name("pulumi").unlink()
    written = [file for file in project.rglob("*") if file.is_file() and SECRET in file.read_text(encoding="utf-8")]
    assert written == []


def test_a_backup_is_encrypted_with_the_key_of_the_configuration(project: Path, pulumi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.backup.plan.FOLDER", project)
    (project / "Pulumi.dev.yaml").write_text(ENCRYPTED)
    assert options("dev").key == SECRET, f"a README says `pulumi config set --secret BACKUP_KEY`; asked: {pulumi.read_text()}"


def test_a_passphrase_that_decrypts_nothing_is_said_to_be_another_one(project: Path, pulumi: Path) -> None:
    (project / "Pulumi.dev.yaml").write_text(ENCRYPTED)
    (project / ".state" / "passphrase.dev").write_text("another")
    file = places.state(project) / ".pulumi" / "stacks" / "whatsapp" / "dev.json"
    file.parent.mkdir(parents=True)
    file.write_text("{}")
    with pytest.raises(OperatorError) as refused:
        stack_settings(project, "dev")
    assert pulumi.read_text().startswith("config")
    for part in ("it is late", "incorrect passphrase", "unset PULUMI_CONFIG_PASSPHRASE"):
        assert part in str(refused.value)


def test_an_encrypted_value_that_the_settings_refuse_is_not_shown(project: Path, pulumi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "Pulumi.dev.yaml").write_text("config:\n  whatsapp:WEBHOOK_GLOBAL_URL: {secure: v1:x}\n")
    given = {"WEBHOOK_GLOBAL_URL": "http://app/hunter2"}
    monkeypatch.setattr(configuration, "decrypted", lambda *_: given)
    with pytest.raises(OperatorError, match="would never be called") as refused:
        stack_settings(project, "dev")
    assert "hunter2" not in str(refused.value)
    with pytest.raises(pulumi_sdk.RunError, match="would never be called") as refused_too:
        rehearse(Path(__file__).parents[2], "trial", given, {}, encrypted={"WEBHOOK_GLOBAL_URL"})
    assert "hunter2" not in str(refused_too.value)
    assert pulumi.exists()
