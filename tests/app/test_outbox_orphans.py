"""What a sender left behind that is gone, while Evolution may hold it: Redis is away, and what was asked for is sent when it is back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from src.messages.claims import Claims
from src.messages.outbox import Tuning
from src.messages.steadiness import Steadiness
from tests.app.outbox_support import CHAT, Stage, chat_of, staged

pytestmark = pytest.mark.anyio
HOLDING = Tuning(lease=3.0, poll=0.1)
TEXT = {"number": CHAT, "text": "hi"}
PICTURE = {"number": CHAT, "mediatype": "image", "media": "aGk="}


@pytest.fixture
async def stage(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setattr("src.messages.sender._HELD_LOOK", timedelta(seconds=0.2))
    async with staged(database_url) as made:
        yield made


async def orphan(stage: Stage, owner: str = "elsewhere/7/1/x", *, minutes_ago: float = 0.1, kind: str = "text") -> None:
    """A message whose sender ended over it."""
    then = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    body, said = (TEXT, "hi") if kind == "text" else (PICTURE, None)
    left: dict[str, Any] = {"state": "sending", "attempts": 1, "lease_owner": owner, "lease_until": then, "attempt_started_at": then}
    await stage.queue_body(kind, body, text=said, **left)


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


async def test_another_message_that_is_sent_shows_nothing_of_a_file_that_evolution_may_still_be_fetching(stage: Stage) -> None:
    await orphan(stage, kind="media")
    async with stage.sending(HOLDING):
        await stage.queue("of the same instance", chat_of(3))
        await stage.expect(lambda rows: rows[1]["state"] == "sent", "the other one is sent")
        seen = stage.evolution.looks
        await stage.expect(lambda _: stage.evolution.looks >= seen + 3, "it goes on looking", seconds=20)
        assert len(stage.evolution.accepted) == 1, "Evolution was asked again for a file that it is at"
        stage.evolution.accept("sendMedia", PICTURE)
        await stage.expect_sent()


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


class BreaksAtCommit:
    """A database that dies when it has committed, before it says so."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self.breaks = True

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        async with self._engine.begin() as connection:
            yield connection
        if self.breaks:
            raise OSError("on purpose")


@pytest.mark.parametrize("state", ["queued", "sending"])
async def test_a_claim_that_was_committed_unheard_is_as_if_it_had_not_been(stage: Stage, state: str) -> None:
    if state == "queued":
        await stage.queue()
    else:
        await orphan(stage)
    first, second = (await stage.only())["lease_until"], await stage.queue("next", chat_of(2))
    breaking: Any = BreaksAtCommit(stage.engine)
    claims = Claims(breaking, "app/1/9/y", timedelta(hours=1), lambda: 0.0)
    claims._steadiness = Steadiness(0.0, lambda: 0.0)
    for _ in range(2):
        with pytest.raises(OSError, match="on purpose"):
            await claims.claim(5)
    assert {row["lease_owner"] for row in await stage.messages()} == {"app/1/9/y"}, "it was committed"
    breaking.breaks = False
    claims._after = ("a", "")  # so that it goes round: all are seen twice
    again, other = sorted(await claims.claim(5), key=lambda claim: claim.chat)
    assert (again.unknown, again.orphaned_at, again.attempts) == (state == "sending", first, 1)
    assert (other.id, other.unknown, other.attempts) == (second, False, 1), "Evolution was never asked for it"
    assert await claims.claim(5) == [], "what is handed out is not claimed again"
