"""The Python language host: found from the project, quick to die, and one message for a program that fails."""

import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pulumi
import pytest
from google.protobuf.empty_pb2 import Empty  # type: ignore[import-untyped]
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

from toolchain.language_host import language_host

SOURCES = Path(__file__).parents[2] / "toolchain" / "language_host"


@pytest.fixture
def launcher(tmp_path: Path) -> Path:
    """The host, laid out as the build does, and a project whose environment is this test's own."""
    for part in ("bin", "lib", "project/sub", "project/env/bin"):
        (tmp_path / part).mkdir(parents=True)
    shutil.copy(SOURCES / "language_host.py", tmp_path / "lib")
    (tmp_path / "project" / "Pulumi.yaml").write_text("name: x\nruntime:\n  name: python\n  options:\n    virtualenv: 'env'\n")
    python = tmp_path / "project" / "env" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return Path(shutil.copy(SOURCES / "pulumi-language-python", tmp_path / "bin"))


@pytest.fixture
def host(launcher: Path) -> Iterator[subprocess.Popen[str]]:
    with start(launcher, launcher.parents[1] / "project") as process:
        yield process
        process.kill()


def start(launcher: Path, directory: Path) -> subprocess.Popen[str]:
    command = ["/bin/sh", str(launcher), "127.0.0.1:1"]
    return subprocess.Popen(
        command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={"PATH": "/usr/bin:/bin"}
    )


def port_of(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


def test_it_answers_what_the_engine_asks_about_a_plain_program_and_leaves_on_cancel(host: subprocess.Popen[str]) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{port_of(host)}") as channel:
        engine = language_pb2_grpc.LanguageRuntimeStub(channel)
        assert engine.GetPluginInfo(Empty()) == plugin_pb2.PluginInfo()
        assert list(engine.GetRequiredPackages(language_pb2.GetRequiredPackagesRequest()).packages) == []
        engine.Cancel(Empty())
    assert host.wait(timeout=2) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_at_once_and_silently(host: subprocess.Popen[str], number: signal.Signals) -> None:
    port_of(host)
    host.send_signal(number)
    assert host.wait(timeout=2) == 0
    assert host.stderr is not None
    assert host.stderr.read() == ""


def test_it_ends_when_the_engine_is_gone(launcher: Path) -> None:
    engine = f"cd {launcher.parents[1]}/project; /bin/sh {launcher} 127.0.0.1:1 & sleep 60 >/dev/null"
    with subprocess.Popen(["/bin/sh", "-c", engine], stdout=subprocess.PIPE, text=True, start_new_session=True) as shell:
        port_of(shell)
        shell.kill()
        shell.wait()
        assert shell.stdout is not None
        ended, _, _ = select.select([shell.stdout], [], [], 3)  # the end of its output is the host's own end
        os.killpg(shell.pid, signal.SIGKILL)
    assert ended, "a killed CLI must not leave a host behind"


def test_the_environment_is_found_from_below_the_project_and_a_missing_one_is_named(launcher: Path) -> None:
    project = launcher.parents[1] / "project"
    with start(launcher, project / "sub") as process:
        assert port_of(process) > 0
        process.kill()
    (project / "env" / "bin" / "python").unlink()
    with start(launcher, project / "sub") as process:
        _, said = process.communicate(timeout=5)
    assert f"{project}/env is missing" in said
    assert "make setup" in said


def test_outside_of_a_project_it_says_so(launcher: Path) -> None:
    with start(launcher, Path("/")) as process:
        _, said = process.communicate(timeout=5)
    assert "no Pulumi.yaml" in said


def failure_of(program: str) -> BaseException:
    try:
        exec(compile(program, "/project/__main__.py", "exec"), {"RunError": pulumi.RunError})  # noqa: S102
    except BaseException as failure:  # noqa: BLE001
        return failure
    raise AssertionError


def test_a_run_error_is_its_text_alone() -> None:
    assert language_host._report_of(failure_of("raise RunError('db: exited (1)\\nlast lines')"), "/project") == "db: exited (1)\nlast lines"


def test_any_other_failure_is_one_traceback_from_the_program_on() -> None:
    report = language_host._report_of(failure_of("def f():\n    1 / 0\nf()"), "/project")
    assert report.count("Traceback") == 1
    assert 'File "/project/__main__.py", line 2, in f' in report
    assert report.endswith("ZeroDivisionError: division by zero")
    assert Path(__file__).name not in report, "frames before the program are noise"


@pytest.mark.parametrize(
    ("code", "report"), [(grpc.StatusCode.UNAVAILABLE, ""), (grpc.StatusCode.UNKNOWN, "refused a request of the program: why")]
)
def test_an_engine_that_went_first_has_spoken_already(code: grpc.StatusCode, report: str) -> None:
    class Refusal(grpc.RpcError):  # type: ignore[misc]  # grpc has no types
        def code(self) -> grpc.StatusCode:
            return code

        def details(self) -> str:
            return "why"

    assert language_host._report_of(Refusal(), "/project").endswith(report)
    assert bool(language_host._report_of(Refusal(), "/project")) == bool(report)
