"""An `up` of somebody else's that is at work on a stack."""

import json
from pathlib import Path

import pytest

from ops import processes
from ops.processes import Process

_SHELL, _PULUMI = Process(100, 1, ("bash",), "/"), Process(101, 100, ("pulumi", "up"), "/")


def at_work(folder: Path, stack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Pulumi hold a stack of the project in a folder."""
    monkeypatch.setattr(processes, "running", lambda: {each.pid: each for each in (_SHELL, _PULUMI)})
    lock = folder / ".state" / ".pulumi" / "locks" / "organization" / "whatsapp" / stack / "one.json"
    lock.parent.mkdir(parents=True)
    lock.write_text(json.dumps({"pid": _PULUMI.pid, "hostname": processes.host_name(), "username": "ana", "timestamp": "now"}))
