"""What `make status` and `make upgrade` show."""

import io
import json
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from docker.errors import ImageNotFound
from rich.console import Console

from ops import checkpoint
from ops import status as subject
from ops.backup import marker
from ops.checkpoint import Checkpoint, KnownContainer
from ops.engine import SeenContainer
from ops.status import image_name
from stack.probes import PROBE_LABEL, label
from stack.spec import Probe
from tests.unit.backup_samples import Volumes
from tests.unit.test_doctor import seen

_ID = f"sha256:{'abcdef' * 10}"


def test_an_image_that_several_stacks_share_is_shown_by_the_stacks_own_name() -> None:
    client = Mock()
    client.images.get.return_value.tags = ["whatsapp-bench-app:1", "whatsapp-dev-app:1"]
    assert image_name(client, _ID, "whatsapp-dev") == "whatsapp-dev-app:1"
    assert image_name(client, _ID, "whatsapp-prod") == "whatsapp-bench-app:1"


def test_an_image_without_a_name_is_shown_by_the_beginning_of_its_id() -> None:
    client = Mock()
    client.images.get.return_value.tags = []
    assert image_name(client, _ID, "whatsapp-dev") == "abcdefabcdef"
    client.images.get.side_effect = ImageNotFound("it was removed")
    assert image_name(client, _ID, "whatsapp-dev") == "abcdefabcdef"


@pytest.mark.parametrize(
    ("service", "exit_code", "failing"),
    [("evolution-api", 4, 1), ("evolution-api", 1, 0), ("db", 4, 0)],
    ids=["deaf", "not there yet", "no such word"],
)
def test_one_that_only_a_restart_helps_is_failing_although_it_still_counts_as_starting(service: str, exit_code: int, failing: int) -> None:
    labels = {PROBE_LABEL: label(Probe(("CMD", "true"), limit=240, restart_exit_code=4))} if service == "evolution-api" else {}
    check = {"Test": ["CMD", "true"], "StartPeriod": 240 * 10**9, "Interval": 10**9, "Timeout": 10**9, "Retries": 3}
    checks = {"Status": "starting", "FailingStreak": 0, "Log": [{"ExitCode": exit_code, "Output": "no connection\n"}]}
    client = Mock()
    client.api.inspect_container.return_value = {
        "Config": {"Healthcheck": check, "Labels": labels},
        "State": {"Status": "running", "StartedAt": "2026-11-22T13:00:00Z", "Health": checks},
        "HostConfig": {"Memory": 0},
        "RestartCount": 0,
        "Image": _ID,
    }
    client.api.stats.return_value = None
    client.images.get.return_value.tags = ["postgres:16"]
    container = SeenContainer(id="c", name="c", project="whatsapp-dev", service=service, stack="dev", state="running")
    found = subject._status(client, container)
    assert found
    assert (found.failing, found.last_check) == (failing, "no connection" if failing else "")


@pytest.mark.parametrize("as_json", [True, False])
def test_after_an_interrupted_restore_the_status_says_so_however_well_all_services_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    engine: Any = Volumes()
    monkeypatch.setattr(marker, "FOLDER", tmp_path)
    monkeypatch.setattr(subject, "FOLDER", tmp_path)
    monkeypatch.setattr("ops.engine.connect", lambda: engine)
    monkeypatch.setattr(subject, "of_stack", lambda *_: [Mock(project="whatsapp-dev")])
    monkeypatch.setattr(subject, "look", lambda *_: [seen()])
    assert subject.status("dev", as_json, live=False) == 0
    assert capsys.readouterr().err == ""
    engine.names.add(marker.volume("whatsapp-dev"))
    assert subject.status("dev", as_json, live=False) == 1
    assert "A restore of stack dev was interrupted" in capsys.readouterr().err


@pytest.mark.parametrize("as_json", [True, False])
def test_a_container_that_somebody_removed_has_its_row_and_is_not_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    def known(service: str, number: int = 1) -> KnownContainer:
        return KnownContainer(service, f"whatsapp-dev-{service}-{number}", "whatsapp-dev", service, must_run=True, image_urns=())

    monkeypatch.setattr("ops.engine.connect", Volumes)
    monkeypatch.setattr(subject, "of_stack", lambda *_: [Mock(project="whatsapp-dev")])
    monkeypatch.setattr(subject, "look", lambda *_: [seen()])
    state = Checkpoint(containers=(known("redis"),))
    monkeypatch.setattr(checkpoint, "read", lambda *_: state)
    assert subject.status("dev", as_json, live=False) == 0
    capsys.readouterr()
    state = Checkpoint(containers=(known("redis"), known("app", 2)))
    assert subject.status("dev", as_json, live=False) == 1
    shown = capsys.readouterr().out
    first, *_ = json.loads(shown) if as_json else [dict(zip(("service", "replica", "state"), shown.splitlines()[1].split(), strict=False))]
    assert (first["service"], int(first["replica"]), first["state"]) == ("app", 2, "gone")


_LOCALHOST = "127.0.0.1"
_SERVICES = [
    seen(service="app", replica=2, state="exited", exit_code=137, out_of_memory=True, health="", cpu_percent=None, memory_mib=None),
    seen(service="evolution_postgres", image="whatsapp-local/evolution-simulator:a3d3738d637c", since="2026-11-22T12:00:00+00:00"),
    seen(service="minio", ports=(f"{_LOCALHOST}:9000->9000", f"{_LOCALHOST}:9001->9001"), restarts=12, health="unhealthy"),
]


def _drawn(rows: list[subject.Status], width: int) -> list[str]:
    file = io.StringIO()
    Console(width=width, file=file).print(subject.table(rows, width))
    return file.getvalue().splitlines()


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (200, "SERVICE REPLICA STATE HEALTH SINCE RESTARTS CPU MEMORY PORTS IMAGE"),
        (140, "SERVICE REPLICA STATE HEALTH SINCE RESTARTS CPU MEMORY PORTS"),
        (120, "SERVICE REPLICA STATE HEALTH SINCE RESTARTS CPU MEMORY"),
        (80, "SERVICE REPLICA STATE HEALTH RESTARTS"),
    ],
)
def test_a_narrow_terminal_shows_fewer_columns_and_each_of_them_whole(width: int, columns: str) -> None:
    heading, *rows = _drawn(_SERVICES, width)
    assert heading.split() == columns.split()
    shown = "\n".join(rows)
    for whole in ("evolution_postgres", "exited (137, out of memory)", "unhealthy", " 12"):
        assert whole in shown, f"at {width} columns one can't read {whole}:\n{shown}"
    assert "…" not in shown


def test_a_stack_that_is_well_shows_cpu_and_memory_on_the_narrowest_usual_terminal() -> None:
    heading, row = _drawn([seen(service="evolution_postgres")], 80)
    assert heading.split()[-2:] == ["CPU", "MEMORY"]
    assert row.split()[-5:] == ["0", "0.1", "%", "4/256", "MiB"]
