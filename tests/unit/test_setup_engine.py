"""The Docker engine: which one is asked, and what the user reads when it doesn't answer."""

import hashlib
import json
import os
import shutil
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from ops.engine import connect
from ops.errors import OperatorError
from ops.setup import engine
from ops.setup.errors import SetupError

API = "1.36"
"""By which this engine is told from one that the machine may have."""


class Answer(BaseHTTPRequestHandler):
    """An engine that has one image."""

    def do_GET(self) -> None:
        body = json.dumps({"Config": {"Labels": {"k": "v"}}, "ApiVersion": API}).encode()
        self.send_response(200 if self.path in {"/_ping", "/version", "/images/some/image:1/json"} else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return ""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def socket(tmp_path: Path) -> Iterator[str]:
    path = tmp_path / "docker.sock"
    with socketserver.ThreadingUnixStreamServer(str(path), Answer) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"unix://{path}"
        server.shutdown()


def context(home: Path, name: str, host: str) -> None:
    meta = home / ".docker" / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(json.dumps({"Name": name, "Endpoints": {"docker": {"Host": host}}}))
    (home / ".docker" / "config.json").write_text(json.dumps({"currentContext": name}))


def test_docker_host_wins_over_the_context_and_without_both_there_is_no_choice(tmp_path: Path) -> None:
    assert engine.host_of({}, tmp_path) is None
    context(tmp_path, "colima", "unix:///colima.sock")
    assert engine.host_of({}, tmp_path) == "unix:///colima.sock"
    assert engine.host_of({"DOCKER_CONTEXT": "default"}, tmp_path) is None
    assert engine.host_of({"DOCKER_HOST": "tcp://elsewhere:2375"}, tmp_path) == "tcp://elsewhere:2375"


def test_an_engine_that_answers_is_used_and_pulumi_is_told_where_it_is(socket: str) -> None:
    found = engine.ensure({"DOCKER_HOST": socket})
    assert found.variables == {"DOCKER_HOST": socket}
    assert found.image_labels("some/image:1") == {"k": "v"}
    assert found.image_labels("no/such:1") is None


@pytest.fixture
def rootless(socket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A machine whose only engine is one that the set-up finds by itself."""
    monkeypatch.setattr(engine, "DEFAULT_HOST", f"unix://{tmp_path}/none.sock")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return socket


def test_an_engine_that_the_set_up_finds_by_itself_is_found_by_every_command(rootless: str) -> None:
    assert engine.ensure(os.environ).variables == engine.variables_of(os.environ) == {"DOCKER_HOST": rootless}
    assert connect().api.api_version == API


def test_commands_look_at_the_default_engine_when_none_answers(rootless: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert engine.variables_of(os.environ) == {}, rootless


def test_a_given_engine_that_does_not_answer_is_named_and_no_other_is_taken(tmp_path: Path) -> None:
    with pytest.raises(SetupError) as raised:
        engine.ensure({"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})
    assert "none.sock" in raised.value.cause
    assert "DOCKER_HOST" in raised.value.mend


@pytest.mark.parametrize(("installed", "advice"), [("/usr/sbin/dockerd", "start it"), (None, "install it")])
def test_without_root_an_absent_engine_is_a_clear_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: str | None, advice: str
) -> None:
    monkeypatch.setattr(engine, "DEFAULT_HOST", f"unix://{tmp_path}/none.sock")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(shutil, "which", lambda _name: installed)
    with pytest.raises(SetupError) as raised:
        engine.ensure({})
    assert "is not there" in raised.value.cause
    assert advice in raised.value.mend


def test_a_socket_of_another_group_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_host: str, _path: str) -> tuple[int, bytes]:
        raise PermissionError

    monkeypatch.setattr(engine, "_get", refuse)
    with pytest.raises(SetupError) as raised:
        engine.ensure({"DOCKER_CONFIG": "/nowhere"})
    assert "usermod -aG docker" in raised.value.mend


def test_every_command_tells_a_user_who_may_not_use_the_engine_how_to_be_let_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_host: str, _path: str) -> tuple[int, bytes]:
        raise PermissionError

    monkeypatch.setattr(engine, "_get", refuse)
    with pytest.raises(OperatorError) as raised:
        connect({"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})
    assert raised.value.cause == "It does not let this user in."
    assert "usermod -aG docker" in raised.value.mend
    assert "tart it" not in raised.value.mend, "it runs"
