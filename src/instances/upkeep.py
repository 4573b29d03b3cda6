"""Sees to it, while the application runs, that what Evolution API has of its instances and what the application has agree."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from src.database import DatabaseError
from src.evolution import EvolutionError, InstanceUnknownError
from src.instances import store, webhooks
from src.resources import Resources

EVERY_SECONDS = 300.0
_FIRST_RETRY_SECONDS, _LONGEST_RETRY_SECONDS = 5.0, 60.0

_log = logging.getLogger("app.instances")


@asynccontextmanager
async def keeping_instances(resources: Resources) -> AsyncIterator[None]:
    """Do so at the start, as soon as Evolution API answers, and every few minutes; a background service.

    Each replica does: all do the same, and doing it twice changes nothing.
    """
    task = asyncio.create_task(_run(resources), name="upkeep of instances")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _run(resources: Resources) -> None:
    wait = retry = _FIRST_RETRY_SECONDS
    while True:
        try:
            await forget_gone(resources)
            await webhooks.settle_all(resources)
        except (EvolutionError, *DatabaseError) as error:
            _log.info("the instances' upkeep tries again soon", extra={"error": type(error).__name__})  # readiness says what is wrong
            wait, retry = retry, min(2 * retry, _LONGEST_RETRY_SECONDS)
        except Exception:  # noqa: BLE001  # logged with its trace
            _log.exception("the instances' upkeep goes on after an error")
            wait = EVERY_SECONDS
        else:
            wait, retry = EVERY_SECONDS, _FIRST_RETRY_SECONDS
        await asyncio.sleep(wait * random.uniform(0.9, 1.1))  # noqa: S311  # keeps replicas apart


async def forget_gone(resources: Resources) -> None:
    """Forget the instances that others have deleted without an event that told of it; their messages stay.

    One that isn't listed is asked for by its name, for it may have been made a moment ago.
    """
    known = await store.every(resources.engine)
    listed = {each.id for each in await resources.evolution.instances()}
    for row in known:
        if row["id"] in listed:
            continue
        try:
            await resources.evolution.state(row["name"])
        except InstanceUnknownError:
            await store.remove(resources.engine, row["name"], row["id"])
            _log.info("instance forgotten: Evolution API has it no more", extra={"instance": row["name"]})
        except EvolutionError:
            continue  # then it isn't certain
