"""The application's own queues in RabbitMQ, and how they hang on Evolution API's exchange.

Evolution 2.2.3 declares queues of its own, which nobody reads here, and binds them late and under wrong keys; these are independent of
them. All is declared again every time, so that a new, emptied or replaced broker needs no preparation.
"""

from dataclasses import dataclass, field

from aio_pika.abc import AbstractChannel, ExchangeType

DEAD = "app.dead"
"""The exchange and the queue of what can't be read or stored; a person may look at it there."""

_QUORUM = {"x-queue-type": "quorum"}
_MOST_MESSAGES = 1_000_000
_MOST_CHANGES = 1_000
_MOST_DEAD = 10_000
_MOST_DELIVERIES = 1_000
"""RabbitMQ counts a delivery as failed when its consumer is killed, too, and would give up after 20 by itself from version 4 on. What can't
be stored is recognised by the consumer; this limit only ends a circle that nobody foresaw."""


@dataclass(frozen=True)
class OwnQueue:
    """A queue of the application: which events it gets, and what happens when it is full."""

    name: str
    keys: tuple[str, ...]
    arguments: dict[str, str | int] = field(default_factory=dict)


MESSAGES = OwnQueue(
    "app.messages",
    ("messages.upsert", "messages.update", "send.message"),
    # Full only when nobody consumes for days. The newest are refused then, not the oldest dropped: catch-up asks Evolution for what is
    # newer than the newest message known, so it finds what was refused, and would not find a gap in the middle.
    {
        **_QUORUM,
        "x-max-length": _MOST_MESSAGES,
        "x-overflow": "reject-publish",
        "x-dead-letter-exchange": DEAD,
        "x-delivery-limit": _MOST_DELIVERIES,
    },
)
CONNECTIONS = OwnQueue(
    "app.connections",
    ("connection.update", "qrcode.updated", "instance.create", "instance.delete"),
    # Evolution sends up to 90 changes a second for each instance that can't reach WhatsApp, and only the last ones matter. No dead-letter
    # exchange: RabbitMQ would send there what it drops, and bury the letters that are worth a look.
    {**_QUORUM, "x-max-length": _MOST_CHANGES, "x-overflow": "drop-head", "x-delivery-limit": _MOST_DELIVERIES},
)


async def declare(channel: AbstractChannel, exchange_name: str) -> None:
    """Make sure that everything is there and bound; costs the broker nothing when it is.

    Raises:
        aio_pika.exceptions.ChannelPreconditionFailed: something of these names is there, and is something else.
    """
    dead = await channel.declare_exchange(DEAD, ExchangeType.FANOUT, durable=True)
    dead_letters = await channel.declare_queue(DEAD, durable=True, arguments={**_QUORUM, "x-max-length": _MOST_DEAD})
    await dead_letters.bind(dead)
    exchange = await channel.declare_exchange(exchange_name, ExchangeType.TOPIC, durable=True)  # as Evolution declares it
    for each in (MESSAGES, CONNECTIONS):
        queue = await channel.declare_queue(each.name, durable=True, arguments=dict(each.arguments))
        for key in each.keys:
            await queue.bind(exchange, key)
