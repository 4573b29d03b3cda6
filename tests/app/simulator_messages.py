"""What the tests of messages share: an instance with a phone, its events as they leave through RabbitMQ, and files to send."""

import base64
import io
import json
import math
import struct
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx

from tests.app.simulator_support import Broker, Process, Tap, eventually, new_name

CONTACT = "5511977776666"
CHAT = f"{CONTACT}@s.whatsapp.net"
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAYAAACddGYaAAAAFElEQVR4nGP8z8Dwn4GBgYEJRsAYABw6AgHk0Qq8AAAAAElFTkSuQmCC")
"""Three pixels wide and two high."""


def wav(seconds: float) -> bytes:
    """A tone, as a WAV file."""
    rate = 8000
    samples = (int(8000 * math.sin(2 * math.pi * 440 * each / rate)) for each in range(int(rate * seconds)))
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return file.getvalue()


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


@dataclass
class Phone:
    """An instance, and what is done to it from both sides."""

    process: Process
    name: str

    @property
    def id(self) -> str:
        return str(self.process.row(self.name)["id"])

    def call(self, method: str, path: str, body: object = None) -> httpx.Response:
        return self.process.api.request(method, path, json=body)

    def post(self, route: str, **body: object) -> httpx.Response:
        """Use one of Evolution's own routes."""
        return self.call("POST", f"/{route}/{self.name}", body)

    def send(self, words: str = "hi", number: str = CONTACT, **more: object) -> dict[str, Any]:
        answer = self.post("message/sendText", number=number, text=words, **more)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def receive(self, **said: object) -> dict[str, Any]:
        """Let somebody write to the instance."""
        answer = self.call("POST", f"/simulator/instances/{self.name}/messages", {"from": CONTACT, "pushName": "Bia", **said})
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def simulator(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401
        """Use the phone's side."""
        answer = self.call(method, f"/simulator/instances/{self.name}/{path}", body)
        assert answer.is_success, answer.text
        return answer.json()

    def found(self, **where: object) -> list[dict[str, Any]]:
        answer = self.post("chat/findMessages", where=where)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["messages"]["records"])

    def statuses(self, key_id: str) -> list[str]:
        """How Evolution was told of a message, in this order."""
        return [update["status"] for record in self.found(key={"id": key_id}) for update in record["MessageUpdate"]]

    def wait_for(self, key_id: str, status: str) -> None:
        eventually(lambda: status in self.statuses(key_id), f"{key_id} is {status}; it was {self.statuses(key_id)}")

    def wait_until_open(self) -> None:
        def is_open() -> bool:
            state = self.process.api.get(f"/instance/connectionState/{self.name}").json()
            return bool(state["instance"]["state"] == "open")

        eventually(is_open, f"{self.name} is open")


def paired(process: Process) -> Phone:
    """A new instance with a phone."""
    name = new_name()
    process.create(name)
    process.pair(name)
    return Phone(process, name)


@dataclass
class Heard:
    """Events of one instance, kept as they come."""

    tap: Tap
    name: str
    events: list[dict[str, Any]] = field(default_factory=list)

    def of(self, event: str) -> list[Any]:
        """The data of those of a kind that came until now."""
        told = [json.loads(each["payload"]) for each in self.tap.messages()]
        self.events += [each for each in told if each["instance"] == self.name]
        return [each["data"] for each in self.events if each["event"] == event]

    def wait_for(self, event: str, which: Callable[[Any], bool] = lambda _: True) -> Any:  # noqa: ANN401
        def look() -> list[Any]:
            return [data for data in self.of(event) if which(data)]

        return eventually(look, f"{event}; there was {[(each['event'], each['data']) for each in self.events]}")[0]


def hear(broker: Broker, phone: Phone) -> Heard:
    return Heard(broker.tap("evolution", "#"), phone.name)


@dataclass
class Server:
    """An HTTP server of the test's own. `asked` are the requests: path, headers (in lower case) and body."""

    url: str = ""
    asked: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)


@contextmanager
def serving(status: int, content: bytes, kind: str) -> Iterator[Server]:
    """Answer everything with the same."""
    served = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            served.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
