"""`lint` and the tests: each step named as it begins, the failing one named last."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass

from ops import engine
from ops.console import say
from ops.errors import OperatorError
from ops.session import FOLDER, open_session


@dataclass(frozen=True)
class Step:
    """One check: what it is called, the module that does it, and how to run it alone."""

    name: str
    command: tuple[str, ...]
    alone: str


_RULES = Step("lint rules", ("ruff", "check", "."), "make lint")
_FORMAT = Step("format", ("ruff", "format", "--check", "."), "make lint; `.venv/bin/ruff format .` mends it")
_TYPES = Step("types", ("mypy", "."), "make lint")
_UNIT = Step("unit tests", ("pytest", "tests/unit", "--numprocesses=auto"), "make test-unit")
_APP = Step("application tests", ("pytest", "tests/app"), "make test-app")
_CONTRACT = Step("contract tests", ("pytest", "tests/contract"), "make contract")
_E2E = Step("end-to-end tests", ("pytest", "tests/e2e"), "make test-e2e")
_FAULTS = Step("fault tests", ("pytest", "tests/faults"), "make test-faults")
_OFTEN_E2E = Step("end-to-end tests", (*_E2E.command, "-m", "not backups"), "make test-e2e ARGS=\"-m 'not backups'\"")
"""Without those of backups, which take half as long again."""

_OFTEN_FAULTS = Step("fault tests", (*_FAULTS.command, "-m", "not slow"), "make test-faults ARGS=\"-m 'not slow'\"")
"""One of each kind: a third of the time."""

CONTRACT_URL = "EVOLUTION_CONTRACT_URL"
"""Names a real Evolution API for the contract tests; without it they start the simulator."""

GROUPS = {
    "lint": (_RULES, _FORMAT, _TYPES),
    "test-unit": (_UNIT,),
    "test-app": (_APP,),
    "contract": (_CONTRACT,),
    "test-e2e": (_E2E,),
    "test-faults": (_FAULTS,),
    "test": (_RULES, _FORMAT, _TYPES, _UNIT, _APP, _CONTRACT, _OFTEN_E2E, _OFTEN_FAULTS),
}

_NEEDS_NO_MACHINE = frozenset({_RULES, _FORMAT, _TYPES, _UNIT})
"""The steps that need neither Docker nor Pulumi."""


def run(group: str, extra: tuple[str, ...]) -> None:
    """Run the steps of a group until one fails.

    Args:
        group: a key of GROUPS.
        extra: further arguments for the tools, as in `-k name`; only for groups of one step.

    Raises:
        OperatorError: a step failed; it is named.
    """
    elsewhere = group == "contract" and CONTRACT_URL in os.environ
    environment = dict(os.environ)
    if not elsewhere and not _NEEDS_NO_MACHINE.issuperset(GROUPS[group]):
        open_session("dev")  # here, where it can be watched: on a fresh machine it takes minutes
        environment |= engine.chosen()
    for step in GROUPS[group]:
        say(f"== {step.name}", "cyan")
        begun = time.monotonic()
        code = subprocess.run([sys.executable, "-m", *step.command, *extra], cwd=FOLDER, env=environment, check=False).returncode
        if code:
            raise OperatorError(f"Failed: {step.name} (exit code {code}).", mend=f"Alone: {step.alone}")
        say(f"== {step.name}: passed, {time.monotonic() - begun:.1f} s", "green")
