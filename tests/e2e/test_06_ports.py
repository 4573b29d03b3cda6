"""Host ports that change hands: between the stack's own services, and to a program that takes one at the last moment."""

import httpx

from tests.e2e.environment import Stack
from tests.e2e.machine import free_ports, listener


def _published(stack: Stack) -> dict[str, set[int]]:
    """The host ports of each service that has some."""
    return {each.name: {port for bindings in each.published.values() for _, port in bindings} for each in stack.containers()}


def test_services_may_swap_their_ports(stack: Stack) -> None:
    app, evolution = stack.settings["APP_PORT"], stack.settings["EVOLUTION_PORT"]
    with stack.with_settings(APP_PORT=evolution, EVOLUTION_PORT=app):
        ran = stack.up()
        ran.assert_tells(
            f"{stack.project}-app-1 is stopped: it holds port {app}, which evolution-api is to get",
            f"{stack.project}-evolution-api-1 is stopped: it holds port {evolution}, which app is to get",
        )
        assert _published(stack)[f"{stack.project}-app-1"] == {int(evolution)}
        assert httpx.get(f"http://127.0.0.1:{evolution}/health/ready", timeout=10).is_success
        assert httpx.get(f"http://127.0.0.1:{app}/").json()["version"] == "2.2.3"
    stack.up()
    stack.assert_works()


def test_replicas_may_move_by_one_port_and_another_service_take_the_port_of_one_that_goes(stack: Stack) -> None:
    first = int(stack.settings["APP_PORT"])
    with stack.with_settings(APP_REPLICAS="2"):
        stack.up()
        stack.write(APP_REPLICAS="2", APP_PORT=str(first + 1))
        stack.up()
        found = _published(stack)
        assert (found[f"{stack.project}-app-1"], found[f"{stack.project}-app-2"]) == ({first + 1}, {first + 2})
        stack.write(APP_PORT=str(first + 1), EVOLUTION_PORT=str(first + 2))
        ran = stack.up()
        ran.assert_tells(f"{stack.project}-app-2 is stopped: it holds port {first + 2}, which evolution-api is to get")
        assert _published(stack)[f"{stack.project}-evolution-api-1"] == {first + 2}
    stack.up()
    stack.assert_works()


def test_a_port_that_somebody_takes_between_the_look_and_the_start_is_named_with_its_setting_and_its_holder(stack: Stack) -> None:
    port = free_ports(1)
    with stack.with_settings(APP_PORT=str(port)):
        running = stack.start("up")
        running.wait_for("app                          stopping the old one", 60)
        with listener(port):
            failed = running.finish()
    assert failed.code != 0, failed.told
    failed.assert_tells(f"app: APP_PORT: port {port} is held by another program (", "end it, or give APP_PORT another port", "in use")
    stack.up()
    stack.assert_works()
