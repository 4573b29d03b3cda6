"""The server as a process: its logs, its probe, its stop."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from src import healthcheck
from src.application import create_app
from src.settings import Settings

if TYPE_CHECKING:
    from tests.app.conftest import FakeEvolution

ROOT = Path(__file__).parent.parent.parent
MakeSettings = Callable[..., Settings]
Serve = Callable[[Settings], AbstractAsyncContextManager[httpx.AsyncClient]]


@dataclass(frozen=True)
class Server:
    process: subprocess.Popen[str]
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> tuple[list[dict[str, Any]], float]:
        """The lines it logged, and how long the stop took, in seconds."""
        begin = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        output, _ = self.process.communicate(timeout=15)
        return [json.loads(line) for line in output.splitlines()], time.monotonic() - begin


@pytest.fixture
def server(database_url: str, fake_evolution: "FakeEvolution", closed_port: int) -> Iterator[Server]:
    """The application as the image's CMD runs it: migrated, then served in the same process."""
    options = ["--port", str(closed_port), "--no-access-log", "--log-config", "src/logging.json", "--timeout-graceful-shutdown", "5"]
    process = subprocess.Popen(
        [sys.executable, "-m", "tasks.migrate", "--then", sys.executable, "-m", "uvicorn", "src.main:app", *options],
        cwd=ROOT,
        env={
            **os.environ,
            "DATABASE_URL": database_url,
            "EVOLUTION_API_URL": fake_evolution.url,
            "EVOLUTION_API_KEY": fake_evolution.accepted_key,
            "TZ": "America/Sao_Paulo",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    running = Server(process, closed_port)
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        try:
            httpx.get(f"{running.url}/health/live")
            break
        except httpx.TransportError:
            time.sleep(0.1)
    yield running
    process.kill()
    process.wait()


def test_every_line_of_the_log_is_json_in_local_time_and_requests_carry_their_id(server: Server) -> None:
    answer = httpx.get(f"{server.url}/nowhere", headers={"X-Request-ID": "from-the-caller.1"})
    httpx.get(f"{server.url}/health/ready")
    lines, _ = server.stop()
    assert answer.headers["x-request-id"] == "from-the-caller.1"
    requests = [line for line in lines if line["logger"] == "app.requests"]
    assert [(line["path"], line["status"], line["request_id"]) for line in requests] == [("/nowhere", 404, "from-the-caller.1")], (
        "one line for the request; none for the health check, which comes all the time"
    )
    assert {line["time"][-6:] for line in lines} == {"-03:00"}
    assert any(line["message"] == "started" for line in lines)


def test_the_probe_passes_when_ready_and_prints_what_is_wrong_when_not(
    server: Server, fake_evolution: "FakeEvolution", capsys: pytest.CaptureFixture[str]
) -> None:
    address = ("127.0.0.1", server.port)
    assert healthcheck.main(address) == 0
    assert '"ready":true' in capsys.readouterr().out
    fake_evolution.accepted_key = "another"
    assert healthcheck.main(address) == 3, "a refused key is told apart: waiting won't help"
    assert "AUTHENTICATION_API_KEY" in capsys.readouterr().out
    server.stop()
    assert healthcheck.main(address) == 1
    assert "does not answer" in capsys.readouterr().out


def test_the_probe_imports_nothing_but_the_standard_library() -> None:
    program = "import sys, src.healthcheck; print(sorted({name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)))"
    imported = subprocess.run([sys.executable, "-S", "-c", program], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert imported.strip() == "['__main__', 'src']"


def test_a_stop_lets_the_request_in_hand_finish_and_ends_within_seconds(server: Server, fake_evolution: "FakeEvolution") -> None:
    fake_evolution.hang.set()
    answers: list[httpx.Response] = []
    request = threading.Thread(target=lambda: answers.append(httpx.get(f"{server.url}/health/ready", timeout=10)))
    request.start()
    assert fake_evolution.hanging.wait(10)
    lines, took = server.stop()
    request.join()
    assert [answer.status_code for answer in answers] == [503], "the request in hand was cut off"
    assert took < 8, f"the stop took {took:.1f} s"
    assert any(line["message"] == "stopped" for line in lines), "the connections were not closed in order"


@pytest.mark.parametrize("given", ["", "two words", "x" * 65, 'a"quote'])
@pytest.mark.anyio
async def test_a_request_id_that_is_unfit_for_a_log_is_replaced(given: str, make_settings: MakeSettings, serve: Serve) -> None:
    async with serve(make_settings()) as client:
        answer = await client.get("/health/live", headers={"X-Request-ID": given})
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])


@pytest.mark.anyio
async def test_a_request_that_fails_is_logged_with_its_status(make_settings: MakeSettings, caplog: pytest.LogCaptureFixture) -> None:
    app = create_app(make_settings())

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("broken on purpose")

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        with caplog.at_level("INFO", "app.requests"):
            assert (await client.get("/broken")).status_code == 500
    assert [(vars(record)["path"], vars(record)["status"]) for record in caplog.records] == [("/broken", 500)]
