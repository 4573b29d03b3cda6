"""Decides whether the toolchain must be built, and keeps its result in the cache."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

from ops.setup import golang, places
from ops.setup.errors import SetupError
from ops.setup.report import say, seconds_since
from toolchain.inputs import sources_key

if TYPE_CHECKING:
    from pathlib import Path

_WHAT = "Pulumi's toolchain"
_GIGABYTES_COLD = 8.0  # 2 of modules, 4.4 of build cache, 0.3 of binaries, and the linker's temporary files
_GIGABYTES_WARM = 1.0
_KEPT = 3  # other clones may be at other commits


def already_built(project: Path) -> Path | None:
    """The toolchain for this project's sources and this machine's Go, if it is in the cache; without Go, one by any Go."""
    try:
        final = _place(project)
    except SetupError:
        return max(_directory().glob(f"{sources_key(project / 'toolchain')}-go*"), default=None)
    return final if final.is_dir() else None


def ensure(project: Path) -> Path:
    """The directory of the built toolchain; built when it isn't in the cache.

    Raises:
        SetupError: it can't be built.
    """
    final = _place(project)
    if not final.is_dir():
        with places.lock(_directory() / ".lock", lambda: say("toolchain: another build is under way; waiting for it")):
            if not final.is_dir():
                _build(project, final)
    return final


def _directory() -> Path:
    return places.cache() / "toolchain"


def _place(project: Path) -> Path:
    sources = project / "toolchain"
    return _directory() / f"{sources_key(sources)}-{golang.version_for(project, sources, _WHAT)}"


def _build(project: Path, final: Path) -> None:
    from toolchain.build import BuildError, build  # noqa: PLC0415  imports pulumi, which a warm start must not pay for
    from toolchain.compare import SchemaDriftError  # noqa: PLC0415

    started = time.monotonic()
    earlier = any(final.parent.glob("*-go*"))
    places.require_space(_WHAT, final.parent, _GIGABYTES_WARM if earlier else _GIGABYTES_COLD)
    with places.scratch(final.parent) as directory:
        result = directory / "result"
        try:
            build(project / "toolchain", directory / "sources", result, lambda line: say(f"toolchain: {line}"))
        except SchemaDriftError as error:
            cause = f"the Python packages and the plugins differ:\n{error}"
            raise SetupError(_WHAT, cause, "set the names in toolchain/internal/*/info.go, or the versions in requirements.in") from error
        except BuildError as error:
            mend = "see the messages above; the build needs a Go module proxy (GOPROXY, https_proxy), and goes on where it stopped"
            raise SetupError(_WHAT, str(error), mend) from error
        result.rename(final)
    _forget_old(final.parent)
    say(f"toolchain: built in {seconds_since(started)}, in {final}")


def _forget_old(directory: Path) -> None:
    """Remove all but the newest toolchains: a quarter of a gigabyte each, and rebuilt within seconds while Go remembers its work."""
    built = sorted(directory.glob("*-go*"), key=lambda entry: entry.stat().st_mtime, reverse=True)
    for old in built[_KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
