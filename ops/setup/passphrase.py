"""The passphrase with which a stack's secrets are encrypted: where it comes from, and that there is one."""

from __future__ import annotations

import hashlib
from base64 import b64decode
from typing import TYPE_CHECKING

from ops.setup import places, stack_state
from ops.setup.configuration import configuration_of
from ops.setup.errors import SetupError
from stack.naming import settings_file_name
from stack.reading import UnreadableError, text_of
from stack.settings_layers import read_env

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DEVELOPMENT_PASSPHRASE = "development"  # noqa: S105  not a secret: a development stack's state protects nothing of worth
_DEVELOPMENT = "development"
_VARIABLE, _FILE_VARIABLE = "PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"
_ROUNDS, _KEY_BYTES = 1_000_000, 32
"""Pulumi's own, for PBKDF2 with SHA-256 and AES-GCM."""


def passphrase_variables(project: Path, stack: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that give Pulumi the passphrase of a stack. An empty one is none: Pulumi would encrypt with nothing.

    The git-ignored file `.state/passphrase.<stack>` is a stack's own. Without it, a development stack has a fixed passphrase, so that its
    settings file can be shared with the salt that belongs to it; what the shell has is for other stacks, unless this one was made with it.
    For a stack that isn't for development, what the shell has wins, unless `make env` put it there.

    Raises:
        SetupError: a stack that isn't for development has none, or it can't be read.
    """
    given = {
        name: value for name in (_VARIABLE, _FILE_VARIABLE) if (value := environment.get(name)) is not None and not _is_ours(project, value)
    }
    own = places.state(project) / f"passphrase.{stack}"
    if _is_for_development(project, stack):
        salt = stack_state.salt_of(project, stack) if given else None
        fixed = {_VARIABLE: DEVELOPMENT_PASSPHRASE}
        return _from_file(stack, own, environment) or (given if salt and not opens(DEVELOPMENT_PASSPHRASE, salt) else fixed)
    if given.get(_VARIABLE, "").strip():
        return given
    files = [project / given[_FILE_VARIABLE]] if given.get(_FILE_VARIABLE) else []
    for file in (*files, own):
        if found := _from_file(stack, file, environment):
            return found
    empty = [f"{name} is empty" for name, is_empty in ((_VARIABLE, _VARIABLE in given), (own.name, own.exists())) if is_empty]
    raise _none(stack, [*empty, *(f"{file} is empty, or not there" for file in files)])


def _is_for_development(project: Path, stack: str) -> bool:
    """Whether it is by its settings, or was by the time that its configuration was first encrypted: then nothing else opens it."""
    configuration = configuration_of(project, stack)
    by_configuration = configuration.get("ENVIRONMENT", _DEVELOPMENT)
    given = read_env(project, settings_file_name(stack, configuration), problems=[]).get("ENVIRONMENT")
    by_file = given.value if given else by_configuration
    if by_configuration == _DEVELOPMENT != by_file:
        salt = stack_state.salt_of(project, stack)
        return salt is not None and opens(DEVELOPMENT_PASSPHRASE, salt)
    return by_file == _DEVELOPMENT


def opens(passphrase: str, salt: str) -> bool:
    """Whether a stack's salt was made with this passphrase: behind the salt itself is a word that Pulumi encrypted to find that out."""
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415  rarely needed
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

    try:
        _, grains, _, nonce, sealed = salt.split(":")
        key = hashlib.pbkdf2_hmac("sha256", passphrase.encode(), b64decode(grains), _ROUNDS, _KEY_BYTES)
        AESGCM(key).decrypt(b64decode(nonce), b64decode(sealed), None)
    except (ValueError, InvalidTag):
        return False
    return True


def _is_ours(project: Path, value: str) -> bool:
    """Whether a value of the caller's environment was put there by `make env`, maybe for another stack."""
    return value == DEVELOPMENT_PASSPHRASE or value.startswith(str(places.state(project) / "passphrase."))


def _from_file(stack: str, file: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """The variable for the passphrase in a file; none when there is nothing in it."""
    try:
        content = (text_of(file.parent, file.name) or "").strip()
    except UnreadableError as error:
        raise SetupError(f"the passphrase of stack {stack}", str(error), f"write it to {file} anew") from error
    if not content:
        return {}
    return {_VARIABLE: content} if _VARIABLE in environment else {_FILE_VARIABLE: str(file)}  # Pulumi prefers the variable to the file


def _none(stack: str, empty: list[str]) -> SetupError:
    mend = (
        f"choose one and keep it safe, for without it the stack's secrets are lost; then set PULUMI_CONFIG_PASSPHRASE, or "
        f"PULUMI_CONFIG_PASSPHRASE_FILE, or write it to .state/passphrase.{stack}, for example with "
        f"`(umask 077; mkdir -p .state; python3 -c 'import secrets; print(secrets.token_urlsafe())' > .state/passphrase.{stack})`"
    )
    cause = "its secrets are encrypted with a passphrase, and none is given"
    return SetupError(f"the passphrase of stack {stack}", f"{cause} ({', '.join(empty)})" if empty else cause, mend)
