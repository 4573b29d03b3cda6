"""What the application counts and measures, and the page from which Prometheus takes it."""

import logging
import time
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Response
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from sqlalchemy import text

from src.database import DatabaseError
from src.resources import Resources, resources_of

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_WAITS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
"""Bounds in seconds for what may take from milliseconds to the time that a broker or a phone is away."""

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, of no use to Prometheus

HTTP_DURATION = Histogram("app_http_request_duration_seconds", "Time from a request to its whole answer.", ["method", "route", "status"])
OUTBOX_MESSAGES = Gauge("app_outbox_messages", "Messages that are not sent yet, by state; the same on every replica.", ["state"])
OUTBOX_OLDEST = Gauge("app_outbox_oldest_seconds", "Age of the oldest message that is not sent yet; 0 when all are sent.")
SEND_ATTEMPTS = Counter("app_send_attempts_total", "Attempts to have Evolution send a message, by what came of them.", ["outcome"])
POST_TO_SENT = Histogram("app_message_post_to_sent_seconds", "Time from storing a message to Evolution's answer.", buckets=_WAITS)
SENT_TO_DELIVERED = Histogram("app_message_sent_to_delivered_seconds", "Time from sent to delivered.", buckets=_WAITS)
EVENTS = Counter("app_events_total", "Events of Evolution, by the way they came and what became of them.", ["source", "event", "outcome"])
REFUSED_BY_WHATSAPP = Counter("app_messages_refused_total", "Messages that Evolution had sent and for which WhatsApp reported an error.")
EVENT_LAG = Histogram("app_event_lag_seconds", "Time from Evolution's sending of an event to its being stored.", ["source"], buckets=_WAITS)
CONSUMER_CONNECTED = Gauge("app_events_consumer_connected", "1 while events are consumed from RabbitMQ.")
CATCH_UP_FOUND = Counter("app_catch_up_found_total", "Messages that no event brought and that catch-up found at Evolution.")
EVENTS_LOST = Gauge("app_events_lost", "1 while messages come without their events: Evolution has lost its broker, or the webhook fails.")

router = APIRouter(tags=["metrics"])
_log = logging.getLogger("app.metrics")


@router.get(
    "/metrics",
    operation_id="getMetrics",
    summary="Get the metrics",
    response_class=Response,
    response_description="Prometheus' text format",
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def show_metrics(resources: Annotated[Resources, Depends(resources_of)]) -> Response:
    """Return this replica's metrics in Prometheus' text format."""
    await _look_at_outbox(resources)
    return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _look_at_outbox(resources: Resources) -> None:
    try:
        async with resources.engine.connect() as connection:
            rows = (await connection.execute(_OUTBOX)).all()
    except DatabaseError:  # the page must show the rest just then; readiness says what is wrong
        OUTBOX_MESSAGES.clear()
        OUTBOX_OLDEST.set(float("nan"))
        return
    found = {row.state: row for row in rows}
    for state in ("queued", "sending"):
        OUTBOX_MESSAGES.labels(state).set(found[state].messages if state in found else 0)
    OUTBOX_OLDEST.set(max((float(row.oldest) for row in rows), default=0.0))


class RequestMetrics:
    """ASGI middleware that measures each request by its route's template: a path would make a series for each message."""

    def __init__(self, app: "ASGIApp") -> None:
        self._app = app

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500

        async def send_and_note(message: "Message") -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        start = time.perf_counter()
        try:
            await self._app(scope, receive, send_and_note)
        finally:
            route = getattr(scope.get("route"), "path", None) or "unknown"
            HTTP_DURATION.labels(_method(scope["method"]), route, status).observe(time.perf_counter() - start)


def _method(method: str) -> str:
    return method if method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} else "other"


# Reads the small index of unfinished messages only.
_OUTBOX = text("""
    SELECT state, count(*) AS messages, EXTRACT(EPOCH FROM now() - min(created_at)) AS oldest
    FROM messages WHERE state IN ('queued', 'sending') GROUP BY state
""")
