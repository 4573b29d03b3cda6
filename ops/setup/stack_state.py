"""Pulumi's local state for one stack: its passphrase, its first initialisation, and a working tree that stays clean."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import yaml

from ops.setup import places
from ops.setup.errors import SetupError
from ops.setup.report import run, say

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PROJECT_NAME = "whatsapp"
DEVELOPMENT_PASSPHRASE = "development"  # noqa: S105  not a secret: a development stack's state protects nothing of worth
_GIVEN_BY_CALLER = ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")


def passphrase_variables(project: Path, stack: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that give Pulumi the passphrase of a stack.

    The caller's own win. Else the git-ignored file `.state/passphrase.<stack>` is used; else a development stack has a
    fixed passphrase, so that its settings file can be shared with the salt that belongs to it.

    Raises:
        SetupError: a stack that isn't for development has none.
    """
    given = {name: environment[name] for name in _GIVEN_BY_CALLER if name in environment}
    if given:
        return given
    file = places.state(project) / f"passphrase.{stack}"
    if file.exists():
        return {"PULUMI_CONFIG_PASSPHRASE_FILE": str(file)}
    if environment_of(project, stack) == "development":
        return {"PULUMI_CONFIG_PASSPHRASE": DEVELOPMENT_PASSPHRASE}
    mend = (
        f"choose one and keep it safe, for without it the stack's secrets are lost; then set PULUMI_CONFIG_PASSPHRASE, or "
        f"PULUMI_CONFIG_PASSPHRASE_FILE, or write it to .state/passphrase.{stack}, for example with "
        f"`(umask 077; mkdir -p .state; openssl rand -base64 32 > .state/passphrase.{stack})`"
    )
    raise SetupError(f"the passphrase of stack {stack}", "its secrets are encrypted with a passphrase, and none is given", mend)


def environment_of(project: Path, stack: str) -> str:
    """The stack's `whatsapp:ENVIRONMENT`; `development` when its file, or the value, is absent.

    Raises:
        SetupError: the stack's file is not what Pulumi writes.
    """
    file = project / f"Pulumi.{stack}.yaml"
    if not file.exists():
        return "development"
    try:
        config = (yaml.safe_load(file.read_text()) or {}).get("config") or {}
        return str(config.get(f"{PROJECT_NAME}:ENVIRONMENT", "development"))
    except (yaml.YAMLError, AttributeError) as error:
        raise SetupError(f"the settings of stack {stack}", f"{file.name} can't be read: {error}", f"correct {file.name}") from error


def ensure_stack(project: Path, stack: str, program: Path, environment: Mapping[str, str]) -> None:
    """Initialise the stack in the local backend unless it is there.

    Raises:
        SetupError: Pulumi refuses, for instance because the passphrase isn't the one that the settings file's salt belongs to.
    """
    if (places.state(project) / ".pulumi" / "stacks" / PROJECT_NAME / f"{stack}.json").exists():
        return
    say(f"state: initialising stack {stack} in .state")
    mend = f"see Pulumi's message; `incorrect passphrase` means another one than Pulumi.{stack}.yaml was made with"
    command = [str(program), "stack", "init", stack, "--non-interactive", "--no-select"]
    run(f"stack {stack}", command, mend, cwd=project, env={**os.environ, **environment})
