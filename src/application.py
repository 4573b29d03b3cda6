"""Puts the application together."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.responses import RedirectResponse

from src import health, metrics
from src.access import SECURED_PREFIXES
from src.background import Service, running
from src.error_handlers import add_error_handlers
from src.events import webhook
from src.events.gathering import Gathering
from src.events.service import following_events
from src.guards import BodyLimit, CallerKey
from src.instances import routes as instances
from src.instances.upkeep import keeping_instances
from src.logs import RequestLog
from src.messages import routes as messages
from src.messages.outbox import Outbox
from src.metrics import RequestMetrics
from src.openapi import DESCRIPTION, TAGS, describe
from src.resources import open_resources
from src.settings import Settings

SERVICES: tuple[Service, ...] = (Outbox, following_events, keeping_instances)
"""What runs beside the requests."""

_log = logging.getLogger("app")


def create_app(settings: Settings, services: Sequence[Service] = SERVICES) -> FastAPI:
    """Make an application with these settings; what it holds, and the services, are opened and closed with its lifespan."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_resources(settings) as resources, running(services, resources):
            app.state.resources = resources
            app.state.gathering = Gathering(resources.engine)
            _log.info("started", extra={"environment": settings.environment, "evolution": resources.evolution.url})
            yield
        _log.info("stopped")

    app = FastAPI(
        title="WhatsApp application",
        description=DESCRIPTION,
        version="1.0.0",
        openapi_tags=TAGS,
        generate_unique_id_function=lambda route: route.name,
        lifespan=lifespan,
        redirect_slashes=False,  # a path with a slash too many is a mistake that is told, and no POST is sent twice for it
    )
    app.add_middleware(BodyLimit)  # the one that is added last comes first
    if settings.app_api_key:
        app.add_middleware(CallerKey, settings.app_api_key, SECURED_PREFIXES)
    app.add_middleware(RequestMetrics)
    app.add_middleware(RequestLog)
    add_error_handlers(app, settings)
    for router in (messages.router, instances.router, webhook.router, health.router, metrics.router):
        app.include_router(router)
    app.add_api_route("/", _show_the_routes, methods=["GET", "HEAD"], include_in_schema=False)
    describe(app)
    return app


async def _show_the_routes() -> RedirectResponse:
    """Lead who opens the application in a browser to the page that shows its routes."""
    return RedirectResponse("/docs")
