"""A stack's own configuration, `Pulumi.<stack>.yaml`: what is plain in it, and what Pulumi has encrypted."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

from ops.checkpoint import PULUMI_PROJECT
from ops.setup.errors import SetupError
from ops.setup.report import tail
from stack.reading import UnreadableError, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_PREFIX = f"{PULUMI_PROJECT}:"


def configuration_of(project: Path, stack: str) -> dict[str, str]:
    """The plain values of the project's own keys, without their prefix; none when there is no such file.

    Raises:
        SetupError: the file is not what Pulumi writes.
    """
    return {name: str(value) for name, value in _values(project, stack).items() if not isinstance(value, dict | list)}


def encrypted_names(project: Path, stack: str) -> frozenset[str]:
    """The names of the other values: only Pulumi can tell them.

    Raises:
        SetupError: the file is not what Pulumi writes.
    """
    return frozenset(name for name, value in _values(project, stack).items() if isinstance(value, dict | list))


def decrypted(project: Path, stack: str, program: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """All values of the project's own keys as the program gets them. They are for use in memory alone.

    Args:
        project: its folder.
        stack: a stack that is in the local backend.
        program: the Pulumi CLI.
        variables: what it needs in its environment.

    Raises:
        SetupError: Pulumi can't tell them, for instance because the passphrase is another one.
    """
    done = subprocess.run(
        [str(program), "config", "--show-secrets", "--json", "--stack", stack, "--non-interactive"],
        cwd=project,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SetupError(f"the settings of stack {stack}", f"Pulumi could not decrypt them:\n{tail(done.stderr)}", wrong_passphrase(stack))
    found = json.loads(done.stdout)
    return {key.removeprefix(_PREFIX): each["value"] for key, each in found.items() if key.startswith(_PREFIX)}


def wrong_passphrase(stack: str) -> str:
    """What to do when Pulumi refuses to decrypt something."""
    return (
        f"see Pulumi's message; `incorrect passphrase` means another one than Pulumi.{stack}.yaml was made with: "
        f"unset PULUMI_CONFIG_PASSPHRASE where it is exported for something else, or correct .state/passphrase.{stack} where there is one"
    )


def _values(project: Path, stack: str) -> dict[str, object]:
    import yaml  # noqa: PLC0415

    file = f"Pulumi.{stack}.yaml"
    try:
        config = (yaml.safe_load(text_of(project, file) or "") or {}).get("config") or {}
        values = {str(key): value for key, value in config.items()}
    except UnreadableError as error:
        raise SetupError(f"the settings of stack {stack}", str(error), f"correct {file}") from error
    except (yaml.YAMLError, AttributeError, ValueError) as error:
        raise SetupError(f"the settings of stack {stack}", f"{file} can't be read: {error}", f"correct {file}") from error
    return {key.removeprefix(_PREFIX): value for key, value in values.items() if key.startswith(_PREFIX)}
