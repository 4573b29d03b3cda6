"""Carries out what `ops.recovery` plans, and says each thing that it does."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ops import checkpoint, engine, processes, recovery
from ops.backup import marker
from ops.console import say
from ops.errors import OperatorError
from ops.pulumi import run_quietly
from ops.session import project_name, stack_settings, state_folder
from stack import foreign

if TYPE_CHECKING:
    from docker import DockerClient

    from ops.checkpoint import Checkpoint
    from ops.engine import Observed, SeenContainer
    from ops.processes import Lock
    from ops.recovery import Plan
    from ops.session import Session

_PATIENCE_SECONDS = 20
"""For a run whose terminal is gone, and which is about to stop."""


@dataclass(frozen=True)
class Situation:
    """A stack as its state has it, as the engine has it, and what has to be done about the difference before an `up`."""

    known: Checkpoint
    project: str
    observed: Observed
    plan: Plan


def look(client: DockerClient, folder: Path, stack: str) -> Situation:
    """Read a stack's state, and look at the engine once.

    Raises:
        OperatorError: the state, or the settings, can't be read.
    """
    known = checkpoint.read(state_folder(folder), stack)
    project = project_name(folder, stack, known)
    observed = engine.look(client, project)
    return Situation(known, project, observed, recovery.plan(known, observed, project, stack))


def make_ready(session: Session, client: DockerClient) -> tuple[Plan, Observed]:
    """Clear away what interrupted runs left, so that Pulumi can work; what remains to do for `up` is in the plan, beside what was seen.

    Raises:
        OperatorError: another run holds the stack, containers that aren't ours carry the project's name or are another clone's, or a
            restore was interrupted.
    """
    free_the_stack(session)
    seen = look(client, session.folder, session.stack)
    marker.refuse_unfinished(seen.project, session.stack, seen.observed.volumes)
    if seen.plan.foreign:
        raise OperatorError(*foreign.refusal(seen.project, [each.name for each in seen.plan.foreign]))
    refuse_neighbours(session, seen.plan)
    if lost := recovery.detached(seen.known, seen.observed):
        say(f"repair: {_names(lost)} lost the network; to be made again (volumes keep the data)", "yellow")
        engine.remove_containers(client, lost)
        seen = look(client, session.folder, session.stack)
    plan = seen.plan
    if plan.orphans:
        say(f"repair: removing {_names(plan.orphans)}, which no finished run knows (no data is in them; volumes stay)", "yellow")
        engine.remove_containers(client, plan.orphans)
    if plan.orphan_networks:
        say(
            f"repair: removing network {', '.join(network.name for network in plan.orphan_networks)}, which the state doesn't know",
            "yellow",
        )
        engine.remove_networks(client, plan.orphan_networks)
    if plan.clear_pending:
        say("repair: clearing creations that an interrupted run left open", "yellow")
        run_quietly(session, ["refresh", "--clear-pending-creates", "--yes", "--skip-preview", "--non-interactive"])
    if stopped := _to_be_started(session, client, plan.stopped):
        say(f"repair: starting {', '.join(f'{each.name} ({each.state})' for each in stopped)}", "yellow")
        engine.start_containers(client, stopped)
    for sentence in plan.drift:
        say(f"repair: {sentence}", "yellow")
    return plan, seen.observed


def _to_be_started(session: Session, client: DockerClient, stopped: tuple[SeenContainer, ...]) -> list[SeenContainer]:
    """Who can be started before Pulumi works: not the user of a database that moves to another volume, for it would write to the old one.

    That one is started behind its database, by the gate.
    """
    from stack.services.postgres_names import USERS, container_of, uses_the_volume  # noqa: PLC0415

    if not any(each.service in USERS.values() for each in stopped):
        return list(stopped)
    try:
        settings = stack_settings(session.folder, session.stack)
    except OperatorError:
        return []  # the run that follows says what is wrong with them, and changes nothing
    moving = set()
    for database, user in USERS.items():
        found = container_of(client.api, settings.project, database)
        if found is not None and not uses_the_volume(found, settings, database):
            moving.add(user)
    return [each for each in stopped if each.service not in moving]


def free_the_stack(session: Session) -> None:
    """End what killed runs left running, and release their locks.

    Raises:
        OperatorError: a run that is alive holds the stack.
    """
    if stale := end_what_runs_for_nobody(session.folder, session.stack):
        say(f"repair: releasing the lock of a run that is gone (process {stale[0].pid}, {stale[0].since})", "yellow")
        run_quietly(session, ["cancel", "--yes", "--non-interactive"])


def end_what_runs_for_nobody(folder: Path, stack: str) -> tuple[Lock, ...]:
    """End what killed runs left running, and see that nobody is at work; the locks that killed runs left.

    Args:
        folder: the project.
        stack: the stack's name.

    Raises:
        OperatorError: a run that is alive holds the stack.
    """
    limit = time.monotonic() + _PATIENCE_SECONDS
    waited = False
    while True:
        alive = processes.running()
        locks = recovery.sort_locks(processes.read_locks(state_folder(folder), stack), alive, processes.host_name())
        if not locks.live:
            break
        owner = alive.get(locks.live[0].pid)
        if owner is None or not processes.is_left_alone(owner, alive) or time.monotonic() > limit:
            raise _held(stack, locks.live[0])
        if not waited:
            say(f"repair: waiting for a run whose terminal is gone to stop (process {owner.pid})", "yellow")
            waited = True
        time.sleep(0.2)
    if left := processes.survivors(alive.values(), folder):
        say(f"repair: ending what an interrupted run left running: {', '.join(f'{each.plugin} ({each.pid})' for each in left)}", "yellow")
        processes.end(left)
    return locks.stale


def refuse_neighbours(session: Session, plan: Plan) -> None:
    """Leave alone what belongs to another clone of the project on the same engine, with a stack of the same name.

    Raises:
        OperatorError: a container that the state doesn't know was made from another folder, which is there and still knows the stack.
    """
    theirs = [each for each in plan.orphans if each.folder not in {None, str(session.folder)}]
    for folder in dict.fromkeys(str(each.folder) for each in theirs):
        if checkpoint.is_kept(state_folder(Path(folder)), session.stack):
            raise _neighbour(session.stack, folder, [each for each in theirs if each.folder == folder])


def _names(containers: list[engine.SeenContainer] | tuple[engine.SeenContainer, ...]) -> str:
    return ", ".join(container.name for container in containers)


def _neighbour(stack: str, folder: str, theirs: list[engine.SeenContainer]) -> OperatorError:
    return OperatorError(
        f"Stack {stack} of the project in {folder} is on this engine: {_names(theirs)}.",
        "Its containers were left alone, and nothing was changed: they have the names that this stack would give its own.",
        "To live beside it: `make up STACK=name` with another name, or another PROJECT_NAME; either with ports of its own. "
        f"To take its place, with its data: `make down STACK={stack}` in {folder}, then run this again.",
    )


def _held(stack: str, lock: processes.Lock) -> OperatorError:
    return OperatorError(
        f"Another run is at work on stack {stack} (process {lock.pid} of {lock.user} on {lock.host}, since {lock.since}).",
        mend=f'Wait until it ends. If it is on a machine that no longer exists: `eval "$(make -s env)"; pulumi cancel --stack {stack}`.',
    )
