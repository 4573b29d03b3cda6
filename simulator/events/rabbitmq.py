"""Events to RabbitMQ, as 2.2.3 sends them: exchanges, queues, keys, and what happens without a broker.

A connection is tried once, at start. Whether that fails or the broker goes away later: HTTP goes on, events are dropped without a word, and
nothing connects again until the process restarts.
"""

import time
from collections.abc import Mapping

from simulator.environment import EVENT_KEYS
from simulator.events.amqp import AmqpError, Connection
from simulator.events.event import Event
from simulator.journal import Journal
from simulator.preferences import Target
from simulator.settings import Rabbitmq as RabbitmqSettings

DECLARE_AGAIN_S = 1.0
"""2.2.3 declares and binds a queue with each event, which brings back one that somebody deleted. So often is enough for that, and
spares the broker most of the work."""


class RabbitMQ:
    """The way to the broker."""

    def __init__(self, settings: RabbitmqSettings, journal: Journal) -> None:
        self._settings = settings
        self._journal = journal.named("RabbitmqController")
        self._connection: Connection | None = None
        self._declared: dict[tuple[str, str], float] = {}

    @property
    def is_connected(self) -> bool:
        """Whether events reach the broker."""
        return self._connection is not None and self._connection.is_open

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
        connection.declare_exchange(self._settings.exchange)
        self._connection = connection
        self._declared.clear()
        self._journal.info("AMQP initialized")
        if self._settings.globally:
            self._declare_global_queues(connection)

    def deliver(self, event: Event, targets: Mapping[str, Target]) -> None:
        """Publish to the instance's own exchange, to the global one, to both or to none."""
        if self._connection is None:
            return
        own = targets.get("rabbitmq")
        if own and own.enabled and event.switch in own.events:
            self._publish(self._connection, event, event.instance, event.instance)
        if self._settings.globally and event.switch in self._settings.events:
            self._publish(self._connection, event, self._settings.exchange, self._settings.prefix)

    def close(self) -> None:
        """Close the connection; what is sent afterwards is dropped, until the next `start`."""
        if self._connection is not None:
            self._connection.close()

    def _publish(self, connection: Connection, event: Event, exchange: str, prefix: str) -> None:
        """Declare the exchange anew with each event: publishing to one that somebody deleted would end the channel."""
        connection.declare_exchange(exchange)
        queue, now = f"{prefix}.{event.name.replace('_', '.').lower()}", time.monotonic()
        if now - self._declared.get((queue, exchange), -DECLARE_AGAIN_S) >= DECLARE_AGAIN_S:
            self._declared[queue, exchange] = now
            connection.declare_queue(queue, exchange, event.name)
        connection.publish(exchange, event.name, event.body)

    def _declare_global_queues(self, connection: Connection) -> None:
        """Bind them with upper-case keys, which nothing is ever published with: the right binding comes with the first event."""
        self._journal.info("Initializing global queues")
        for key in EVENT_KEYS:
            if key in self._settings.events:
                connection.declare_queue(f"{self._settings.prefix}.{key.replace('_', '.').lower()}", self._settings.exchange, key)
