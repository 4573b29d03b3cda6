"""`make rotate`: generated secrets replaced by new ones, shown before, completed after an interruption."""

import os
import re
import signal
import time
from collections.abc import Callable

import pytest

from tests.e2e.data import Clients, Data
from tests.e2e.environment import Stack
from tests.e2e.project import Running
from tests.e2e.refusals import EVERYBODY, assert_accepted, assert_refused

_SERVICE, _SECRET = "evolution_postgres", "EVOLUTION_POSTGRES_PASSWORD"
_USERS = {"evolution_postgres", "evolution-api"}


@pytest.fixture(scope="module", autouse=True)
def nothing_given(shared: Stack) -> None:
    """Take given passwords out of the settings: then all are generated. Nothing that follows depends on which they are."""
    given = [name for name in shared.settings if name.endswith(("PASSWORD", "PASS", "API_KEY", "SECRET"))]
    for name in given:
        del shared.settings[name]
    shared.settled = False


def _restarted(output: str) -> set[str]:
    """Who is restarted, as `rotate` says before it does anything."""
    (line,) = re.findall(r"^Restarted, for they use them: (.*)\. All data stays\.$", output, re.MULTILINE)
    return set(line.split(", "))


def _rotate(stack: Stack, **variables: str) -> str:
    ran = stack.make("rotate", YES="1", **variables)
    assert ran.code == 0, ran.told
    return ran.output


def test_without_a_yes_it_shows_what_it_would_do_and_changes_nothing(stack: Stack) -> None:
    before, credentials = stack.identities(), stack.credentials()
    asked = stack.make("rotate", SERVICE=_SERVICE)
    assert asked.code != 0, asked.told
    asked.assert_tells(_SECRET, "asked for by evolution_postgres", "Nothing was rotated", "YES=1")
    assert _restarted(asked.output) == _USERS
    assert not any(value in asked.output for value in credentials.values()), "a secret is shown"
    assert stack.identities() == before
    assert "nothing to change" in stack.up().output, "a later `up` does what nobody agreed to"


def test_one_services_secret_is_replaced_its_users_are_restarted_and_nobody_else_and_the_data_stays(stack: Stack) -> None:
    old = Clients(stack, stack.credentials())
    data = Data()
    data.write(old)
    before = stack.identities()
    told = _rotate(stack, SERVICE=_SERVICE)
    after = stack.identities()
    new = Clients(stack, stack.credentials())
    assert {name for name in old.credentials if old.credentials[name] != new.credentials[name]} == {_SECRET}
    assert {service for service in after if after[service] != before[service]} == _USERS == _restarted(told)
    assert not any(value in told for value in {*old.credentials.values(), *new.credentials.values()}), "a secret is shown"
    data.assert_kept(new)
    stack.assert_works()
    assert_accepted(new)
    assert_refused(old, "EVOLUTION_POSTGRES")


def _kill_before_the_up(run: Running, stack: Stack) -> None:
    run.wait_for("Restarted, for they use them", 60)
    _wait_until_marked(run, stack)
    _kill(run)


def _kill_while_the_database_is_replaced(run: Running, _: Stack) -> None:
    run.wait_for("evolution_postgres           creating anew", 60)
    _kill(run)


def _kill_while_its_user_is_replaced(run: Running, _: Stack) -> None:
    run.wait_for("evolution-api                stopping the old one", 60)
    _kill(run)


def _kill(run: Running) -> None:
    os.killpg(run.process.pid, signal.SIGKILL)
    run.finish(15)


def _wait_until_marked(run: Running, stack: Stack) -> None:
    state = stack.copy.folder / ".state" / ".pulumi" / "stacks" / "whatsapp" / f"{stack.name}.json"
    while not re.search(r'"taint":\s*true', state.read_text()):
        assert run.process.poll() is None, run.told
        time.sleep(0.05)


@pytest.mark.parametrize(
    "kill",
    [_kill_before_the_up, _kill_while_the_database_is_replaced, _kill_while_its_user_is_replaced],
    ids=["before the up", "while the database is replaced", "while its user is replaced"],
)
def test_a_rotation_that_was_killed_completes_with_the_next_up(stack: Stack, kill: Callable[[Running, Stack], None]) -> None:
    old = Clients(stack, stack.credentials())
    data = Data()
    data.write(old)
    others = {service: identity for service, identity in stack.identities().items() if service not in _USERS}
    stack.settled = False
    run = stack.copy.start(["make", "rotate", f"STACK={stack.name}", f"SERVICE={_SERVICE}", "YES=1"])
    kill(run, stack)

    stack.up()
    new = Clients(stack, stack.credentials())
    assert {name for name in old.credentials if old.credentials[name] != new.credentials[name]} == {_SECRET}
    data.assert_kept(new)
    stack.assert_works()
    assert_accepted(new)
    assert_refused(old, "EVOLUTION_POSTGRES")
    assert {service: identity for service, identity in stack.identities().items() if service not in _USERS} == others
    assert "nothing to change" in stack.up().output, "the rotation goes on for ever"


def test_all_secrets_are_replaced_at_once(stack: Stack) -> None:
    old = Clients(stack, stack.credentials())
    data = Data()
    data.write(old)
    told = _rotate(stack)
    new = Clients(stack, stack.credentials())
    assert [name for name in old.credentials if old.credentials[name] == new.credentials[name]] == [], told
    data.assert_kept(new)
    stack.assert_works()
    assert_accepted(new)
    assert_refused(old, *EVERYBODY)
