"""`up`, `down`, `wipe`, `preview`: the stack as a whole."""

from __future__ import annotations

import contextlib
import re
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from ops import checkpoint, engine, heal
from ops.backup import marker
from ops.console import columns, count, say
from ops.doctor import guard
from ops.errors import OperatorError
from ops.progress import Progress
from ops.pulumi import hand_over, run_quietly, run_told
from ops.refusals import explained
from ops.session import open_session, project_name
from ops.setup.durations import measured
from stack.naming import host_in_urls

if TYPE_CHECKING:
    from collections.abc import Iterable

    from docker import DockerClient

    from ops.engine import SeenContainer
    from ops.session import Session

_GENERATED_SECRETS = "**random:index/randomPassword:RandomPassword::**"
"""The URNs of the stack's generated passwords and keys."""

_PORT_IN_URL = re.compile(r"^https?://[^/]*:(\d+)")


def up(stack: str, extra: Iterable[str] = ()) -> Progress:
    """Converge the stack: repair what interrupted runs left, bring up what is away, wait until everything is ready.

    Args:
        stack: the stack's name.
        extra: further arguments for `pulumi up`.

    Raises:
        OperatorError: it failed; the message names the service and the cause.
        Stopped: the user stopped it.
    """
    begun = time.monotonic()
    session = open_session(stack)
    client = engine.connect(session.variables)
    guard(client, session.folder)
    plan, observed = heal.make_ready(session, client)
    progress = Progress(volumes=observed.volumes, explain=partial(explained, client, session.folder, session.stack))
    with measured("first up, images included") if not observed.containers else contextlib.nullcontext():
        run_told(session, ["up", *extra, *(["--refresh"] if plan.refresh else [])], progress)
    _summary(session, client, progress, time.monotonic() - begun)
    return progress


def down(stack: str) -> None:
    """Take the stack down and keep its data."""
    session = open_session(stack)
    client = engine.connect(session.variables)
    project = _take_down(session, client, keeps_volumes=True)
    left = engine.volumes(client, project, stack)
    say(f"{project} is down.")
    if left:
        say(f"Its data is kept in {count(len(left), 'volume')}; `make up` finds it again, `make wipe STACK={stack}` removes it.")


def wipe(stack: str, agreed: bool) -> None:
    """Take the stack down and remove its data.

    Raises:
        OperatorError: the stack's name was not typed.
    """
    session = open_session(stack)
    client = engine.connect(session.variables)
    known = checkpoint.read(session.state, stack)
    project = project_name(session.folder, stack, known)
    doomed = sorted(set(engine.volumes(client, project, stack)) | known.volumes)
    say("This removes for good: " + (", ".join(doomed) or "no volume, for there is none"), "yellow")
    if doomed and not known.resources:
        say("This folder's state knows nothing of them: they may be the data of another clone, which is down.", "yellow")
    if not agreed:
        _ask(stack)
    _take_down(session, client, keeps_volumes=False)
    engine.remove_volumes(client, doomed)
    for name in doomed:
        say(f"  volume {name:<21} removed, with its data")
    say(f"{project} is gone, with its data.")


def preview(stack: str) -> int:
    """Show what `up` would change; Pulumi's exit code."""
    session = open_session(stack)
    heal.free_the_stack(session)
    refresh = ["--refresh"] if _has_drifted(session) else []
    return hand_over(session, ["preview", "--diff", "--suppress-outputs", "--non-interactive", *refresh])


def _has_drifted(session: Session) -> bool:
    """Whether `up` would look at the engine again; not where none answers, for a preview needs none."""
    try:
        client = engine.connect(session.variables)
    except OperatorError:
        return False
    return heal.look(client, session.folder, session.stack).plan.refresh


def _ask(stack: str) -> None:
    import click  # noqa: PLC0415

    try:
        answer = click.prompt(f"Type the stack's name ({stack}) to go on", default="", show_default=False)
    except click.Abort:
        answer = ""
    if answer.strip() != stack:
        raise OperatorError(
            "Nothing was removed: the stack's name was not typed.", mend=f"Without the question: make wipe STACK={stack} YES=1"
        )


def _take_down(session: Session, client: DockerClient, keeps_volumes: bool) -> str:
    """Destroy what the state knows, then remove what carries our labels and isn't known; the project's name."""
    marker.refuse_at_work(session.stack)
    heal.free_the_stack(session)
    seen = heal.look(client, session.folder, session.stack)
    known, plan = seen.known, seen.plan
    heal.refuse_neighbours(session, plan)
    if plan.orphans:
        # First, for Pulumi can't remove a network while an unknown container is attached to it.
        say("removing what no finished run knows: " + ", ".join(container.name for container in plan.orphans), "yellow")
        engine.remove_containers(client, plan.orphans)
    engine.remove_networks(client, plan.orphan_networks)
    if known.volumes and not keeps_volumes:
        run_quietly(session, ["state", "unprotect", "--all", "--yes"])  # PROTECT_VOLUMES guards against everything but this
    if known.resources:
        # What is gone already, and creations that never ended, would fail the run unless the state hears of it first.
        refresh = ["--refresh"] if plan.refresh or plan.clear_pending else []
        # Whoever noted a generated password finds it valid after the next `up`.
        kept = ["--exclude", _GENERATED_SECRETS] if keeps_volumes else []
        run_told(session, ["destroy", "--exclude-protected", *kept, *refresh], Progress(keeps_volumes=keeps_volumes))
    return seen.project


def _summary(session: Session, client: DockerClient, progress: Progress, seconds: float) -> None:
    known = checkpoint.read(session.state, session.stack)
    containers = engine.containers(client, project_name(session.folder, session.stack, known))
    say()
    for line in columns(table(containers, progress.outputs)):
        say(line)
    changed = count(progress.changed, "change") if progress.changed else "nothing to change"
    say(
        f"\n{session.stack}: {count(len({container.service for container in containers}), 'service')} ready, {changed}, {seconds:.1f} s",
        "green",
    )


def table(containers: list[SeenContainer], outputs: dict[str, Any], state: str = "ready") -> list[tuple[str, ...]]:
    """Rows for people: service, state and where to reach it. A port that an output's URL names is shown as that URL.

    Args:
        containers: of the stack.
        outputs: the stack's outputs.
        state: what to call a running container: the gate of an `up` knows more than the engine, whose first probe may be to come.
    """
    urls = {int(found[1]): value for value in outputs.values() if isinstance(value, str) and (found := _PORT_IN_URL.match(value))}
    rows: list[tuple[str, ...]] = [("SERVICE", "STATE", "URL")]
    for container in containers:
        where = [urls.get(host, f"{host_in_urls(address)}:{host}") for address, host, _ in container.ports]
        label = container.service if container.number == 1 else f"{container.service} ({container.number})"
        rows.append((label, state if container.state == "running" else container.state, "  ".join(dict.fromkeys(where))))
    return rows
