"""The services that run beside the requests, for as long as the application does."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from src.resources import Resources

STOP_LIMIT_SECONDS = 8.0
"""How long a service may take to finish what it has in hand: with the requests' 5 s, less than the container's grace period."""

Service = Callable[[Resources], AbstractAsyncContextManager[object]]
"""Makes a context manager that starts its tasks when it is entered, waiting for nothing, and stops them when it is left: it takes
no new work, finishes what it has in hand within `STOP_LIMIT_SECONDS`, and cancels the rest."""

_log = logging.getLogger("app.background")


@asynccontextmanager
async def running(services: Sequence[Service], resources: Resources) -> AsyncIterator[None]:
    """Run the services; at the end all of them stop at the same time."""
    entered: list[AbstractAsyncContextManager[object]] = []
    try:
        for make in services:
            service = make(resources)
            await service.__aenter__()
            entered.append(service)
        yield
    finally:
        await asyncio.gather(*(_stop(service) for service in entered))


async def _stop(service: AbstractAsyncContextManager[object]) -> None:
    try:
        async with asyncio.timeout(STOP_LIMIT_SECONDS + 1):
            await service.__aexit__(None, None, None)
    except Exception:  # noqa: BLE001  # one that fails to stop must not keep the others from it
        _log.exception("%s did not stop in order", type(service).__name__)
