"""The Makefile hands what it is given to the commands as it was typed, and lets no shell run it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).parents[2] / "Makefile"
NASTY = "pa$wo`touch ran`\"rd'; touch ran # $$x $(shell touch ran) \\ ${HOME} *"
_RECORDER = """\
import json, os, sys
print(json.dumps([sys.argv[1:], dict(os.environ)]))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project of which only the Makefile is there, with a command that tells what it was called with."""
    shutil.copy(MAKEFILE, tmp_path)
    (tmp_path / "ops").mkdir()
    (tmp_path / "ops" / "bootstrap.py").write_text(_RECORDER)
    return tmp_path


def made(folder: Path, *words: str, **variables: str) -> tuple[list[str], dict[str, str]]:
    """The arguments and the environment with which `make` calls the command."""
    # This Python first: what stands in for it on some machines costs more than all of `make`.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    inherited = {"PATH": path, "HOME": os.environ["HOME"], **variables}
    done = subprocess.run(["make", "--silent", *words], cwd=folder, env=inherited, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not (folder / "ran").exists(), f"a shell ran what was given to `make {words[0]}`"
    arguments, environment = json.loads(done.stdout)
    return arguments, environment


@pytest.mark.parametrize("target", ["backup", "restore", "verify-backup", "backups"])
def test_a_key_and_a_file_reach_a_command_as_they_were_typed(folder: Path, target: str) -> None:
    arguments, environment = made(folder, target, f"KEY={NASTY}", f"FILE={NASTY}", f"DIR={NASTY}")
    assert arguments == [target, "--stack", "dev"]
    assert [environment[name] for name in ("KEY", "FILE", "DIR")] == [NASTY] * 3


@pytest.mark.parametrize("target", ["backup", "verify-backup", "backups"])
def test_a_script_asks_for_json(folder: Path, target: str) -> None:
    assert made(folder, target, "JSON=1")[0] == [target, "--stack", "dev", "--json"]


def test_a_key_of_the_shells_environment_reaches_a_command_as_it_is(folder: Path) -> None:
    assert made(folder, "backup", KEY=NASTY)[1]["KEY"] == NASTY


def test_the_contract_is_tested_at_the_url_and_with_the_key_that_were_typed(folder: Path) -> None:
    _, environment = made(folder, "contract", f"URL={NASTY}", f"KEY={NASTY}")
    assert (environment["EVOLUTION_CONTRACT_URL"], environment["EVOLUTION_CONTRACT_KEY"]) == (NASTY, NASTY)
    assert "EVOLUTION_CONTRACT_URL" not in made(folder, "contract")[1], "without a URL it is the simulator's turn"


@pytest.mark.parametrize(
    ("target", "name", "option"),
    [
        ("up", "STACK", "--stack"),
        ("rotate", "SERVICE", "--service"),
        ("logs", "SINCE", "--since"),
        ("open", "PAGE", "--page"),
        ("exec", "NUMBER", "--number"),
        ("scale", "APP", "--app"),
        ("upgrade-postgres", "IMAGE", "--image"),
        ("graph", "FORMAT", "--format"),
        ("graph", "OUT", "--out"),
        ("compose", "DIR", "--folder"),
    ],
)
def test_every_other_value_is_one_argument_as_it_was_typed(folder: Path, target: str, name: str, option: str) -> None:
    arguments, _ = made(folder, target, f"{name}={NASTY}")
    assert arguments[arguments.index(option) + 1] == NASTY


def test_what_is_not_given_is_left_to_the_command(folder: Path) -> None:
    arguments, environment = made(folder, "logs")
    assert arguments == ["logs", "--stack", "dev"]
    assert environment["STACK"] == "dev"
    assert environment.keys().isdisjoint({"KEY", "FILE", "DIR", "SERVICE", "SINCE"})


def test_a_command_and_arguments_are_pieces_of_a_command_line(folder: Path) -> None:
    assert made(folder, "exec", 'CMD=python -c "print(1)"')[0] == ["exec", "--stack", "dev", "--", "python", "-c", "print(1)"]
    assert made(folder, "exec", "NUMBER=2", "CMD=env")[0] == ["exec", "--stack", "dev", "--number", "2", "--", "env"]
    assert made(folder, "test-unit", "ARGS=-k 'a or b'")[0] == ["test-unit", "-k", "a or b"]


def test_requirements_are_pinned_anew_only_when_that_is_asked_for(folder: Path) -> None:
    assert made(folder, "lock")[0] == ["lock"]
    assert made(folder, "lock", "UPGRADE=1")[0] == ["lock", "--upgrade"]
