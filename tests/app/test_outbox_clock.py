"""The clock was an hour ahead, and has been set back: what was stored by it keeps no message waiting, and doubles none."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.app.outbox_support import CHAT, Stage, staged

pytestmark = pytest.mark.anyio
HOUR = timedelta(hours=1)


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[Stage]:
    async with staged(database_url) as made:
        yield made


async def test_a_message_whose_next_attempt_was_to_be_soon_is_sent_at_once(stage: Stage) -> None:
    await stage.queue(next_attempt_at=datetime.now(UTC) + HOUR)
    async with stage.sending():
        await stage.expect_sent()
    assert stage.evolution.texts() == ["hi"]


@pytest.mark.parametrize("owner", [None, "dead", "held"])
@pytest.mark.parametrize(
    "accepted_after", [HOUR, -timedelta(minutes=2), None], ids=["accepted before it", "accepted after it", "not accepted"]
)
async def test_a_message_of_unknown_outcome_is_looked_for_and_sent_once(
    stage: Stage, owner: str | None, accepted_after: timedelta | None
) -> None:
    then = datetime.now(UTC) + HOUR
    problem = {"code": "interrupted", "orphaned_at": then.isoformat()} if owner == "held" else None
    await stage.queue(state="sending", attempts=1, lease_owner=owner, lease_until=then, attempt_started_at=then, problem=problem)
    if accepted_after is not None:
        stage.evolution.accept("sendText", {"number": CHAT, "text": "hi"})["messageTimestamp"] += int(accepted_after.total_seconds())
    async with stage.sending():
        await stage.expect_sent(seconds=20)
    assert stage.evolution.texts() == ["hi"]
