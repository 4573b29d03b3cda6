"""A real Postgres, a fake Evolution API over real HTTP, and the application between them.

Needs a Docker engine. The Postgres is the local image where it was built, else the official one, which the engine pulls.
"""

import asyncio
import contextlib
import json
import socket
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread, Timer
from typing import Any

import asyncpg
import docker
import httpx
import pytest
from docker.errors import DockerException, ImageNotFound
from docker.models.containers import Container
from pydantic import HttpUrl, SecretStr

from src.application import create_app
from src.settings import Settings
from tasks.migrate import migrate
from tests.app.images import ensure_images

POSTGRES_IMAGES = ("whatsapp-local/postgres:16", "postgres:16")
PASSWORD = "a-database-password"
KEY = "the-evolution-key"


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def _images() -> None:
    ensure_images()


@dataclass(frozen=True)
class Postgres:
    container: Container
    address: str

    def url(self, database: str = "app", password: str = PASSWORD) -> str:
        return f"postgresql://app:{password}@{self.address}/{database}"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    try:
        engine = docker.from_env()
    except DockerException as error:
        pytest.fail(f"These tests start a Postgres container, but no Docker engine answers: {error}. `make setup` brings one.")
    container = engine.containers.run(
        _available_image(engine),
        name=f"whatsapp-test-postgres-{uuid.uuid4().hex[:8]}",
        command=["postgres", "-c", "fsync=off"],
        environment={"POSTGRES_USER": "app", "POSTGRES_DB": "app", "POSTGRES_PASSWORD": PASSWORD},
        ports={"5432/tcp": ("127.0.0.1", 0)},
        tmpfs={"/var/lib/postgresql/data": ""},
        detach=True,
    )
    try:
        container.reload()
        published = container.ports["5432/tcp"] or []
        server = Postgres(container, f"127.0.0.1:{published[0]['HostPort']}")
        asyncio.run(_wait_for(server))
        yield server
    finally:
        container.remove(force=True, v=True)


def _available_image(engine: docker.DockerClient) -> str:
    for image in POSTGRES_IMAGES:
        with contextlib.suppress(ImageNotFound):
            engine.images.get(image)
            return image
    return POSTGRES_IMAGES[-1]  # `run` pulls it


async def _wait_for(server: Postgres) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            await (await asyncpg.connect(server.url(), timeout=2)).close()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            if time.monotonic() > deadline:
                pytest.fail(f"Postgres took no connection within 60 s. Its log ends: {server.container.logs(tail=10).decode()}")
            await asyncio.sleep(0.1)
        else:
            return


@pytest.fixture
def database_url(postgres: Postgres) -> str:
    """The URL of a new, empty database."""
    name = f"t{uuid.uuid4().hex}"

    async def create() -> None:
        connection = await asyncpg.connect(postgres.url())
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()

    asyncio.run(create())
    return postgres.url(name)


@dataclass
class FakeEvolution:
    """Answers as Evolution API 2.2.3 does (its facts page, chapter 3), or as a test tells it to."""

    url: str = ""
    accepted_key: str = KEY
    guarded: bool = True
    answers: dict[str, tuple[int, object]] = field(default_factory=dict)
    """What a path is answered with in place of the usual."""
    instances: dict[str, str] = field(default_factory=lambda: {"a1": "close"})
    """The state of each instance."""
    webhooks: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The webhook of each instance that ever had one, as `GET /webhook/find` gives it."""
    requests: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    """Method, path and body of all that came."""
    queries: list[str] = field(default_factory=list)
    """What stood behind the `?` of each."""
    deletion_seconds: float = 0.0
    """How long a deletion goes on after its answer; meanwhile the instance is in the database, and not in memory any more."""
    unloaded: set[str] = field(default_factory=set)
    """Instances that are in the database alone, as all are for a while after a start."""
    converter: tuple[int, object] | None = None
    """What a voice message is answered with, when it is not that the phone is missed after the conversion."""
    hang: Event = field(default_factory=Event)
    """Set: requests are taken and never answered."""
    hanging: Event = field(default_factory=Event)
    """Becomes set when such a request was taken."""
    released: Event = field(default_factory=Event)

    def answer(self, method: str, path: str, key: str | None, body: dict[str, Any]) -> tuple[int, object]:
        self.requests.append((method, path, body))
        if path in self.answers:
            return self.answers[path]
        if path == "/":
            return 200, {"status": 200, "message": "Welcome to the Evolution API, it is working!", "version": "2.2.3"}
        *_, call, name = path.split("/")
        if refused := self._instance_guard(call, name, body):  # before the key is looked at, as Evolution does
            return refused
        if self.guarded and key != self.accepted_key:
            return 401, {"status": 401, "error": "Unauthorized", "response": {"message": "Unauthorized"}}
        if path == "/verify-creds":
            return 200, {"status": 200, "message": "Credentials are valid"}
        if path == "/instance/fetchInstances":
            return 200, [self._summary(each) for each in self.instances]
        if path == "/instance/create":
            return self._create(body["instanceName"])
        if path.startswith("/webhook/"):
            return self._webhook(call, name, body)
        if name in self.instances:
            return self._instance_call(call, name)
        return 404, error("Not Found", f"Cannot {method} {path}")

    def _instance_guard(self, call: str, name: str, body: dict[str, Any]) -> tuple[int, object] | None:
        if name == "create" and body["instanceName"] in self.instances:
            return 403, error("Forbidden", f'This name "{body["instanceName"]}" is already in use.')
        if call in _INSTANCE_CALLS and name not in self.instances:
            return 404, error("Not Found", f'The "{name}" instance does not exist')
        return None

    def _create(self, name: str) -> tuple[int, object]:
        self.instances[name] = "close"
        return 201, {"instance": {"instanceName": name, "instanceId": id_of(name), "status": "close"}, "hash": "A-TOKEN"}

    def _webhook(self, call: str, name: str, body: dict[str, Any]) -> tuple[int, object]:
        if call == "find":
            return 200, self.webhooks.get(name)
        told = dict(body["webhook"])
        kept = self.webhooks.get(name, {})
        switches = {"webhookByEvents": told.pop("byEvents", False), "webhookBase64": told.pop("base64", False)}
        self.webhooks[name] = {"headers": None, **kept, **told, **switches, "id": "an-id", "instanceId": id_of(name)}
        return 201, self.webhooks[name]

    def _summary(self, name: str) -> dict[str, object]:
        owner = "5511988887777@s.whatsapp.net" if self.instances[name] == "open" else None
        return {"id": id_of(name), "name": name, "connectionStatus": self.instances[name], "ownerJid": owner, "token": "a-token"}

    def _forget(self, name: str) -> None:
        del self.instances[name]
        self.unloaded.discard(name)

    def _instance_call(self, call: str, name: str) -> tuple[int, object]:
        state = self.instances[name]
        if name in self.unloaded and call in {"connectionState", "connect", "restart"}:
            nothing = {"error": True, "message": "[object Object]"}
            return 200, {"instance": {"instanceName": name}} if call == "connectionState" else nothing
        if call == "connectionState" or (call == "connect" and state == "open"):
            return 200, {"instance": {"instanceName": name, "state": state}}
        if call == "connect":
            self.instances[name] = "connecting"
            return 200, {"pairingCode": None, "code": "2@a,b,c,d", "base64": f"data:image/png;base64,{PNG}", "count": 1}
        if call == "logout" and state == "close":
            return 400, error("Bad Request", f'The "{name}" instance is not connected')
        if call == "logout":
            self.instances[name] = "close"
        if call == "sendWhatsAppAudio":
            return self.converter or (500, error("Internal Server Error", "Cannot read properties of undefined (reading 'onWhatsApp')"))
        if call == "delete":
            self.unloaded.add(name)
            Timer(self.deletion_seconds, self._forget, [name]).start()
        return 200, {"status": "SUCCESS", "error": False, "response": {"message": "Done"}}


_INSTANCE_CALLS = {"connectionState", "connect", "restart", "logout", "delete", "set", "find", "sendText", "findMessages"}
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
"""A picture of one pixel."""


def id_of(name: str) -> str:
    """Evolution's id of the fake's instance of this name."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, name))


def error(kind: str, message: object) -> dict[str, object]:
    """An error's body as Evolution makes it."""
    return {"status": 0, "error": kind, "response": {"message": [message]}}


@pytest.fixture
def fake_evolution() -> Iterator[FakeEvolution]:
    fake = FakeEvolution()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if fake.hang.is_set():
                fake.hanging.set()
                fake.released.wait()
                return
            path, _, query = self.path.partition("?")
            fake.queries.append(query)
            status, content = fake.answer(self.command, path, self.headers.get("apikey"), json.loads(sent or "{}"))
            body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def do_DELETE(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.url = f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield fake
    fake.released.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def closed_port() -> int:
    """A port of this machine where nothing listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        yield int(listener.getsockname()[1])


@pytest.fixture
def make_settings(database_url: str, fake_evolution: FakeEvolution) -> Callable[..., Settings]:
    """Settings with which everything is well, but for what a test changes."""

    def make(database: str = database_url, evolution: str = fake_evolution.url, key: str = KEY, **others: Any) -> Settings:  # noqa: ANN401
        return Settings(database_url=SecretStr(database), evolution_api_url=HttpUrl(evolution), evolution_api_key=SecretStr(key), **others)

    return make


@pytest.fixture(scope="session")
def migrated_template(postgres: Postgres) -> str:
    """The name of a database at the head, to make others from."""
    name = f"template{uuid.uuid4().hex}"

    async def create() -> None:
        connection = await asyncpg.connect(postgres.url())
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()
        await migrate(Settings(database_url=SecretStr(postgres.url(name)), evolution_api_key=SecretStr(KEY)))

    asyncio.run(create())
    return name


@pytest.fixture
def migrated_url(postgres: Postgres, migrated_template: str) -> str:
    """The URL of a new database with all tables, and nothing in them."""
    name = f"t{uuid.uuid4().hex}"

    async def create() -> None:
        connection = await asyncpg.connect(postgres.url())
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {migrated_template}")
        await connection.close()

    asyncio.run(create())
    return postgres.url(name)


@contextlib.asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application, which runs in this process without its background services: a test starts those that it is about."""
    app = create_app(settings, services=())
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        yield client


@pytest.fixture
def serve() -> Callable[[Settings], contextlib.AbstractAsyncContextManager[httpx.AsyncClient]]:
    return served
