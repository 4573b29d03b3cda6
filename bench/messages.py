"""Messages through the whole chain: how many a second, and how long one takes.

POST /messages, the outbox, Evolution API (the simulator), RabbitMQ, the worker, the stored delivery; with one replica of the application
and with three. BENCH_MESSAGES says how many (10000 unless given).
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

from bench.figures import Figure, median, percentile
from bench.traffic import Stack, Traffic
from bench.usage import used
from ops.console import say
from ops.errors import OperatorError
from ops.pulumi import run_quietly
from ops.session import open_session

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bench.usage import Reading

REPLICAS = (1, 3)
_COUNT_VARIABLE = "BENCH_MESSAGES"
_COUNT = 10_000
_MOST_SECONDS = 140
"""For all messages of one measurement; what isn't delivered by then is counted as late."""
_UNHURRIED_PER_SECOND = 10
_UNHURRIED_SECONDS = 15
_SETTINGS = ("EVOLUTION=simulator", "APP_MOUNT_SOURCE=false")
"""The simulator also where the real one could be had, and the application as in production, from its image."""


def measure(stack: str, settings: Mapping[str, str], bring_up: Callable[[str], None], look: Callable[[], Reading]) -> list[Figure]:
    """Measure a stack of this name.

    Args:
        stack: its name.
        settings: what its settings file has, for the ports.
        bring_up: writes more lines into that file and brings the stack up.
        look: reads what its containers use.
    """
    count = _count()
    figures: list[Figure] = []
    for replicas in REPLICAS:
        bring_up("\n".join((*_SETTINGS, f"APP_REPLICAS={replicas}")))
        say(f"measuring {count} messages with {replicas} app replica{'s' if replicas > 1 else ''}, {_MOST_SECONDS} s at most")
        figures += asyncio.run(_measured(_places(stack, settings, replicas), replicas, count, look))
    return figures


def _count() -> int:
    """How many messages are asked for.

    Raises:
        OperatorError: that's no number of messages.
    """
    given = os.environ.get(_COUNT_VARIABLE) or str(_COUNT)
    if not given.isdecimal() or int(given) < 1:
        raise OperatorError(f"{_COUNT_VARIABLE}={given} is no number of messages.", mend=f"Give one: make bench {_COUNT_VARIABLE}=500")
    return int(given)


def _places(stack: str, settings: Mapping[str, str], replicas: int) -> Stack:
    shown = run_quietly(open_session(stack), ["stack", "output", "credentials", "--show-secrets", "--json", "--non-interactive"])
    credentials = json.loads(shown[shown.index("{") :])
    first = int(settings["APP_PORT"])
    return Stack(
        apps=tuple(f"http://127.0.0.1:{port}" for port in range(first, first + replicas)),
        evolution=f"http://127.0.0.1:{settings['EVOLUTION_PORT']}",
        evolution_key=credentials["AUTHENTICATION_API_KEY"],
        database=f"postgresql://app:{quote(credentials['POSTGRES_PASSWORD'], safe='')}@127.0.0.1:{settings['POSTGRES_PORT']}/app",
    )


async def _measured(stack: Stack, replicas: int, count: int, look: Callable[[], Reading]) -> list[Figure]:
    of = f"with {replicas} replica{'s' if replicas > 1 else ''}"
    unhurried = await _unhurried(stack, f"bench-unhurried-{replicas}")
    traffic = Traffic(stack, f"bench-{replicas}")
    await traffic.pair()
    before, begun = look(), time.monotonic()
    await _deliver(traffic, count)
    seconds = time.monotonic() - begun
    after = look()
    stored = await traffic.in_app()
    waited = [(each.delivered_at - each.created_at).total_seconds() * 1000 for each in stored if each.delivered_at]
    tally = await traffic.counted()
    queued: tuple[str, ...] = ()
    if waited:
        queued = (f"send to delivered, all sent at once: median {median(waited):.0f} ms, p99 {percentile(waited, 99):.0f} ms",)
    return [
        Figure(f"messages through the chain, {of}", len(waited) / seconds, "messages/s", None, queued),
        *_latency(unhurried, of),
        *used(f"under this load, {of}", before, after),
        *(
            Figure(f"of {count} {what}, {of}", len(texts), "messages", 0)
            for what, texts in (("lost", tally.lost), ("doubled", tally.doubled), (f"not delivered after {_MOST_SECONDS} s", tally.late))
        ),
    ]


async def _deliver(traffic: Traffic, count: int) -> None:
    """Send messages and wait for their delivery, for as long as a measurement may take."""
    texts, begun = traffic.more(count), time.monotonic()
    try:
        async with asyncio.timeout(_MOST_SECONDS):
            await traffic.post(texts)
    except TimeoutError:
        say(f"only {len(traffic.accepted)} of {len(texts)} messages were taken in {_MOST_SECONDS} s")
    await traffic.until_delivered(_MOST_SECONDS - (time.monotonic() - begun))


async def _unhurried(stack: Stack, instance: str) -> list[float]:
    """Milliseconds from the request to the stored delivery, as a client sees it, at a pace that leaves no queue."""
    traffic = Traffic(stack, instance)
    await traffic.pair()
    took: list[float] = []
    texts = traffic.more(_UNHURRIED_PER_SECOND * _UNHURRIED_SECONDS)
    posting = asyncio.create_task(traffic.post(texts, per_second=_UNHURRIED_PER_SECOND))
    await traffic.until_delivered(_UNHURRIED_SECONDS * 3, lambda text, at: took.append((at - traffic.posted[text]) * 1000), every=0.005)
    await posting
    return took


def _latency(took: list[float], of: str) -> list[Figure]:
    if not took:
        return []
    pace = f"at {_UNHURRIED_PER_SECOND}/s"
    return [
        Figure(f"send to stored event {pace}, median, {of}", median(took), "ms"),
        Figure(f"send to stored event {pace}, p99, {of}", percentile(took, 99), "ms"),
    ]
