"""Makes sure that the machine has what the stack needs, in ordered steps that cost nothing when they are done.

`prepare` is the whole of it. A step that does something says so in one line; one that can't raises `SetupError`.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from ops.setup import engine, images, places, pulumi_cli, stack_state
from ops.setup.durations import measured
from ops.setup.errors import SetupError
from stack.naming import settings_file_name

__all__ = ["PulumiEnvironment", "SetupError", "prepare"]


@dataclass(frozen=True)
class PulumiEnvironment:
    """How to call Pulumi: the program, and what to add to the environment so that bare `pulumi up` works in the project."""

    pulumi: Path
    variables: dict[str, str]


def prepare(project: Path, stack: str) -> PulumiEnvironment:
    """Make what is missing for this stack, and say how to call Pulumi.

    Raises:
        SetupError: something is missing and can't be made here.
    """
    project = project.resolve()
    places.ensure_state(project)
    stack_state.drop_broken_side_files(project)
    passphrase = stack_state.passphrase_variables(project, stack, os.environ)  # first: what only the user can mend
    images.decide_source(project)
    with measured("Pulumi"):
        cli = pulumi_cli.ensure(project)
    with measured("Docker engine"):
        docker = engine.ensure(os.environ)
    configuration = stack_state.configuration_of(project, stack)
    env_file = settings_file_name(stack, configuration)
    if images.source_of(project, env_file, configuration.get("IMAGES")) == "local":
        with measured("foundations of the local images"):
            images.ensure_foundations(project, docker)
    variables = _variables(project, cli) | passphrase | docker.variables
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
