"""Pulumi's local state for one stack: its passphrase, its first initialisation, and a working tree that stays clean."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

from ops.setup import places
from ops.setup.errors import SetupError
from ops.setup.report import run, say

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PROJECT_NAME = "whatsapp"
DEVELOPMENT_PASSPHRASE = "development"  # noqa: S105  not a secret: a development stack's state protects nothing of worth
GIT_FILTER = (
    "awk '{ line[NR] = $0 } /^[^#]*secure:/ { secrets = 1 } "
    "END { for (i = 1; i <= NR; i++) if (secrets || line[i] !~ /^encryptionsalt:/) print line[i] }'"
)
"""Drops the salt from a stack's settings file that holds no secret. A command of its own, so that it works in every checkout."""
_FILTER_KEY = "filter.pulumi-salt.clean"
_SALT_LINE = re.compile(r"^encryptionsalt:", re.MULTILINE)
_GIVEN_BY_CALLER = ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")


def passphrase_variables(project: Path, stack: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that give Pulumi the passphrase of a stack.

    The caller's own win, unless they are what `make env` printed. Else the git-ignored file `.state/passphrase.<stack>` is
    used; else a development stack has a fixed passphrase, so that its settings file can be shared with the salt that belongs
    to it.

    Raises:
        SetupError: a stack that isn't for development has none.
    """
    given = {name: value for name in _GIVEN_BY_CALLER if (value := environment.get(name)) is not None and not _is_ours(project, value)}
    if given:
        return given
    file = places.state(project) / f"passphrase.{stack}"
    if file.exists():
        if _GIVEN_BY_CALLER[0] in environment:  # another stack's, from the shell of `make env`; Pulumi would prefer it to the file
            return {_GIVEN_BY_CALLER[0]: file.read_text().strip()}
        return {_GIVEN_BY_CALLER[1]: str(file)}
    if configuration_of(project, stack).get("ENVIRONMENT", "development") == "development":
        return {_GIVEN_BY_CALLER[0]: DEVELOPMENT_PASSPHRASE}
    mend = (
        f"choose one and keep it safe, for without it the stack's secrets are lost; then set PULUMI_CONFIG_PASSPHRASE, or "
        f"PULUMI_CONFIG_PASSPHRASE_FILE, or write it to .state/passphrase.{stack}, for example with "
        f"`(umask 077; mkdir -p .state; openssl rand -base64 32 > .state/passphrase.{stack})`"
    )
    raise SetupError(f"the passphrase of stack {stack}", "its secrets are encrypted with a passphrase, and none is given", mend)


def _is_ours(project: Path, value: str) -> bool:
    """Whether a value of the caller's environment was put there by `make env`, maybe for another stack."""
    return value == DEVELOPMENT_PASSPHRASE or value.startswith(str(places.state(project) / "passphrase."))


def configuration_of(project: Path, stack: str) -> dict[str, str]:
    """The plain values of the project's own keys in `Pulumi.<stack>.yaml`, without their prefix; none when it isn't there.

    Raises:
        SetupError: the file is not what Pulumi writes.
    """
    import yaml  # noqa: PLC0415

    file = project / f"Pulumi.{stack}.yaml"
    if not file.exists():
        return {}
    try:
        config = (yaml.safe_load(file.read_text()) or {}).get("config") or {}
        values = {str(key): value for key, value in config.items()}
    except (yaml.YAMLError, AttributeError) as error:
        raise SetupError(f"the settings of stack {stack}", f"{file.name} can't be read: {error}", f"correct {file.name}") from error
    prefix = f"{PROJECT_NAME}:"
    return {key.removeprefix(prefix): str(value) for key, value in values.items() if key.startswith(prefix) and not isinstance(value, dict)}


def drop_broken_side_files(project: Path) -> None:
    """Remove the empty `.attrs` files that a killed run of bare `pulumi` can leave: with one, the state beside it is not read."""
    for file in (places.state(project) / ".pulumi" / "stacks" / PROJECT_NAME).glob("*.attrs"):
        if file.stat().st_size == 0:
            file.unlink(missing_ok=True)


def restore_salt(project: Path, stack: str) -> None:
    """Put the salt of the stack's state back into its settings file, when git or a hand has taken it out.

    Pulumi would write a new one for whatever passphrase it is then given; with a mistyped one, the right one would from
    then on be refused. The state remembers the salt that its secrets were encrypted with.
    """
    file = project / f"Pulumi.{stack}.yaml"
    state = state_file(project, stack)
    if not file.exists() or not state.exists():
        return
    text = file.read_text()
    if _SALT_LINE.search(text):
        return
    latest = json.loads(state.read_text()).get("checkpoint", {}).get("latest") or {}
    salt = latest.get("secrets_providers", {}).get("state", {}).get("salt")
    if salt:
        end = "" if not text or text.endswith("\n") else "\n"
        places.write_atomically(file, f"{text}{end}encryptionsalt: {salt}\n")


def state_file(project: Path, stack: str) -> Path:
    """Where the local backend keeps a stack."""
    return places.state(project) / ".pulumi" / "stacks" / PROJECT_NAME / f"{stack}.json"


def ensure_git_filter(project: Path) -> None:
    """Configure the filter that .gitattributes names, in this clone: it keeps the salt that Pulumi writes out of git.

    Without secrets in the same file the salt is worth nothing to others, and would show as a change in every clone.
    """
    if _in_git(project) and _git(project, "config", "--local", _FILTER_KEY) != GIT_FILTER:
        _git(project, "config", "--local", _FILTER_KEY, GIT_FILTER)


def settle_git(project: Path, stack: str) -> None:
    """Let git see that a settings file with a salt is, filtered, what it knows already.

    Git takes a file of another size for changed without asking the filter. Adding it puts the new size into the index and
    nothing else, since the filtered content is the same; a file that has other changes is left alone.
    """
    name = f"Pulumi.{stack}.yaml"
    if not _in_git(project) or not _git(project, "diff-files", "--name-only", "--", name):
        return
    if _git(project, "hash-object", f"--path={name}", name) == _git(project, "rev-parse", f":./{name}"):
        _git(project, "add", "--", name)


def _in_git(project: Path) -> bool:
    return (project / ".git").exists() and shutil.which("git") is not None


def _git(project: Path, *arguments: str) -> str:
    """What git says; nothing when it fails, as with a tree of another owner: a clean status is a comfort, no condition."""
    return subprocess.run(["git", *arguments], cwd=project, capture_output=True, text=True, check=False).stdout.rstrip("\n")


def ensure_stack(project: Path, stack: str, program: Path, environment: Mapping[str, str]) -> None:
    """Initialise the stack in the local backend unless it is there.

    Raises:
        SetupError: Pulumi refuses, for instance because the passphrase isn't the one that the settings file's salt belongs to.
    """
    if state_file(project, stack).exists():
        return
    say(f"state: initialising stack {stack} in .state")
    mend = f"see Pulumi's message; `incorrect passphrase` means another one than Pulumi.{stack}.yaml was made with"
    command = [str(program), "stack", "init", stack, "--non-interactive", "--no-select"]
    run(f"stack {stack}", command, mend, cwd=project, env={**os.environ, **environment})
