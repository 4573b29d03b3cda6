"""What a running application holds: made when it starts, closed when it stops."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, cast

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncEngine

from src.database import create_engine
from src.evolution import EvolutionClient
from src.faults import Fault
from src.messages.bell import Bell
from src.revisions import expected_heads
from src.settings import Settings


@dataclass(frozen=True)
class Resources:
    """The connections that all requests and the background services share.

    Attributes:
        settings: the application's settings.
        engine: the pool of connections to the database.
        evolution: the client of Evolution API.
        bell: wakes the senders when a message was stored.
        expected_heads: the revisions of the schema that this code was written for.
        faults: what background services have found wrong with what they depend on, by the name under which readiness shows it,
            as in `rabbitmq`; None when all is well with it, absent when no service uses it. Written by the services.
        pairings: when this process last had an instance begin to pair, by its name, on the monotonic clock.
    """

    settings: Settings
    engine: AsyncEngine
    evolution: EvolutionClient
    bell: Bell
    expected_heads: frozenset[str]
    faults: dict[str, Fault | None] = field(default_factory=dict)
    pairings: dict[str, float] = field(default_factory=dict)


@asynccontextmanager
async def open_resources(settings: Settings) -> AsyncIterator[Resources]:
    """Make the resources, and close them at the end. Nothing is connected before it is used, so this succeeds whatever is down."""
    engine = create_engine(settings)
    bell = Bell(engine)
    try:
        async with EvolutionClient(settings, settings.evolution_api_key) as evolution:
            yield Resources(settings, engine, evolution, bell, expected_heads())
    finally:
        await bell.close()
        await engine.dispose()


async def resources_of(request: Request) -> Resources:
    """Give a route the resources of the application that serves it (a FastAPI dependency; a plain function would cost a thread)."""
    return cast("Resources", request.app.state.resources)


UsedResources = Annotated[Resources, Depends(resources_of)]
"""What a route declares to be given the resources."""
