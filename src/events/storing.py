"""From received bodies to rows: the part that RabbitMQ and the webhook have in common, and when to try again."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from asyncpg import exceptions as postgres
from sqlalchemy.ext.asyncio import AsyncEngine

from src import metrics
from src.database import DatabaseError
from src.events.apply import apply
from src.events.facts import Change, Event, Ignored, Mark
from src.events.outcome import Outcome

CATCH_UP = "catch_up"
"""The source of what Evolution was asked for; what came by itself has the name of its way."""

_log = logging.getLogger("app.events")

_KNOWN = frozenset(
    {"messages.upsert", "messages.update", "send.message", "connection.update", "qrcode.updated", "instance.create", "instance.delete"}
)


_SAID = {
    "received": (logging.INFO, "a message was received"),
    Mark.FAILED.state: (logging.INFO, "WhatsApp refused a message"),
}


@dataclass(frozen=True)
class Stored:
    """What became of an event; `reason` says why, when it is dead."""

    outcome: Outcome
    reason: str | None = None


async def store(engine: AsyncEngine, events: Sequence[Event], source: str) -> list[Stored]:
    """Store events in one transaction; when one of them can't be stored, ever, each in one of its own.

    Raises:
        src.database.DatabaseError: the database can't be used now; nothing is stored, and the same attempt may succeed later.
    """
    try:
        async with engine.begin() as connection:
            applied = await apply(connection, [each.fact for each in events])
    except Exception as error:
        if isinstance(error, DatabaseError) and not is_about_the_data(error):
            raise
        if len(events) == 1:
            # Not a database's own text: it repeats the content.
            _log.error(
                "an event can't be stored",
                exc_info=not isinstance(error, DatabaseError),
                extra={"event": label(events[0].name), "instance": events[0].fact.instance, "source": source, "error": _kind(error)},
            )
            count(source, events[0].name, Outcome.DEAD)
            return [Stored(Outcome.DEAD, f"can't be stored: {_kind(error)}")]
        return [stored for each in events for stored in await store(engine, [each], source)]
    for change in applied.changes:
        _tell(change, source)
    now = datetime.now(UTC)
    for event, outcome in zip(events, applied.outcomes, strict=True):
        count(source, event.name, outcome)
        if source != CATCH_UP:
            metrics.EVENT_LAG.labels(source).observe(max(0.0, (now - event.fact.heard_at).total_seconds()))
        if isinstance(event.fact, Ignored) and event.name == "qrcode.updated":
            _log.info(event.fact.why, extra={"instance": event.fact.instance})
    return [Stored(outcome) for outcome in applied.outcomes]


def _tell(change: Change, source: str) -> None:
    """Log what became of a message. Deliveries and readings come in the thousands, and the message tells of them itself."""
    level, said = _SAID.get(change.state, (logging.DEBUG, f"a message is {change.state}"))
    if change.state == Mark.FAILED.state:
        metrics.REFUSED_BY_WHATSAPP.inc()
    extra = {"message_id": change.message_id, "instance": change.instance, "evolution_id": change.evolution_id, "source": source}
    _log.log(level, said, extra=extra)


def count(source: str, name: str, outcome: Outcome) -> None:
    """Count an event by what became of it."""
    metrics.EVENTS.labels(source, label(name), outcome).inc()


def label(name: str) -> str:
    """Return an event's name for a metric: names that Evolution doesn't have must not make a series each."""
    return name if name in _KNOWN else "other"


def is_about_the_data(error: BaseException) -> bool:
    """Whether a statement failed because of what it was given, so that trying again is of no use.

    By the class of its SQLSTATE: 22 is data, 23 a constraint, 54 a limit such as an index's. Everything else, from a lost connection
    to a full disk or a missing table, is the database's and may be mended while the event waits.
    """
    return any(isinstance(cause, postgres.DataError) for cause in _causes(error)) or (_sqlstate(error) or "")[:2] in {"22", "23", "54"}


def _kind(error: BaseException) -> str:
    state = _sqlstate(error)
    return f"SQLSTATE {state}" if state else type(error).__name__


def _sqlstate(error: BaseException) -> str | None:
    return next((state for cause in _causes(error) if isinstance(state := getattr(cause, "sqlstate", None), str)), None)


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__
