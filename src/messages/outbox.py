"""The outbox: sends what is stored to be sent, in any number of processes at the same time."""

import asyncio
import contextlib
import logging
import math
import os
import socket
import time
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from src.background import STOP_LIMIT_SECONDS
from src.budget import ByteBudget
from src.database import DatabaseError, explain
from src.evolution.client import SEND_TIMEOUT_SECONDS
from src.messages.bell import CHANNEL
from src.messages.claims import Claim, Claims
from src.messages.classify import gave_up
from src.messages.pauses import Pauses
from src.messages.sender import Sender
from src.messages.slots import Slots
from src.resources import Resources

_CANCEL_SECONDS = 0.5
_log = logging.getLogger("app.outbox")


@dataclass(frozen=True)
class Tuning:
    """The outbox's times, in seconds, and how much memory the payloads that are being sent may take.

    Attributes:
        slow: what takes longer to send gives up its place to others.
        held: how long Evolution may hold what it was asked to send, as in `Sender`.
    """

    lease: float = 30.0
    slow: float = 10.0
    poll: float = 1.0
    between_claims: float = 0.02
    give_up_every: float = 60.0
    memory_bytes: int = 32 * 1024 * 1024
    held: float = SEND_TIMEOUT_SECONDS


def _run() -> str:
    """Tell this run of the container, or of the machine, from all others: by when its first process began, in ticks of the kernel's clock.

    Empty where that can't be known; then no two runs are told apart.
    """
    try:
        return Path("/proc/1/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


class Outbox:
    """A background service: while it is entered, it sends. Leaving it finishes what is in flight, for a bounded time."""

    def __init__(self, resources: Resources, tuning: Tuning = Tuning()) -> None:
        self._resources = resources
        self._tuning = tuning
        self._slots = Slots(resources.settings.outbox_concurrency, tuning.slow)
        owner = f"{socket.gethostname()}/{_run()}/{os.getpid()}/{uuid.uuid4().hex[:12]}"
        self._claims = Claims(resources.engine, owner, timedelta(seconds=tuning.lease))
        self._pauses = Pauses()
        hours = resources.settings.outbox_give_up_hours
        budget = ByteBudget(tuning.memory_bytes)
        self._sender = Sender(resources.engine, resources.evolution, self._claims, self._pauses, hours, budget, held_seconds=tuning.held)
        self._in_flight: dict[uuid.UUID, asyncio.Task[None]] = {}
        self._wake = resources.bell.rung
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        loops = (self._send_all, self._listen, self._renew, self._give_up)
        self._tasks = [asyncio.create_task(self._forever(loop), name=f"outbox {loop.__name__}") for loop in loops]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._stopping = True
        sending, *others = self._tasks
        self._wake.set()
        await asyncio.wait([sending], timeout=1)  # a claim that is being made is not left behind
        if self._in_flight:
            await asyncio.wait(self._in_flight.values(), timeout=STOP_LIMIT_SECONDS - 1 - _CANCEL_SECONDS)
        left = list(self._in_flight.values())
        for task in (sending, *others, *left):
            task.cancel()
        await asyncio.gather(sending, *others, *left, return_exceptions=True)
        _log.info("outbox stopped", extra={"left_in_flight": len(left)})

    async def _forever(self, loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a loop again when it fails: a database that is away, or a mistake, must not end the sending for good."""
        while not self._stopping:
            try:
                await loop()
            except DatabaseError as error:
                fault = explain(error, self._resources.settings)
                _log.warning("%s", fault.problem, extra={"state": fault.state})
                await asyncio.sleep(self._tuning.poll)
            except Exception:  # noqa: BLE001  # logged with its trace
                _log.exception("the outbox goes on after an error")
                await asyncio.sleep(self._tuning.poll)

    async def _send_all(self) -> None:
        while not self._stopping:
            self._wake.clear()
            now = time.monotonic()
            free = self._slots.free(now)
            paused_until = self._pauses.all_until(now)
            rest = self._tuning.between_claims
            if free > 0 and paused_until is None:
                left_alone = self._pauses.instances(now) + self._slots.crowded(now)
                claims = await self._claims.claim(free, left_alone, list(self._in_flight))
                for claim in claims:
                    self._start(claim)
                if len(claims) < free:  # a search through many chats that all wait must not be all that the database does
                    rest = max(rest, 2 * (time.monotonic() - now))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(self._tuning.poll, (paused_until or math.inf) - now)):
                    await self._wake.wait()
            # What becomes free within a moment is claimed together.
            await asyncio.sleep(now + rest - time.monotonic())

    def _start(self, claim: Claim) -> None:
        task = asyncio.create_task(self._process(claim), name=f"send {claim.id}")
        self._in_flight[claim.id] = task
        self._slots.take(claim.id, claim.instance, time.monotonic())
        task.add_done_callback(lambda _: self._finished(claim))

    async def _process(self, claim: Claim) -> None:
        try:
            await self._sender.process(claim)
        except Exception:  # noqa: BLE001  # logged with its trace
            _log.exception("a message's sending failed; it is looked after when its claim runs out", extra={"message_id": str(claim.id)})

    def _finished(self, claim: Claim) -> None:
        del self._in_flight[claim.id]
        self._slots.give_back(claim.id)
        self._wake.set()

    async def _listen(self) -> None:
        """Hear notifications on a connection of its own, until that breaks."""
        heard: asyncio.Queue[str | None] = asyncio.Queue()
        async with self._resources.engine.connect() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            try:
                driver.add_termination_listener(lambda _: heard.put_nowait(None))
                await driver.add_listener(CHANNEL, lambda _connection, _pid, _channel, payload: heard.put_nowait(payload))
                self._wake.set()  # what was notified before
                while (instance := await heard.get()) is not None:
                    await self._notified(instance)
            finally:
                await connection.invalidate()  # not for others: it listens

    async def _notified(self, instance: str) -> None:
        if instance:
            self._pauses.release(instance)
            await self._claims.resume(instance)
        self._wake.set()

    async def _renew(self) -> None:
        """Keep the claims of what is in flight, at once when the database is back after it was away."""
        while True:
            await self._claims.renew(list(self._in_flight))
            await asyncio.sleep(self._tuning.lease / 3)

    async def _give_up(self) -> None:
        hours = self._resources.settings.outbox_give_up_hours
        while True:
            ids = await self._claims.give_up(timedelta(hours=hours), lambda last: _gave_up(hours, last))
            for message_id in ids:
                _log.warning("failed: not sent in %s hours", hours, extra={"message_id": str(message_id), "outcome": "gave_up"})
            if not ids:
                await asyncio.sleep(self._tuning.give_up_every)


def _gave_up(hours: float, last: dict[str, Any] | None) -> dict[str, Any]:
    return gave_up(hours, last.get("detail") if last else None).as_json(datetime.now(UTC))
