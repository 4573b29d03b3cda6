"""Events to RabbitMQ, as 2.2.3 sends them: exchanges, queues, keys, and what happens without a broker.

A connection is tried once, at start. Whether that fails or the broker goes away later: HTTP goes on, events are dropped without a word, and
nothing connects again until the process restarts.
"""

import asyncio

from simulator.environment import EVENT_KEYS
from simulator.events.amqp import AmqpError, Connection
from simulator.events.event import Event
from simulator.journal import Journal
from simulator.settings import Rabbitmq as RabbitmqSettings
from simulator.store import Target


class RabbitMQ:
    """The way to the broker."""

    def __init__(self, settings: RabbitmqSettings, journal: Journal) -> None:
        self._settings = settings
        self._journal = journal.named("RabbitmqController")
        self._connection: Connection | None = None
        self._in_order = asyncio.Lock()

    async def start(self) -> None:
        """Connect, once, and declare the global queues. A failure is one line in the log."""
        if not self._settings.enabled:
            return
        try:
            connection = await Connection.open(self._settings.uri)
        except AmqpError as error:
            mend = "; mend it with ?frameMax=131072 at the end of RABBITMQ_URI" if "frame_max" in str(error) else ""
            self._journal.named("unhandledRejection").error(f"{error}{mend}")
            return
        await connection.declare_exchange(self._settings.exchange)
        self._connection = connection
        self._journal.info("AMQP initialized")
        if self._settings.globally:
            await self._declare_global_queues(connection)

    async def deliver(self, event: Event, targets: dict[str, Target]) -> None:
        """Publish to the instance's own exchange, to the global one, to both or to none."""
        own = targets.get("rabbitmq")
        async with self._in_order:
            if own and own.enabled and event.switch in own.events:
                await self._publish(event, event.instance, event.instance)
            if self._settings.globally and event.switch in self._settings.events:
                await self._publish(event, self._settings.exchange, self._settings.prefix)

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()

    async def _publish(self, event: Event, exchange: str, prefix: str) -> None:
        """Declare and bind anew with each event."""
        if self._connection is None:
            return
        queue = f"{prefix}.{event.name.replace('_', '.').lower()}"
        await self._connection.declare_exchange(exchange)
        await self._connection.declare_queue(queue, exchange, event.name)
        await self._connection.publish(exchange, event.name, event.body())

    async def _declare_global_queues(self, connection: Connection) -> None:
        """Bind them with upper-case keys, which nothing is ever published with: the right binding comes with the first event."""
        self._journal.info("Initializing global queues")
        for key in EVENT_KEYS:
            if key in self._settings.events:
                await connection.declare_queue(f"{self._settings.prefix}.{key.replace('_', '.').lower()}", self._settings.exchange, key)
