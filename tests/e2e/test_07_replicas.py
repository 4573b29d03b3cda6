"""Several containers of the application."""

import json
import time
from contextlib import suppress

import httpx

from tests.e2e.environment import Stack
from tests.e2e.project import Running

REPLICAS = 3

_ADDRESSES = """
import json, socket, urllib.request
addresses = sorted({info[4][0] for info in socket.getaddrinfo("app", 8000, family=socket.AF_INET)})
alive = [urllib.request.urlopen(f"http://{address}:8000/health/ready", timeout=5).status for address in addresses]
print(json.dumps([addresses, alive]))
"""


def test_three_replicas_share_one_name_inside_and_take_the_ports_upwards_outside_and_can_be_one_again(stack: Stack) -> None:
    before = stack.identities()
    with stack.with_settings(APP_REPLICAS="3"):
        stack.up()
        apps = [each for each in stack.containers() if each.service == "app"]
        assert [each.name for each in apps] == [f"{stack.project}-app-{number}" for number in (1, 2, 3)]
        for offset in range(3):
            assert stack.readiness(offset).status_code == httpx.codes.OK, f"replica {offset + 1} is not ready at its own host port"
        for asked in ("evolution-api", "app"):
            code, output = stack.inside(asked, "python", "-c", _ADDRESSES)
            assert code == 0, output
            addresses, alive = json.loads(output)
            assert len(addresses) == 3, f"the name does not lead to all three from {asked}: {addresses}"
            assert alive == [200, 200, 200]
    stack.up()
    stack.assert_works()
    after = stack.identities()
    assert {service for service in after if after[service] != before[service]} <= {"app"}, "scaling the application touched others"


def test_replicas_are_replaced_one_after_another_and_one_that_never_is_ready_is_the_last(stack: Stack) -> None:
    with stack.with_settings(APP_REPLICAS=str(REPLICAS)):
        stack.up()
        old = replicas(stack)
        stack.write(APP_REPLICAS=str(REPLICAS), APP_LOG_LEVEL="debug")
        fewest = fewest_alive(stack, stack.start("up"))
        new = replicas(stack)
        assert not set(old) & set(new), "not all were replaced"
        assert fewest == REPLICAS - 1, "while one is replaced, the others serve"

        stack.write(APP_REPLICAS=str(REPLICAS), APP_ENV_WEBHOOK_URL="nonsense")
        stack.fails().assert_tells("app does not stay up", "WEBHOOK_URL: Input should be a valid URL")
        assert replicas(stack)[1:] == new[1:], "those that serve were touched"
        assert alive(stack) == REPLICAS - 1
    stack.up()
    stack.assert_works()


def replicas(stack: Stack) -> list[str]:
    """The ids of the application's containers."""
    return [stack.container("app", number).id for number in range(1, REPLICAS + 1)]


def alive(stack: Stack) -> int:
    """How many of them answer."""
    found = 0
    for offset in range(REPLICAS):
        with suppress(httpx.TransportError):
            found += httpx.get(f"http://127.0.0.1:{int(stack.settings['APP_PORT']) + offset}/health/live", timeout=2).is_success
    return found


def fewest_alive(stack: Stack, command: Running) -> int:
    """How few of them answered at a time while a command ran, which must succeed."""
    fewest = REPLICAS
    while command.process.poll() is None:
        fewest = min(fewest, alive(stack))
        time.sleep(0.05)
    ran = command.finish()
    assert ran.code == 0, ran.told
    return fewest
