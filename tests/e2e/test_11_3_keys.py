"""The key that Evolution accepts and the key that the application sends: when they differ, and when they change."""

from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest

from tests.e2e.data import Clients
from tests.e2e.environment import Stack
from tests.e2e.messaging import Messaging

_BOTH = ("EVOLUTION_API_KEY", "AUTHENTICATION_API_KEY")


@pytest.fixture(scope="module")
def messaging(shared: Stack) -> Iterator[Messaging]:
    shared.settle()
    messaging = Messaging(shared, Clients(shared, shared.credentials()), f"e2e-{uuid4().hex[:8]}")
    messaging.pair()
    yield messaging
    Messaging(shared, Clients(shared, shared.credentials()), messaging.instance).app("DELETE", f"/instances/{messaging.instance}")


def test_different_keys_are_named_by_readiness_and_smoke_with_the_mend_and_what_was_asked_for_is_sent_after_it(
    stack: Stack, messaging: Messaging
) -> None:
    before = stack.identities()
    with stack.with_settings(
        AUTHENTICATION_API_KEY=messaging.clients.credentials["AUTHENTICATION_API_KEY"], EVOLUTION_API_KEY="anotherKey"
    ):
        stack.fails().assert_tells("app is running, but its credentials are refused", *_BOTH)
        after = stack.identities()
        assert {service for service in after if after[service] != before[service]} == {"app"}, "only the application uses that key"
        answer = stack.readiness()
        waiting = messaging.send(type="text", text=f"as soon as you can {uuid4()}")
        problem = messaging.wait_for_problem(waiting, "evolution_key_refused")
        smoke = stack.make("smoke")
    assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
    told = answer.json()["dependencies"]["evolution"]
    assert told["state"] == "credentials_refused"
    for text in (f"{told['problem']} {told['mend']}", f"{problem['detail']} {problem['mend']}", smoke.output):
        assert all(name in text for name in _BOTH), f"the keys are not named: {text}"
        assert "the same value" in text, f"it does not say how to mend it: {text}"
        assert "anotherKey" not in text, f"it shows the key: {text}"
    assert smoke.code != 0
    stack.up()
    messaging.wait_for_state(waiting, "delivered", seconds=70)


def test_a_new_key_for_both_restarts_just_the_two_that_use_it(stack: Stack) -> None:
    before = stack.identities()
    stack.settings |= dict.fromkeys(_BOTH, f"key{uuid4().hex}")  # for all tests that follow: nothing depends on which it is
    stack.write()
    stack.up()
    after = stack.identities()
    assert {service for service in after if after[service] != before[service]} == {"app", "evolution-api"}
    smoke = stack.make("smoke")
    assert smoke.code == 0, smoke.told
