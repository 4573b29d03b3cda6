"""A backup that is made while the stack serves, and goes back into it."""

import asyncio
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import asyncpg
import pytest

from tests.e2e import backups
from tests.e2e.backups import Kept
from tests.e2e.belongings import damage
from tests.e2e.data import Clients, assert_events_are_published
from tests.e2e.environment import Stack
from tests.e2e.refusals import assert_accepted

pytestmark = pytest.mark.backups

_RESTARTED = {"redis", "rabbitmq", "minio", "evolution-api", "app"}
"""Whose data is exchanged while they are stopped, and who uses data."""

_KNOCKS_SECONDS = 0.02


@contextmanager
def _knocking(clients: Clients) -> Iterator[None]:
    """Somebody else's program that is connected to the application's database, and comes again whenever it is sent away."""
    ended = threading.Event()

    async def knock() -> None:
        while not ended.is_set():
            with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError):
                connection = await clients.connect("POSTGRES")
                while not ended.is_set():
                    await connection.fetchval("SELECT 1")
                    await asyncio.sleep(_KNOCKS_SECONDS)

    thread = threading.Thread(target=lambda: asyncio.run(knock()))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_a_backup_is_made_while_the_stack_serves_and_tells_how_far_it_is(kept: Kept) -> None:
    assert kept.failures == [], f"the stack did not serve during the backup:\n{kept.ran.told}"
    begun, ended = kept.numbers
    assert ended > begun, "nothing was written during the backup, so it shows nothing"
    told = [line.split("  ")[1].strip() for line in kept.ran.output.splitlines() if re.match(r"^  \S.* \d+\.\d s$", line)]
    stores = ["rabbitmq", "db", "evolution_postgres", "redis", "evolution's instances", "minio", "verifying"]
    assert told == stores, f"not each step is told, with its time:\n{kept.ran.told}"
    kept.ran.assert_tells("not encrypted (no BACKUP_KEY)", f"backups/{kept.file.name}: ", "verified")
    assert kept.file.stat().st_mode & 0o777 == 0o600, "others may read the backup"
    queued = kept.live.messages
    assert queued == list(range(1, len(queued) + 1)), f"the backup lost messages of a queue, or changed their order: {queued}"


def test_without_a_yes_a_restore_says_what_it_would_do_and_does_nothing(stack: Stack, kept: Kept) -> None:
    before, clients = stack.picture(), Clients(stack, stack.credentials())
    asked = stack.make("restore", FILE=kept.file.name)  # by its name, as `make backups` lists it
    assert asked.code != 0, f"nobody said yes:\n{asked.told}"
    asked.assert_tells(f"backup of {stack.project} (stack {stack.name})", "This replaces all data", "Nothing was changed", "YES=1")
    assert stack.picture() == before, f"something was done:\n{asked.told}"
    kept.belongings.assert_there(clients)


def test_a_restore_brings_back_what_was_changed_and_restarts_just_who_has_to_be(stack: Stack, kept: Kept) -> None:
    credentials = stack.credentials()
    clients = Clients(stack, credentials)
    damage(clients)
    before, identities = stack.picture(), stack.identities()

    with _knocking(clients):
        restored = backups.restore(stack, kept.file)
    assert restored.code == 0, restored.told
    restored.assert_tells("comparing", "as in the backup", f"{stack.name} is up with the data of {kept.file.name}")
    kept.assert_restored(clients)
    after = stack.identities()
    assert {service for service in after if after[service] != identities[service]} == _RESTARTED, restored.told
    replaced = {service for service in after if after[service][0] != identities[service][0]}
    assert replaced == set(), f"containers were made anew: {replaced}"
    assert (stack.picture().volumes, stack.picture().networks) == (before.volumes, before.networks), "a restore leaves something behind"
    assert stack.credentials() == credentials
    assert_accepted(clients)
    assert_events_are_published(clients)
    assert "nothing to change" in stack.up().output, "the next `up` finds something to do"
