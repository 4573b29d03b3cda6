"""What the contract tests may delete on somebody's Evolution API: what they made themselves, and nothing that a person uses."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.contract.target import ODD_ENDS, is_leftover, new_name

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def row(name: str, **more: object) -> dict[str, object]:
    created = (NOW - timedelta(hours=2)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"name": name, "createdAt": created, "ownerJid": None, "connectionStatus": "close", **more}


def test_what_a_killed_run_made_is_a_leftover_after_an_hour() -> None:
    assert all(is_leftover(row(new_name() + end), NOW, spared=None) for end in ("", *ODD_ENDS))
    assert not is_leftover(row(new_name(), createdAt=(NOW - timedelta(minutes=59)).isoformat()), NOW, spared=None)


@pytest.mark.parametrize(
    "name", ["contract-sales", "contract-0123456", "contract-012345678", "my-contract-01234567", "contract-ABCDEF01", "contract-01234567-2"]
)
def test_an_instance_of_another_name_is_none_whatever_it_begins_with(name: str) -> None:
    assert not is_leftover(row(name), NOW, spared=None)


@pytest.mark.parametrize("state", [{"ownerJid": "5511999990001@s.whatsapp.net"}, {"connectionStatus": "open"}])
def test_an_instance_with_a_phone_is_none(state: dict[str, object]) -> None:
    assert not is_leftover(row(new_name(), **state), NOW, spared=None)


def test_the_paired_instance_that_the_suite_was_given_is_none() -> None:
    name = new_name()
    assert not is_leftover(row(name), NOW, spared=name)
