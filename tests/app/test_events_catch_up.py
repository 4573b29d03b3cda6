"""Catch-up finds at Evolution API what no event brought, says so, and stores nothing twice."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from src.events.catch_up import CatchUp
from src.events.finding import found_between
from src.resources import Resources, open_resources
from src.settings import Settings
from tasks.migrate import migrate
from tests.app.catch_up_support import record
from tests.app.events_support import INSTANCE, add_instance, messages, new_id, queue, received, rows, sent, store

if TYPE_CHECKING:
    from src.evolution import EvolutionClient
    from tests.app.conftest import FakeEvolution

pytestmark = pytest.mark.anyio

MakeSettings = Callable[..., Settings]
PATH = f"/chat/findMessages/{INSTANCE}"


class Deliveries:
    """A broker of which a test says what waits in it and what came."""

    def __init__(self) -> None:
        self.waiting: int | None = 0
        self.heard_at: datetime | None = None

    async def backlog(self) -> int | None:
        return self.waiting


@pytest.fixture
async def resources(make_settings: MakeSettings, fake_evolution: "FakeEvolution") -> AsyncIterator[Resources]:
    settings = make_settings()
    await migrate(settings)
    fake_evolution.instances = {INSTANCE: "open"}
    async with open_resources(settings) as resources:
        yield resources


def has(fake: "FakeEvolution", *records: dict[str, Any]) -> None:
    fake.answers[PATH] = 200, {"messages": {"total": len(records), "pages": 1, "currentPage": 1, "records": list(records)}}


async def test_what_a_silent_loss_of_the_broker_swallowed_is_stored_once_and_said_until_events_come_again(
    resources: Resources, fake_evolution: "FakeEvolution", caplog: pytest.LogCaptureFixture
) -> None:
    deliveries = Deliveries()
    catch_up = CatchUp(resources, deliveries)
    has(fake_evolution, record("A1"), record("A2", from_me=True, statuses=("DELIVERY_ACK", "READ", "DELETED")))
    assert await catch_up.look() == 2
    assert await catch_up.look() == 0
    assert [(row["evolution_id"], row["state"]) for row in await messages(resources.engine)] == [("A1", "received"), ("A2", "read")]
    fault = resources.faults["events"]
    assert fault is not None, "a later look that finds nothing must not take the note away: perhaps nothing was sent"
    assert "Evolution API has lost its connection to RabbitMQ" in fault.problem
    assert "make restart SERVICE=evolution-api" in fault.mend
    assert "make restart SERVICE=evolution-api" in caplog.text
    deliveries.heard_at = datetime.now(UTC)
    await catch_up.look()
    assert resources.faults["events"] is None, "an event came, so Evolution has its broker again"


async def test_what_events_brought_is_not_found_again(resources: Resources, fake_evolution: "FakeEvolution") -> None:
    await store(resources.engine, received("A1"), sent("A2"))
    has(fake_evolution, record("A1"), record("A2", from_me=True))
    assert await CatchUp(resources, Deliveries()).look() == 0
    assert len(await messages(resources.engine)) == 2
    assert resources.faults.get("events") is None


async def test_what_is_young_or_waits_in_the_broker_or_came_while_the_application_was_away_is_no_loss(
    resources: Resources, fake_evolution: "FakeEvolution"
) -> None:
    deliveries = Deliveries()
    catch_up = CatchUp(resources, deliveries)
    deliveries.waiting = 3
    has(fake_evolution, record("A1"))
    assert await catch_up.look() == 0
    assert await messages(resources.engine) == [], "it is about to come as an event"
    deliveries.waiting = 0
    has(fake_evolution)
    await catch_up.look()
    (until,) = [body["where"]["messageTimestamp"]["lte"] for _, path, body in fake_evolution.requests if path == PATH]
    assert datetime.now(UTC) - datetime.fromisoformat(until) > timedelta(seconds=29), "the youngest may still come as events"
    has(fake_evolution, record("A3"))
    await catch_up.look(quiet=True)
    assert [row["evolution_id"] for row in await messages(resources.engine)] == ["A3"], "it is stored all the same"
    assert resources.faults.get("events") is None


async def test_an_own_message_whose_event_was_left_to_a_sender_that_died_is_no_loss(
    resources: Resources, fake_evolution: "FakeEvolution"
) -> None:
    await queue(resources.engine, "hi", lease_seconds=0.2)
    own = new_id()
    await store(resources.engine, sent(own, "hi"))
    has(fake_evolution, record(own, from_me=True))
    await asyncio.sleep(0.3)
    assert await CatchUp(resources, Deliveries()).look() == 0
    assert [row["evolution_id"] for row in await messages(resources.engine)] == [None, own], "the next sender finds it here"


async def test_a_state_that_no_event_told_of_is_evolutions(resources: Resources, fake_evolution: "FakeEvolution") -> None:
    await add_instance(resources.engine)
    has(fake_evolution)
    await CatchUp(resources, Deliveries()).look()
    (row,) = await rows(resources.engine, "SELECT state, phone FROM instances")
    assert (row["state"], row["phone"]) == ("open", "5511988887777")
    fake_evolution.instances[INSTANCE] = "close"
    await CatchUp(resources, Deliveries()).look()
    (row,) = await rows(resources.engine, "SELECT state FROM instances")
    assert row["state"] == "open", "what was heard a moment ago is believed more"
    for minutes in (-5, 60):
        await rows(resources.engine, "UPDATE instances SET state = 'open', state_changed_at = now() + :by", by=timedelta(minutes=minutes))
        await CatchUp(resources, Deliveries()).look()
        (row,) = await rows(resources.engine, "SELECT state FROM instances")
        assert row["state"] == "close", "a time of the future is from before the clock was set back"


async def test_each_look_begins_a_little_before_the_end_of_the_one_before(resources: Resources, fake_evolution: "FakeEvolution") -> None:
    has(fake_evolution)
    await store(resources.engine, received("A1", at=datetime.now(UTC) - timedelta(hours=1)))
    for _ in range(2):
        await CatchUp(resources, Deliveries()).look()
    reach = [datetime.now(UTC) - datetime.fromisoformat(start) for start in asked_from(fake_evolution)]
    assert [round(each.total_seconds()) // 10 for each in reach] == [8649, 9], "the first time a day, then as far as is not known yet"


def asked_from(fake: "FakeEvolution") -> list[str]:
    return [body["where"]["messageTimestamp"]["gte"] for _, path, body in fake.requests if path == PATH]


class PagedEvolution:
    """Finds messages as Evolution does: by whole seconds, newest first, in pages; those of one second in no certain order."""

    def __init__(self, seconds: list[int]) -> None:
        self.start = datetime(2026, 11, 22, 12, tzinfo=UTC)
        self.times = [self.start + timedelta(seconds=each) for each in seconds]
        self.calls = 0

    async def find_messages(
        self,
        name: str,  # noqa: ARG002
        *,
        from_me: bool,  # noqa: ARG002
        between: tuple[datetime, datetime],
        page: int = 1,
        page_size: int,
    ) -> object:
        self.calls += 1
        found = [(at, number) for number, at in enumerate(self.times) if between[0] <= at <= between[1]]
        found.sort(key=lambda each: (each[0], hash((each[1], page_size))), reverse=True)

        class Page:
            total = len(found)
            pages = -(-len(found) // page_size)
            records = found[(page - 1) * page_size : page * page_size]

        return Page


@pytest.mark.parametrize("seconds", [[], [1], list(range(500)), [7] * 450, [3] * 150 + [4] * 150 + list(range(300, 600))])
async def test_all_are_found_however_many_fall_into_one_second(seconds: list[int]) -> None:
    evolution = PagedEvolution(seconds)
    until = evolution.start + timedelta(hours=1)
    pages = found_between(cast("EvolutionClient", evolution), "x", evolution.start, until)
    found: list[Any] = [each async for page in pages for each in page.records]
    assert sorted(found) == sorted((at, number) for number, at in enumerate(evolution.times))
    assert evolution.calls < 40


async def test_evolution_or_postgres_away_does_not_end_it(
    resources: Resources, fake_evolution: "FakeEvolution", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("src.events.catch_up._RETRY_SECONDS", 0.1)
    monkeypatch.setattr("src.events.catch_up._SETTLE_SECONDS", 0.0)
    fake_evolution.answers["/instance/fetchInstances"] = (
        500,
        {"status": 500, "error": "Internal Server Error", "response": {"message": "x"}},
    )
    has(fake_evolution, record("A1"))
    async with CatchUp(resources, Deliveries()):
        await asyncio.sleep(0.5)
        del fake_evolution.answers["/instance/fetchInstances"]
        for _ in range(100):
            if await messages(resources.engine):
                break
            await asyncio.sleep(0.05)
    assert [row["evolution_id"] for row in await messages(resources.engine)] == ["A1"]


async def test_what_is_kept_for_a_time_only_is_forgotten(resources: Resources, fake_evolution: "FakeEvolution") -> None:
    has(fake_evolution)
    await rows(
        resources.engine,
        """INSERT INTO receipts (instance, evolution_id, state, created_at)
           VALUES ('a', 'old', 'sent', now() - interval '8 days'), ('a', 'new', 'sent', now())""",
    )
    await rows(
        resources.engine,
        """INSERT INTO connection_changes (instance, state, at)
           SELECT 'a', 'open', now() - n * interval '1 s' FROM generate_series(1, 1005) AS n""",
    )
    async with CatchUp(resources, Deliveries()):
        for _ in range(100):
            if [row["evolution_id"] for row in await rows(resources.engine, "SELECT * FROM receipts")] == ["new"]:
                break
            await asyncio.sleep(0.05)
    assert [row["evolution_id"] for row in await rows(resources.engine, "SELECT * FROM receipts")] == ["new"]
    assert (await rows(resources.engine, "SELECT count(*) AS kept FROM connection_changes"))[0]["kept"] == 1000
