"""The Go compiler, which builds what a machine can't download."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from ops.setup import places
from ops.setup.errors import SetupError
from ops.setup.report import run

_FIRST_THAT_SWITCHES = (1, 21)  # from here on a Go downloads, through the module proxy, the newer one that a go.mod asks for
_MEND = "install Go from https://go.dev/dl (the distribution's own may be too old), or put its bin directory in PATH"


def version_for(project: Path, module: Path, what: str) -> str:
    """The version of Go, such as `go1.26.8`, that builds the module in this directory.

    Asking Go costs a process, so the answer is remembered with the program it came from.

    Raises:
        SetupError: there is no Go, or one too old for the module's go.mod.
    """
    found = shutil.which("go")
    if found is None:
        raise SetupError(what, "needs Go, which is not on PATH", _MEND)
    required = required_version((module / "go.mod").read_text())
    evidence = places.fingerprint(Path(found).resolve())
    memory = f"go-{required}"
    known = places.recall(project, memory)
    if known.get("evidence") == evidence:
        return str(known["version"])
    own = run(what, [found, "env", "GOVERSION"], _MEND, cwd=Path("/")).strip()
    if _numbers(own) < _numbers(required) and _numbers(own) < _FIRST_THAT_SWITCHES:
        raise SetupError(what, f"needs Go {required} or newer, {found} is {own.removeprefix('go')}", _MEND)
    version = run(what, [found, "env", "GOVERSION"], _MEND, cwd=module).strip()
    if _numbers(version) < _numbers(required):  # GOTOOLCHAIN=local forbids the switch
        raise SetupError(what, f"needs Go {required} or newer, {found} is {version.removeprefix('go')}", f"{_MEND}, or unset GOTOOLCHAIN")
    places.remember(project, memory, {"evidence": evidence, "version": version})
    return version


def required_version(go_mod: str) -> str:
    """The version in the `go` line of a go.mod."""
    found = re.search(r"^go (\S+)$", go_mod, re.MULTILINE)
    if found is None:
        message = "the go.mod has no go line"
        raise ValueError(message)
    return found.group(1)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
