"""Which Pulumi is used: the one on PATH when it serves, else the official one, else the one built here."""

import os
import re
import shutil
from collections.abc import Collection
from pathlib import Path

import pytest

from ops.setup import places, pulumi_cli, toolchain


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without Pulumi, whose toolchain builds at once and where no server can be reached."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    built: list[Path] = []

    def ensure(_project: Path) -> Path:
        built.append(tmp_path / "built")
        return built[0]

    def unreachable(urls: Collection[str], _seconds: float) -> dict[str, bool]:
        return dict.fromkeys(urls, False)

    monkeypatch.setattr(toolchain, "ensure", ensure)
    monkeypatch.setattr(toolchain, "already_built", lambda _project: built[0] if built else None)
    monkeypatch.setattr(pulumi_cli, "reachable", unreachable)
    (tmp_path / ".state").mkdir()
    return tmp_path


def put_pulumi(directory: Path, version: str, *, plugins: bool = True) -> Path:
    """A `pulumi` that knows its version, and whether it can download plugins."""
    directory.mkdir(parents=True)
    program = directory / "pulumi"
    download = 'mkdir -p "$PULUMI_HOME/plugins/resource-$4-v$5"' if plugins else "echo no route to host; exit 1"
    program.write_text(f"#!/bin/sh\necho $* >> {directory}/calls\ncase $1 in version) echo {version} ;; plugin) {download} ;; esac\n")
    program.chmod(0o755)
    os.environ["PATH"] = f"{directory}:{os.environ['PATH']}"
    return program


def test_the_one_on_path_is_used_with_the_official_plugins_and_asked_only_once(project: Path) -> None:
    program = put_pulumi(project / "bin", "v3.255.1")
    for _ in range(2):
        assert pulumi_cli.ensure(project) == pulumi_cli.Cli(program)
    calls = (project / "bin" / "calls").read_text().splitlines()
    assert [call.split()[0] for call in calls] == ["version", "plugin", "plugin"], "the second time costs no process"


def test_plugins_that_were_removed_are_fetched_again(project: Path) -> None:
    put_pulumi(project / "bin", "v3.255.1")
    pulumi_cli.ensure(project)
    shutil.rmtree(project / "home")
    pulumi_cli.ensure(project)
    assert (project / "home" / "plugins" / pulumi_cli.required_plugins()[0]).is_dir()


@pytest.mark.parametrize(("version", "plugins", "reason"), [("v3.199.9", True, "v3.199.9"), ("v3.255.1", False, "no route to host")])
def test_one_that_cannot_serve_is_refused_once_with_the_reason(
    project: Path, capsys: pytest.CaptureFixture[str], version: str, plugins: bool, reason: str
) -> None:
    put_pulumi(project / "bin", version, plugins=plugins)
    assert pulumi_cli.ensure(project).home == project / "built" / "home"
    assert reason in capsys.readouterr().err
    calls = (project / "bin" / "calls").read_text()
    assert pulumi_cli.ensure(project).home == project / "built" / "home"
    assert capsys.readouterr().err == ""
    assert (project / "bin" / "calls").read_text() == calls


def test_another_program_in_its_place_is_asked_again(project: Path) -> None:
    put_pulumi(project / "bin", "v3.100.0")
    assert pulumi_cli.ensure(project).home is not None
    shutil.rmtree(project / "bin")
    program = put_pulumi(project / "bin", "v3.255.10")
    assert pulumi_cli.ensure(project) == pulumi_cli.Cli(program)


def test_without_one_and_without_a_network_the_toolchain_is_built_and_then_nothing_is_probed(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pulumi_cli.ensure(project) == pulumi_cli.Cli(project / "built" / "bin" / "pulumi", project / "built" / "home")
    assert "get.pulumi.com cannot be reached, building from Go modules" in capsys.readouterr().err
    pulumi_cli.ensure(project)
    assert capsys.readouterr().err == ""


def test_the_official_one_is_installed_where_its_servers_answer(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = project / "install.sh"
    script.write_text(
        'while [ "$1" != --install-root ]; do shift; done\nmkdir -p "$2/bin"\n'
        'printf "#!/bin/sh\\ncase \\$1 in version) echo v3.251.0 ;; esac\\n" > "$2/bin/pulumi"; chmod +x "$2/bin/pulumi"\n'
    )
    monkeypatch.setattr(pulumi_cli, "INSTALLER", script.as_uri())
    monkeypatch.setattr(pulumi_cli, "reachable", lambda urls, _seconds: dict.fromkeys(urls, True))
    assert pulumi_cli.ensure(project) == pulumi_cli.Cli(places.cache() / f"pulumi-{pulumi_cli.OFFICIAL}" / "bin" / "pulumi")


def test_the_toolchain_in_the_path_of_a_prepared_shell_does_not_pass_for_the_users_own(project: Path) -> None:
    put_pulumi(places.cache() / "toolchain" / "old" / "bin", "v3.251.0")
    assert pulumi_cli.ensure(project).home == project / "built" / "home"


@pytest.mark.parametrize(
    ("text", "numbers"), [("v3.251.0\n", (3, 251, 0)), ("v3.200.0-alpha.1", (3, 200, 0)), ("3.9.1", (3, 9, 1)), ("unknown", (0, 0, 0))]
)
def test_versions_are_compared_as_numbers(text: str, numbers: tuple[int, ...]) -> None:
    assert pulumi_cli.version_numbers(text) == numbers


def test_the_official_installer_and_the_toolchain_bring_the_same_version() -> None:
    modules = (Path(__file__).parents[2] / "toolchain" / "go.mod").read_text()
    versions = set(re.findall(r"^\s*(?:require )?github\.com/pulumi/pulumi/(?:pkg|sdk)/v3 v(\S+)", modules, re.MULTILINE))
    assert versions == {pulumi_cli.OFFICIAL}
