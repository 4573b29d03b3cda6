"""All that the application does about events while it runs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from src.events.catch_up import CatchUp
from src.events.consumer import Consumer
from src.resources import Resources


@asynccontextmanager
async def following_events(resources: Resources) -> AsyncIterator[None]:
    """Consume events while this is entered, and catch up on what no event brings; a background service.

    RabbitMQ's are consumed where events come as webhooks, too: what comes twice is stored once, and no queue grows unread.
    """
    if resources.settings.rabbitmq_url is None:
        async with CatchUp(resources, None):
            yield
        return
    consumer = Consumer(resources)
    catch_up = CatchUp(resources, consumer)
    consumer.may_have_missed = catch_up.hurry
    async with catch_up, consumer:
        yield
