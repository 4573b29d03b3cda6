"""A working tree that stays clean although Pulumi writes a salt into a file of the project."""

import json
import subprocess
from pathlib import Path

import pytest

from ops.setup import stack_state

SALT = "v1:c2FsdA==:v1:abc"
PRODUCTION = "config:\n  whatsapp:ENVIRONMENT: production\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / ".state").mkdir()
    (tmp_path / "Pulumi.dev.yaml").write_text("config:\n  whatsapp:ENVIRONMENT: development\n")
    (tmp_path / "Pulumi.prod.yaml").write_text(PRODUCTION)
    return tmp_path


def git(project: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=n", "-c", "user.email=n@example.com"]
    return subprocess.run(["git", *identity, *arguments], cwd=project, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def clone(project: Path) -> Path:
    """A clone with the project's own .gitattributes, after the set-up."""
    attributes = Path(__file__).parents[2] / ".gitattributes"
    (project / ".gitattributes").write_text(attributes.read_text())
    (project / ".gitignore").write_text(".state\n")
    git(project, "init", "--quiet")
    stack_state.ensure_git_filter(project)
    git(project, "add", ".")
    git(project, "commit", "--quiet", "--message", "x")
    return project


def test_the_salt_that_pulumi_writes_leaves_the_tree_clean(clone: Path) -> None:
    (clone / "Pulumi.prod.yaml").write_text(f"{PRODUCTION}encryptionsalt: {SALT}\n")
    stack_state.settle_git(clone, "prod")
    assert git(clone, "status", "--porcelain") == ""
    git(clone, "add", ".")
    assert "encryptionsalt" not in git(clone, "show", ":Pulumi.prod.yaml")


@pytest.mark.parametrize("secret", ["  whatsapp:KEY:\n    secure: v1:x\n", "  whatsapp:KEY: {secure: v1:x}\n"])
def test_a_salt_that_encrypts_a_secret_of_the_same_file_is_committed_with_it(clone: Path, secret: str) -> None:
    (clone / "Pulumi.prod.yaml").write_text(f"{PRODUCTION}{secret}encryptionsalt: {SALT}\n")
    git(clone, "add", ".")
    assert f"encryptionsalt: {SALT}" in git(clone, "show", ":Pulumi.prod.yaml")


def test_a_change_of_a_setting_is_still_seen(clone: Path) -> None:
    (clone / "Pulumi.prod.yaml").write_text(f"{PRODUCTION}  whatsapp:APP_PORT: 80\nencryptionsalt: {SALT}\n")
    stack_state.settle_git(clone, "prod")
    assert git(clone, "status", "--porcelain") == " M Pulumi.prod.yaml\n"


def test_the_salt_of_the_development_stack_is_committed(clone: Path) -> None:
    (clone / "Pulumi.dev.yaml").write_text(f"encryptionsalt: {SALT}\n")
    git(clone, "add", ".")
    assert SALT in git(clone, "show", ":Pulumi.dev.yaml")


def test_outside_of_git_no_filter_is_needed(project: Path) -> None:
    stack_state.ensure_git_filter(project)
    assert not (project / ".git").exists()


def put_state(project: Path, checkpoint: dict[str, object]) -> None:
    file = stack_state.state_file(project, "prod")
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"version": 3, "checkpoint": checkpoint}))


def test_a_salt_that_git_took_away_comes_back_from_the_state(project: Path) -> None:
    put_state(project, {"latest": {"secrets_providers": {"type": "passphrase", "state": {"salt": SALT}}}})
    stack_state.restore_salt(project, "prod")
    assert (project / "Pulumi.prod.yaml").read_text() == f"{PRODUCTION}encryptionsalt: {SALT}\n"
    stack_state.restore_salt(project, "prod")
    assert (project / "Pulumi.prod.yaml").read_text().count("encryptionsalt") == 1


def test_a_salt_that_is_there_is_left_alone(project: Path) -> None:
    put_state(project, {"latest": {"secrets_providers": {"state": {"salt": "another"}}}})
    text = f"encryptionsalt: {SALT}\n{PRODUCTION}"
    (project / "Pulumi.prod.yaml").write_text(text)
    stack_state.restore_salt(project, "prod")
    assert (project / "Pulumi.prod.yaml").read_text() == text


def test_the_salt_is_that_of_the_settings_file_else_that_of_the_state(project: Path) -> None:
    assert stack_state.salt_of(project, "prod") is None
    put_state(project, {"latest": {"secrets_providers": {"state": {"salt": SALT}}}})
    assert stack_state.salt_of(project, "prod") == SALT
    (project / "Pulumi.prod.yaml").write_text("encryptionsalt: v1:own\n")
    assert stack_state.salt_of(project, "prod") == "v1:own"


@pytest.mark.parametrize("checkpoint", [{}, {"latest": None}, {"latest": {}}])
def test_a_stack_that_never_had_secrets_gets_no_salt(project: Path, checkpoint: dict[str, object]) -> None:
    put_state(project, checkpoint)
    stack_state.restore_salt(project, "prod")
    assert (project / "Pulumi.prod.yaml").read_text() == PRODUCTION


def test_an_empty_side_file_of_a_killed_run_is_removed_and_a_whole_one_is_left(tmp_path: Path) -> None:
    folder = tmp_path / ".state" / ".pulumi" / "stacks" / "whatsapp"
    folder.mkdir(parents=True)
    (folder / "dev.json.attrs").touch()
    (folder / "prod.json.attrs").write_text("{}")
    stack_state.drop_broken_side_files(tmp_path)
    assert [file.name for file in folder.iterdir()] == ["prod.json.attrs"]
