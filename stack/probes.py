"""A probe as a container carries it: in the engine's own health check, and in a label, where that has no place for something.

So a command can wait for a container as the program does, by what the container was made with, whatever the settings say by now.
"""

import json
from collections.abc import Mapping
from typing import Any

from stack.spec import Probe

PROBE_LABEL = "whatsapp.probe"
_NANOSECONDS = 1_000_000_000
_KEPT_IN_LABEL = ("precondition", "refused_exit_code", "restart_exit_code")


def label(probe: Probe) -> str:
    """What the engine's health check does not hold; empty when that is nothing."""
    kept = {name: value for name in _KEPT_IN_LABEL if (value := getattr(probe, name)) is not None}
    return json.dumps(kept, sort_keys=True) if kept else ""


def probe_of(configuration: Mapping[str, Any]) -> Probe | None:
    """The probe of a container, from what the engine calls its `Config`; None when it has none."""
    check = configuration.get("Healthcheck") or {}
    test = tuple(check.get("Test") or ())
    if not test or test[0] == "NONE":
        return None
    kept = json.loads((configuration.get("Labels") or {}).get(PROBE_LABEL) or "{}")
    precondition = kept.get("precondition")
    return Probe(
        test=test,
        limit=check["StartPeriod"] // _NANOSECONDS,
        refused_exit_code=kept.get("refused_exit_code"),
        restart_exit_code=kept.get("restart_exit_code"),
        precondition=tuple(precondition) if precondition else None,
        interval=check["Interval"] // _NANOSECONDS,
        timeout=check["Timeout"] // _NANOSECONDS,
        retries=check["Retries"],
    )
