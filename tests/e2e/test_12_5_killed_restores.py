"""Restores that are killed or stopped, also at random moments: the stack is as it was, or is known to be neither that nor restored."""

import pytest

from tests.e2e import backups, moments
from tests.e2e.backups import Kept
from tests.e2e.belongings import Belongings, damage
from tests.e2e.data import Clients
from tests.e2e.environment import Stack, eventually
from tests.e2e.project import Running

pytestmark = pytest.mark.backups

_STAGED = "evolution_postgres "
"""What a restore says when it is about to change what is there."""

_SECONDS = 8
"""From then until it is too late to go back, on a quick machine."""


@pytest.fixture(scope="module")
def damaged(shared: Stack, kept: Kept) -> Belongings:
    """What the shared stack has after much was changed: other data than the backup."""
    shared.settle()
    clients = Clients(shared, shared.credentials())
    damage(clients)
    seen = Belongings.see(clients)
    assert seen.found != kept.belongings.found
    return seen


def _begin(stack: Stack, kept: Kept, said: str) -> Running:
    return moments.begin(stack, "restore", said, FILE=str(kept.file), YES="1")


def _assert_as_it_was(stack: Stack, damaged: Belongings, run: Running) -> None:
    """See that a stack has the data that it had, and works with it, without anybody's help."""
    clients = Clients(stack, stack.credentials())
    assert not backups.unfinished(stack), f"it is marked as unfinished:\n{run.told}"
    eventually(20, lambda: stack.readiness().is_success, "the application is ready")
    damaged.assert_there(clients)
    stack.assert_works()


def _assert_unfinished(stack: Stack, run: Running) -> None:
    """See that nobody takes a stack for whole."""
    assert backups.unfinished(stack), f"it is not marked:\n{run.told}"
    before = stack.picture()
    for target in ("up", "backup", "restart"):
        refused = stack.fails(target)
        refused.assert_tells(f"A restore of stack {stack.name} was interrupted", f"make restore FILE=... STACK={stack.name}")
        refused.assert_soon()
    assert stack.picture() == before, "a service was started on data that is not whole"


@pytest.mark.parametrize("end", moments.END)
def test_a_restore_that_ends_before_it_touches_anything_leaves_the_stack_as_it_was(
    stack: Stack, kept: Kept, damaged: Belongings, end: str
) -> None:
    before = stack.picture()
    run = _begin(stack, kept, "This replaces all data")
    assert moments.wait_some(0.7, run), run.told
    moments.END[end](run)
    assert stack.picture() == before, f"something was touched:\n{run.told}"
    stack.up()
    _assert_as_it_was(stack, damaged, run)


@pytest.mark.parametrize("moment", ["at any time", "while the databases change places"])
def test_a_restore_that_was_stopped_goes_back(stack: Stack, kept: Kept, damaged: Belongings, moment: str) -> None:
    identities = stack.identities()
    run = _begin(stack, kept, _STAGED)
    if moment == "at any time":
        assert moments.wait_some(_SECONDS, run), run.told
    else:
        moments.wait_for_databases(Clients(stack, stack.credentials()), moments.SWAPPED, run)
    moments.stop(run)
    assert run.process.returncode != 0, f"it was stopped, and says that it succeeded:\n{run.told}"
    assert f"stack {stack.name} has the data that it had" in run.told, run.told
    _assert_as_it_was(stack, damaged, run)
    after = stack.identities()
    untouched = {"db", "evolution_postgres", "audio-converter"}
    assert {name: after[name] for name in untouched} == {name: identities[name] for name in untouched}
    assert "nothing to change" in stack.up().output


def test_a_restore_that_was_killed_is_known_to_be_unfinished_until_it_is_repeated(stack: Stack, kept: Kept, damaged: Belongings) -> None:
    assert damaged
    clients = Clients(stack, stack.credentials())
    run = _begin(stack, kept, _STAGED)
    assert moments.wait_some(_SECONDS, run), run.told
    moments.kill(run)
    _assert_unfinished(stack, run)

    run = _begin(stack, kept, "an earlier restore of")
    moments.wait_for_databases(clients, moments.SWAPPED, run)
    moments.kill(run)
    _assert_unfinished(stack, run)

    restored = backups.restore(stack, kept.file)
    assert restored.code == 0, restored.told
    assert not backups.unfinished(stack), restored.told
    kept.assert_restored(clients)
    left = clients.sql("POSTGRES", "SELECT coalesce(string_agg(datname, ' '), '') FROM pg_database WHERE datname ~ 'restor'")
    assert left == "", f"databases of earlier restores are left: {left}"
    assert "nothing to change" in stack.up().output
