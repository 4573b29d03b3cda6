"""The simulator as the suite starts it: with all its services, and with everything switched on that a case looks at."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import imageio_ffmpeg
import pytest

from tests.app.simulator_support import START_LIMIT_S, Process, eventually, free_port
from tests.contract.target import Api, Paired, Target

_CONVERTER = Path(__file__).parents[2] / "images" / "audio-converter"
_CONVERTER_KEY = "the-key-of-the-converter"
_OWN = "5511988887777"
_OTHER = "5511999990001"
_EVENTS = (
    "INSTANCE_CREATE",
    "INSTANCE_DELETE",
    "QRCODE_UPDATED",
    "CONNECTION_UPDATE",
    "MESSAGES_UPSERT",
    "MESSAGES_UPDATE",
    "SEND_MESSAGE",
)


@pytest.fixture(scope="session")
def converter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A running audio converter, as the variables that lead a simulator to it."""
    folder = tmp_path_factory.mktemp("converter")
    (folder / "ffmpeg").symlink_to(imageio_ffmpeg.get_ffmpeg_exe())
    port = str(free_port())
    environment = {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "PORT": port,
        "TMPDIR": str(folder),
        "API_KEY": _CONVERTER_KEY,
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", "converter"], cwd=_CONVERTER, env=environment, stdout=output, stderr=output)
    try:
        eventually(lambda: _listens(int(port)), f"the converter answers; its log: {log.read_text()}", START_LIMIT_S)
        yield {"API_AUDIO_CONVERTER": f"http://127.0.0.1:{port}/process-audio", "API_AUDIO_CONVERTER_KEY": _CONVERTER_KEY}
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="session")
def simulated(
    run_for_all: Callable[..., Process],
    alone: Callable[[], dict[str, str]],
    with_redis: dict[str, str],
    with_minio: dict[str, str],
    with_rabbitmq: dict[str, str],
    converter: dict[str, str],
) -> Target:
    """The simulator with everything."""
    events = {f"RABBITMQ_EVENTS_{event}": "true" for event in _EVENTS}
    process = run_for_all(alone(), with_redis, with_minio, with_rabbitmq, converter, events)
    process.wait_for_line("Initializing global queues")
    return Target(process.url, process.environment["AUTHENTICATION_API_KEY"], process)


@pytest.fixture(scope="session")
def simulated_pair(simulated: Target) -> Paired:
    """An instance of the simulator with a phone, which writes to somebody else's."""
    api = Api(simulated)
    name = api.created_name()
    body = {"number": _OWN, "profileName": "Ana"}
    api.post(f"/simulator/instances/{name}/pair", body).raise_for_status()
    eventually(lambda: api.state(name) == "open", f"{name} is open")
    return Paired(api, name, _OTHER, f"{_OWN}@s.whatsapp.net")


@pytest.fixture
def bare(run: Callable[..., Process], alone: Callable[[], dict[str, str]]) -> Target:
    """A simulator with a database and nothing else: no instances, no RabbitMQ."""
    process = run(alone())
    return Target(process.url, process.environment["AUTHENTICATION_API_KEY"], process)
