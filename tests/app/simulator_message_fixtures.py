"""Fixtures for the tests of messages: a simulator with everything, and a paired instance of it."""

from collections.abc import Callable

import pytest

from tests.app.simulator_messages import Phone, paired
from tests.app.simulator_support import Process, eventually

EVENTS = (
    "SEND_MESSAGE",
    "MESSAGES_UPSERT",
    "MESSAGES_UPDATE",
    "MESSAGES_DELETE",
    "CONTACTS_UPSERT",
    "CONTACTS_UPDATE",
    "CHATS_UPDATE",
    "CONNECTION_UPDATE",
)


@pytest.fixture(scope="session")
def with_message_events(with_rabbitmq: dict[str, str]) -> dict[str, str]:
    return with_rabbitmq | {f"RABBITMQ_EVENTS_{event}": "true" for event in EVENTS}


@pytest.fixture(scope="session")
def lasting_messenger(
    run_for_all: Callable[..., Process],
    alone: Callable[[], dict[str, str]],
    with_redis: dict[str, str],
    with_minio: dict[str, str],
    with_message_events: dict[str, str],
    converter: dict[str, str],
) -> Process:
    """A simulator with everything."""
    process = run_for_all(alone(), with_redis, with_minio, with_message_events, converter)
    process.wait_for_line("Initializing global queues")
    process.wait_for_line("S3 Bucket evolution - ON")
    return process


@pytest.fixture
def messenger(lasting_messenger: Process) -> Process:
    """It, with its broker: when a test took that away for a while, it comes back to it only with a restart, as the real one."""

    def has_its_broker() -> bool:
        return bool(lasting_messenger.api.get("/simulator/status").json()["rabbitmqConnected"])

    if not has_its_broker():
        lasting_messenger.restart()
        eventually(has_its_broker, "a connection to RabbitMQ after a restart")
    return lasting_messenger


@pytest.fixture
def phone(messenger: Process) -> Phone:
    return paired(messenger)
