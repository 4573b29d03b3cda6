"""What makes `make up` fail: soon, by name, with the cause, and with nothing to clean up by hand afterwards."""

import time
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.environment import EIGHT, Stack
from tests.e2e.machine import free_ports, listener
from tests.e2e.project import Ran

_SECONDS = 20
"""What a failing `up` may take beside the time in which its cause can't be known. It takes 4 on a quiet machine."""


def _assert_tells(failed: Ran, *parts: str) -> None:
    for part in parts:
        assert part in failed.output, f"the output does not say '{part}':\n{failed.told}"


def _assert_soon(failed: Ran) -> None:
    assert failed.seconds < _SECONDS, f"it took {failed.seconds:.1f} s to fail:\n{failed.told}"


def test_wrong_settings_are_all_named_at_once_and_nothing_is_changed(stack: Stack) -> None:
    before = stack.picture()
    port = stack.settings["EVOLUTION_PORT"]
    with stack.with_settings(
        POSTGRES_USR="app", MINIO_PORT="70000", APP_REPLICAS="many", REDIS_PASSWORD="", RABBITMQ_UI_PORT=port, POSTGRES_IMAGE="Postgres:16"
    ):
        failed = stack.fails()
    stack.settled = True
    _assert_tells(
        failed,
        "6 problems; nothing was changed",
        "POSTGRES_USR (.env.e2e, line",
        "did you mean POSTGRES_USER?",
        "MINIO_PORT = '70000'",
        "APP_REPLICAS = 'many'",
        "REDIS_PASSWORD (.env.e2e, line",
        f"both take host port {port}",
        "POSTGRES_IMAGE = 'Postgres:16'",
    )
    assert stack.picture() == before
    _assert_soon(failed)


def test_a_key_that_evolution_refuses_makes_up_fail_and_is_named_by_the_application(stack: Stack) -> None:
    with stack.with_settings(EVOLUTION_API_KEY="aKeyThatIsNotTheRightOne"):
        failed = stack.fails()
        answer = stack.readiness()
    _assert_tells(failed, "app is running, but its credentials are refused", "EVOLUTION_API_KEY", "AUTHENTICATION_API_KEY", "log lines:")
    _assert_tells(failed, *(f"{service}: running" for service in set(EIGHT) - {"app"}))
    _assert_soon(failed)
    assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
    assert answer.json()["dependencies"]["evolution"]["state"] == "credentials_refused", answer.text
    stack.up()
    stack.assert_works()


def test_a_crashing_service_makes_up_fail_with_its_last_words(stack: Stack) -> None:
    with stack.with_settings(APP_ENV_DATABASE_URL="nonsense"):
        failed = stack.fails()
    _assert_tells(failed, "app does not stay up", "log lines:", "DATABASE_URL: not a URL of the form", "make logs SERVICE=app")
    _assert_soon(failed)
    stack.up()
    stack.assert_works()


def test_a_port_that_somebody_holds_is_refused_by_the_name_of_its_setting_before_anything_is_changed(stack: Stack) -> None:
    before = stack.picture()
    port = free_ports(1)
    with listener(port), stack.with_settings(APP_PORT=str(port)):
        failed = stack.fails()
        _assert_tells(failed, f"APP_PORT: port {port} is held by another program", "nothing was changed")
        _assert_soon(failed)
        assert stack.picture() == before
    stack.up()
    assert stack.picture() == before, "nothing had been changed, so nothing was to be mended"


@pytest.fixture
def hanging(stack: Stack) -> Iterator[str]:
    """A service that takes connections and answers none, and that the engine has come to call unhealthy."""
    service = "audio-converter"
    _wait_for_verdict(stack, service, "healthy")
    stack.settled = False
    container = stack.container(service)
    stack.client.api.kill(container.id, signal="SIGSTOP")
    try:
        _wait_for_verdict(stack, service, "unhealthy")
        yield service
    finally:
        stack.client.api.kill(container.id, signal="SIGCONT")


def _wait_for_verdict(stack: Stack, service: str, verdict: str) -> None:
    limit = time.monotonic() + 150
    while stack.container(service).health != verdict:
        assert time.monotonic() < limit, f"the engine does not call it {verdict}, but {stack.container(service).health}"
        time.sleep(0.5)


def test_an_unhealthy_service_makes_up_fail_although_nothing_changed(stack: Stack, hanging: str) -> None:
    failed = stack.fails()
    _assert_tells(failed, f"{hanging} is running, but unhealthy")
    _assert_soon(failed)
