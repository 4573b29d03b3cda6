"""A virtual host of a real RabbitMQ for each test, a publisher that behaves like Evolution API, and consumers on it."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import aio_pika
import pytest
from aio_pika.abc import AbstractExchange, ExchangeType
from pydantic import SecretStr

from src.events.consumer import Consumer
from src.resources import Resources, open_resources
from src.settings import Settings
from tasks.migrate import migrate
from tests.app.simulator_support import SECRET, Broker

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")


class VirtualHost:
    """A virtual host, and what RabbitMQ's management API says of it."""

    def __init__(self, broker: Broker, port: int | None = None) -> None:
        self.broker = broker
        self.name = f"t{uuid.uuid4().hex[:12]}"
        self.api: httpx.Client = broker.api
        self.api.put(f"vhosts/{self.name}").raise_for_status()
        self.api.put(f"permissions/{self.name}/evolution", json={"configure": ".*", "write": ".*", "read": ".*"}).raise_for_status()
        self.port = port or broker.port

    @property
    def url(self) -> str:
        return self.url_at(self.port)

    def url_at(self, port: int, password: str = SECRET) -> str:
        return f"amqp://evolution:{password}@127.0.0.1:{port}/{self.name}"

    def queue(self, name: str) -> dict[str, Any]:
        answer = self.api.get(f"queues/{self.name}/{name}")
        return dict(answer.json()) if answer.is_success else {}

    def bindings(self, queue: str) -> set[str]:
        found = self.api.get(f"queues/{self.name}/{queue}/bindings").json()
        return {each["routing_key"] for each in found if each["source"] == "evolution"}

    def delete(self, what: str) -> None:
        """Delete `queues/<name>` or `exchanges/<name>`."""
        kind, _, name = what.partition("/")
        self.api.delete(f"{kind}/{self.name}/{name}").raise_for_status()

    def take_dead(self) -> list[dict[str, Any]]:
        body = {"count": 100, "ackmode": "ack_requeue_false", "encoding": "auto"}
        return list(self.api.post(f"queues/{self.name}/app.dead/get", json=body).raise_for_status().json())

    def close(self) -> None:
        self.api.delete(f"vhosts/{self.name}")


class Publisher:
    """Publishes as Evolution 2.2.3 does: the exchange is declared with each event, and a message has no properties."""

    def __init__(self, exchange: AbstractExchange, channel: aio_pika.abc.AbstractChannel) -> None:
        self._exchange = exchange
        self._channel = channel

    async def send(self, *bodies: bytes, key: str | None = None) -> None:
        for body in bodies:
            await self._exchange.publish(aio_pika.Message(body), routing_key=key or key_of(body), mandatory=False)

    async def declare(self) -> None:
        self._exchange = await self._channel.declare_exchange("evolution", ExchangeType.TOPIC, durable=True)


def key_of(body: bytes) -> str:
    return body.partition(b'"event": "')[2].partition(b'"')[0].decode()


@asynccontextmanager
async def publishing(url: str) -> AsyncIterator[Publisher]:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange("evolution", ExchangeType.TOPIC, durable=True)
        yield Publisher(exchange, channel)


async def eventually(look: Callable[[], Awaitable[T]], why: str, limit_s: float = 20) -> T:
    """Look again until there is something to see, and give it."""
    deadline = asyncio.get_running_loop().time() + limit_s
    while not (seen := await look()):
        if asyncio.get_running_loop().time() > deadline:
            pytest.fail(f"not within {limit_s} s: {why}")
        await asyncio.sleep(0.05)
    return seen


@asynccontextmanager
async def consuming(settings: Settings) -> AsyncIterator[Resources]:
    """A consumer that has begun to consume; stopped in order at the end."""
    async with open_resources(settings) as resources, Consumer(resources):
        await connected(resources)
        yield resources


async def connected(resources: Resources) -> None:
    async def well() -> bool:
        return resources.faults.get("rabbitmq", "absent") is None

    await eventually(well, f"the consumer is connected: {resources.faults}")


async def migrated(settings: Settings, host: VirtualHost, **changes: object) -> Settings:
    await migrate(settings)
    return settings.model_copy(update={"rabbitmq_url": SecretStr(host.url), **changes})
