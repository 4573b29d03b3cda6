"""What the stack's state has and the engine hasn't, and the other way round: what nobody sees who looks at containers alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops import heal, recovery
from ops.containers import is_service
from ops.doctor.findings import Finding, bad, warning
from ops.session import FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker import DockerClient

    from ops.engine import Observed
    from ops.recovery import Plan


def against_state(client: DockerClient, stack: str) -> Iterator[Finding]:
    """Compare the stack's state with the engine.

    Raises:
        OperatorError: the state, or the settings, can't be read.
    """
    seen = heal.look(client, FOLDER, stack)
    yield from compared(seen.plan, seen.observed, stack)


def compared(plan: Plan, observed: Observed, stack: str) -> Iterator[Finding]:
    """What is gone, and what was left. Of a stack that is down as a whole nothing is missing."""
    for left in plan.orphans:
        if left.folder in {None, str(FOLDER)}:  # what another clone made is not ours to judge
            yield warning(
                left.name,
                "is known to no finished run: one is at work on the stack, or was interrupted",
                f"`make up STACK={stack}` removes what is left of it; no data is in it",
            )
    if not any(each.stack == stack and is_service(each) for each in observed.containers):
        return
    for each in plan.differences:
        if each.how in {recovery.GONE, recovery.GONE_WITH_DATA}:
            empty = ", empty" if each.how == recovery.GONE_WITH_DATA else ""
            yield bad(each.what, each.how, f"`make up STACK={stack}` makes it again{empty}")
        elif each.how == recovery.ANOTHER:
            yield warning("images", str(each), f"nothing, or `make up STACK={stack}`, which applies it")
