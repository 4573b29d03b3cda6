"""A web server of the test's own, where webhooks arrive."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

from tests.app.simulator_support import eventually


@dataclass(frozen=True)
class Call:
    """One request: header names in lower case, and the body of a POST."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def event(self) -> str:
        return str(self.body.get("event"))


@dataclass
class Listener:
    """Takes requests at `url` and below it, and keeps them."""

    url: str
    calls: list[Call] = field(default_factory=list)
    pages: list[str] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def take(self, call: Call) -> None:
        with self._lock:
            self.calls.append(call)

    def of(self, instance: str, event: str | None = None) -> list[Call]:
        """What came from an instance."""
        with self._lock:
            return [call for call in self.calls if call.body.get("instance") == instance and event in (None, call.event)]

    def wait_for(self, instance: str, event: str, wanted: Callable[[Call], bool] = lambda _: True, limit_s: float = 15) -> Call:
        """The first such event, once it is there."""
        found = eventually(
            lambda: [call for call in self.of(instance, event) if wanted(call)],
            f"{event} of {instance} at the listener {self.url}",
            limit_s,
        )
        return found[0]


@contextmanager
def listening(address: str | None) -> Iterator[Listener]:
    """A listener at `host:port`, on all of this machine's addresses; without one, at a free port of this machine alone."""
    host, _, port = (address or "127.0.0.1:0").rpartition(":")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            listener.take(Call(self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(200)
            self.end_headers()

        def do_GET(self) -> None:
            listener.pages.append(self.path)
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET
        daemon_threads = True

    with Server(("0.0.0.0" if address else "127.0.0.1", int(port)), Handler) as server:  # noqa: S104  # where the API may come from
        listener = Listener(f"http://{host}:{server.server_port}")
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield listener
        finally:
            server.shutdown()
            thread.join()
