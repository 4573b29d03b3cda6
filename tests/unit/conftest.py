"""What all unit tests share."""

from collections.abc import Iterator

import pytest

from ops.backup import encryption


@pytest.fixture(autouse=True, scope="session")
def _keys_cost_little() -> Iterator[None]:
    """Stretching a passphrase takes a fifth of a second, on purpose; these tests do it hundreds of times."""
    assert encryption._WORK_FACTOR >= 16, "a passphrase could be guessed"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encryption, "_WORK_FACTOR", 8)
        yield
