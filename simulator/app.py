"""The HTTP application."""

from fastapi import FastAPI
from starlette.types import ASGIApp

from simulator import errors
from simulator.express import Express
from simulator.routers import instance, manager, phone, root
from simulator.runtime import Simulator


def make_app(simulator: Simulator) -> ASGIApp:
    """Put the routes together, inside of what Express does around them."""
    app = FastAPI(openapi_url=None, redirect_slashes=False)
    app.state.simulator = simulator
    errors.install(app)
    app.include_router(root.router)
    app.include_router(instance.router)
    app.include_router(phone.router)
    if simulator.settings.server.manager:
        app.include_router(manager.router)
    return Express(app, simulator.settings.cors, simulator.journal.named("SERVER"))
