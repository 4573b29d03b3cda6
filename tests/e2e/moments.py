"""Moments in the course of a command, at which it is killed or stopped."""

import asyncio
import contextlib
import os
import random
import signal
import time

import asyncpg

from tests.e2e.data import Clients
from tests.e2e.environment import Stack
from tests.e2e.project import Running

SEED = int(os.environ.get("E2E_SEED", random.randrange(1_000_000)))  # noqa: S311 - nothing depends on its being hard to guess
_random = random.Random(SEED)  # noqa: S311

SWAPPED = "datname LIKE 'restore.%.replaced'"
"""The first database has changed places with the one that was restored beside it."""

_SOON = 60


def begin(stack: Stack, target: str, said: str, **variables: str) -> Running:
    """Begin a command, and return when it has said a certain thing."""
    run = stack.copy.start(["make", target, f"STACK={stack.name}", *(f"{name}={value}" for name, value in variables.items())])
    try:
        run.wait_for(said, _SOON)
    except AssertionError:
        stop(run)
        raise
    return run


def wait_some(most: float, run: Running) -> bool:
    """Wait for a random time; whether the command is still at work."""
    seconds = _random.uniform(0, most)
    print(f"E2E_SEED={SEED}: after {seconds:.2f} s")  # noqa: T201 - pytest shows it with a failure
    time.sleep(seconds)
    return run.process.poll() is None


def wait_for_databases(clients: Clients, condition: str, run: Running) -> None:
    """Return as soon as a condition holds for one of the databases in `db`."""

    async def look() -> None:
        connection = await asyncpg.connect(
            host="127.0.0.1",
            port=int(clients.stack.settings["POSTGRES_PORT"]),
            user=clients.databases["POSTGRES"],
            password=clients.credentials["POSTGRES_PASSWORD"],
            database="postgres",  # to be in nobody's way
        )
        try:
            while not await connection.fetchval(f"SELECT count(*) FROM pg_database WHERE {condition}"):  # noqa: S608 - our own
                assert run.process.poll() is None, f"it ended before that:\n{run.told}"
        finally:
            await connection.close()

    asyncio.run(look())


def kill(run: Running) -> None:
    """End a command and everything that it started here, as a power cut does."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(run.process.pid, signal.SIGKILL)
    run.finish(15)


def stop(run: Running) -> None:
    """Press Ctrl-C, after which a command ends by itself."""
    with contextlib.suppress(ProcessLookupError):
        run.interrupt()
    ended = run.finish(90)
    assert "Traceback" not in ended.output, ended.told


END = {"killed": kill, "stopped": stop}
