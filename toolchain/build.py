"""Builds the Pulumi CLI, its Python language host and the two provider plugins from Go modules.

For machines that reach a Go module proxy but neither get.pulumi.com nor GitHub. All versions are pinned by `go.mod` and
`go.sum`. The build works on a copy, so the sources stay as they are; `ops.setup.toolchain` decides when it runs and where
its result lives.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import time
from typing import TYPE_CHECKING

from toolchain.compare import SchemaDriftError, differences
from toolchain.inputs import NOT_AN_INPUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

CLI = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
SDK = "github.com/pulumi/pulumi/sdk/v3"
PLUGINS = ("docker", "random")
_SECONDS_BETWEEN_SIGNS_OF_LIFE = 30.0


class BuildError(Exception):
    """A step of the build failed; the text names it and ends with what the tool said."""


def build(sources: Path, work: Path, result: Path, say: Callable[[str], None]) -> None:
    """Build from `sources` (this directory) into the new directory `result`, with `work` as a scratch directory.

    The result has `bin/` (the CLI and its language host), `lib/` (the host's module), `home/plugins/` (what the engine
    looks for under `PULUMI_HOME`) and `schema/<plugin>.json`.

    Raises:
        BuildError: a step failed.
        SchemaDriftError: the plugins and the installed Python packages don't name their properties alike.
    """
    shutil.copytree(sources, work, ignore=shutil.ignore_patterns(*NOT_AN_INPUT))
    say("downloading Go modules (a minute or two, about 1.5 GB, the first time)")
    _go(work, say, "mod", "download")
    _apply_patches(work)
    for name in PLUGINS:  # embedded by the plugins, so they must exist before anything of them can be compiled
        (work / "cmd" / f"pulumi-resource-{name}" / "schema.json").write_text("{}")
    binaries = work / "out"
    say("compiling Pulumi and its two plugins (about 8 minutes on 2 cores the first time)")
    # The CLI and the schema's writer in one go, with equal flags: Go then compiles what they share once, on all cores.
    _go_build(work, say, binaries, CLI, "./cmd/schema")
    _run([str(binaries / "schema")], work, lambda _line: None)
    schemas = {name: json.loads((work / "cmd" / f"pulumi-resource-{name}" / "schema.json").read_text()) for name in PLUGINS}
    _refuse_drift(schemas)
    _go_build(work, say, binaries, *(f"./cmd/pulumi-resource-{name}" for name in PLUGINS))
    _assemble(work, binaries, schemas, result)


def _refuse_drift(schemas: dict[str, dict[str, object]]) -> None:
    found = [line for name, schema in schemas.items() for line in differences(name, schema)]
    if found:
        raise SchemaDriftError(found)


def _assemble(work: Path, binaries: Path, schemas: dict[str, dict[str, object]], result: Path) -> None:
    for part in ("bin", "lib", "home/plugins", "schema"):
        (result / part).mkdir(parents=True)
    shutil.move(binaries / "pulumi", result / "bin" / "pulumi")
    launcher = result / "bin" / "pulumi-language-python"
    shutil.copy2(work / "language_host" / launcher.name, launcher)
    launcher.chmod(launcher.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    shutil.copy2(work / "language_host" / "language_host.py", result / "lib")
    for name, schema in schemas.items():
        plugin = result / "home" / "plugins" / f"resource-{name}-v{schema['version']}"
        plugin.mkdir()
        shutil.move(binaries / f"pulumi-resource-{name}", plugin)
        (result / "schema" / f"{name}.json").write_text(json.dumps(schema))


def _apply_patches(work: Path) -> None:
    """Replace a patched module by a changed copy in the build directory (Go refuses overlays in its module cache).

    Each replaced text must occur exactly once, so that a new version of the module is looked at before it is patched.
    """
    patches = json.loads((work / "patches.json").read_text())
    for module in {patch["module"] for patch in patches}:
        found = _output(work, "list", "-m", "-f", "{{.Dir}}", module)
        copy = work / "patched" / module.rsplit("/", 1)[-1]
        shutil.copytree(found, copy)
        for directory in (copy, *copy.rglob("*")):  # the module cache is read-only
            directory.chmod(directory.stat().st_mode | stat.S_IWUSR)
        _go(work, lambda _line: None, "mod", "edit", f"-replace={module}=./{copy.relative_to(work)}")
        for patch in patches:
            if patch["module"] == module:
                _patch(copy / patch["file"], patch["replace"])


def _patch(file: Path, replacements: dict[str, str]) -> None:
    text = file.read_text()
    for old, new in replacements.items():
        if text.count(old) != 1:
            message = f"patches.json: {old!r} occurs {text.count(old)} times in {file}, not once; has the module changed?"
            raise BuildError(message)
        text = text.replace(old, new)
    file.write_text(text)


def _go_build(work: Path, say: Callable[[str], None], binaries: Path, *packages: str) -> None:
    version = _output(work, "list", "-m", "-f", "{{.Version}}", SDK)
    flags = f"-s -w -X {SDK}/go/common/version.Version={version}"
    _go(work, say, "build", "-v", "-trimpath", "-ldflags", flags, "-o", f"{binaries}/", *packages)


def _go(work: Path, say: Callable[[str], None], *arguments: str) -> None:
    _run(["go", *arguments], work, say)


def _output(work: Path, *arguments: str) -> str:
    done = subprocess.run(["go", *arguments], cwd=work, env=_environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(_failure(["go", *arguments], done.returncode, done.stderr.splitlines()))
    return done.stdout.strip()


def _environment() -> dict[str, str]:
    return {**os.environ, "GOWORK": "off", "GO111MODULE": "on"}


def _run(command: list[str], work: Path, say: Callable[[str], None]) -> None:
    """Run a long command; say from time to time how far it is. `go build -v` writes one line for each package."""
    started = last = time.monotonic()
    lines: list[str] = []
    with subprocess.Popen(command, cwd=work, env=_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        for line in _lines(process.stderr):
            lines.append(line)
            now = time.monotonic()
            if now - last >= _SECONDS_BETWEEN_SIGNS_OF_LIFE:
                last = now
                say(f"  {len(lines)} packages after {now - started:.0f} s")
    if process.returncode:
        raise BuildError(_failure(command, process.returncode, lines))


def _lines(stream: Iterable[str] | None) -> Iterable[str]:
    return (line.rstrip() for line in stream or ())


def _failure(command: list[str], code: int, lines: list[str]) -> str:
    said = "\n".join(f"    {line}" for line in lines[-15:])
    return f"{' '.join(command[:3])} ended with {code}:\n{said}"
