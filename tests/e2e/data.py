"""Data of a user in every place that keeps data, written and read as a client would: with a name and a password."""

import asyncio
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import uuid4

import asyncpg
import httpx
from minio import Minio

from tests.e2e.environment import Stack, eventually

_BUCKET, _QUEUE, _KEY, _FILE = "e2e-bucket", "e2e-queue", "e2e:key", "/evolution/instances/e2e-file"
_USER, _DATABASE_USERS = "whatsapp", {"POSTGRES": "app", "EVOLUTION_POSTGRES": "evolution"}


@dataclass(frozen=True)
class Clients:
    """The services' clients, with certain credentials.

    Attributes:
        credentials: passwords and keys by setting.
        user: of RabbitMQ and MinIO.
        databases: user, and name, of each database by the beginning of its settings.
    """

    stack: Stack
    credentials: dict[str, str]
    user: str = _USER
    databases: Mapping[str, str] = field(default_factory=_DATABASE_USERS.copy)

    def sql(self, database: str, statement: str) -> str:
        """The one value that a statement gives, from the database of that prefix."""

        async def ask() -> str:
            connection = await self.connect(database)
            try:
                return str(await connection.fetchval(statement))
            finally:
                await connection.close()

        return asyncio.run(ask())

    async def connect(self, database: str) -> asyncpg.Connection:
        """A session with the database of that prefix, through its published port."""
        return await asyncpg.connect(
            host="127.0.0.1",
            port=int(self.stack.settings[f"{database}_PORT"]),
            user=self.databases[database],
            password=self.credentials[f"{database}_PASSWORD"],
            database=self.databases[database],
            timeout=10,
        )

    def rabbitmq(self, method: str, path: str, **body: object) -> httpx.Response:
        """A request to the management API."""
        login = (self.user, self.credentials["RABBITMQ_DEFAULT_PASS"])
        return httpx.request(method, self.stack.url("RABBITMQ_UI_PORT", f"/api{path}"), auth=login, json=body or None, timeout=20)

    def minio(self) -> Minio:
        address = f"127.0.0.1:{self.stack.settings['MINIO_PORT']}"
        return Minio(address, access_key=self.user, secret_key=self.credentials["MINIO_ROOT_PASSWORD"], secure=False, region="us-east-1")

    def redis(self, *command: str) -> str:
        """What Redis answers; it has no port on the host."""
        return self.stack.inside("redis", "redis-cli", *command, REDISCLI_AUTH=self.credentials["REDIS_PASSWORD"])[1].strip()

    def evolution(self, method: str, path: str, **body: object) -> httpx.Response:
        """A request to Evolution API with the key that it accepts."""
        headers = {"apikey": self.credentials["AUTHENTICATION_API_KEY"]}
        return httpx.request(method, self.stack.url("EVOLUTION_PORT", path), headers=headers, json=body or None, timeout=20)


def succeeded(answer: httpx.Response) -> httpx.Response:
    assert answer.is_success, f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text}"
    return answer


@dataclass(frozen=True)
class Data:
    """One value, kept in seven places."""

    value: str = field(default_factory=lambda: uuid4().hex)

    def write(self, clients: Clients) -> None:
        for database in _DATABASE_USERS:
            clients.sql(database, "CREATE TABLE IF NOT EXISTS e2e (value text)")
            clients.sql(database, "DELETE FROM e2e")
            clients.sql(database, f"INSERT INTO e2e VALUES ('{self.value}')")  # noqa: S608 - a number in hexadecimal
        succeeded(clients.rabbitmq("PUT", f"/queues/%2F/{_QUEUE}", durable=True))
        clients.rabbitmq("DELETE", f"/queues/%2F/{_QUEUE}/contents")
        message = {"routing_key": _QUEUE, "payload": self.value, "payload_encoding": "string", "properties": {"delivery_mode": 2}}
        succeeded(clients.rabbitmq("POST", "/exchanges/%2F/amq.default/publish", **message))
        minio = clients.minio()
        if not minio.bucket_exists(_BUCKET):
            minio.make_bucket(_BUCKET)
        minio.put_object(_BUCKET, "object", io.BytesIO(self.value.encode()), len(self.value))
        assert clients.redis("SET", _KEY, self.value) == "OK"
        code, output = clients.stack.inside("evolution-api", "sh", "-c", f"echo {self.value} > {_FILE}")
        assert code == 0, output
        assert set(self.read(clients).values()) == {self.value}, "it is not there even before anything happened"

    def read(self, clients: Clients) -> dict[str, str]:
        """What each place has now."""
        found = {database: clients.sql(database, "SELECT value FROM e2e") for database in _DATABASE_USERS}
        question = {"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"}
        messages = succeeded(clients.rabbitmq("POST", f"/queues/%2F/{_QUEUE}/get", **question)).json()
        found["RabbitMQ"] = messages[0]["payload"] if messages else "no message"
        with clients.minio().get_object(_BUCKET, "object") as answer:
            found["MinIO"] = answer.read().decode()
        found["Redis"] = clients.redis("GET", _KEY)
        found["evolution_instances"] = clients.stack.inside("evolution-api", "cat", _FILE)[1].strip()
        return found

    def assert_kept(self, clients: Clients) -> None:
        found = self.read(clients)
        assert found == dict.fromkeys(found, self.value), f"data is not as it was: {found}"


def assert_events_are_published(clients: Clients) -> None:
    """See that Evolution API announces a new instance through RabbitMQ, to a queue of the test's own."""
    queue, instance = "e2e-events", f"e2e-{uuid4().hex[:8]}"
    succeeded(clients.rabbitmq("PUT", f"/queues/%2F/{queue}", durable=True))
    succeeded(clients.rabbitmq("POST", f"/bindings/%2F/e/evolution/q/{queue}", routing_key="#"))
    succeeded(clients.evolution("POST", "/instance/create", instanceName=instance, integration="WHATSAPP-BAILEYS"))
    told: list[str] = []

    def announced() -> bool:
        question = {"count": 50, "ackmode": "ack_requeue_false", "encoding": "auto"}
        told.extend(each["payload"] for each in succeeded(clients.rabbitmq("POST", f"/queues/%2F/{queue}/get", **question)).json())
        return any(json.loads(payload).get("instance") == instance for payload in told)

    try:
        eventually(10, announced, "the new instance is announced through RabbitMQ")
    finally:
        clients.evolution("DELETE", f"/instance/delete/{instance}")
        clients.rabbitmq("DELETE", f"/queues/%2F/{queue}")
