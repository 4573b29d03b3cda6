"""RabbitMQ's definitions and configuration: the text that the broker imports at every boot."""

import base64
import hashlib
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stack.services.rabbitmq_definitions import DEFINITIONS_PATH, OF_THE_SETTINGS, configuration, definitions, password_hash
from tests.unit.recording import PROJECT

SCRIPT = (PROJECT / "stack" / "services" / "rabbitmq_users.erl").read_text()


def document(user: str = "wa", password: str = "") -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(definitions(user, password))
    return parsed


def test_the_hash_is_the_one_of_the_example_in_rabbitmqs_documentation() -> None:
    assert password_hash("test12", bytes.fromhex("908DC60A")) == "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"


def test_a_salt_of_another_length_is_refused_because_the_broker_would_misread_the_hash() -> None:
    with pytest.raises(ValueError, match="4 bytes, not 5"):
        password_hash("test12", b"12345")


@given(user=st.text(min_size=1), password=st.text(min_size=1))
def test_the_user_gets_the_hash_of_its_password_and_the_document_is_the_same_every_time(user: str, password: str) -> None:
    (entry,) = document(user, password)["users"]
    raw = base64.b64decode(entry["password_hash"])
    assert raw[4:] == hashlib.sha256(raw[:4] + password.encode()).digest(), "the broker would refuse this password"
    assert definitions(user, password) == definitions(user, password), "every preview would show a change"


def test_the_password_is_not_in_the_document() -> None:
    assert "n0t-in-clear" not in definitions("wa", "n0t-in-clear")


def test_equal_passwords_of_two_users_have_different_hashes() -> None:
    first, second = (document(user)["users"][0]["password_hash"] for user in ("a", "b"))
    assert first != second


def test_the_user_is_an_administrator_with_all_rights_in_the_default_virtual_host() -> None:
    made = document()
    assert "administrator" in made["users"][0]["tags"], "the management pages would refuse the user"
    assert made["vhosts"] == [{"name": "/"}]
    assert made["permissions"] == [{"user": "wa", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}]


def test_the_user_is_marked_as_one_of_the_settings_so_that_it_goes_when_they_name_another() -> None:
    assert OF_THE_SETTINGS in document()["users"][0]["tags"]
    assert f"'{OF_THE_SETTINGS}'" in SCRIPT, "the script would not find it"


def test_the_script_that_removes_former_users_reads_the_users_that_are_wanted_from_the_definitions() -> None:
    assert f'"{DEFINITIONS_PATH}"' in SCRIPT


def test_evolutions_own_queues_are_bounded_and_lose_the_oldest_message() -> None:
    (policy,) = document()["policies"]
    assert policy["definition"] == {"max-length": 10_000, "overflow": "drop-head"}
    assert policy["apply-to"] == "queues", "exchanges have no length"


@pytest.mark.parametrize("queue", ["evolution.messages.upsert", "evolution.connection.update"])
def test_the_bound_reaches_evolutions_queue(queue: str) -> None:
    assert re.search(document()["policies"][0]["pattern"], queue)


@pytest.mark.parametrize("queue", ["orders", "app.evolution.messages", "evolution-archive", "evolutionary", "instance1.messages.upsert"])
def test_the_bound_leaves_the_queues_of_others_alone(queue: str) -> None:
    assert not re.search(document()["policies"][0]["pattern"], queue), f"messages of {queue} would be dropped"


def test_the_configuration_imports_the_definitions_and_lets_the_user_in_from_other_containers() -> None:
    lines = configuration(512).splitlines()
    assert "definitions.import_backend = local_filesystem" in lines
    assert f"definitions.local.path = {DEFINITIONS_PATH}" in lines
    assert "loopback_users = none" in lines
    assert "log.console = true" in lines


@pytest.mark.parametrize(("limit", "watermark"), [(512, 307), (1024, 614), (256, 153)])
def test_the_memory_watermark_follows_the_containers_limit_not_the_machine(limit: int, watermark: int) -> None:
    assert f"vm_memory_high_watermark.absolute = {watermark}MiB" in configuration(limit).splitlines()


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_that_leaves_no_memory_is_refused(limit: int) -> None:
    with pytest.raises(ValueError, match="memory limit"):
        configuration(limit)
