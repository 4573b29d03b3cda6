"""The production stack: stricter by configuration alone."""

import httpx

from stack.vocabulary import VolumeName
from tests.e2e.environment import Stack


def test_production_without_a_passphrase_or_without_settings_of_its_own_is_refused_in_words(production: Stack) -> None:
    refused = production.fails("up")  # the set-up refuses, before anything could be made
    for part in ("passphrase", "PULUMI_CONFIG_PASSPHRASE", ".state/passphrase.prod"):
        assert part in refused.output, refused.told

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
