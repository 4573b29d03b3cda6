"""What the engine refuses, in words that say what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops.errors import OperatorError
from ops.session import stack_settings

if TYPE_CHECKING:
    from pathlib import Path

    from docker import DockerClient


def explained(client: DockerClient, folder: Path, stack: str, message: str) -> str:
    """A failure, with who holds the port when that is why a container could not start; as it is, when it has another cause.

    The program looks at the ports before it changes anything; somebody may take one between that look and the start.
    """
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
