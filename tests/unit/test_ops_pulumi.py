"""How Pulumi is run: with a program in its place that behaves in its ways, good and bad."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.errors import OperatorError, Stopped
from ops.progress import Progress
from ops.pulumi import run_quietly, run_told
from ops.session import Session

FOLDER = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _nothing_is_ignored() -> Iterator[None]:
    """Whoever runs the tests in the background may have had Ctrl-C ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def session(tmp_path: Path, script: str) -> Session:
    program = tmp_path / "pulumi"
    program.write_text(f"#!{sys.executable} -S\nimport json, os, signal, sys, time\n{textwrap.dedent(script)}")
    program.chmod(0o755)
    return Session(folder=tmp_path, stack="dev", pulumi=program, variables={"GIVEN": "yes"})


def wait_for(file: Path) -> None:
    limit = time.monotonic() + 10
    while not file.exists():
        assert time.monotonic() < limit, f"{file.name} never came"
        time.sleep(0.01)


def test_events_reach_the_progress_and_the_stack_reaches_pulumi(tmp_path: Path) -> None:
    script = """
        open("seen", "w").write(" ".join(sys.argv[1:]) + " " + os.environ["GIVEN"])
        print(json.dumps({"summaryEvent": {"result": "succeeded", "resourceChanges": {"create": 2}}}))
    """
    progress = Progress()
    run_told(session(tmp_path, script), ["up", "--refresh"], progress)
    assert progress.changed == 2
    assert (tmp_path / "seen").read_text() == "up --refresh --yes --skip-preview --non-interactive --json --stack dev yes"


def test_a_failure_before_the_first_event_is_told_in_pulumis_words(tmp_path: Path) -> None:
    script = """
        print("error: no stack named 'dev' found", file=sys.stderr)
        sys.exit(255)
    """
    with pytest.raises(OperatorError, match="no stack named 'dev' found"):
        run_told(session(tmp_path, script), ["up"], Progress())


def test_a_failure_without_any_word_still_fails(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="exit code 3"):
        run_told(session(tmp_path, "sys.exit(3)"), ["up"], Progress())


def test_a_line_cut_by_a_kill_is_no_event_and_no_crash(tmp_path: Path) -> None:
    script = """
        sys.stdout.write('{"summaryEvent": {"resul\\n[1]\\n{"x": 1')
        sys.stdout.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    """
    with pytest.raises(OperatorError):
        run_told(session(tmp_path, script), ["up"], Progress())


def test_an_interrupt_reaches_pulumi_once_and_is_told_as_a_stop(tmp_path: Path) -> None:
    script = """
        count = 0
        def stop(*_):
            global count
            count += 1
        signal.signal(signal.SIGINT, stop)
        open("up", "w").close()
        limit = time.monotonic() + 10
        while not count and time.monotonic() < limit:
            time.sleep(0.01)
        time.sleep(0.1)
        open("interrupts", "w").write(f"{count} {os.getpgid(0) == os.getpid()}")
        sys.exit(1)
    """

    def interrupt() -> None:
        wait_for(tmp_path / "up")
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(Stopped):
        run_told(session(tmp_path, script), ["up"], Progress())
    count, own_group = (tmp_path / "interrupts").read_text().split()
    assert count == "1", "twice would make Pulumi drop its work and orphan what it makes"
    assert own_group == "True", "in our group, the terminal's own Ctrl-C would reach it beside ours, and its plugins too"
    assert signal.getsignal(signal.SIGINT) is before, "the handler was not put back"


def test_a_hangup_that_nohup_has_ignored_stops_nothing(tmp_path: Path) -> None:
    script = """
        os.kill(os.getppid(), signal.SIGHUP)
        print(json.dumps({"summaryEvent": {"result": "succeeded", "resourceChanges": {"create": 2}}}))
    """
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        progress = Progress()
        run_told(session(tmp_path, script), ["up"], progress)
        assert progress.changed == 2
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_pulumi_is_asked_to_stop_when_its_command_is_killed(tmp_path: Path) -> None:
    script = """
        def stop(*_):
            open("stopped", "w").close()
            sys.exit(1)
        signal.signal(signal.SIGINT, stop)
        print("{}", flush=True)
        open("up", "w").close()
        limit = time.monotonic() + 10
        while time.monotonic() < limit:
            print("{}", flush=True)  # a pipe without a reader would kill it here
            time.sleep(0.01)
    """
    made = session(tmp_path, script)
    runner = (
        f"from pathlib import Path; from ops.session import Session; from ops.pulumi import run_told; from ops.progress import Progress; "
        f"run_told(Session(Path({str(tmp_path)!r}), 'dev', Path({str(made.pulumi)!r}), {{'GIVEN': 'yes'}}), ['up'], Progress('up'))"
    )
    with subprocess.Popen([sys.executable, "-c", runner], cwd=FOLDER, stdout=subprocess.DEVNULL) as command:
        wait_for(tmp_path / "up")
        command.kill()
    wait_for(tmp_path / "stopped")


def test_a_quiet_run_that_fails_is_told_with_all_that_it_said(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"cancel.*\n.*nobody holds it"):
        run_quietly(session(tmp_path, "print('nobody holds it'); sys.exit(1)"), ["cancel"])
