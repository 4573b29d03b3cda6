"""The gate: passes when a container is ready, and says why when it can't become so.

It runs the probe itself, through the engine, so a start takes as long as the service needs and not as long as the engine's calm
interval of health checks; and it runs at every `up`, so a stack that isn't healthy never reports success. It mends what a start can mend:
a container that was stopped, paused or is caught in a crash loop is started once more; one whose dependency started after it is restarted,
unless its probe knows that it is connected, and so is one that ran before, and doesn't answer any more, and one whose probe says that
nothing else helps.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from stack.engine import ContainerState, Engine, EngineError, ProbeResult
from stack.spec import Probe
from stack.vocabulary import SETTING_PREFIXES, ServiceName

_POLL_SECONDS = 0.2
_LOG_LINES = 20
_CANNOT_RUN = {126, 127}
"""Exit codes of a program that the image does not have: such a precondition tells nothing."""
_UNHEALTHY_FAILURES = 3
"""Probes that must fail, of a container that the engine calls unhealthy, before the gate believes it."""
_PATIENCE = 5
"""Seconds for which a container may go on to fail before it is restarted: what it needs may be just back, or a connection just be made."""
_LAST_WORDS = {
    "No space left on device": "the volume, or the engine's disk, is full: make room (`docker system df` shows what takes it)",
    "Cannot allocate memory": "it needs more memory: raise its ..._MEMORY_MB setting",
}
"""What log lines say of the cause, and what removes it."""


_BETWEEN_CHECKS = timedelta(seconds=45)
"""More than passes between two of the engine's health checks of a service that needs others."""


class NotReadyError(Exception):
    """A container can't become ready, or did not within its limit; the message names service, cause and mend."""


@dataclass(frozen=True)
class Passed:
    """How a container passed its gate.

    Attributes:
        found_out: whether that it is ready had to be found out; else the engine knew.
        was_away: whether it was not ready a moment ago, or not known to be: what the engine knows of those who need it may be of before.
    """

    found_out: bool = False
    was_away: bool = False


@dataclass(frozen=True)
class Gate:
    """What one container must pass.

    Attributes:
        engine: where it runs.
        project: its Compose project, whose other services are named when it fails.
        service: its service.
        probe: how to tell that it is ready.
        grace_seconds: how long a restart lets it end in peace.
        tell: says to the user what is done to it, and why.
    """

    engine: Engine
    project: str
    service: ServiceName
    probe: Probe
    grace_seconds: int
    tell: Callable[[str], None]

    async def wait(self, container_id: str, restarts_with: Mapping[ServiceName, str], *, is_news: bool = False) -> Passed:
        """Return when the container is ready.

        Args:
            container_id: the container.
            restarts_with: containers to which this one can't reconnect: it must have started after them.
            is_news: something that it needs was away, so what the engine knows of its health is of before.

        Raises:
            NotReadyError: it can't become ready, or did not within the probe's limit.
        """
        begin = time.monotonic()
        before = await self._state(container_id)
        if await self._mend(container_id, before, restarts_with):
            before = await self._state(container_id)
        elif before.health == "healthy" and not before.failing and not is_news:
            return Passed()  # the engine knows already: a no-op `up` costs one look
        failures, restarted, was_away = 0, False, before.started is None or before.started > self.engine.connected - _BETWEEN_CHECKS
        stuck_since: float | None = None
        while True:
            asked = time.monotonic()
            last = await self._try(container_id, before)
            if last.exit_code == 0:
                return Passed(found_out=True, was_away=was_away)
            failures, was_away = failures + 1, True
            now = await self._state(container_id)
            if not restarted and was_stopped(before, now):
                await self._mend(container_id, now, restarts_with)
                before, failures, restarted = await self._state(container_id), 0, True
                continue
            why = None if restarted else self._why_restart(before, now, last)
            stuck_since = None if why is None else stuck_since or asked
            if why and stuck_since and time.monotonic() - stuck_since > _PATIENCE:
                await self._restart(container_id, why)
                before, failures, restarted, begin = await self._state(container_id), 0, True, time.monotonic()
                continue
            cause = None if why else self._why_hopeless(before, now, failures, last)
            if cause is None and time.monotonic() - begin > self.probe.limit:
                cause = f"is {now.in_words}, and was not ready within its limit of {self.probe.limit} s"
            if cause is not None:
                raise NotReadyError(await self._report(container_id, cause, last))
            await asyncio.sleep(_POLL_SECONDS)

    async def restart(self, container_id: str) -> None:
        """Restart the container; that it is ready again is for `wait` to see.

        Raises:
            NotReadyError: the engine can't.
        """
        try:
            await asyncio.to_thread(self.engine.restart, container_id, self.grace_seconds)
        except EngineError as error:
            raise NotReadyError(await self._report(container_id, f"can't be restarted: {error}", None)) from error

    def _why_restart(self, before: ContainerState, now: ContainerState, last: ProbeResult) -> str | None:
        """Why a restart is all that helps a container whose probe just failed; None when it may become ready without, or won't with it."""
        if last.exit_code == self.probe.restart_exit_code:
            return _in_short(last)
        # One that this `up` neither made nor started, and whose health checks fail, may hang.
        ran_before = before.started is not None and before.started < self.engine.connected
        fails = now.status == "running" and now.restarts == before.restarts and now.failing > 0
        if ran_before and fails and last.exit_code != self.probe.refused_exit_code:
            return f"it was running, but unhealthy ({_in_short(last)})"
        return None

    def _why_hopeless(self, before: ContainerState, now: ContainerState, failures: int, last: ProbeResult) -> str | None:
        if last.exit_code == self.probe.refused_exit_code:
            return "is running, but its credentials are refused, and waiting won't change that"
        return hopeless(before, now, failures)

    async def _state(self, container_id: str) -> ContainerState:
        return await asyncio.to_thread(self.engine.state, container_id)

    async def _mend(self, container_id: str, state: ContainerState, restarts_with: Mapping[ServiceName, str]) -> bool:
        """Start or restart the container where that is all it needs; whether it was."""
        if state.status == "gone":
            return False
        try:
            if state.status != "running":
                await asyncio.to_thread(self.engine.start, container_id)
                return True
        except EngineError as error:
            raise NotReadyError(await self._report(container_id, f"can't be started: {error}", None)) from error
        for dependency, dependency_id in restarts_with.items():
            other = await self._state(dependency_id)
            later = other.started and state.started and other.started > state.started
            if later and not await self._is_connected(container_id, state):
                await self._restart(container_id, f"{dependency} started after it, and it would not reconnect")
                return True
        return False

    async def _is_connected(self, container_id: str, state: ContainerState) -> bool:
        """Whether its probe, which would tell, finds nothing wrong: after a reboot the service may have waited for the other itself."""
        return self.probe.restart_exit_code is not None and (await self._try(container_id, state)).exit_code == 0

    async def _restart(self, container_id: str, why: str) -> None:
        self.tell(f"{self.service} is restarted: {why}")
        await self.restart(container_id)

    async def _try(self, container_id: str, state: ContainerState) -> ProbeResult:
        if self.probe.precondition:
            cheap = await asyncio.to_thread(self.engine.probe, container_id, ("CMD", *self.probe.precondition), self.probe.timeout)
            # One that ran before this `up` was probed by the `up` that started it; until the engine's own verdict the cheap check will do.
            probed_before = state.health == "starting" and state.started is not None and state.started < self.engine.connected
            if cheap.exit_code not in {0, *_CANNOT_RUN} or (cheap.exit_code == 0 and probed_before):
                return cheap
        return await asyncio.to_thread(self.engine.probe, container_id, self.probe.test, self.probe.timeout)

    async def _report(self, container_id: str, cause: str, last: ProbeResult | None) -> str:
        state = await self._state(container_id)
        logs = await asyncio.to_thread(self.engine.logs, container_id, _LOG_LINES)
        states = await asyncio.to_thread(self.engine.states, self.project)
        return report(self.service, state, cause, last, logs, states)


def was_stopped(before: ContainerState, now: ContainerState) -> bool:
    """Whether a container that ran has ended on request since: as when a run was killed that had asked the engine to stop it.

    One that ends by itself is started again by the engine, and is never merely exited.
    """
    return before.status == "running" and now.status == "exited" and now.exit_code == 0 and not now.out_of_memory


def hopeless(before: ContainerState, now: ContainerState, failures: int) -> str | None:
    """Why a container can't become ready any more; None while it may.

    Args:
        before: its state when the gate began to look.
        now: its state after the last probe failed.
        failures: probes that failed since.
    """
    if now.status == "gone":
        return "is gone: its container was removed"
    if now.out_of_memory and (now.status != "running" or now.restarts > before.restarts):
        return f"was killed for lack of memory ({now.in_words})"
    if now.status not in {"running", "created"}:
        return f"does not stay up: it is {now.in_words}"
    if now.restarts > before.restarts:
        return f"does not stay up: it ended and was started again {now.restarts - before.restarts} times"
    if now.health == "unhealthy" and failures >= _UNHEALTHY_FAILURES:
        return "is running, but unhealthy"
    return None


def report(
    service: ServiceName,
    state: ContainerState,
    cause: str,
    last: ProbeResult | None,
    logs: Sequence[str],
    states: Sequence[ContainerState],
) -> str:
    """The message of a gate that failed: service and cause, last probe, last log lines, the other services, the mend."""
    lines = [f"{service} {cause}."]
    if state.error and state.error not in cause:
        lines.append(f"The engine says: {state.error}")
    if last is not None and last.output:
        lines += ["Its last probe said:", *(f"    {line}" for line in last.output.splitlines()[-_LOG_LINES:])]
    lines += [f"Its last {len(logs)} log lines:", *(f"    {line}" for line in logs)] if logs else ["It logged nothing."]
    others = [other for other in states if other.name != state.name]
    if others:
        lines += ["The other services:", *(f"    {other.service}: {other.in_words}" for other in others)]
    lines.append(_mend(service, state, logs))
    return "\n".join(lines)


def _in_short(probe: ProbeResult) -> str:
    return probe.output.splitlines()[-1][:200] if probe.output else f"its probe ends with {probe.exit_code}"


def _mend(service: ServiceName, state: ContainerState, logs: Sequence[str]) -> str:
    if state.out_of_memory:
        return f"To mend it: raise {SETTING_PREFIXES[service]}_MEMORY_MB in the settings, then run `make up` again."
    for words, known in _LAST_WORDS.items():
        if any(words in line for line in logs):
            return f"To mend it: {known}; then run `make up` again. Nothing else needs cleaning up."
    return (
        f"To mend it: `make logs SERVICE={service}` shows more; remove the cause, then run `make up` again. Nothing else needs cleaning up."
    )
