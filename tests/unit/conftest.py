"""What all unit tests share."""

import gc
from collections.abc import Iterator

import pytest

from ops.backup import encryption


def pytest_collection_finish() -> None:
    """Leave what is imported by now out of further garbage collections: Pulumi's many classes cost a quarter of the tests' time."""
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def _keys_cost_little() -> Iterator[None]:
    """Stretching a passphrase takes a fifth of a second, on purpose; these tests do it hundreds of times."""
    assert encryption._WORK_FACTOR >= 16, "a passphrase could be guessed"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encryption, "_WORK_FACTOR", 8)
        yield
