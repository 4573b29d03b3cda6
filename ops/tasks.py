"""`scale`, `rebuild`, `lock`: what changes files or images, and then converges."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from ops import checkpoint
from ops.console import say
from ops.errors import OperatorError
from ops.session import FOLDER, settings_file, stack_settings, state_folder, write_settings
from ops.up import up
from stack.reading import UnreadableError, text_of

if TYPE_CHECKING:
    from pathlib import Path

REPLICAS = "APP_REPLICAS"

_REQUIREMENTS = ("tests", ".", "src", "simulator", "images/audio-converter")
"""Folders with a requirements.in. The first holds everything, and pins the others."""
_APART = ("images/pgadmin",)
"""Folders of programs of others, which name versions of their own."""


def scale(stack: str, replicas: int) -> None:
    """Set the number of app containers in the stack's settings file, and bring the stack there.

    Pulumi converges to what is written down: a number that stood nowhere would be undone by the next `up`. The file is the one that
    only this machine has and that wins over everything else; a stack's tracked configuration is not touched.

    Raises:
        OperatorError: the settings would be wrong with it, or are so already; or the `up` failed.
    """
    file = settings_file(FOLDER, stack)
    try:
        before = text_of(file.parent, file.name) or ""
    except UnreadableError as error:
        raise OperatorError(str(error)) from error
    after = with_setting(before, REPLICAS, str(replicas))
    stack_settings(FOLDER, stack, after)
    if after != before:
        write_settings(file, after)
        say(f"{REPLICAS}={replicas} is now in {file.name}")
    up(stack)


def with_setting(text: str, name: str, value: str) -> str:
    """The text of a settings file with `name` set to `value`: on its line, else on a new one at the end."""
    line = re.compile(rf"^[ \t]*(?:export[ \t]+)?{name}[ \t]*=.*$", re.MULTILINE)
    if line.search(text):
        return line.sub(f"{name}={value}", text, count=1)
    return f"{text}{'' if not text or text.endswith(chr(10)) else chr(10)}{name}={value}\n"


def rebuild(stack: str, service: str) -> None:
    """Build a service's image again, whether or not its files changed, and replace its containers if the image did.

    Raises:
        OperatorError: the stack has no such service.
    """
    known = checkpoint.read(state_folder(FOLDER), stack)
    urns = image_urns(known, service)
    up(stack, [argument for urn in urns for argument in ("--replace", urn)])


def image_urns(known: checkpoint.Checkpoint, service: str) -> list[str]:
    """The URNs of the images that a service's containers are made from.

    Raises:
        OperatorError: the state has no such service.
    """
    found = {urn for container in known.containers if container.service == service for urn in container.image_urns}
    if not found:
        services = ", ".join(sorted({container.service for container in known.containers})) or "none: bring the stack up first"
        raise OperatorError(f"There is no service '{service}' to rebuild.", mend=f"Services: {services}")
    return sorted(found)


def lock(upgrade: bool) -> None:
    """Pin all requirements: what is pinned stays, unless what is asked for now speaks against it.

    Args:
        upgrade: pin everything anew, at the newest versions that go together.

    Raises:
        OperatorError: uv can't resolve them.
    """
    uv = shutil.which("uv") or _own_uv()
    for folder in (*_REQUIREMENTS, *_APART):
        alone = folder == "tests" or folder in _APART
        more = ["--upgrade"] if upgrade else []
        _pin(uv, FOLDER / folder, more if alone else [*more, "--constraint", "tests/requirements.txt"])


def _pin(uv: str, folder: Path, more: list[str]) -> None:
    source, target = (str((folder / f"requirements.{end}").relative_to(FOLDER)) for end in ("in", "txt"))
    say(f"pinning {target}")
    shape = ["--quiet", "--no-header", "--annotation-style", "line", "--python-version", "3.11"]
    done = subprocess.run([uv, "pip", "compile", *shape, *more, source, "--output-file", target], cwd=FOLDER, check=False)
    if done.returncode:
        raise OperatorError(f"{source} could not be pinned; see uv's message above.", mend=f"{target} is as it was.")


def _own_uv() -> str:
    """Uv from the package index, in the project's virtual environment."""
    from pathlib import Path  # noqa: PLC0415

    beside = Path(sys.executable).parent / "uv"
    if not beside.exists():
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "uv"], check=True)
    return str(beside)
