"""What the engine refuses or fails to build, in words that say what to do about it."""

from __future__ import annotations

import os
import shlex
import subprocess
from typing import TYPE_CHECKING

from ops.errors import OperatorError
from ops.progress import BUILD_PRINTS
from ops.session import stack_settings

if TYPE_CHECKING:
    from pathlib import Path

    from docker import DockerClient


_LINES_OF_A_BUILD = 20
_SECONDS_FOR_A_BUILD = 300


def explained(client: DockerClient, folder: Path, stack: str, message: str) -> str:
    """A failure, with the last lines of a build, and with who holds the port when that is why a container could not start.

    The program looks at the ports before it changes anything; somebody may take one between that look and the start.
    """
    if message.startswith(BUILD_PRINTS):
        return f"{message}\n{_last_lines_of_a_build(message.removeprefix(BUILD_PRINTS))}".rstrip()
    from stack import ports  # noqa: PLC0415 - the settings take a quarter of a second, which only a failure need pay
    from stack.engine import Engine  # noqa: PLC0415

    port = ports.refused_port(message)
    if port is None:
        return message
    try:
        said = ports.holder_in_words(Engine(client), stack_settings(folder, stack), port)
    except OperatorError:
        return message
    return f"{said} Then run it again.\n{message}" if said else message


def _last_lines_of_a_build(command: str) -> str:
    """What a failed build prints at its end: the provider keeps it to itself. What went well before is not done again."""
    variable, *words = shlex.split(command)
    name, _, value = variable.partition("=")
    try:
        done = subprocess.run(
            words,
            env={**os.environ, name: value},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            timeout=_SECONDS_FOR_A_BUILD,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""  # then the command is all there is
    if "buildx component is missing" in done.stdout:  # Debian 12's own client; the provider brings one of its own
        return "    (This machine's docker client needs the buildx component for that.)"
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    return "\n".join(f"    {line}" for line in lines[-_LINES_OF_A_BUILD:])
