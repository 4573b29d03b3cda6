"""Runs an operator's command in the project's virtual environment, which it makes first: `python3 ops/bootstrap.py COMMAND ...`.

Standard library only, for any Python from 3.11. It costs a few file reads when the environment is as it should be.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036  a newcomer's python3 may well be older, and this much of the file runs there
    sys.exit(sys.executable + " is too old: this project needs Python 3.11 or newer. Install one and put it first in PATH.")

# ruff: noqa: PLC0415  modules for the rare cases are imported there: this runs before every command

import hashlib
import os
from pathlib import Path
from typing import NamedTuple, NoReturn

PROJECT = Path(__file__).resolve().parent.parent
MARK = "whatsapp-stack.mark"
"""The file in the environment that says what it was made for, and how far that got."""
NEEDS_TESTS = frozenset({"test", "test-unit", "test-app", "contract", "test-e2e", "test-faults", "lint", "bench"})
"""Commands that need tests/requirements.txt, which includes requirements.txt."""


class BootstrapError(Exception):
    """The environment can't be made; the text says why and how to mend it."""


class Mark(NamedTuple):
    """What an environment is: the interpreter and place it was made for, and the requirements that it holds (empty: unknown)."""

    interpreter: str
    requirements: str


def main(arguments: list[str]) -> NoReturn:
    """Make the environment when it isn't there for these requirements, then become the command in it."""
    try:
        environment = ensure_environment(PROJECT, tests=bool(NEEDS_TESTS.intersection(arguments[:1])))
    except BootstrapError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("environment: interrupted; the same command goes on from here")
    os.chdir(PROJECT)
    # Compiling this project anew at every command would cost a tenth of a second; what is kept is ignored by git.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    python = str(environment / "bin" / "python")
    os.execv(python, [python, "-m", "ops", *arguments])  # noqa: S606  becomes the command, with the user's own arguments


def ensure_environment(project: Path, *, tests: bool) -> Path:
    """The project's virtual environment, holding what the command needs; made, mended or extended when it doesn't.

    Raises:
        BootstrapError: it can't be made.
    """
    environment = project / ".venv"
    if not is_ready(environment, project, tests=tests):
        import fcntl

        handle = os.open(project, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX)  # two commands at once: the second waits, and then finds it done
        try:
            if not is_ready(environment, project, tests=tests):
                _make(environment, project, tests=tests)
        finally:
            os.close(handle)
    return environment


def is_ready(environment: Path, project: Path, *, tests: bool) -> bool:
    """Whether the environment was finished, for these requirements and for an interpreter that is still there."""
    mark = read_mark(environment)
    if mark is None or mark.interpreter != interpreter_of(environment):
        return False
    return mark.requirements == requirements_key(project, tests=True) or (
        not tests and mark.requirements == requirements_key(project, tests=False)
    )


def requirements_key(project: Path, *, tests: bool) -> str:
    """A hash over the requirement files that an environment is made from."""
    digest = hashlib.sha256()
    for name in requirement_files(tests=tests):
        content = (project / name).read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def requirement_files(*, tests: bool) -> list[str]:
    """The files to install from; their pins agree with each other."""
    return ["requirements.txt", "tests/requirements.txt"] if tests else ["requirements.txt"]


def interpreter_of(environment: Path) -> str:
    """Which Python an environment runs and where it lies, without starting it; empty when it runs none."""
    python = environment / "bin" / "python"
    try:
        resolved = python.resolve(strict=True)
        configuration = (environment / "pyvenv.cfg").read_text()
    except OSError:
        return ""
    versions = [line.split("=")[1].strip() for line in configuration.splitlines() if line.startswith("version") and "=" in line]
    return f"{environment} {resolved} {' '.join(versions)}"


def read_mark(environment: Path) -> Mark | None:
    """The environment's mark; None when it has none, because it was not made here or its making was interrupted."""
    try:
        interpreter, requirements = (environment / MARK).read_text().split("\n")
    except (OSError, ValueError):
        return None
    return Mark(interpreter, requirements)


def write_mark(environment: Path, mark: Mark) -> None:
    """Set the mark in one step."""
    temporary = environment / f"{MARK}.new"
    temporary.write_text(f"{mark.interpreter}\n{mark.requirements}")
    temporary.replace(environment / MARK)


def _make(environment: Path, project: Path, *, tests: bool) -> None:
    import shutil

    mark = read_mark(environment)
    if mark is None or mark.interpreter != interpreter_of(environment):
        again = " again: the one there is incomplete, or for another Python" if environment.exists() else ""
        _say(f"environment: making .venv with Python {sys.version.split()[0]}{again}")
        _ensure_venv_module()
        python = str(Path(sys.executable).resolve())  # not by its name in the environment, which may be the one that goes now
        shutil.rmtree(environment, ignore_errors=True)
        _run("the virtual environment", [python, "-m", "venv", str(environment)], "see the message above")
    interpreter = interpreter_of(environment)
    write_mark(environment, Mark(interpreter, ""))  # whole, but what it holds is unknown until the next step is done
    files = requirement_files(tests=tests)
    _say(f"environment: installing {' and '.join(files)} (about a minute the first time)")
    options = [part for name in files for part in ("-r", str(project / name))]
    _run(
        "the Python packages",
        [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", *options],
        "see that pip reaches its index (PIP_INDEX_URL, https_proxy; PIP_CERT for a proxy's own CA), then run it again",
    )
    write_mark(environment, Mark(interpreter, requirements_key(project, tests=tests)))


def _ensure_venv_module() -> None:
    """Debian splits `ensurepip`, which venv needs, into a package of its own."""
    import importlib.util

    if importlib.util.find_spec("ensurepip") and importlib.util.find_spec("venv"):
        return
    sys.path.insert(0, str(PROJECT))  # as a program, this file has only its own folder there
    from ops import apt

    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    if not apt.is_possible():
        raise BootstrapError(f"environment: this Python has no venv module: install it, on Debian with `sudo apt-get install {package}`")
    _say(f"environment: installing {package}")
    mend = f"install {package}, or another Python 3.11 or newer, yourself"
    apt.wait_for_others(_say)
    os.environ |= apt.environment()
    for command in apt.commands([package]):
        _run(package, command, mend)


def _run(what: str, command: list[str], mend: str) -> None:
    import subprocess

    environment = dict(os.environ)
    if os.environ.get("SSL_CERT_FILE"):  # Python and Go know it, an older pip does not
        environment.setdefault("PIP_CERT", os.environ["SSL_CERT_FILE"])
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        said = "\n".join(f"    {line}" for line in done.stdout.rstrip().splitlines()[-15:])
        raise BootstrapError(f"environment: {what} could not be installed; `{' '.join(command[:4])}` said:\n{said}\n  To mend it: {mend}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
