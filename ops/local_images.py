"""Builds local images where no stack has done so yet, as the stack's program builds them; the state of that is thrown away."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pulumi.automation as automation

from ops.errors import OperatorError
from stack.images import Images

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ops.session import Session
    from stack.settings import Settings

_PROJECT, _STACK = "whatsapp-images", "images"


def build(session: Session, settings: Settings, names: Iterable[str]) -> None:
    """Build local images; what the engine's cache has costs seconds.

    Args:
        session: how to call Pulumi.
        settings: of a stack whose images are local.
        names: as in postgres:17.

    Raises:
        OperatorError: one can't be built.
    """

    def program() -> None:
        images = Images(settings, session.folder)
        for name in names:
            images.built(name)

    with tempfile.TemporaryDirectory() as state:
        backend = Path(state).as_uri()
        options = automation.LocalWorkspaceOptions(
            project_settings=automation.ProjectSettings(_PROJECT, runtime="python", backend=automation.ProjectBackend(backend)),
            pulumi_command=automation.PulumiCommand(root=str(session.pulumi.parent.parent)),
            env_vars={**session.variables, "PULUMI_BACKEND_URL": backend},
        )
        try:
            automation.create_or_select_stack(_STACK, project_name=_PROJECT, program=program, opts=options).up()
        except automation.CommandError as error:
            raise OperatorError(f"The local images {', '.join(names)} can't be built.", str(error)) from error
