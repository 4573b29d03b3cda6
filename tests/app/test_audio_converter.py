"""The audio converter's stand-in as a process, asked over HTTP: what it answers, and what it does with ffmpeg."""

import base64
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import imageio_ffmpeg
import pytest

PROJECT = Path(__file__).parents[2] / "images" / "audio-converter"
KEY = "the-key-of-the-test"
WITH_KEY = {"apikey": KEY}


@dataclass
class Converter:
    """A running converter."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def post(self, path: str = "/process-audio", headers: dict[str, str] | None = None, **request: Any) -> httpx.Response:  # noqa: ANN401 - whatever httpx takes
        return httpx.post(self.url + path, headers=WITH_KEY if headers is None else headers, timeout=30, **request)

    def stop(self) -> str:
        """What it logged, all in all."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=15)
        return self.log.read_text()


Start = Callable[[Path], Converter]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def running(ffmpeg: Path, folder: Path, key: str = KEY) -> Iterator[Converter]:
    """A converter that finds the given program under the name ffmpeg, and works in the folder."""
    programs = folder / "programs"
    programs.mkdir()
    (programs / "ffmpeg").symlink_to(ffmpeg)
    port = free_port()
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PORT": str(port),
        "TMPDIR": str(folder),
        "API_KEY": key,
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", "converter"], cwd=PROJECT, env=environment, stdout=output, stderr=output)
    try:
        converter = Converter(f"http://127.0.0.1:{port}", process, log)
        wait_until(lambda: answers(converter), "the converter does not answer")
        yield converter
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a converter whose ffmpeg is the given program, and ends it."""
    with ExitStack() as stack:
        yield lambda ffmpeg: stack.enter_context(running(ffmpeg, tmp_path))


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Converter]:
    """A converter whose ffmpeg gives back what it gets."""
    folder = tmp_path_factory.mktemp("echo")
    with running(program(folder, ECHO), folder) as converter:
        yield converter


@pytest.fixture(scope="module")
def real(ffmpeg: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Converter]:
    """A converter with the real ffmpeg."""
    with running(ffmpeg, tmp_path_factory.mktemp("real")) as converter:
        yield converter


def answers(converter: Converter) -> bool:
    assert converter.process.poll() is None, f"the converter ended:\n{converter.log.read_text()}"
    try:
        return httpx.get(converter.url).status_code == 404
    except httpx.TransportError:
        return False


def wait_until(condition: Callable[[], bool], otherwise: str, seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{otherwise} after {seconds} s"
        time.sleep(0.02)


def program(folder: Path, body: str) -> Path:
    """A program that stands in for ffmpeg."""
    path = folder / "stand-in"
    path.write_text(f"#!{sys.executable}\n{textwrap.dedent(body)}")
    path.chmod(0o755)
    return path


@pytest.fixture(scope="session")
def ffmpeg() -> Path:
    """The real ffmpeg: the one of the image."""
    return Path(imageio_ffmpeg.get_ffmpeg_exe())


@pytest.fixture(scope="session")
def recording(ffmpeg: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[float], bytes]:
    """Makes a WAV file of a length in seconds."""

    def recording(seconds: float) -> bytes:
        path = tmp_path_factory.mktemp("audio") / "sine.wav"
        subprocess.run([ffmpeg, "-v", "error", "-f", "lavfi", "-i", f"sine=duration={seconds}", path], check=True)
        return path.read_bytes()

    return recording


ECHO = """
    import sys
    sys.stdout.buffer.write(sys.stdin.buffer.read())
    sys.stderr.write("size= 1 time=00:00:00.10 speed\\rsize= 2 time=01:02:03.61 speed\\n")
"""
"""Gives back what it gets, and reports a length twice."""


@pytest.mark.parametrize("path", ["/process-audio", "/transcribe"])
@pytest.mark.parametrize(
    ("headers", "status", "message"),
    [({}, 401, "API_KEY not provided"), ({"apikey": ""}, 401, "API_KEY not provided"), ({"apikey": "wrong"}, 401, "Invalid API_KEY")],
)
def test_a_call_without_the_right_key_is_refused(echo: Converter, path: str, headers: dict[str, str], status: int, message: str) -> None:
    answer = echo.post(path, headers, data={"base64": "QUJD"})
    assert (answer.status_code, answer.json()) == (status, {"error": message})


def test_without_a_key_of_its_own_it_answers_500_even_to_a_call_with_a_key(tmp_path: Path) -> None:
    with running(program(tmp_path, ECHO), tmp_path, key="") as converter:
        answer = converter.post(data={"base64": "QUJD"})
    assert (answer.status_code, answer.json()) == (500, {"error": "Internal server error"})


def test_every_other_route_is_gins_plain_404(echo: Converter) -> None:
    url = echo.url
    for method, path in (("GET", "/"), ("POST", "/"), ("GET", "/process-audio"), ("DELETE", "/transcribe"), ("POST", "/nope")):
        answer = httpx.request(method, url + path, headers=WITH_KEY)
        assert (answer.status_code, answer.text) == (404, "404 page not found"), f"{method} {path}"
        assert answer.headers["content-type"].startswith("text/plain"), f"{method} {path}"


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({}, "no file, base64 or URL provided"),
        ({"json": {"base64": "QUJD"}}, "no file, base64 or URL provided"),
        ({"data": {"format": "ogg"}}, "no file, base64 or URL provided"),
        ({"content": b"no boundary", "headers": WITH_KEY | {"content-type": "multipart/form-data"}}, "no file, base64 or URL provided"),
        ({"data": {"base64": "!!!"}}, "illegal base64 data at input byte 0"),
        ({"data": {"base64": "data:audio/ogg;base64,QUJD"}}, "illegal base64 data at input byte 4"),
        ({"data": {"base64": "QUJDQ"}}, "illegal base64 data at input byte 4"),
    ],
)
def test_a_request_that_brings_no_audio_is_answered_by_400(echo: Converter, request_: dict[str, Any], message: str) -> None:
    answer = echo.post(**request_)
    assert (answer.status_code, answer.json()) == (400, {"error": message})


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/audio.ogg", "no-url", "ftp://127.0.0.1/audio.ogg"])
def test_a_url_that_gives_nothing_is_answered_by_400_that_names_it(echo: Converter, url: str) -> None:
    answer = echo.post(data={"url": url})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(f'Get "{url}": ')


def test_the_answer_is_the_whole_output_in_base64_with_the_last_length_rounded(echo: Converter) -> None:
    audio = os.urandom(1_000_001)  # more than one piece, and no multiple of three
    answer = echo.post(files={"file": audio})
    assert answer.status_code == 200
    assert answer.text.startswith('{"audio":"'), "the original's order of keys"
    assert int(answer.headers["content-length"]) == len(answer.content)
    body = answer.json()
    assert base64.b64decode(body.pop("audio"), validate=True) == audio
    assert body == {"duration": 3724, "format": "ogg"}


def test_file_base64_and_url_all_bring_the_same_audio_and_file_comes_first(echo: Converter) -> None:
    class Source(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(404)  # the original converts whatever comes, whatever the status
            self.end_headers()
            self.wfile.write(b"from the url")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Source) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url, text = f"http://127.0.0.1:{server.server_port}/", base64.encodebytes(b"from the text").decode()
        results = [
            echo.post(data={"url": url}),
            echo.post(data={"url": url, "base64": text}),
            echo.post(data={"url": url, "base64": text}, files={"file": b"from the file"}),
        ]
        server.shutdown()
    assert [base64.b64decode(answer.json()["audio"]) for answer in results] == [b"from the url", b"from the text", b"from the file"]


def test_a_failure_of_ffmpeg_is_answered_by_500_with_its_log(start: Start, tmp_path: Path) -> None:
    converter = start(program(tmp_path, "import sys; sys.exit('pipe:0: Invalid data found')"))
    answer = converter.post(data={"base64": "QUJD"})
    assert answer.status_code == 500
    assert answer.json() == {"error": "error during conversion: exit status 1, details: pipe:0: Invalid data found\n"}


def test_transcription_is_refused_after_the_conversion_as_the_original_does(echo: Converter) -> None:
    answer = echo.post("/transcribe", data={"base64": "QUJD"})
    assert (answer.status_code, answer.json()) == (500, {"error": "transcription is not enabled"})


SLOW = """
    import os, pathlib, time
    running = pathlib.Path(os.environ["TMPDIR"]) / f"running-{os.getpid()}"
    running.touch()
    time.sleep(%s)
    running.unlink()
    os.write(2, b"time=00:00:01.00")
"""
"""Leaves a file named after its process while it runs."""


def test_ffmpeg_is_killed_when_the_client_goes_away(start: Start, tmp_path: Path) -> None:
    converter = start(program(tmp_path, SLOW % 60))
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{converter.url}/process-audio", headers=WITH_KEY, data={"base64": "QUJD"}, timeout=1)
    (running,) = tmp_path.glob("running-*")
    process = Path("/proc") / running.name.removeprefix("running-")
    wait_until(lambda: not process.exists(), "ffmpeg still runs", seconds=5)
    assert answers(converter), "the converter must serve the next client"


def test_no_more_conversions_run_at_once_than_there_are_cores(start: Start, tmp_path: Path) -> None:
    cores, most = os.cpu_count() or 1, 0
    converter = start(program(tmp_path, SLOW % 0.3))
    with ThreadPoolExecutor(cores + 3) as pool:
        calls = [pool.submit(converter.post, data={"base64": "QUJD"}) for _ in range(cores + 3)]
        while not all(call.done() for call in calls):
            most = max(most, len(list(tmp_path.glob("running-*"))))
            time.sleep(0.01)
    assert {call.result().status_code for call in calls} == {200}, "a call that waits must be served in the end"
    assert most == cores


def test_it_ends_within_seconds_of_sigterm_even_while_it_converts(start: Start, tmp_path: Path) -> None:
    converter = start(program(tmp_path, SLOW % 60))
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(converter.post, data={"base64": "QUJD"})
        wait_until(lambda: bool(list(tmp_path.glob("running-*"))), "the conversion does not start")
        begin = time.monotonic()
        converter.stop()
        assert time.monotonic() - begin < 9, "Docker would kill it"
        assert call.exception() is not None or call.result().status_code >= 400


def test_the_key_is_in_no_log_line(start: Start, tmp_path: Path) -> None:
    converter = start(program(tmp_path, ECHO))
    converter.post(data={"base64": "QUJD"})
    converter.post(headers={"apikey": "wrong"})
    converter.post(data={"url": "http://127.0.0.1:9/private"})
    log = converter.stop()
    assert "converted" in log, "the log is not the one that is searched"
    assert not any(text in log for text in (KEY, "wrong", "private"))


@pytest.mark.parametrize(
    ("target", "begins"),
    [("ogg", b"OggS"), ("mp3", b"ID3"), ("mp4", b"\xff\xf1"), ("another", b"OggS")],
    ids=["ogg", "mp3", "mp4", "another"],
)
def test_the_real_ffmpeg_makes_each_format(real: Converter, recording: Callable[[float], bytes], target: str, begins: bytes) -> None:
    answer = real.post(data={"format": target}, files={"file": recording(2)})
    assert answer.status_code == 200, answer.text
    assert answer.json()["format"] == target
    assert answer.json()["duration"] == 2
    assert base64.b64decode(answer.json()["audio"]).startswith(begins)


@pytest.mark.parametrize(("seconds", "duration"), [(0.4, 0), (1.6, 2), (120, 120)])
def test_the_real_ffmpegs_length_is_the_clips_in_whole_seconds(
    real: Converter, recording: Callable[[float], bytes], seconds: float, duration: int
) -> None:
    answer = real.post(data={"base64": base64.b64encode(recording(seconds)).decode()})
    assert answer.json()["duration"] == duration


def test_the_real_ffmpeg_refuses_what_is_no_audio(real: Converter) -> None:
    answer = real.post(files={"file": b"no audio at all"})
    assert answer.status_code == 500
    assert "Invalid data found" in answer.json()["error"]


def test_the_requirements_are_those_of_the_other_parts() -> None:
    """One version of a package in the whole project, or a test here proves nothing about the image."""
    tested = (Path(__file__).parents[1] / "requirements.txt").read_text()
    for line in (PROJECT / "requirements.txt").read_text().splitlines():
        requirement = line.split()[0]
        assert f"{requirement} " in tested, f"{requirement} is not what tests/requirements.txt has"
