"""All that the application does about events while it runs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from src.events.catch_up import CatchUp
from src.events.consumer import Consumer
from src.resources import Resources
from src.settings import EventsVia


@asynccontextmanager
async def following_events(resources: Resources) -> AsyncIterator[None]:
    """Consume events while this is entered, unless they come as webhooks, and catch up on what no event brings; a background service."""
    settings = resources.settings
    if settings.events_via is EventsVia.WEBHOOK or settings.rabbitmq_url is None:
        async with CatchUp(resources, None):
            yield
        return
    consumer = Consumer(resources)
    catch_up = CatchUp(resources, consumer)
    consumer.may_have_missed = catch_up.hurry
    async with catch_up, consumer:
        yield
