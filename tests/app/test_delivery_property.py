"""No interleaving of duplicates, reorderings and crashes loses or doubles a message.

Hypothesis chooses what happens next: requests arrive at Evolution, their answers arrive or are lost, Evolution holds requests while Redis
is away, senders and consumers die between any two steps, events come twice, late and in any order. In the end everything works again, and
then each message that was posted must have been accepted exactly once, in the order of its chat, and be stored exactly once with all its
marks.
"""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterator
from random import Random
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from src.database import create_engine
from src.models import Base
from src.settings import Settings
from tests.app.delivery_model import Request, World

WHICH = st.integers(0, 99)
SEED = st.integers(0, 2**32 - 1)
CHATS = ["4915100000001@s.whatsapp.net", "4915100000002@s.whatsapp.net"]


class Delivery(RuleBasedStateMachine):
    """The rules are what may happen; `teardown` says what must hold then.

    A rule that finds nothing to do does nothing, and nothing is drawn from what there is: how far a sender gets before it dies depends on
    time too, and Hypothesis takes draws that do for a mistake of the test's.
    """

    loop: ClassVar[asyncio.AbstractEventLoop]
    engine: ClassVar[AsyncEngine]

    def run(self, step: Coroutine[Any, Any, None]) -> None:
        self.loop.run_until_complete(step)

    @initialize()
    def begin(self) -> None:
        self.world = World(self.engine)
        self.run(self.world.open())

    @rule(chat=st.sampled_from(CHATS), content=st.sampled_from(["yes", "no"]))
    def post(self, chat: str, content: str) -> None:
        self.run(self.world.post(chat, content))

    @rule(chat=st.sampled_from(CHATS))
    def another_device_sends(self, chat: str) -> None:
        self.world.evolution.take(chat, "from the phone")

    @rule(sender=st.sampled_from([0, 1]), count=st.integers(1, 3))
    def claim(self, sender: int, count: int) -> None:
        self.run(self.world.claim(sender, count))

    @rule(orphans_arrive=st.booleans())
    def time_passes(self, orphans_arrive: bool) -> None:
        self.run(self.world.pass_time(orphans_arrive))

    @rule(first=st.sampled_from([0, 1]))
    def the_database_comes_back_after_all_claims_ran_out(self, first: int) -> None:
        async def step() -> None:
            await self.world.lose_database()
            await self.world.claim(first, 3)

        if self.world.evolution.requests:
            self.run(step())

    @rule(away=st.booleans())
    def evolution_can_be_asked(self, away: bool) -> None:
        self.world.evolution.away = away

    @rule(orphans_arrive=st.booleans())
    def redis_goes_away_or_comes_back(self, orphans_arrive: bool) -> None:
        evolution = self.world.evolution
        (evolution.find_redis_again if evolution.holding else evolution.lose_redis)(orphans_arrive=orphans_arrive)

    @rule(which=WHICH)
    def a_sender_dies_over_what_evolution_holds(self, which: int) -> None:
        async def step(request: Request) -> None:
            self.world.evolution.lose_redis(orphans_arrive=True)
            await self.world.crash(request.sender)
            await self.world.pass_time(orphans_arrive=True)
            await self.world.claim(1 - request.sender, 3)

        if request := self._request(which):
            self.run(step(request))

    @rule(which=WHICH)
    def evolution_accepts(self, which: int) -> None:
        if request := self._request(which):
            self.world.evolution.accept(request)

    @rule(which=WHICH, how=st.sampled_from(["tell", "lose", "refuse"]))
    def an_answer_comes(self, which: int, how: str) -> None:
        async def step(request: Request) -> None:
            await self.world.answer(request, how)
            await self.world.settle()

        if request := self._request(which):
            self.run(step(request))

    @rule(which=WHICH, how=st.sampled_from(["tell", "lose"]), turns=st.integers(0, 40))
    def a_sender_dies_over_an_answer(self, which: int, how: str, turns: int) -> None:
        async def step(request: Request) -> None:
            await self.world.answer(request, how)
            await self.world.crash(request.sender, turns)

        if request := self._request(which):
            self.run(step(request))

    @rule(sender=st.sampled_from([0, 1]), for_long=st.booleans(), orphans_arrive=st.booleans())
    def a_sender_dies(self, sender: int, for_long: bool, orphans_arrive: bool) -> None:
        async def step() -> None:
            await self.world.crash(sender)
            if for_long:
                await self.world.pass_time(orphans_arrive)

        self.run(step())

    @rule(seed=SEED, commits=st.booleans())
    def events_come(self, seed: int, commits: bool) -> None:
        if self.world.evolution.events:
            self.run(self.world.deliver(self._events(seed), commits=commits))

    @rule(which=WHICH, seed=SEED)
    def events_come_together_with_an_answer(self, which: int, seed: int) -> None:
        async def step(request: Request, bodies: list[bytes]) -> None:
            await asyncio.gather(self.world.answer(request, "tell"), self.world.deliver(bodies))
            await self.world.settle()

        request = self._request(which)
        if request and not self.world.evolution.holding:
            self.world.evolution.accept(request)
            self.run(step(request, self._events(seed)))

    def _request(self, which: int) -> Request | None:
        requests = self.world.evolution.requests
        return requests[which % len(requests)] if requests else None

    def _events(self, seed: int) -> list[bytes]:
        """Some of all events that ever were: duplicates, in any order."""
        events, chance = self.world.evolution.events, Random(seed)  # noqa: S311  # for no secret
        return chance.sample(events, len(events)) if chance.random() < 0.5 else chance.choices(events, k=chance.randint(1, 6))

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.run(self._check())

    async def _check(self) -> None:
        world = self.world
        try:
            await world.finish()
            rows = await world.rows()
            receipts = await world.waiting_receipts()
        finally:
            for sender in world.tasks:
                await world.crash(sender)
        by_application = [record for record in world.evolution.accepted if record["message"]["conversation"] != "from the phone"]
        for chat in CHATS:
            got = [record["message"]["conversation"] for record in by_application if record["key"]["remoteJid"] == chat]
            wanted = [content for where, content, _ in world.posted if where == chat]
            assert Counter(got) == Counter(wanted), f"WhatsApp got {got}, and should have got {wanted}"
            assert got == wanted, f"WhatsApp got {got} in another order than {wanted}"
        states = Counter(row["state"] for row in rows)
        assert states.keys() <= {"read"}, f"all are read, but stored as {dict(states)}"
        ids = sorted(row["evolution_id"] for row in rows)
        assert ids == sorted(record["key"]["id"] for record in world.evolution.accepted), "not each message is stored exactly once"
        assert {message_id for *_, message_id in world.posted} <= {row["id"] for row in rows}, "a posted message is gone"
        by_id = {record["key"]["id"]: record for record in world.evolution.accepted}
        for row in rows:
            assert row["text"] == by_id[row["evolution_id"]]["message"]["conversation"], "a message has another one's id"
            assert (row["payload"], row["lease_owner"]) == (None, None)
        assert receipts == 0, f"{receipts} marks wait for messages that are all stored"


@pytest.fixture
def prepared(database_url: str, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level("ERROR")
    loop = asyncio.new_event_loop()
    engine = create_engine(Settings(database_url=SecretStr(database_url), evolution_api_key=SecretStr("the-key")))

    async def create_tables() -> None:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)

    loop.run_until_complete(create_tables())
    Delivery.loop, Delivery.engine = loop, engine
    yield
    loop.run_until_complete(engine.dispose())
    loop.close()


@pytest.mark.usefixtures("prepared")
def test_no_interleaving_of_crashes_duplicates_and_reorderings_loses_or_doubles_a_message() -> None:
    run_state_machine_as_test(
        Delivery,
        settings=settings(max_examples=80, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True),
    )
