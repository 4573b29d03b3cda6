"""Receives Evolution API's events as webhooks, for those who prefer them to RabbitMQ."""

import logging
import secrets
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Request
from fastapi.security import APIKeyHeader
from pydantic import BaseModel, Field
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from src import problems
from src.events import storing
from src.events.facts import ConnectionSeen
from src.events.gathering import SOURCE, Gathering
from src.events.outcome import Outcome
from src.events.payloads import EventError, read_event
from src.evolution.client import SECRET_HEADER
from src.problems import ProblemError
from src.resources import UsedResources

_KEPT_BYTES = 64 * 1024
_KEPT_EVENTS = 10_000

_log = logging.getLogger("app.events")
_header = APIKeyHeader(name=SECRET_HEADER, auto_error=False, scheme_name="webhook secret", description="The value of WEBHOOK_SECRET.")


async def _knows_the_secret(resources: UsedResources, given: Annotated[str | None, Depends(_header)]) -> None:
    expected = resources.settings.webhook_secret
    if expected is not None and given is not None and secrets.compare_digest(given.encode(), expected.get_secret_value().encode()):
        return
    raise ProblemError(
        problems.UNAUTHORIZED,
        f"The header {SECRET_HEADER} is missing or wrong." if expected else "This application takes no webhooks: it has no WEBHOOK_SECRET.",
        "set WEBHOOK_SECRET, and have Evolution API send it: with APP_EVENTS_VIA=webhook the application sees to that itself, in minutes.",
        headers={"WWW-Authenticate": SECRET_HEADER},
    )


router = APIRouter(prefix="/webhooks/evolution", tags=["webhooks"], dependencies=[Depends(_knows_the_secret)])


class Taken(BaseModel):
    """The event was taken."""

    stored: bool = Field(description="Whether it told something new that is kept.")


@router.post("/{event}", include_in_schema=False)  # the form that Evolution's `byEvents` gives the URL
@router.post(
    "",
    operation_id="receiveEvent",
    summary="Receive an event",
    response_description="The event was taken, whether or not it could be read",
    responses=problems.responses(problems.UNAUTHORIZED, *problems.OF_BODY, problems.INTERNAL_ERROR, problems.DATABASE_UNUSABLE),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"type": "object", "description": "As Evolution API 2.2.3 posts it."}}},
        }
    },
)
async def receive(request: Request, resources: UsedResources) -> Taken:
    """Store an event of Evolution API.

    What can't be read is kept aside and answered with 200 too: Evolution would send it again ten times, 30 s apart, and hold back other
    events meanwhile. While the database can't be used the answer is 503, and sending it again is right.
    """
    body = await request.body()
    try:
        event = read_event(body, ZoneInfo(resources.settings.tz))
    except EventError as error:
        storing.count(SOURCE, "other", Outcome.DEAD)
        await _keep_aside(resources.engine, body, str(error))
        return Taken(stored=False)
    if isinstance(event.fact, ConnectionSeen):
        gathering: Gathering = request.app.state.gathering
        stored = await gathering.store(event)
    else:
        (stored,) = await storing.store(resources.engine, [event], SOURCE)
    if stored.reason is not None:
        await _keep_aside(resources.engine, body, stored.reason)
    return Taken(stored=stored.outcome is Outcome.STORED)


async def _keep_aside(engine: AsyncEngine, body: bytes, reason: str) -> None:
    _log.error("a webhook's event was put aside in rejected_events: %s", reason, extra={"bytes": len(body)})
    readable = body[:_KEPT_BYTES].decode("utf-8", "replace").replace("\0", "\ufffd")
    async with engine.begin() as connection:
        await connection.execute(_KEEP_ASIDE, {"source": SOURCE, "body": readable, "error": reason, "kept": _KEPT_EVENTS})


_KEEP_ASIDE = text("""
    WITH kept AS (INSERT INTO rejected_events (source, body, error) VALUES (:source, :body, :error) RETURNING id)
    DELETE FROM rejected_events USING kept WHERE rejected_events.id <= kept.id - CAST(:kept AS bigint)
""")
