"""Whether the application lives, and whether it can do its work."""

import asyncio
import logging
from collections.abc import Awaitable
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Response, status
from pydantic import BaseModel
from sqlalchemy import text

from src import database, evolution
from src.events import catch_up, consumer
from src.faults import Fault, State
from src.resources import Resources, resources_of
from src.settings import EventsVia, Settings

CHECK_TIMEOUT_SECONDS = 2.0
"""The most that a dependency may take to answer; all are asked at the same time."""

_NOTES = frozenset({catch_up.NOTE})
"""What is wrong with others and must be mended there: the application works on, and restarting it would be of no use."""

router = APIRouter(prefix="/health", tags=["health"])
_log = logging.getLogger("app.health")
_abandoned: set[asyncio.Task[Fault | None]] = set()  # keeps the event loop from losing tasks that nobody waits for any more


class Liveness(BaseModel):
    """The process serves requests."""

    status: Literal["alive"] = "alive"


class Dependency(BaseModel):
    """One dependency: its state and, unless that is ok, what is wrong and what mends it."""

    state: State
    problem: str | None = None
    mend: str | None = None


class Readiness(BaseModel):
    """Whether the application can do its work now, and each thing that it needs for it."""

    ready: bool
    dependencies: dict[str, Dependency]


@router.head("/live", include_in_schema=False)
@router.get("/live")
async def live() -> Liveness:
    """Answer 200 while the process serves requests, whatever else is down."""
    return Liveness()


@router.head("/ready", include_in_schema=False)
@router.get("/ready", response_model_exclude_none=True, responses={status.HTTP_503_SERVICE_UNAVAILABLE: {"model": Readiness}})
async def ready(response: Response, resources: Annotated[Resources, Depends(resources_of)]) -> Readiness:
    """Answer 200 when all that the application needs is well, else 503; within seconds.

    That is: the database is reached and migrated, Evolution API accepts the key, and, where events come through RabbitMQ, they are
    consumed. `events` tells, without making it unready, that Evolution API has stopped sending some; so does `rabbitmq` where they come as
    webhooks.
    """
    faults = await asyncio.gather(
        _bounded(_database(resources), late=database.explain(TimeoutError(), resources.settings)),
        _bounded(_evolution(resources), late=evolution.slow(resources.evolution.url)),
    )
    found = {**resources.faults, **dict(zip(("database", "evolution"), faults, strict=True))}
    is_ready = not any(fault for name, fault in found.items() if name not in _notes(resources.settings))
    if not is_ready:
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    for name, fault in found.items():
        if fault:
            _log.warning(fault.problem, extra={"dependency": name, "state": fault.state})
    return Readiness(ready=is_ready, dependencies={name: _as_dependency(fault) for name, fault in found.items()})


def _notes(settings: Settings) -> frozenset[str]:
    """Return what is only told: where events come as webhooks, RabbitMQ is a second way that can be missed."""
    return _NOTES | {consumer.DEPENDENCY} if settings.events_via is EventsVia.WEBHOOK else _NOTES


def _as_dependency(fault: Fault | None) -> Dependency:
    return Dependency(state=fault.state, problem=fault.problem, mend=fault.mend) if fault else Dependency(state=State.OK)


async def _bounded(check: Awaitable[Fault | None], late: Fault) -> Fault | None:
    """Return the check's fault, or `late` when it takes too long.

    The check is cancelled then, but not waited for: to give up a connection that hangs, the database's driver takes seconds more.
    """
    task = asyncio.ensure_future(check)
    _abandoned.add(task)
    task.add_done_callback(_abandoned.discard)
    done, _ = await asyncio.wait({task}, timeout=CHECK_TIMEOUT_SECONDS)
    if done:
        return task.result()
    task.cancel()
    return late


async def _database(resources: Resources) -> Fault | None:
    try:
        async with resources.engine.connect() as connection:
            found = frozenset((await connection.execute(text("SELECT version_num FROM alembic_version"))).scalars())
    except database.DatabaseError as error:
        if database.is_missing_table(error):
            return _not_migrated("none", resources.expected_heads)
        return database.explain(error, resources.settings)
    if found != resources.expected_heads:
        return _not_migrated(_listed(found), resources.expected_heads)
    return None


def _not_migrated(found: str, expected: frozenset[str]) -> Fault:
    return Fault(
        State.NOT_MIGRATED,
        f"The database's schema is at revision {found}; this code expects {_listed(expected)}.",
        "restart the application, which migrates when it starts, or run `python -m tasks.migrate` in its container; if the database is "
        "ahead, a newer version of the application has migrated it: run that one.",
    )


def _listed(revisions: frozenset[str]) -> str:
    return ", ".join(sorted(revisions)) or "none"


async def _evolution(resources: Resources) -> Fault | None:
    try:
        await resources.evolution.verify_key()
    except evolution.EvolutionError as error:
        return error.fault
    return None
