"""Chooses the Pulumi CLI: the one on PATH, else the official installer's, else the toolchain built here."""

from __future__ import annotations

import os
import re
import shutil
import urllib.request
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ops.setup import places, toolchain
from ops.setup.errors import SetupError
from ops.setup.network import reachable
from ops.setup.report import run, say

OLDEST = (3, 200, 0)
"""The oldest CLI that may run the program with the SDK of requirements.txt."""
OFFICIAL = "3.251.0"
"""The version that the official installer is asked for: the same as the toolchain's."""
INSTALLER = "https://get.pulumi.com"

_SECONDS_TO_ANSWER = 3.0
_PLUGIN_PACKAGES = ("pulumi_docker", "pulumi_random")


@dataclass(frozen=True)
class Cli:
    """A CLI that can run the program; with a `home`, its PULUMI_HOME, when it brings its own plugins."""

    program: Path
    home: Path | None = None


def ensure(project: Path) -> Cli:
    """Find, install or build the CLI and the plugins that the program needs.

    Raises:
        SetupError: nothing of it is possible.
    """
    plugins = required_plugins()
    found = _on_path()
    if found is not None and _serves(project, found, plugins):
        return Cli(found)
    installed = places.cache() / f"pulumi-{OFFICIAL}" / "bin" / "pulumi"
    if installed.exists() and _serves(project, installed, plugins):
        return Cli(installed)
    built = toolchain.already_built(project)
    if built is None and found is None and not installed.exists() and _install(installed) and _serves(project, installed, plugins):
        return Cli(installed)
    built = built or toolchain.ensure(project)
    return Cli(built / "bin" / "pulumi", built / "home")


def required_plugins() -> list[str]:
    """The plugins' directory names under `$PULUMI_HOME/plugins`, for the installed Python packages."""
    return [f"resource-{package.removeprefix('pulumi_')}-v{metadata.version(package)}" for package in _PLUGIN_PACKAGES]


def version_numbers(text: str) -> tuple[int, ...]:
    """The three numbers of a version as `pulumi version` prints it (`v3.251.0`, `v3.251.0-alpha.1`); zeros when there are none."""
    found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", text.strip())
    return tuple(int(part) for part in found.groups()) if found else (0, 0, 0)


def _on_path() -> Path | None:
    """The `pulumi` on PATH, unless it is one of this project's own: the shell of `make env` has that in front."""
    own = places.cache()
    elsewhere = [part for part in os.get_exec_path() if not Path(part).is_relative_to(own)]
    found = shutil.which("pulumi", path=os.pathsep.join(elsewhere))
    return Path(found).resolve() if found else None


def _serves(project: Path, program: Path, plugins: list[str]) -> bool:
    """Whether this CLI is new enough and has, or can download, the plugins. Says once why not."""
    home = Path(os.environ.get("PULUMI_HOME") or "~/.pulumi").expanduser()
    missing = [plugin for plugin in plugins if not (home / "plugins" / plugin).is_dir()]
    evidence = [places.fingerprint(program), plugins]
    known = places.recall(project, "pulumi")
    if known.get("evidence") == evidence and (known["refusal"] or not missing):
        return not known["refusal"]
    refusal = _refusal(program, missing)
    places.remember(project, "pulumi", {"evidence": evidence, "refusal": refusal})
    if refusal:
        say(f"pulumi: {program} can't be used: {refusal}")
    return not refusal


def _refusal(program: Path, missing: list[str]) -> str:
    try:
        version = run("Pulumi", [str(program), "version"], "")
        if version_numbers(version) < OLDEST:
            return f"it is {version.strip()}, needed is v{'.'.join(map(str, OLDEST))} or newer"
        for plugin in missing:
            kind, name, number = plugin.replace("-v", "-").split("-")
            say(f"pulumi: downloading the {name} plugin {number}")
            run("Pulumi", [str(program), "plugin", "install", kind, name, number], "")
    except SetupError as error:
        return error.cause
    return ""


def _install(program: Path) -> bool:
    """Run the official installer into the cache; False, with a line that says so, when its servers can't be reached."""
    if not reachable([INSTALLER], _SECONDS_TO_ANSWER)[INSTALLER]:
        say(f"pulumi: {INSTALLER} cannot be reached, building from Go modules")
        return False
    final = program.parent.parent
    say(f"pulumi: installing {OFFICIAL} from {INSTALLER} into {final}")
    with places.lock(final.parent / ".pulumi-lock", lambda: say("pulumi: another installation is under way; waiting for it")):
        if program.exists():
            return True
        with places.scratch(final.parent / "installing") as directory:
            script = directory / "install.sh"
            try:
                with urllib.request.urlopen(INSTALLER, timeout=30) as answer:
                    script.write_bytes(answer.read())
                options = ["--version", OFFICIAL, "--install-root", str(directory / "root"), "--no-edit-path"]
                run("Pulumi", ["sh", str(script), *options], "")
                (directory / "root").rename(final)
            except (OSError, SetupError) as error:
                say(f"pulumi: the official installer failed, building from Go modules ({error})")
                return False
    return True
