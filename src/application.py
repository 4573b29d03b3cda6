"""Puts the application together."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from src import health
from src.logs import RequestLog
from src.resources import open_resources
from src.settings import Settings

_log = logging.getLogger("app")


def create_app(settings: Settings) -> FastAPI:
    """Make an application with these settings; what it holds is opened and closed with its lifespan."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_resources(settings) as resources:
            app.state.resources = resources
            _log.info("started", extra={"environment": settings.environment, "evolution": resources.evolution.url})
            yield
        _log.info("stopped")

    app = FastAPI(title="WhatsApp application", lifespan=lifespan)
    app.add_middleware(RequestLog)
    app.include_router(health.router)
    return app
