"""`graph` and `compose`: the topology of a stack, as a picture and as a compose file."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pulumi

from ops.console import say
from ops.errors import OperatorError
from ops.pulumi import run_quietly
from ops.session import FOLDER, open_session
from ops.setup import full_configuration
from ops.setup.configuration import encrypted_names
from stack import compose as compose_file
from stack import diagram
from stack.rehearsal import rehearse

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from stack.rehearsal import Topology


def graph(stack: str, form: str, out: Path | None) -> None:
    """Draw the topology as the stack's settings make it; to stdout without `out`.

    Raises:
        OperatorError: the settings are wrong.
    """
    drawn = {"svg": diagram.svg, "mermaid": diagram.mermaid}[form](_topology(stack, {}))
    if out is None:
        say(drawn.rstrip("\n"))
        return
    out.write_text(drawn, encoding="utf-8")
    say(f"{out} written")


def compose(stack: str, folder: Path | None) -> None:
    """Write an equivalent compose file, with all that it needs beside it.

    Args:
        stack: a stack that was brought up before: its generated secrets and built images go into the file.
        folder: where to; what an earlier call wrote there is replaced. `compose/<stack>` below the project when None.

    Raises:
        OperatorError: the stack has never been up, or the folder holds something else.
    """
    secrets = _credentials(stack)
    topology = _topology(stack, secrets)
    target = folder or FOLDER / "compose" / stack
    file = target / "compose.yaml"
    if target.exists() and any(target.iterdir()) and not file.is_file():
        raise OperatorError(f"{target} holds other files.", mend="Name another folder: make compose DIR=...")
    shutil.rmtree(target / compose_file.FILES, ignore_errors=True)
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    target.chmod(0o700)  # what is below is readable, as the containers' users need it
    for name, content, mode in compose_file.files(topology):
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        path.chmod(mode)
    file.touch(mode=0o600)
    file.write_text(compose_file.document(topology), encoding="utf-8")
    shown = target.relative_to(FOLDER) if target.is_relative_to(FOLDER) else target
    say(f"{shown}/compose.yaml written, with its files beside it. It holds secrets in plain text.", "green")
    say("It takes the stack's place, with the same data:")
    say(f"  make down STACK={stack} && docker compose -f {shown}/compose.yaml up --detach --wait")


def _topology(stack: str, secrets: Mapping[str, str]) -> Topology:
    try:
        return rehearse(FOLDER, stack, full_configuration(FOLDER, stack), secrets, encrypted_names(FOLDER, stack))
    except pulumi.RunError as error:
        raise OperatorError(str(error)) from error


def _credentials(stack: str) -> dict[str, str]:
    session = open_session(stack)
    try:
        found: dict[str, str] = json.loads(run_quietly(session, ["stack", "output", "credentials", "--show-secrets", "--json"]))
    except OperatorError as error:
        raise OperatorError(
            f"Stack {stack} has no credentials yet, and a compose file needs them.", error.cause, f"Bring it up once: make up STACK={stack}"
        ) from error
    return found
