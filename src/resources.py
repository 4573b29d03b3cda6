"""What a running application holds: made when it starts, closed when it stops."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncEngine

from src.database import create_engine
from src.evolution import EvolutionClient
from src.revisions import expected_heads
from src.settings import Settings


@dataclass(frozen=True)
class Resources:
    """The connections that all requests share."""

    settings: Settings
    engine: AsyncEngine
    evolution: EvolutionClient
    expected_heads: frozenset[str]


@asynccontextmanager
async def open_resources(settings: Settings) -> AsyncIterator[Resources]:
    """Make the resources, and close them at the end. Nothing is connected before it is used, so this succeeds whatever is down."""
    engine = create_engine(settings)
    try:
        async with EvolutionClient(settings, settings.evolution_api_key) as evolution:
            yield Resources(settings, engine, evolution, expected_heads())
    finally:
        await engine.dispose()


def resources_of(request: Request) -> Resources:
    """Give a route the resources of the application that serves it (a FastAPI dependency)."""
    return cast("Resources", request.app.state.resources)
