"""What makes `make up` fail: soon, by name, with the cause, and with nothing to clean up by hand afterwards."""

import httpx

from tests.e2e.environment import EIGHT, Stack
from tests.e2e.machine import free_ports, listener


def test_wrong_settings_are_all_named_at_once_and_nothing_is_changed(stack: Stack) -> None:
    before = stack.picture()
    port = stack.settings["EVOLUTION_PORT"]
    with stack.with_settings(
        POSTGRES_USR="app", MINIO_PORT="70000", APP_REPLICAS="many", REDIS_PASSWORD="", RABBITMQ_UI_PORT=port, POSTGRES_IMAGE="Postgres:16"
    ):
        failed = stack.fails()
    stack.settled = True
    failed.assert_tells(
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
    failed.assert_soon()


def test_a_key_that_evolution_refuses_makes_up_fail_and_is_named_by_the_application(stack: Stack) -> None:
    with stack.with_settings(AUTHENTICATION_API_KEY="theRightKey", EVOLUTION_API_KEY="aKeyThatIsNotTheRightOne"):
        failed = stack.fails()
        answer = stack.readiness()
    failed.assert_tells("app is running, but its credentials are refused", "EVOLUTION_API_KEY", "AUTHENTICATION_API_KEY", "log lines:")
    failed.assert_tells(*(f"{service}: running" for service in set(EIGHT) - {"app"}))
    failed.assert_soon()
    assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
    assert answer.json()["dependencies"]["evolution"]["state"] == "credentials_refused", answer.text
    stack.up()
    stack.assert_works()


def test_a_crashing_service_makes_up_fail_with_its_last_words(stack: Stack) -> None:
    with stack.with_settings(APP_ENV_WEBHOOK_URL="nonsense"):
        failed = stack.fails()
    failed.assert_tells("app does not stay up", "log lines:", "WEBHOOK_URL: Input should be a valid URL", "make logs SERVICE=app")
    failed.assert_soon()
    stack.up()
    stack.assert_works()


def test_a_port_that_somebody_holds_is_refused_by_the_name_of_its_setting_before_anything_is_changed(stack: Stack) -> None:
    before = stack.picture()
    port = free_ports(1)
    with listener(port), stack.with_settings(APP_PORT=str(port)):
        failed = stack.fails()
        failed.assert_tells(f"APP_PORT: port {port} is held by another program", "nothing was changed")
        failed.assert_soon()
        assert stack.picture() == before
    stack.up()
    assert stack.picture() == before, "nothing had been changed, so nothing was to be mended"


def test_a_port_that_somebody_took_from_a_stopped_service_is_named_and_the_service_comes_back_when_it_is_free(stack: Stack) -> None:
    stack.client.api.stop(stack.container("app").id, timeout=2)
    port = int(stack.settings["APP_PORT"])
    with listener(port):
        failed = stack.fails()
        failed.assert_tells("APP_PORT", f"port {port} is held by another program")
        failed.assert_soon()
    stack.up()
    stack.assert_works()
