"""Several containers of the application."""

import json

import httpx

from tests.e2e.environment import Stack

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
