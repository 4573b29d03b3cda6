"""The Docker engine: found where the user's own Docker looks, else installed and started where that may be done."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ops.setup import debian
from ops.setup.errors import SetupError
from ops.setup.report import run, say, seconds_since, tail

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_HOST = "unix:///var/run/docker.sock"
_WHAT = "the Docker engine"
_LOG = Path("/var/log/dockerd.log")
_NOT_LET_IN = "does not let this user in"
_SECONDS_TO_ANSWER = 5.0
_SECONDS_TO_START = 60.0


@dataclass(frozen=True)
class Engine:
    """An engine that answers at `host` (a URL as in DOCKER_HOST), and what to add to the environment to reach it."""

    host: str
    variables: dict[str, str]

    def image_labels(self, name: str) -> dict[str, str] | None:
        """The labels of an image; None when the engine doesn't have it."""
        if not self.host.startswith("unix://"):
            return _labels_through_sdk(self, name)
        status, body = _get(self.host, f"/images/{quote(name, safe='/:')}/json")
        return (json.loads(body)["Config"].get("Labels") or {}) if status == http.client.OK else None

    def import_image(self, tar: Path, name: str, changes: list[str]) -> None:
        """Make an image of one layer from a tar of its files; `changes` are lines as in a Dockerfile.

        Raises:
            SetupError: the engine refuses.
        """
        repository, tag = name.rsplit(":", 1)
        said = _sdk(self).api.import_image_from_file(str(tar), repository=repository, tag=tag, changes=changes)
        if '"error"' in said:
            raise SetupError(f"image {name}", f"the engine said {said.strip()}", "see whether the engine's disk is full")


def ensure(environment: Mapping[str, str]) -> Engine:
    """An engine that answers.

    Raises:
        SetupError: none does, and none can be installed or started by this user.
    """
    given = host_of(environment, Path.home())
    if given is not None:
        problem = problem_of(given)
        if problem:
            mend = "start that engine, or unset DOCKER_HOST (or switch the Docker context) to use this machine's own"
            raise SetupError(_WHAT, f"{given}, which DOCKER_HOST or the Docker context names, {problem}", mend)
        return Engine(given, {"DOCKER_HOST": given})
    problems = {host: problem_of(host) for host in _local_hosts(environment)}
    for host, problem in problems.items():
        if not problem:
            return Engine(host, _named(host))
    _make(problems[DEFAULT_HOST])
    return Engine(DEFAULT_HOST, {})


def variables_of(environment: Mapping[str, str]) -> dict[str, str]:
    """What to add to an environment to reach the engine that `ensure` would take, without making one: nothing for the default one."""
    given = host_of(environment, Path.home())
    if given is not None:
        return {"DOCKER_HOST": given}
    return _named(next((host for host in _local_hosts(environment) if not problem_of(host)), DEFAULT_HOST))


def _named(host: str) -> dict[str, str]:
    return {} if host == DEFAULT_HOST else {"DOCKER_HOST": host}


def host_of(environment: Mapping[str, str], home: Path) -> str | None:
    """The engine that the user has chosen: DOCKER_HOST, else the one of the current Docker context; None for the default."""
    if environment.get("DOCKER_HOST"):
        return environment["DOCKER_HOST"]
    configuration = Path(environment.get("DOCKER_CONFIG") or home / ".docker")
    context = environment.get("DOCKER_CONTEXT") or _read_json(configuration / "config.json").get("currentContext") or "default"
    if context == "default":
        return None
    meta = configuration / "contexts" / "meta" / hashlib.sha256(context.encode()).hexdigest() / "meta.json"
    host = _read_json(meta).get("Endpoints", {}).get("docker", {}).get("Host")
    return str(host) if host else None


def _local_hosts(environment: Mapping[str, str]) -> list[str]:
    """Where an engine of this machine listens: the system's, a rootless one, Docker Desktop's."""
    hosts = [DEFAULT_HOST]
    if environment.get("XDG_RUNTIME_DIR"):
        hosts.append(f"unix://{environment['XDG_RUNTIME_DIR']}/docker.sock")
    hosts.append(f"unix://{Path.home()}/.docker/run/docker.sock")
    return hosts


def problem_of(host: str) -> str:
    """Why the engine at `host` can't be used, as the rest of a sentence; empty when it answers."""
    try:
        if host.startswith("unix://"):
            status, _ = _get(host, "/_ping")
            return "" if status == http.client.OK else f"answers with status {status}"
        _sdk(Engine(host, {})).ping()
    except PermissionError:
        return _NOT_LET_IN
    except FileNotFoundError:
        return "is not there"
    except Exception as error:  # noqa: BLE001  the SDK lets its libraries' exceptions through; each means that it can't be reached
        return f"does not answer ({error})"
    return ""


def mend_of(problem: str) -> str:
    """What to do about a problem of an engine."""
    if problem == _NOT_LET_IN:
        return f"run `sudo usermod -aG docker {os.environ.get('USER', '$USER')}` and log in again, or run this as root"
    return "start it, or run `make setup`, which does so where it may, and else says what is missing"


def _make(problem: str) -> None:
    """Install what is missing of the system's engine and start it."""
    if problem == _NOT_LET_IN:
        raise SetupError(_WHAT, f"{DEFAULT_HOST} {problem}", mend_of(problem))
    installed = shutil.which("dockerd") is not None
    if os.geteuid() != 0:
        mend = (
            "start it (`sudo systemctl start docker`, or Docker Desktop)"
            if installed
            else "install it: https://docs.docker.com/engine/install"
        )
        raise SetupError(_WHAT, f"{DEFAULT_HOST} {problem}, and only root can change that", f"{mend}; or set DOCKER_HOST to another engine")
    if not installed:
        debian.install(_WHAT, ["docker.io", "iptables"], "install Docker yourself: https://docs.docker.com/engine/install")
    started = time.monotonic()
    say("docker: starting the engine")
    if Path("/run/systemd/system").is_dir():
        run(_WHAT, ["systemctl", "enable", "--now", "docker"], "see `journalctl -u docker`")
        _wait(None)
    elif problem_of(DEFAULT_HOST):  # the package may have started it
        with _LOG.open("ab") as log:
            begin = log.tell()
            process = subprocess.Popen(["dockerd"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/")
        _wait(process, begin)
    say(f"docker: the engine answers after {seconds_since(started)}")


def _wait(process: subprocess.Popen[bytes] | None, begin: int = 0) -> None:
    """Wait until the engine answers; a failure shows the log from `begin` (in bytes) on."""
    deadline = time.monotonic() + _SECONDS_TO_START
    while problem := problem_of(DEFAULT_HOST):
        ended = process is not None and process.poll() is not None
        if ended or time.monotonic() > deadline:
            said = f"; the end of {_LOG}:\n{tail(_LOG.read_bytes()[begin:].decode(errors='replace'))}" if process is not None else ""
            cause = "it ended right after its start" if ended else f"it {problem} {_SECONDS_TO_START:.0f} s after its start"
            raise SetupError(
                _WHAT, f"{cause}{said}", "mend what its log names, then run the command again; or set DOCKER_HOST to another engine"
            )
        time.sleep(0.2)


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket; the SDK would do, but takes longer to import than all else that a warm start does."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_SECONDS_TO_ANSWER)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _get(host: str, path: str) -> tuple[int, bytes]:
    connection = _UnixConnection(host.removeprefix("unix://"))
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _sdk(engine: Engine) -> Any:  # noqa: ANN401  docker has no types
    from docker import DockerClient  # noqa: PLC0415  see _UnixConnection
    from docker.utils import kwargs_from_env  # noqa: PLC0415

    settings = kwargs_from_env(environment={**os.environ, "DOCKER_HOST": engine.host})
    return DockerClient(**settings, use_ssh_client=engine.host.startswith("ssh://"), timeout=600)


def _labels_through_sdk(engine: Engine, name: str) -> dict[str, str] | None:
    from docker.errors import ImageNotFound  # noqa: PLC0415

    try:
        return dict(_sdk(engine).images.get(name).labels)
    except ImageNotFound:
        return None


def _read_json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
