"""Passwords and keys that change while there is data, and services that can't reconnect."""

import asyncio
import json

import asyncpg
import pytest

from tests.e2e.data import Clients, Data, assert_events_are_published
from tests.e2e.environment import Stack
from tests.e2e.refusals import assert_accepted, assert_refused

_NEW = {
    "POSTGRES_PASSWORD": "aNewPasswordOfTheApplication",
    "RABBITMQ_DEFAULT_PASS": "aNewPasswordOfRabbitmq",
    "REDIS_PASSWORD": "aNewPasswordOfRedis",
    "MINIO_ROOT_PASSWORD": "aNewPasswordOfMinio",
    "AUTHENTICATION_API_KEY": "aNewKeyOfEvolution",
    "EVOLUTION_API_KEY": "aNewKeyOfEvolution",
}
_USERS = {"db", "rabbitmq", "redis", "minio", "evolution-api", "app"}
"""Who has or uses one of these; nobody else may be restarted."""


def test_changed_passwords_and_keys_take_effect_at_once_keep_the_data_and_restart_just_their_users(stack: Stack) -> None:
    old = Clients(stack, stack.credentials())
    data = Data()
    data.write(old)
    loop = asyncio.new_event_loop()
    session = loop.run_until_complete(old.connect("POSTGRES"))
    before = stack.identities()

    stack.settings |= _NEW  # for all tests that follow: nothing depends on which they are
    stack.write()
    previewed = _replaced(stack)
    stack.up()

    after = stack.identities()
    assert {service for service in after if after[service] != before[service]} == _USERS
    assert previewed == _USERS, "the preview showed others than the `up` restarted"
    assert after["evolution-api"][1] > after["rabbitmq"][1], "evolution-api was started before the new RabbitMQ"
    new = Clients(stack, old.credentials | _NEW)
    assert stack.credentials() == new.credentials, "the stack's outputs have other credentials"
    data.assert_kept(new)
    stack.assert_works()
    assert_events_are_published(new)
    assert_accepted(new)
    assert_refused(old, "POSTGRES", "RABBITMQ", "REDIS", "MINIO", "EVOLUTION")
    with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.InterfaceError)):
        loop.run_until_complete(session.fetchval("SELECT 1"))
    loop.close()


def _replaced(stack: Stack) -> set[str]:
    """The services whose containers a preview would replace."""
    output = stack.pulumi("preview --json --non-interactive").output
    steps = json.loads(output[output.index("{") : output.rindex("}") + 1])["steps"]
    return {each["urn"].rpartition("::")[2] for each in steps if each["op"] == "replace" and ":Container::" in each["urn"]}


def test_evolution_is_restarted_after_a_rabbitmq_that_was_restarted_and_announces_events_again(stack: Stack) -> None:
    before = stack.identities()
    stack.client.api.restart(stack.container("rabbitmq").id, timeout=30)
    ran = stack.up()
    after = stack.identities()
    assert after["evolution-api"][1] > after["rabbitmq"][1] > before["rabbitmq"][1], f"it was not restarted after RabbitMQ:\n{ran.told}"
    assert {service for service in after if after[service] != before[service]} == {"rabbitmq", "evolution-api"}
    assert "evolution-api is restarted: rabbitmq started after it" in ran.output, f"the output does not say why:\n{ran.told}"
    assert_events_are_published(Clients(stack, stack.credentials()))
    stack.assert_works()
