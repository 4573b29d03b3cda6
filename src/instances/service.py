"""What callers want of instances, done through Evolution API and kept in the database."""

import asyncio
import contextlib
import logging
import math
import time
from dataclasses import dataclass

from sqlalchemy import RowMapping

from src import problems
from src.evolution import InstanceNotLoadedError, InstanceUnknownError, NameTakenError
from src.evolution.answers import Connection, InstanceState, InstanceSummary
from src.instances import store, webhooks
from src.problems import ProblemError
from src.resources import Resources

DELETION_WAIT_SECONDS = 5.0
_POLL_SECONDS = 0.1
PAIR_AGAIN_SECONDS = 30.0
"""How long an instance has, from when it began to pair, before it is told to begin anew."""

_log = logging.getLogger("app.instances")


@dataclass(frozen=True)
class Made:
    """An instance, and whether it was made or taken over from Evolution."""

    instance: RowMapping
    is_new: bool


async def make(resources: Resources, name: str, number: str | None) -> Made:
    """Make an instance, or take over one that Evolution has and the application doesn't know.

    Raises:
        ProblemError: both have it.
        EvolutionError: Evolution did not make it.
    """
    try:
        created = await resources.evolution.create_instance(name, number, webhooks.wanted(resources.settings))
    except NameTakenError:
        if await store.get(resources.engine, name):
            raise _exists(name) from None
        return Made(await _take_over(resources, name), is_new=False)
    row = await store.put(resources.engine, created.id, name, created.state, None, None)
    _log.info("instance made", extra={"instance": name})
    return Made(row, is_new=True)


async def _take_over(resources: Resources, name: str) -> RowMapping:
    found = await _summary(resources, name)
    await webhooks.settle(resources, name)
    row = await store.put(resources.engine, found.id, name, found.connection_status, found.phone, found.profile_name)
    _log.info("instance taken over from Evolution API", extra={"instance": name})
    return row


async def _summary(resources: Resources, name: str) -> InstanceSummary:
    for each in await resources.evolution.instances():
        if each.name == name:
            return each
    raise ProblemError(
        problems.INSTANCE_EXISTS,
        f"Evolution API has the name {name!r} in use, but lists no such instance: it is being made or removed at this moment.",
        "try again in a few seconds.",
    )


async def known(resources: Resources, name: str) -> RowMapping:
    """Return an instance that the application has.

    Raises:
        ProblemError: it has none of that name.
    """
    if row := await store.get(resources.engine, name):
        return row
    raise ProblemError(
        problems.INSTANCE_UNKNOWN,
        f"There is no instance {name!r}.",
        "create it, or take it over from Evolution API, by POST /instances.",
    )


async def state(resources: Resources, name: str) -> InstanceState:
    """Return how an instance is connected now, as Evolution says."""
    await known(resources, name)
    return await resources.evolution.state(name)


async def connect(resources: Resources, name: str, number: str | None) -> Connection:
    """Begin to pair an instance, or go on, and return its code; with the phone's number, one to type as well.

    Raises:
        ProblemError: it is connected, or there is no code yet.
    """
    await known(resources, name)
    connection = await _begin_or_go_on(resources, name, number)
    if connection and connection.state == "open":
        mend = "to pair another phone, log the instance out first: POST /instances/{name}/logout."
        raise ProblemError(problems.INSTANCE_OPEN, f"The instance {name!r} is connected; there is nothing to scan.", mend)
    if not connection or not connection.code or not connection.base64:
        raise ProblemError(
            problems.QR_NOT_READY,
            f"Evolution API has no QR code for the instance {name!r} yet.",
            "try again in a few seconds; if none ever comes, evolution-api can't reach WhatsApp, or CONFIG_SESSION_PHONE_VERSION is old: "
            "mend that, and end the attempts that go on with `make restart SERVICE=evolution-api`.",
        )
    return connection


async def _begin_or_go_on(resources: Resources, name: str, number: str | None) -> Connection | None:
    """Ask for the code; None while an instance that is still closed has begun to pair a moment ago.

    Each call for a closed one makes 2.2.3 start another client, and where WhatsApp can't be reached each of them reconnects for ever,
    many times a second. Callers that ask again and again must not add to that.
    """
    if await resources.evolution.state(name) == "close":
        now = time.monotonic()
        if now - resources.pairings.get(name, -math.inf) < PAIR_AGAIN_SECONDS:
            return None
        resources.pairings[name] = now
    return await resources.evolution.connect(name, number)


async def log_out(resources: Resources, name: str) -> None:
    """Unpair an instance's phone; the instance stays."""
    await known(resources, name)
    await resources.evolution.logout(name)
    resources.pairings.pop(name, None)
    _log.info("instance logged out", extra={"instance": name})


async def delete(resources: Resources, name: str) -> None:
    """Remove an instance from Evolution and from the application; its messages stay.

    One that Evolution doesn't have any more is just forgotten.
    """
    row = await known(resources, name)
    try:
        await resources.evolution.delete_instance(name)
        await _wait_until_gone(resources, name)
    except InstanceUnknownError:
        pass
    resources.pairings.pop(name, None)
    await store.remove(resources.engine, name, row["id"])
    _log.info("instance deleted", extra={"instance": name})


async def _wait_until_gone(resources: Resources, name: str) -> None:
    """Wait for Evolution, which answers before it is done: a new instance of the same name would find the old one.

    Raises:
        InstanceUnknownError: as soon as it is gone; nothing, if it takes too long.
    """
    for _ in range(int(DELETION_WAIT_SECONDS / _POLL_SECONDS)):
        with contextlib.suppress(InstanceNotLoadedError):  # it leaves Evolution's memory before its database
            await resources.evolution.state(name)
        await asyncio.sleep(_POLL_SECONDS)
    _log.warning("Evolution API has not removed the instance within %.0f s", DELETION_WAIT_SECONDS, extra={"instance": name})


def _exists(name: str) -> ProblemError:
    return ProblemError(problems.INSTANCE_EXISTS, f"The instance {name!r} exists already.", "use it, or choose another name.")
