"""Other stacks beside the shared one, of which a service falls ill meanwhile: that takes the engine a while to see."""

import time
from collections.abc import Iterator

import httpx
import pytest

from stack.vocabulary import VolumeName
from tests.e2e.data import Clients
from tests.e2e.environment import EIGHT, Stack

_HANGS = "audio-converter"
_SECONDS_TO_A_VERDICT = 150
"""Three of the engine's health checks, their intervals and their time limits."""


@pytest.fixture(scope="module", autouse=True)
def hanging(shared: Stack) -> Iterator[None]:
    """A service that takes connections and answers none."""
    shared.settle()
    _wait_for_verdict(shared, "healthy")
    shared.client.api.kill(shared.container(_HANGS).id, signal="SIGSTOP")
    yield
    shared.client.api.kill(shared.container(_HANGS).id, signal="SIGCONT")


def _wait_for_verdict(stack: Stack, verdict: str) -> None:
    limit = time.monotonic() + _SECONDS_TO_A_VERDICT
    while (health := stack.container(_HANGS).health) != verdict:
        assert time.monotonic() < limit, f"the engine does not call {_HANGS} {verdict}, but {health}"
        time.sleep(0.5)


def test_two_stacks_live_side_by_side_each_with_its_own_containers_network_volumes_ports_and_passwords(stack: Stack, second: Stack) -> None:
    first = stack.picture()
    second.up()
    other = second.picture()
    assert stack.picture() == first, "an `up` of one stack changed the other"
    for mine, theirs in (
        (first.containers.keys(), other.containers.keys()),
        (first.networks.keys(), other.networks.keys()),
        (first.volumes, other.volumes),
    ):
        assert len(mine) == len(theirs)
        assert not set(mine) & set(theirs), "a name serves both"
    stack.assert_works()
    second.assert_works()
    one, two = stack.credentials(), second.credentials()
    assert all(one[name] != two[name] for name in one), "the stacks have a password in common"
    assert Clients(second, two).evolution("GET", "/instance/fetchInstances").is_success
    assert not Clients(second, one).evolution("GET", "/instance/fetchInstances").is_success, "one stack takes the other's key"
    assert {each.service for each in second.containers()} == set(EIGHT)


def test_production_without_a_passphrase_or_without_settings_of_its_own_is_refused_in_words(production: Stack) -> None:
    refused = production.fails("up")  # the set-up refuses, before anything could be made
    refused.assert_tells("2 problems", "none is given", "PULUMI_CONFIG_PASSPHRASE", ".state/passphrase.prod", ".env.prod is missing")

    passphrase = production.copy.folder / ".state" / "passphrase.prod"
    passphrase.write_text("a passphrase for these tests\n")
    # Only a preview: without its settings the stack would carry the project name of a real one.
    refused = production.fails("preview")
    for part in (".env.prod is missing", "Copy .env.example to .env.prod"):
        assert part in refused.output, refused.told


def test_production_publishes_app_and_evolution_only_mounts_no_source_and_keeps_its_volumes(production: Stack) -> None:
    (production.copy.folder / ".state" / "passphrase.prod").write_text("a passphrase for these tests\n")
    production.write()
    production.up()
    production.assert_works()
    containers = production.containers()
    assert {each.service for each in containers if each.published} == {"app", "evolution-api"}
    mounts = {(each.service, mount["Source"]) for each in containers for mount in each.attributes["Mounts"] if mount["Type"] != "volume"}
    assert mounts == set(), "something of the host is mounted"
    _, variables = production.inside("app", "env")
    assert "ENVIRONMENT=production" in variables.splitlines()
    assert httpx.get(production.url("EVOLUTION_PORT")).is_success

    before = production.picture().volumes
    assert before == {f"{production.project}_{volume}" for volume in VolumeName}
    destroyed = production.copy.pulumi("prod", "destroy --yes --skip-preview --non-interactive")
    assert production.containers() == [], destroyed.told
    assert production.picture().volumes == before, f"`pulumi destroy` touched a volume of production:\n{destroyed.told}"

    wiped = production.make("wipe", YES="1")
    assert wiped.code == 0, wiped.told
    assert production.picture().volumes == set(), wiped.told


def test_a_service_that_hangs_is_restarted_by_up_and_named_although_nothing_changed(stack: Stack) -> None:
    _wait_for_verdict(stack, "unhealthy")
    before = stack.container(_HANGS).identity
    mended = stack.up()
    mended.assert_tells(f"{_HANGS} is restarted: it was running, but unhealthy", "no answer within 5 s")
    assert stack.container(_HANGS).identity[0] == before[0], "it was replaced, where a restart is enough"
    stack.assert_works()
