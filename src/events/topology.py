"""The application's own queues in RabbitMQ, and how they hang on Evolution API's exchange.

Evolution 2.2.3 declares queues of its own, which nobody reads here, and binds them late and under wrong keys; these are independent of
them. All is declared again every time, so that a new, emptied or replaced broker needs no preparation.
"""

import logging
from dataclasses import dataclass, field

from aio_pika.abc import AbstractChannel, AbstractConnection, ExchangeType
from aio_pika.exceptions import ChannelPreconditionFailed

DEAD = "app.dead"
"""The exchange and the queue of what can't be read or stored; a person may look at it there."""

_log = logging.getLogger("app.events")

_QUORUM = {"x-queue-type": "quorum"}
_MOST_MESSAGES = 1_000_000
_MOST_CHANGES = 1_000
_DEAD_LETTERS: dict[str, str | int] = {**_QUORUM, "x-max-length": 10_000, "x-max-length-bytes": 256 * 1024 * 1024}
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
    # Full only when nobody consumes for days. The newest are refused then, and found by catch-up, which goes on from where it ended before.
    # The oldest are not dropped: RabbitMQ would send them to the dead-letter exchange.
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
    """Make sure that everything is there and bound; costs the broker nothing when it is. The queue of dead letters is there already.

    Raises:
        aio_pika.exceptions.ChannelPreconditionFailed: something of these names is there, and is something else.
        aio_pika.exceptions.ChannelNotFoundEntity: the queue of dead letters was deleted.
    """
    dead = await channel.declare_exchange(DEAD, ExchangeType.FANOUT, durable=True)
    dead_letters = await channel.declare_queue(DEAD, passive=True)
    await dead_letters.bind(dead)
    exchange = await channel.declare_exchange(exchange_name, ExchangeType.TOPIC, durable=True)  # as Evolution declares it
    for each in (MESSAGES, CONNECTIONS):
        queue = await channel.declare_queue(each.name, durable=True, arguments=dict(each.arguments))
        for key in each.keys:
            await queue.bind(exchange, key)


async def declare_dead_letters(connection: AbstractConnection) -> None:
    """Make sure that there is a queue of dead letters.

    One of an earlier version has other bounds, which nobody can change. It is made anew when it is empty; with letters in it, which nobody
    else has, it stays as it is until they are taken out.
    """
    channel = await connection.channel()
    try:
        await channel.declare_queue(DEAD, durable=True, arguments=dict(_DEAD_LETTERS))
    except ChannelPreconditionFailed:  # which ends the channel
        channel = await connection.channel()
        found = await channel.declare_queue(DEAD, passive=True)
        if found.declaration_result.message_count:
            _log.info("%s keeps the bounds of an earlier version until it is emptied", DEAD)
        else:
            await found.delete(if_unused=False, if_empty=False)  # a quorum queue takes no conditions
            await channel.declare_queue(DEAD, durable=True, arguments=dict(_DEAD_LETTERS))
    await channel.close()
