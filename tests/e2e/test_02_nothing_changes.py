"""What must leave everything as it is."""

import os
from pathlib import Path

import pytest

from tests.e2e.environment import Stack
from tests.e2e.machine import READING, watched_engine


def test_a_second_up_changes_nothing_and_restarts_nothing(stack: Stack) -> None:
    before = stack.picture()
    ran = stack.up()
    assert stack.picture() == before, f"an `up` with nothing to change did change something:\n{ran.told}"
    assert "nothing to change" in ran.output, ran.told


def test_an_up_that_looks_at_the_engine_again_changes_nothing_either(stack: Stack) -> None:
    before = stack.picture()
    ran = stack.pulumi("up --refresh --yes --skip-preview --non-interactive --expect-no-changes")
    assert stack.picture() == before, f"an `up --refresh` with nothing to change did change something:\n{ran.told}"


def test_a_preview_of_a_change_names_it_shows_no_secret_and_only_reads_from_the_engine(stack: Stack, tmp_path: Path) -> None:
    if not os.environ.get("DOCKER_HOST", "unix://").startswith("unix://"):
        pytest.skip("what a command asks of the engine is seen on a Unix socket only")
    secret = "aPasswordThatAPreviewMustNotShow"
    before = stack.picture()
    with (
        stack.with_settings(REDIS_PASSWORD=secret, POSTGRES_MAX_CONNECTIONS="77"),
        watched_engine(tmp_path, os.environ.get("DOCKER_HOST")) as (host, requests),
    ):
        shown = stack.copy.run("make", "preview", f"STACK={stack.name}", DOCKER_HOST=host)
    stack.settled = True  # nothing was applied
    assert shown.code == 0, shown.told
    assert "max_connections=77" in shown.output, f"the change is not in it:\n{shown.told}"
    assert secret not in shown.output, f"the new password is in it:\n{shown.told}"
    assert requests, "the command did not come by the watched socket, so this saw nothing"
    assert [each for each in requests if each[0] not in READING] == [], f"the preview wrote to the engine:\n{shown.told}"
    assert stack.picture() == before, "a preview changed something of the stack on the engine"


def test_a_changed_setting_reaches_exactly_the_container_that_uses_it(stack: Stack) -> None:
    before = stack.identities()
    with stack.with_settings(APP_LOG_LEVEL="debug", APP_ENV_GREETING="hello"):
        stack.up()
        after = stack.identities()
        _, variables = stack.inside("app", "env")
    stack.settled = False
    assert {service for service in after if after[service] != before[service]} == {"app"}
    assert {"LOG_LEVEL=debug", "GREETING=hello"} <= set(variables.splitlines()), variables
