"""Data outlives containers, and even Pulumi's state."""

import shutil

from stack.vocabulary import VolumeName
from tests.e2e.data import Clients, Data
from tests.e2e.environment import Stack


def test_down_removes_everything_but_the_data_and_up_finds_it_as_it_was(stack: Stack) -> None:
    clients = Clients(stack, stack.credentials())
    data = Data()
    data.write(clients)
    before = stack.picture()

    stack.settled = False
    down = stack.make("down")
    assert down.code == 0, down.told
    left = stack.picture()
    assert (left.containers, left.networks) == ({}, {}), f"`make down` left something running:\n{down.told}"
    assert left.volumes == before.volumes, f"`make down` touched a volume:\n{down.told}"
    assert left.volumes == {f"{stack.project}_{volume}" for volume in VolumeName}

    stack.up()
    stack.assert_works()
    assert stack.credentials() == clients.credentials, "passwords that were generated are others after down and up"
    data.assert_kept(clients)


def test_when_pulumis_state_is_lost_up_takes_over_the_data_with_new_passwords(stack: Stack) -> None:
    old = Clients(stack, stack.credentials())
    data = Data()
    data.write(old)

    stack.settled = False
    shutil.rmtree(stack.copy.folder / ".state" / ".pulumi")
    stack.up()
    stack.assert_works()
    new = Clients(stack, stack.credentials())
    assert new.credentials["EVOLUTION_POSTGRES_PASSWORD"] != old.credentials["EVOLUTION_POSTGRES_PASSWORD"], "the state was not lost"
    data.assert_kept(new)
