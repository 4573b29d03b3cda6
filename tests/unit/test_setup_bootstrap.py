"""The virtual environment: made once, mended when half-made or stale, and never touched when it is as it should be."""

import sys
from pathlib import Path

import pytest

from ops import bootstrap

PYTHON = sys.executable


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "requirements.txt").write_text("a==1\n")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "requirements.txt").write_text("a==1\nb==1\n")
    return tmp_path


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the bootstrap ran, in a world where `-m venv` makes an environment and pip succeeds; `interrupt` fails the next pip."""
    done: list[str] = []

    def run(_what: str, command: list[str], _mend: str) -> None:
        if "venv" in command:
            environment = Path(command[-1])
            (environment / "bin").mkdir(parents=True)
            (environment / "bin" / "python").symlink_to(PYTHON)
            (environment / "pyvenv.cfg").write_text(f"version = {sys.version.split()[0]}\n")
            done.append("venv")
        elif "interrupt" in done:
            done.remove("interrupt")
            raise KeyboardInterrupt
        else:
            done.append(
                "pip " + " ".join((Path(part).parent.name == "tests" and "tests") or "program" for part in command if part.endswith(".txt"))
            )

    monkeypatch.setattr(bootstrap, "_run", run)
    return done


def test_an_environment_is_made_once_and_then_left_alone(project: Path, steps: list[str]) -> None:
    bootstrap.ensure_environment(project, tests=False)
    assert steps == ["venv", "pip program"]
    bootstrap.ensure_environment(project, tests=False)
    assert steps == ["venv", "pip program"], "the second call had nothing to do"


def test_a_command_that_tests_adds_the_test_packages_and_the_others_are_content_with_them(project: Path, steps: list[str]) -> None:
    bootstrap.ensure_environment(project, tests=False)
    bootstrap.ensure_environment(project, tests=True)
    bootstrap.ensure_environment(project, tests=False)
    assert steps == ["venv", "pip program", "pip program tests"]


def test_changed_requirements_are_installed_into_the_environment_that_is_there(project: Path, steps: list[str]) -> None:
    bootstrap.ensure_environment(project, tests=False)
    (project / "requirements.txt").write_text("a==2\n")
    bootstrap.ensure_environment(project, tests=False)
    assert steps == ["venv", "pip program", "pip program"]


def test_an_interrupted_installation_is_done_again_without_making_the_environment_anew(project: Path, steps: list[str]) -> None:
    steps.append("interrupt")
    with pytest.raises(KeyboardInterrupt):
        bootstrap.ensure_environment(project, tests=False)
    bootstrap.ensure_environment(project, tests=False)
    assert steps == ["venv", "pip program"]


def test_an_interrupted_upgrade_does_not_pass_for_the_old_environment(project: Path, steps: list[str]) -> None:
    bootstrap.ensure_environment(project, tests=False)
    (project / "requirements.txt").write_text("a==2\n")
    steps.append("interrupt")
    with pytest.raises(KeyboardInterrupt):
        bootstrap.ensure_environment(project, tests=False)
    (project / "requirements.txt").write_text("a==1\n")
    assert not bootstrap.is_ready(project / ".venv", project, tests=False), "it may hold some of the new packages"


def test_a_half_made_environment_is_made_again(project: Path, steps: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    (project / ".venv" / "bin").mkdir(parents=True)
    bootstrap.ensure_environment(project, tests=False)
    assert steps == ["venv", "pip program"]
    assert "incomplete" in capsys.readouterr().err


@pytest.mark.parametrize("damage", ["python is gone", "python is another one", "the project has moved"])
def test_an_environment_whose_python_is_not_the_one_it_was_made_with_is_made_again(project: Path, steps: list[str], damage: str) -> None:
    bootstrap.ensure_environment(project, tests=False)
    python = project / ".venv" / "bin" / "python"
    if damage == "the project has moved":
        mark = project / ".venv" / bootstrap.MARK
        mark.write_text(mark.read_text().replace(str(project), "/elsewhere"))
    else:
        python.unlink()
    if damage == "python is another one":
        python.symlink_to("/bin/sh")
    bootstrap.ensure_environment(project, tests=False)
    assert steps == ["venv", "pip program", "venv", "pip program"]


def test_an_environment_in_a_folder_that_was_moved_is_made_again_by_the_python_that_it_runs(
    project: Path, steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "before").mkdir()
    for file in ("requirements.txt", "tests"):
        (project / file).rename(project / "before" / file)
    bootstrap.ensure_environment(project / "before", tests=False)
    moved = (project / "before").rename(project / "after")
    monkeypatch.setattr(sys, "executable", str(moved / ".venv" / "bin" / "python"))  # the Makefile prefers it
    pythons: list[bool] = []
    run = bootstrap._run

    def watched(what: str, command: list[str], mend: str) -> None:
        pythons.append(Path(command[0]).exists())
        run(what, command, mend)

    monkeypatch.setattr(bootstrap, "_run", watched)
    bootstrap.ensure_environment(moved, tests=False)
    assert steps == ["venv", "pip program"] * 2
    assert all(pythons), "it was removed before it was to make the new environment"


def test_a_failing_installation_says_what_pip_said_and_what_to_do() -> None:
    with pytest.raises(bootstrap.BootstrapError) as raised:
        bootstrap._run("the Python packages", [sys.executable, "-c", "print('no such index'); raise SystemExit(3)"], "look there")
    assert "no such index" in str(raised.value)
    assert "look there" in str(raised.value)


@pytest.mark.parametrize(("own", "seen"), [(None, "/proxy.pem"), ("/own.pem", "/own.pem")])
def test_pip_trusts_the_bundle_that_the_rest_of_the_machine_trusts(monkeypatch: pytest.MonkeyPatch, own: str | None, seen: str) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/proxy.pem")
    monkeypatch.setenv("PIP_CERT", own) if own else monkeypatch.delenv("PIP_CERT", raising=False)
    with pytest.raises(bootstrap.BootstrapError, match=f"PIP_CERT={seen}"):
        bootstrap._run("it", ["/bin/sh", "-c", "echo PIP_CERT=$PIP_CERT; exit 1"], "")
