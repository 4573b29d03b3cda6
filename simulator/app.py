"""The HTTP application."""

from fastapi import FastAPI
from starlette.types import ASGIApp

from simulator import errors
from simulator.express import Express
from simulator.faults import FaultGate
from simulator.routers import (
    chat,
    conversation,
    faults,
    group,
    instance,
    manager,
    message,
    page,
    phone,
    proxy,
    rabbitmq,
    root,
    settings,
    storage,
    webhook,
)
from simulator.runtime import Simulator


def make_app(simulator: Simulator) -> ASGIApp:
    """Put the routes together, inside of what Express does around them."""
    app = FastAPI(openapi_url=None, redirect_slashes=False)
    app.state.simulator = simulator
    errors.install(app, simulator.report)
    evolution = (root, instance, message, chat, group, storage, webhook, rabbitmq, settings, proxy)
    for module in (*evolution, phone, conversation, page, faults):
        app.include_router(module.router)
    if simulator.settings.server.manager:
        app.include_router(manager.router)
    return Express(FaultGate(app, simulator.faults), simulator.settings.cors, simulator.report, simulator.journal.named("SERVER"))
