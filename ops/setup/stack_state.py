"""Pulumi's local state for one stack: its salt, its first initialisation, and a working tree that stays clean."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

from ops import checkpoint
from ops.setup import places
from ops.setup.configuration import wrong_passphrase
from ops.setup.report import run, say

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

GIT_FILTER = (
    "awk '{ line[NR] = $0 } /^[^#]*secure:/ { secrets = 1 } "
    "END { for (i = 1; i <= NR; i++) if (secrets || line[i] !~ /^encryptionsalt:/) print line[i] }'"
)
"""Drops the salt from a stack's settings file that holds no secret. A command of its own, so that it works in every checkout."""
_FILTER_KEY = "filter.pulumi-salt.clean"
_SALT_LINE = re.compile(r"^encryptionsalt:[ \t]*(\S*)", re.MULTILINE)


def drop_broken_side_files(project: Path) -> None:
    """Remove the empty `.attrs` files that a killed run of bare `pulumi` can leave: with one, the state beside it is not read."""
    for file in (places.state(project) / ".pulumi" / "stacks" / checkpoint.PULUMI_PROJECT).glob("*.attrs"):
        if file.stat().st_size == 0:
            file.unlink(missing_ok=True)


def restore_salt(project: Path, stack: str) -> None:
    """Put the salt of the stack's state back into its settings file, when git or a hand has taken it out.

    Pulumi would write a new one for whatever passphrase it is then given; with a mistyped one, the right one would from
    then on be refused. The state remembers the salt that its secrets were encrypted with.
    """
    file = project / f"Pulumi.{stack}.yaml"
    if not file.exists():
        return
    text = file.read_text(encoding="utf-8")
    if not _SALT_LINE.search(text) and (salt := _remembered_salt(project, stack)):
        end = "" if not text or text.endswith("\n") else "\n"
        places.write_atomically(file, f"{text}{end}encryptionsalt: {salt}\n")


def salt_of(project: Path, stack: str) -> str | None:
    """The salt of the stack's secrets; None before there are any."""
    file = project / f"Pulumi.{stack}.yaml"
    found = _SALT_LINE.search(file.read_text(encoding="utf-8")) if file.exists() else None
    return found[1] if found else _remembered_salt(project, stack)


def _remembered_salt(project: Path, stack: str) -> str | None:
    state = state_file(project, stack)
    if not state.exists():
        return None
    latest = json.loads(state.read_text(encoding="utf-8")).get("checkpoint", {}).get("latest") or {}
    salt = latest.get("secrets_providers", {}).get("state", {}).get("salt")
    return str(salt) if salt else None


def state_file(project: Path, stack: str) -> Path:
    """Where the local backend keeps a stack."""
    return checkpoint.stack_file(places.state(project), stack)


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
    command = [str(program), "stack", "init", stack, "--non-interactive", "--no-select"]
    run(f"stack {stack}", command, wrong_passphrase(stack), cwd=project, env={**os.environ, **environment})
