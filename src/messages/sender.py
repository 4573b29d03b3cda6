"""Brings one claimed message to its end, or to its next attempt."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from src import metrics
from src.budget import ByteBudget
from src.database import DatabaseError
from src.evolution import EvolutionClient, EvolutionError, InstanceUnknownError, KeyRefusedError
from src.evolution.answers import SentMessage
from src.evolution.client import SEND_TIMEOUT_SECONDS
from src.evolution.errors import ConverterBrokeOffError, ConverterUnavailableError, EvolutionUnreachableError
from src.messages.accepted import Accepted, store_accepted, store_unrecorded
from src.messages.claims import BREAK_OFFS, Claim, Claims
from src.messages.classify import UNRECORDED, Action, MessageType, Pause, Problem, Verdict, gave_up, interrupted, judge, problem_of
from src.messages.lookup import find_accepted
from src.messages.pauses import Pauses, backoff

STORE_AGAIN_SECONDS = 0.5
"""Between attempts to store a result while the database is away."""

_SETTLE: dict[MessageType, float] = {"text": 2.0, "media": 10.0, "voice": 10.0}
"""Seconds in which Evolution, when it works at all, ends what it was at when its caller went away."""
_HELD_LOOK = timedelta(seconds=5)
"""Between two looks for what Evolution may be holding."""

_Result = TypeVar("_Result")
_log = logging.getLogger("app.outbox")


@dataclass
class Sender:
    """Sends claimed messages with one connection pool and one set of pauses.

    While Redis is away Evolution holds what it was asked to send, for as long as that takes; asking what became of it doesn't need Redis,
    and finds nothing. So what a sender left behind that is gone is only looked for, until one of two things shows that it is not held:
    Evolution has since taken another message of the same instance, which it was asked for later (its commands reach Redis in order), or
    the time is over that a living sender would have waited. The first shows nothing of media and voice: before Redis, Evolution fetches and
    uploads them, without a limit of time. A Redis that is away for longer can still double a message, as it can for the living.

    Attributes:
        held_seconds: that time.
    """

    engine: AsyncEngine
    evolution: EvolutionClient
    claims: Claims
    pauses: Pauses
    give_up_hours: float
    budget: ByteBudget
    settle: Callable[[MessageType], float] = _SETTLE.__getitem__
    held_seconds: float = SEND_TIMEOUT_SECONDS
    _sends_since: dict[str, datetime] = field(default_factory=dict)
    """By instance: when the last request began that Evolution answered by sending."""

    async def process(self, claim: Claim) -> None:
        """Send one message, or find out that it was sent, and store what became of it.

        Cancelled, it leaves the claim as it is: whether Evolution got the message is found out when the claim has run out.
        """
        if claim.unknown and await self._is_settled_by_looking(claim):
            return
        if claim.created_at + timedelta(hours=self.give_up_hours) < datetime.now(UTC):
            last = claim.problem.get("detail") if claim.problem else None
            await self._fail(claim, gave_up(self.give_up_hours, last))
            return
        await self._send(claim)

    async def _is_settled_by_looking(self, claim: Claim) -> bool:
        """Look for a message of unknown outcome; False: Evolution certainly doesn't have it, so it is to be sent again."""
        try:
            found = await self._look(claim)
            if found is None and claim.orphaned_at is not None:
                if self._may_be_held(claim, claim.orphaned_at):
                    await self._look_for_it_later(claim, claim.orphaned_at)
                    return True
                await asyncio.sleep(self.settle(claim.type))
                found = await self._look(claim)
        except EvolutionError as error:
            await self._cannot_look(claim, error)
            return True
        if found is not None:
            await self._accepted(claim, found, resent=False)
            return True
        if claim.last_code == UNRECORDED:
            await self._persist(lambda: store_unrecorded(self.engine, claim, claim.problem or {}))
            self._note(claim, UNRECORDED, "sent, but not recorded by Evolution API")
            return True
        return False

    async def _look(self, claim: Claim) -> Accepted | None:
        return await self._persist(lambda: find_accepted(self.engine, self.evolution, claim))

    def _may_be_held(self, claim: Claim, orphaned_at: datetime) -> bool:
        sends_since = self._sends_since.get(claim.instance)
        now = datetime.now(UTC)
        is_through = claim.type == "text" and sends_since is not None and orphaned_at < sends_since <= now
        return not is_through and now < orphaned_at + timedelta(seconds=self.held_seconds)

    async def _look_for_it_later(self, claim: Claim, orphaned_at: datetime) -> None:
        problem = claim.problem or interrupted().as_json(datetime.now(UTC))  # no attempt met it: its `times` stay
        await self._persist(lambda: self.claims.look_later(claim, problem, _HELD_LOOK, orphaned_at=orphaned_at))
        _log.debug("Evolution API may still be at it", extra={"message_id": str(claim.id), "instance": claim.instance})

    async def _cannot_look(self, claim: Claim, error: EvolutionError) -> None:
        if isinstance(error, InstanceUnknownError):
            await self._fail(claim, problem_of(error))
            return
        delay = backoff(claim.times + 1)
        if isinstance(error, (KeyRefusedError, EvolutionUnreachableError)):
            delay = max(delay, self.pauses.hold(None, time.monotonic()))
        problem = (claim.problem or interrupted().as_json(datetime.now(UTC))) | {"times": claim.times + 1}
        await self._persist(lambda: self.claims.look_later(claim, problem, delay, orphaned_at=claim.orphaned_at))
        self._note(claim, "cannot_look", f"can't ask Evolution API what became of a message: {error.fault.problem}", level=logging.WARNING)

    async def _send(self, claim: Claim) -> None:
        try:
            async with self.budget.spend(claim.payload_bytes):
                payload = await self._persist(lambda: self.claims.payload(claim))
                if payload is None:
                    self._note(claim, "claim_lost", "another sender has taken the message over")
                    return
                began = datetime.now(UTC)
                sent = await self._call(claim, payload)
                del payload
        except EvolutionError as error:
            await self._not_sent(claim, judge(claim.type, error))
            return
        self.pauses.release(None)
        self.pauses.release(claim.instance)
        self._sends_since[claim.instance] = began
        await self._accepted(claim, Accepted.of(sent), resent=claim.unknown)

    async def _call(self, claim: Claim, payload: dict[str, Any]) -> SentMessage:
        send = {"text": self.evolution.send_text, "media": self.evolution.send_media, "voice": self.evolution.send_voice}[claim.type]
        return await send(claim.instance, payload)

    async def _accepted(self, claim: Claim, accepted: Accepted, *, resent: bool) -> None:
        stored = await self._persist(lambda: store_accepted(self.engine, claim, accepted, resent=resent))
        if stored:
            metrics.POST_TO_SENT.observe(max(0.0, (datetime.now(UTC) - claim.created_at).total_seconds()))
            self._note(claim, "sent" if accepted.certain else "found_sent", "sent", evolution_id=accepted.evolution_id)
        elif accepted.certain:
            self._note(claim, "sent_twice", "Evolution API took a message that was finished already", level=logging.ERROR)
        else:
            problem = claim.problem or interrupted().as_json(datetime.now(UTC))
            await self._persist(lambda: self.claims.look_later(claim, problem, backoff(1), orphaned_at=claim.orphaned_at))

    async def _not_sent(self, claim: Claim, verdict: Verdict) -> None:
        times, noted = _counted(claim, verdict.problem.code)
        if verdict.action is Action.FAIL or (verdict.tries is not None and times >= verdict.tries):
            await self._fail(claim, verdict.problem, resent=claim.unknown)
            return
        delay = self._delay(claim, verdict.pause, times)
        problem = verdict.problem.as_json(datetime.now(UTC), times) | noted
        if verdict.action is Action.RETRY:
            await self._persist(lambda: self.claims.postpone(claim, problem, delay, resent=claim.unknown))
        else:
            # Who waited to the end has waited as long as Evolution may hold it; it may only be at its last steps.
            waited = datetime.now(UTC) - timedelta(seconds=self.held_seconds) if verdict.may_be_at_work else None
            await self._persist(lambda: self.claims.look_later(claim, problem, delay, orphaned_at=waited, resent=claim.unknown))
        self._note(claim, verdict.problem.code, verdict.problem.detail, level=logging.WARNING, retry_in=round(delay.total_seconds(), 1))

    def _delay(self, claim: Claim, pause: Pause, times: int) -> timedelta:
        if pause is Pause.NONE:
            return backoff(times)
        return self.pauses.hold(claim.instance if pause is Pause.INSTANCE else None, time.monotonic())

    async def _fail(self, claim: Claim, problem: Problem, *, resent: bool = False) -> None:
        await self._persist(lambda: self.claims.fail(claim, problem.as_json(datetime.now(UTC)), resent=resent))
        self._note(claim, problem.code, f"failed: {problem.detail}", level=logging.WARNING)

    @staticmethod
    async def _persist(store: Callable[[], Awaitable[_Result]]) -> _Result:
        """Do it as often as it takes for the database to be there; what Evolution has accepted must not be forgotten."""
        while True:
            try:
                return await store()
            except (IntegrityError, DataError):  # the same again would fail again
                raise
            except DatabaseError as error:
                _log.warning("the database is away, trying again: %s", type(error).__name__)
                await asyncio.sleep(STORE_AGAIN_SECONDS)

    @staticmethod
    def _note(claim: Claim, outcome: str, message: str, *, level: int = logging.INFO, **more: object) -> None:
        metrics.SEND_ATTEMPTS.labels(outcome).inc()
        extra = {"message_id": str(claim.id), "instance": claim.instance, "attempt": claim.attempts, "outcome": outcome, **more}
        _log.log(level, "%s", message, extra=extra)


def _counted(claim: Claim, code: str) -> tuple[int, dict[str, int]]:
    """Count how many attempts in a row have met a problem, and say what to note beside that number.

    A converter that a file kills is away for a while after it, so that the two problems take turns.
    """
    times = claim.times + 1 if claim.last_code == code else 1
    if code == ConverterBrokeOffError.code:
        times = claim.break_offs + 1
        return times, {BREAK_OFFS: times}
    return times, {BREAK_OFFS: claim.break_offs} if code == ConverterUnavailableError.code else {}
