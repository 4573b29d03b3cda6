"""A backup that goes into another, new stack: another name, other passwords, other names of users and databases."""

from pathlib import Path

import pytest

from tests.e2e import backups, moments
from tests.e2e.backups import Kept
from tests.e2e.data import Clients
from tests.e2e.environment import Stack

pytestmark = pytest.mark.backups

_USER, _DATABASES = "somebody", {"POSTGRES": "shop", "EVOLUTION_POSTGRES": "phones"}


@pytest.fixture
def other(second: Stack) -> Stack:
    """The second stack, with other names than the first, and with the key among its settings."""
    second.settings |= {"RABBITMQ_DEFAULT_USER": _USER, "MINIO_ROOT_USER": _USER, "BACKUP_KEY": backups.KEY}
    for prefix, name in _DATABASES.items():
        second.settings |= {f"{prefix}_USER": name, f"{prefix}_DB": name}
    second.write()
    return second


def test_an_encrypted_backup_fills_a_new_stack_even_when_killed_and_taken_down_in_its_midst(
    other: Stack, kept: Kept, encrypted: Path
) -> None:
    nothing = other.picture()
    refused = backups.restore(other, encrypted, KEY="another key")
    assert refused.code != 0, refused.told
    assert other.picture() == nothing, f"it was refused, and yet something was made:\n{refused.told}"

    # The key is that of the settings.
    run = other.copy.start(["make", "restore", f"STACK={other.name}", f"FILE={encrypted}", "YES=1"])
    run.wait_for(f"backup of {kept.stack.project} (stack {kept.stack.name})", 20)
    run.wait_for("bringing it up first", 20)
    run.wait_for("redis, rabbitmq and minio ready", 120)
    moments.kill(run)
    assert backups.unfinished(other)
    down = other.make("down")
    assert down.code == 0, down.told
    refused = other.fails("up")
    refused.assert_tells("was interrupted", "make restore FILE=...")
    assert other.containers() == [], f"services run on half of the data:\n{refused.told}"

    restored = backups.restore(other, encrypted)
    assert restored.code == 0, restored.told
    clients = Clients(other, other.credentials(), user=_USER, databases=_DATABASES)
    kept.assert_restored(clients)
    assert clients.evolution("GET", "/instance/fetchInstances").is_success, "Evolution API does not take the stack's own key"
    own, first = other.credentials(), kept.stack.credentials()
    assert all(own[name] != first[name] for name in own), "the new stack took over a password"
    assert not backups.unfinished(other)
    assert "nothing to change" in other.up().output
