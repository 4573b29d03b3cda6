"""What the stack's state has and the engine hasn't, and the other way round: what nobody sees who looks at containers alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops import checkpoint, engine, recovery
from ops.containers import is_service
from ops.doctor.findings import Finding, bad, warning
from ops.session import FOLDER, project_name, state_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker import DockerClient

    from ops.checkpoint import Checkpoint
    from ops.engine import Observed

_GONE = " is gone"


def against_state(client: DockerClient, stack: str) -> Iterator[Finding]:
    """Compare the stack's state with the engine.

    Raises:
        OperatorError: the state, or the settings, can't be read.
    """
    known = checkpoint.read(state_folder(FOLDER), stack)
    project = project_name(FOLDER, stack, known)
    yield from compared(known, engine.look(client, project), project, stack)


def compared(known: Checkpoint, observed: Observed, project: str, stack: str) -> Iterator[Finding]:
    """What is gone, and what was left. Of a stack that is down as a whole nothing is missing."""
    plan = recovery.plan(known, observed, project, stack)
    for left in plan.orphans:
        if left.folder in {None, str(FOLDER)}:  # what another clone made is not ours to judge
            yield warning(
                left.name,
                "is known to no finished run: one is at work on the stack, or was interrupted",
                f"`make up STACK={stack}` removes what is left of it; no data is in it",
            )
    if not any(each.stack == stack and is_service(each) for each in observed.containers):
        return
    for sentence in plan.drift:
        what, gone, more = sentence.partition(_GONE)
        if gone:
            yield bad(what, f"is gone{more}", f"`make up STACK={stack}` makes it again{', empty' if more else ''}")
        elif sentence.startswith("image "):
            yield warning("images", sentence, f"nothing, or `make up STACK={stack}`, which applies it")
