"""Makes sure that the machine has what the stack needs, in ordered steps that cost nothing when they are done.

`prepare` is the whole of it. A step that does something says so in one line; one that can't raises `SetupError`.
`full_configuration` is for who needs to read what Pulumi encrypts.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from ops.errors import OperatorError
from ops.setup import configuration, engine, images, passphrase, places, pulumi_cli, stack_state
from ops.setup.durations import measured
from ops.setup.errors import SetupError
from stack.naming import settings_file_name

__all__ = ["PulumiEnvironment", "SetupError", "full_configuration", "prepare"]


@dataclass(frozen=True)
class PulumiEnvironment:
    """How to call Pulumi: the program, and what to add to the environment so that bare `pulumi up` works in the project."""

    pulumi: Path
    variables: dict[str, str]


def prepare(project: Path, stack: str) -> PulumiEnvironment:
    """Make what is missing for this stack, and say how to call Pulumi.

    Raises:
        OperatorError: something is missing and can't be made here.
    """
    project = project.resolve()
    places.ensure_state(project)
    secret = _checked_passphrase(project, stack)  # first: what only the user can mend
    images.decide_source(project)
    with measured("Pulumi"):
        cli = pulumi_cli.ensure(project)
    with measured("Docker engine"):
        docker = engine.ensure(os.environ)
    plain = configuration.configuration_of(project, stack)
    if images.source_of(project, settings_file_name(stack, plain), plain.get("IMAGES")) == "local":
        with measured("foundations of the local images"):
            images.ensure_foundations(project, docker)
    return _with_stack(project, stack, cli, secret | docker.variables)


def full_configuration(project: Path, stack: str) -> dict[str, str]:
    """A stack's own configuration by setting name, what is encrypted in it included: for use in memory alone.

    Pulumi is asked, and a stack made for it, only where something is encrypted.

    Raises:
        SetupError: it can't be read.
    """
    project = project.resolve()
    if not configuration.encrypted_names(project, stack):
        return configuration.configuration_of(project, stack)
    places.ensure_state(project)
    secret = passphrase.passphrase_variables(project, stack, os.environ)
    pulumi = _with_stack(project, stack, pulumi_cli.ensure(project), secret)
    return configuration.decrypted(project, stack, pulumi.pulumi, pulumi.variables)


def _checked_passphrase(project: Path, stack: str) -> dict[str, str]:
    """The variables that give Pulumi the stack's passphrase.

    Settings are the program's business; but while there is no stack yet, much would be made before the program sees them.

    Raises:
        OperatorError: there is no passphrase, or the settings of a stack that is yet to be made are wrong: all of that at once.
    """
    variables: dict[str, str] = {}
    problems: list[str] = []
    try:
        variables = passphrase.passphrase_variables(project, stack, os.environ)
    except SetupError as error:
        problems.append(f"{error.what}: {error.cause}: {error.mend}.")
    if problems or not stack_state.state_file(project, stack).exists():
        from stack.settings import SettingsError  # noqa: PLC0415 - a quarter of a second

        if problems := [*problems, *_wrong_settings(project, stack)]:
            raise OperatorError(str(SettingsError(stack, problems)))
    return variables


def _wrong_settings(project: Path, stack: str) -> list[str]:
    """What is wrong with the settings, as far as they can be read without Pulumi: nothing is told of what an encrypted value may mend."""
    from stack.settings import SettingsError, load  # noqa: PLC0415 - a quarter of a second

    try:
        load(project, stack, configuration.configuration_of(project, stack))
    except SettingsError as error:
        hidden = configuration.encrypted_names(project, stack)
        return [problem for problem in error.problems if not any(name in problem for name in hidden)]
    return []


def _with_stack(project: Path, stack: str, cli: pulumi_cli.Cli, more: dict[str, str]) -> PulumiEnvironment:
    """See that the stack is in the local backend, and say how to call Pulumi for it; `more` are variables that it needs."""
    variables = _variables(project, cli) | more
    stack_state.drop_broken_side_files(project)
    stack_state.ensure_git_filter(project)
    stack_state.restore_salt(project, stack)
    stack_state.ensure_stack(project, stack, cli.program, variables)
    stack_state.settle_git(project, stack)
    return PulumiEnvironment(cli.program, variables)


def _variables(project: Path, cli: pulumi_cli.Cli) -> dict[str, str]:
    in_front = [str(cli.program.parent), str(Path(sys.prefix) / "bin")]
    rest = [part for part in os.get_exec_path() if part not in in_front]
    variables = {
        "PATH": os.pathsep.join(in_front + rest),
        # Without the side files (.attrs): a killed run can leave one empty, and then the state itself can't be read any more.
        "PULUMI_BACKEND_URL": f"file://{places.state(project)}?metadata=skip",
        "PULUMI_SKIP_UPDATE_CHECK": "1",
        # A copy of the whole state at every `up`, never pruned; the last one before (`.json.bak`) is kept all the same.
        "PULUMI_DISABLE_CHECKPOINT_BACKUPS": "1",
        "PULUMI_PARALLEL_DIFF": "1",  # a container's takes the provider 0.1 s
    }
    if cli.home is not None:
        variables |= {"PULUMI_HOME": str(cli.home), "PULUMI_IGNORE_AMBIENT_PLUGINS": "1"}
    return variables
