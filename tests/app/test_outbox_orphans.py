"""What a sender left behind that is gone, while Evolution may hold it: Redis is away, and what was asked for is sent when it is back."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from src.messages.claims import Claims
from src.messages.outbox import Tuning
from tests.app.outbox_support import CHAT, Stage, chat_of, staged

pytestmark = pytest.mark.anyio
HOLDING = Tuning(lease=3.0, poll=0.1)


@pytest.fixture
async def stage(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setattr("src.messages.sender._HELD_LOOK", timedelta(seconds=0.2))
    async with staged(database_url) as made:
        yield made


async def orphan(stage: Stage, owner: str = "elsewhere/7/1/x", *, minutes_ago: float = 0.1) -> None:
    """A text whose sender ended over it."""
    then = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    await stage.queue(state="sending", attempts=1, lease_owner=owner, lease_until=then, attempt_started_at=then)


async def test_what_evolution_may_hold_is_only_looked_for_and_goes_out_once_when_redis_is_back(stage: Stage) -> None:
    await orphan(stage)
    async with stage.sending(HOLDING):
        await stage.expect(lambda _: stage.evolution.looks >= 5, "it looks again and again", seconds=20)
        assert stage.evolution.requests == [], "Evolution was asked for what it may be holding"
        assert (await stage.only())["problem"]["code"] == "interrupted"
        stage.evolution.accept("sendText", {"number": CHAT, "text": "hi"})
        await stage.expect_sent()
    assert stage.evolution.texts() == ["hi"]


async def test_another_message_that_is_sent_shows_that_nothing_is_held(stage: Stage) -> None:
    await orphan(stage)
    async with stage.sending(HOLDING):
        await stage.expect(lambda _: stage.evolution.looks >= 2, "it looks", seconds=20)
        await stage.queue("of another instance", chat_of(2), instance="sales")
        await stage.expect(lambda rows: rows[1]["state"] == "sent", "the other instance sends")
        seen = stage.evolution.looks
        await stage.expect(lambda _: stage.evolution.looks >= seen + 3, "it goes on looking")
        assert stage.evolution.texts(CHAT) == [], "what another instance sends shows nothing"
        await stage.queue("of the same", chat_of(3))
        await stage.expect_sent()
    assert stage.evolution.texts(CHAT) == ["hi"]


async def test_after_the_time_that_a_living_sender_would_have_waited_it_is_sent_again(stage: Stage) -> None:
    await orphan(stage, minutes_ago=11)
    async with stage.sending(HOLDING):
        await stage.expect_sent(seconds=20)
    assert stage.evolution.texts() == ["hi"]


@pytest.mark.parametrize(
    ("last_owner", "is_gone_for_certain"),
    [("app/1/8/x", True), ("app/2/8/x", False), ("app-2/1/8/x", False), ("dead", False)],
    ids=["an earlier run of the same container", "another process of this run", "another container", "nothing known"],
)
async def test_only_who_ran_in_the_same_container_before_its_start_is_gone_before_the_claim_ran_out(
    stage: Stage, last_owner: str, is_gone_for_certain: bool
) -> None:
    begun = datetime.now(UTC)
    claims = Claims(stage.engine, "app/2/9/y", timedelta(0), lambda: 0.0)
    ran_out = datetime.now(UTC) + timedelta(seconds=0.1)
    await orphan(stage, last_owner)
    await stage.rows("UPDATE messages SET lease_until = :at", at=ran_out)
    await stage.rows("SELECT pg_sleep(0.2)")
    (claim,) = await claims.claim(1)
    assert claim.orphaned_at is not None
    assert (begun <= claim.orphaned_at < ran_out) is is_gone_for_certain
    await claims.look_later(claim, {"code": "interrupted"}, timedelta(0), orphaned_at=claim.orphaned_at)
    (again,) = await claims.claim(1)
    assert again.orphaned_at == claim.orphaned_at, "looking is not sending"
