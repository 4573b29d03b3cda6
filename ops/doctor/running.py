"""How the running environment is: health, restarts, ends, log lines, and whether each credential works for those who use it."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from ops.doctor.credentials import credentials
from ops.doctor.findings import Finding, bad, good, warning
from ops.doctor.instances import instances
from ops.doctor.trouble import signs_in
from ops.status import Status, look
from stack.engine import run_probe
from stack.vocabulary import REDIS_DATA_SHARE, SETTING_PREFIXES, ServiceName

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker import DockerClient

_LOG_SECONDS = 600
_LOG_LINES = 2000
_NEARLY_FULL = 0.9
_SECONDS_TO_ANSWER = 10
_LOG_IN = (ServiceName.APP, ServiceName.EVOLUTION_API)
_TO_THE_SECOND = len("2026-11-22T13:00:00")


def running(client: DockerClient, stack: str) -> Iterator[Finding]:
    """Look at every container of the stack.

    Raises:
        NotUpError: there are none.
    """
    seen = look(client, stack)
    with ThreadPoolExecutor(max_workers=len(seen) + 3) as pool:
        # These wait for answers, and a service that hangs gives none.
        asked = [pool.submit(list, ask(client, seen)) for ask in (credentials, instances, _application)]
        logged_in = max((each.since for each in seen if each.service in _LOG_IN), default="")
        for each, lines in zip(seen, pool.map(lambda each: _log(client, each), seen), strict=True):
            yield from condition(each)
            yield from log(each, lines, logged_in)
        for answers in asked:
            yield from answers.result()


def condition(seen: Status) -> Iterator[Finding]:
    """State, health, restarts and memory of one container."""
    subject, name = seen.container, seen.service
    see = f"make logs SERVICE={name}"
    if seen.state != "running":
        ended = f"exit code {seen.exit_code}{', out of memory' if seen.out_of_memory else ''}"
        yield bad(subject, f"{seen.state} ({ended})", f"`make up` starts it; {see}")
    elif seen.failing or seen.health == "unhealthy":
        said = f": {seen.last_check}" if seen.last_check else ""
        if seen.health == "unhealthy":
            yield bad(subject, f"runs, but its health check fails{said}", f"`make up` restarts it; {see}")
        else:
            yield warning(subject, f"runs, but its last health check failed{said}", f"`make up` restarts it when it goes on so; {see}")
    else:
        yield good(subject, f"runs{f', {seen.health}' if seen.health else ''}")
    memory = f"raise its memory limit ({SETTING_PREFIXES[ServiceName(name)]}_MEMORY_MB)"
    if seen.restarts:
        why = "for lack of memory" if seen.out_of_memory else "by itself"
        yield warning(subject, f"ended {why} and was restarted {seen.restarts} times", f"{memory}; {see}" if seen.out_of_memory else see)
    usable = seen.memory_limit_mib * (REDIS_DATA_SHARE if name == ServiceName.REDIS else 1)
    if seen.memory_mib is not None and usable and seen.memory_mib > _NEARLY_FULL * usable:
        yield warning(subject, f"uses {seen.memory_mib:.0f} of {usable:.0f} MiB", memory)


def log(seen: Status, lines: list[str], logged_in: str) -> Iterator[Finding]:
    """What the last lines of one container mean.

    Args:
        seen: the container.
        lines: of its log, each with its moment in front, as the engine gives them.
        logged_in: when the last of those was started who log in with passwords of the stack.
    """
    told = [line.partition(" ") for line in lines]
    texts = [text for _, _, text in told]
    later = [text for moment, _, text in told if moment[:_TO_THE_SECOND] > logged_in[:_TO_THE_SECOND]]
    for sign, count in signs_in(seen.service, texts, later):
        example = next(text for text in reversed(texts) if sign.pattern.search(text)).strip()[:160]
        yield warning(seen.container, f"{sign.meaning} ({count} lines in {_LOG_SECONDS // 60} minutes, as in: {example})", sign.mend)


def _log(client: DockerClient, seen: Status) -> list[str]:
    raw: bytes = client.api.logs(seen.container, tail=_LOG_LINES, since=int(time.time()) - _LOG_SECONDS, timestamps=True)
    return raw.decode(errors="replace").splitlines()


def _application(client: DockerClient, seen: list[Status]) -> Iterator[Finding]:
    """What the application says of what it needs: its database, RabbitMQ, Evolution API and the key for it."""
    for each in seen:
        if each.service != ServiceName.APP or each.state != "running":
            continue
        told = run_probe(client.api, each.container, ("CMD", "python", "-m", "src.healthcheck"), _SECONDS_TO_ANSWER).output
        try:
            dependencies: dict[str, dict[str, Any]] = json.loads(told)["dependencies"]
        except (ValueError, KeyError):
            yield bad(each.container, f"its readiness can't be read: {told[:200]}", "make logs SERVICE=app")
            continue
        for name, state in dependencies.items():
            if state.get("state") != "ok":
                yield bad(each.container, f"{name}: {state.get('problem')}", str(state.get("mend")))
            else:
                yield good(each.container, f"{name} can be used")
