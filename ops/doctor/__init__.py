"""`doctor`: what is wrong, or soon will be, each thing with its mend. The guard is the part that runs before each `up`."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import chain
from typing import TYPE_CHECKING

from ops import engine
from ops.backup import marker, services
from ops.console import complain, count, say
from ops.doctor.findings import Finding, Verdict, bad
from ops.doctor.machine import here, machine
from ops.errors import OperatorError
from ops.session import FOLDER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from docker import DockerClient

_MARKS = {Verdict.GOOD: ("ok  ", "green"), Verdict.WARNING: ("warn", "yellow"), Verdict.BAD: ("BAD ", "red")}


def doctor(stack: str, as_json: bool) -> int:
    """Look at the machine, at what the stack is to be and, when it is up, at how it is; 1 when something is bad."""
    # Here and not above: the guard has to be quick, and needs none of it.
    from ops.containers import NotUpError  # noqa: PLC0415
    from ops.doctor.plans import plans  # noqa: PLC0415
    from ops.doctor.running import running  # noqa: PLC0415
    from ops.doctor.state import against_state  # noqa: PLC0415

    found: list[Finding] = []

    def tell(finding: Finding) -> None:
        found.append(finding)
        if not as_json:
            _say(finding)

    client = _connected(tell)
    for finding in chain(machine(client, FOLDER) if client else here(FOLDER), plans(client, FOLDER, stack)):
        tell(finding)
    try:
        if client:
            for finding in chain(whole(client, services.project_of(stack), stack), running(client, stack), against_state(client, stack)):
                tell(finding)
    except NotUpError as error:
        if not as_json:
            say(" ".join(line.strip() for line in error.lines))
    except OperatorError as error:
        if str(error) not in {each.said for each in found}:  # else it is about settings that were found wrong already
            tell(_told("stack", error))
    return _concluded(found, as_json)


def _connected(tell: Callable[[Finding], None]) -> DockerClient | None:
    try:
        return engine.connect()
    except OperatorError as error:
        tell(_told("engine", error))
        return None


def _told(subject: str, error: OperatorError) -> Finding:
    return bad(subject, f"{error.what} {error.cause}".strip(), error.mend)


def _concluded(found: list[Finding], as_json: bool) -> int:
    """Say what was found in all; the exit code."""
    wrong, warned = (sum(1 for each in found if each.verdict is verdict) for verdict in (Verdict.BAD, Verdict.WARNING))
    if as_json:
        say(json.dumps([asdict(each) for each in found], indent=2))
    elif wrong:
        complain(f"{count(wrong, 'thing')} wrong, {count(warned, 'warning')}")
    else:
        say(f"nothing wrong, {count(warned, 'warning')}", "green" if not warned else "yellow")
    return 1 if wrong else 0


def whole(client: DockerClient, project: str, stack: str) -> Iterator[Finding]:
    """Whether the stack's data is whole: not where a restore of it was interrupted, or goes on."""
    if wrong := marker.found(client, project, stack):
        yield bad("data", wrong.what, wrong.mend)


def guard(client: DockerClient, folder: Path) -> None:
    """Look at the machine before an `up`, in less than a second; a warning is one line.

    Raises:
        OperatorError: an `up` can't succeed here; all reasons are named.
    """
    found = list(machine(client, folder))
    for finding in found:
        if finding.verdict is Verdict.WARNING:
            say(f"warning: {finding.subject}: {finding.said} ({finding.mend})", "yellow")
    wrong = [finding for finding in found if finding.verdict is Verdict.BAD]
    if wrong:
        raise OperatorError(
            "This machine can't carry the environment now; nothing was changed.",
            "\n".join(f"  - {finding.subject}: {finding.said}. Mend: {finding.mend}." for finding in wrong),
        )


def _say(finding: Finding) -> None:
    mark, colour = _MARKS[finding.verdict]
    say(f"{mark}  {finding.subject}: {finding.said}", colour if finding.verdict is not Verdict.GOOD else None)
    if finding.mend:
        say(f"      mend: {finding.mend}")
