"""Secrets that the stack's own configuration gives, encrypted by Pulumi: they count for every command, and no file has them in clear."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.backup.encryption import INTRODUCTION
from tests.e2e.environment import Stack

_GIVEN = {"BACKUP_KEY": "the-key-of-the-backups", "APP_API_KEY": "theKeyOfTheApplicationsOwnCallers"}


@pytest.fixture
def given(stack: Stack) -> Iterator[Stack]:
    """The stack with encrypted secrets in its configuration. They are taken out again, and no `up` comes in between."""
    for name, value in _GIVEN.items():
        stack.pulumi(f"config set --secret {name} {value}")
    yield stack
    for name in _GIVEN:
        stack.pulumi(f"config rm {name}")


def test_a_backup_is_encrypted_with_the_key_that_the_configuration_gives(given: Stack, tmp_path: Path) -> None:
    file = tmp_path / "archive"
    ran = given.make("backup", FILE=str(file))
    assert ran.code == 0, ran.told
    assert file.read_bytes().startswith(INTRODUCTION), f"it can be read without a key:\n{ran.told}"
    assert given.make("verify-backup", FILE=str(file)).code == 0
    given.make("verify-backup", FILE=str(file), KEY="another-key").assert_tells("key")


def test_a_secret_of_the_configuration_is_in_the_compose_file_and_is_not_rotated(given: Stack, tmp_path: Path) -> None:
    written = given.make("compose", DIR=str(tmp_path / "out"))
    assert written.code == 0, written.told
    files = [file.read_text() for file in (tmp_path / "out").rglob("*") if file.is_file()]
    assert any(_GIVEN["APP_API_KEY"] in text for text in files), "the application would be open to whoever reaches its port"

    given.make("rotate", SERVICE="app").assert_tells(f"APP_API_KEY is given in Pulumi.{given.name}.yaml and stays")
    assert f"settings: .env.{given.name} is fine" in given.make("doctor").output


def test_a_command_that_reads_such_a_secret_leaves_it_in_no_file(given: Stack) -> None:
    assert given.make("backups").code == 0
    kept = [file for file in (given.copy.folder / ".state").rglob("*") if file.is_file()]
    for file in (*kept, *given.copy.folder.glob("Pulumi.*.yaml")):
        assert not [name for name, value in _GIVEN.items() if value.encode() in file.read_bytes()], f"{file} has it in clear"


@pytest.mark.parametrize("variable", ["PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"])
def test_a_passphrase_that_the_shell_has_for_something_else_does_not_lock_a_development_stack(stack: Stack, variable: str) -> None:
    ran = stack.copy.run("make", "preview", f"STACK={stack.name}", **{variable: ""})
    assert ran.code == 0, ran.told
