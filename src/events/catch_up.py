"""Fetches from Evolution API what no event brought.

Evolution 2.2.3 never reconnects to a broker that it lost, and drops events without a word; but it stores messages in its own database,
where they can be asked for. So that is done again and again, for the time since the last look.
"""

import asyncio
import logging
import random
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Protocol, Self

from sqlalchemy import text

from src import metrics
from src.database import DatabaseError
from src.events.looking import look_at
from src.events.lost_marks import LostMarks
from src.evolution import EvolutionError, InstanceUnknownError
from src.evolution.answers import InstanceSummary
from src.faults import Fault, State
from src.resources import Resources
from src.settings import EventsVia

NOTE = "events"
"""The name under which readiness shows that events are missing; the application can work on, so it stays ready."""

INTERVAL_SECONDS = 30.0
_MISSED_AFTER = timedelta(seconds=30)
"""An event that takes longer, with none waiting in the broker, does not come any more. What is younger is left for the next look, so that
each message that comes without an event is noticed as one."""
_SETTLE_SECONDS = 1.0
_RETRY_SECONDS = 10.0
_HOUSEKEEPING = timedelta(minutes=10)

_log = logging.getLogger("app.events")


class Deliveries(Protocol):
    """The way on which events come."""

    @property
    def heard_at(self) -> datetime | None:
        """When the last event of a message came."""

    async def backlog(self) -> int | None:
        """Return how many events are still to come; None when that can't be known."""


class CatchUp:
    """A background service: while it is entered, it looks twice a minute, and at once when something may have been missed."""

    def __init__(self, resources: Resources, deliveries: Deliveries | None) -> None:
        """`deliveries` is None where events come as webhooks alone."""
        self._resources = resources
        self._deliveries = deliveries
        self._lost_marks = LostMarks(resources)
        self._hurry = asyncio.Event()
        self._loud_after = datetime.min.replace(tzinfo=UTC)
        self._noted_at: datetime | None = None
        self._cleaned_at: datetime | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self.hurry()
        self._task = asyncio.create_task(self._run(), name="catch-up")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._task is not None:
            self._task.cancel()  # what is half done is done again by whoever looks next
            await asyncio.gather(self._task, return_exceptions=True)

    def hurry(self, instance: str | None = None) -> None:
        """Look at once: because an instance has just connected, or because events may have come to nobody until now."""
        if instance is None:
            self._loud_after = datetime.now(UTC)
            self._lost_marks.doubt()
        self._hurry.set()

    async def _run(self) -> None:
        wait = INTERVAL_SECONDS
        hurried = False
        while True:
            hurried |= await self._hurried_within(wait * random.uniform(0.9, 1.1))  # noqa: S311  # keeps replicas apart
            wait = INTERVAL_SECONDS
            try:
                await self.look(quiet=hurried, in_turn=not hurried)
                hurried = False
                await self._clean_up()
            except (EvolutionError, *DatabaseError) as error:
                _log.info("catch-up tries again soon", extra={"error": type(error).__name__})  # readiness says what is wrong
                wait = _RETRY_SECONDS
            except Exception:  # noqa: BLE001  # logged with its trace
                _log.exception("catch-up goes on after an error")

    async def _hurried_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._hurry.wait()
        except TimeoutError:
            return False
        await asyncio.sleep(_SETTLE_SECONDS)  # several reasons to hurry come together
        self._hurry.clear()
        return True

    async def look(self, *, quiet: bool = False, in_turn: bool = False) -> int:
        """Look once at all instances, and return how many messages were found that should have come as events.

        While events wait in the broker nothing is looked for: they are about to come.

        Args:
            quiet: take the youngest messages too, and call none missed: perhaps the application itself was away.
            in_turn: leave out the instances that another replica has just looked at.
        """
        if not quiet and self._deliveries is not None and await self._deliveries.backlog():
            return 0
        now = datetime.now(UTC)
        until, loud_after = (now, now) if quiet else (now - _MISSED_AFTER, self._loud_after)
        instances = await self._resources.evolution.instances()
        self._lost_marks.begin((each.name for each in instances), now)
        missed = 0
        for instance in instances:
            try:
                missed += await self._look_at(instance, until, loud_after=loud_after, in_turn=in_turn)
            except InstanceUnknownError:
                continue  # deleted meanwhile
            except EvolutionError as error:  # perhaps of this instance alone
                _log.warning("catch-up could not look at an instance: %s", error.fault.problem, extra={"instance": instance.name})
        if not quiet:
            self._note(missed)
        return missed

    async def _look_at(self, instance: InstanceSummary, until: datetime, *, loud_after: datetime, in_turn: bool) -> int:
        looked = await look_at(self._resources, instance, until, loud_after=loud_after, in_turn=in_turn)
        if looked.has_more:
            self._hurry.set()
        await self._lost_marks.go_on(instance.name)
        return looked.missed

    def _note(self, missed: int) -> None:
        """Say that events are missing, until one comes again."""
        now = datetime.now(UTC)
        by_webhook = self._deliveries is None or self._resources.settings.events_via is EventsVia.WEBHOOK
        if missed:
            metrics.CATCH_UP_FOUND.inc(missed)
            fault = _not_delivered(missed) if by_webhook else _lost(missed)
            _log.warning("%s To mend it: %s", fault.problem, fault.mend, extra={"missed": missed})
            self._noted_at = now
            self._resources.faults[NOTE] = fault
            self._lost_marks.doubt()
        elif self._noted_at is not None:
            heard_at = now if by_webhook or self._deliveries is None else self._deliveries.heard_at
            if heard_at is not None and heard_at > self._noted_at:
                self._noted_at = None
                self._resources.faults[NOTE] = None
                self._lost_marks.doubt()
        metrics.EVENTS_LOST.set(self._noted_at is not None)

    async def _clean_up(self) -> None:
        """Forget what is kept for a time only."""
        now = datetime.now(UTC)
        if self._cleaned_at is not None and now - self._cleaned_at < _HOUSEKEEPING:
            return
        async with self._resources.engine.begin() as connection:
            await connection.execute(_FORGET_RECEIPTS)
            await connection.execute(_FORGET_CHANGES)
        self._cleaned_at = now


def _lost(missed: int) -> Fault:
    return Fault(
        State.UNREACHABLE,
        f"Evolution API has lost its connection to RabbitMQ: {missed} message(s) came without an event and were fetched from it.",
        "it is started again after a minute, and connects then; at once by `make restart SERVICE=evolution-api`. If this stays, see that "
        "RABBITMQ_EVENTS_MESSAGES_UPSERT, RABBITMQ_EVENTS_MESSAGES_UPDATE and RABBITMQ_EVENTS_SEND_MESSAGE are on.",
    )


def _not_delivered(missed: int) -> Fault:
    return Fault(
        State.UNREACHABLE,
        f"Evolution API's webhooks don't arrive: {missed} message(s) came neither by one nor through RabbitMQ, and were fetched from it.",
        "see that the instance's webhook leads to the application (GET /webhook/find/<instance> at Evolution API; one that leads elsewhere "
        "is left alone), and what evolution-api logs about it.",
    )


_FORGET_RECEIPTS = text("DELETE FROM receipts WHERE created_at < now() - interval '7 days'")
_FORGET_CHANGES = text("""
    DELETE FROM connection_changes USING (
        SELECT id, row_number() OVER (PARTITION BY instance ORDER BY at DESC, id DESC) AS age FROM connection_changes
    ) AS ranked
    WHERE ranked.id = connection_changes.id AND ranked.age > 1000
""")
