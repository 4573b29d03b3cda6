"""After an outage of whatever length, catch-up brings what no event will: messages and marks, once, and without a false alarm."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from src.events.catch_up import CatchUp
from src.evolution.errors import EvolutionFailedError
from src.faults import Fault, State
from src.resources import Resources, open_resources
from src.settings import Settings
from tasks.migrate import migrate
from tests.app.catch_up_support import StoredMessages, record
from tests.app.events_support import INSTANCE, add_instance, messages, new_id, queue, received, rows, sent, store
from tests.app.test_events_catch_up import Deliveries

if TYPE_CHECKING:
    from tests.app.conftest import FakeEvolution

pytestmark = pytest.mark.anyio

MakeSettings = Callable[..., Settings]
MINUTE = 60
HOUR = 60 * MINUTE


@pytest.fixture
async def resources(make_settings: MakeSettings, fake_evolution: "FakeEvolution") -> AsyncIterator[Resources]:
    settings = make_settings()
    await migrate(settings)
    fake_evolution.instances = {INSTANCE: "open"}
    async with open_resources(settings) as resources:
        yield resources


@pytest.fixture
def stored(resources: Resources, monkeypatch: pytest.MonkeyPatch) -> StoredMessages:
    stored = StoredMessages()
    stored.put_in(resources, monkeypatch)
    return stored


@pytest.fixture
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src.events.catch_up._RETRY_SECONDS", 0.1)
    monkeypatch.setattr("src.events.catch_up._SETTLE_SECONDS", 0.0)
    monkeypatch.setattr("src.events.catch_up.INTERVAL_SECONDS", 0.1)


async def caught_up_until(engine: AsyncEngine, seconds_ago: float, instance: str = INSTANCE) -> None:
    await rows(
        engine,
        "INSERT INTO caught_up (instance, until) VALUES (:instance, :until)",
        instance=instance,
        until=datetime.now(UTC) - timedelta(seconds=seconds_ago),
    )


async def ids(engine: AsyncEngine) -> list[str]:
    return [str(row["evolution_id"]) for row in await messages(engine)]


async def until_there(engine: AsyncEngine, *wanted: str) -> None:
    for _ in range(200):
        if set(wanted) <= set(await ids(engine)):
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"not there: {set(wanted) - set(await ids(engine))}")


@pytest.mark.usefixtures("_at_once")
async def test_what_came_while_the_application_and_the_broker_were_away_is_found_although_newer_messages_are_known(
    resources: Resources, stored: StoredMessages
) -> None:
    await caught_up_until(resources.engine, 10 * MINUTE)
    stored.records[INSTANCE] = [record(f"A{minute}", minute * MINUTE) for minute in range(1, 10)]
    await store(resources.engine, sent("B1"), received("B2"))  # in the first second after the start
    async with CatchUp(resources, Deliveries()):
        await until_there(resources.engine, *(f"A{minute}" for minute in range(1, 10)))
    assert resources.faults.get("events") is None, "the application was away, which is no loss of Evolution's"


async def test_an_outage_of_weeks_is_caught_up_in_parts_the_oldest_first_and_goes_on_after_a_kill(
    resources: Resources, stored: StoredMessages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("src.events.looking._MOST_AT_ONCE", 100)
    monkeypatch.setattr("src.events.finding.PAGE_SIZE", 40)
    weeks = 40 * 24 * HOUR
    await caught_up_until(resources.engine, weeks)
    stored.records[INSTANCE] = [record(f"A{number:03}", weeks - 100 - number * 10_000) for number in range(300)]
    counts = []
    for _ in range(6):
        await CatchUp(resources, Deliveries()).look(quiet=True)  # each by a new process
        counts.append(len(await messages(resources.engine)))
    assert sorted(await ids(resources.engine)) == [f"A{number:03}" for number in range(300)]
    assert 100 <= counts[0] < 150, "other instances have their turn soon"
    found = await ids(resources.engine)
    assert max(found[: counts[0]]) < min(found[counts[0] :]), "the oldest first, so that the rest is never forgotten"


async def test_a_part_that_is_left_is_fetched_at_once(
    resources: Resources, stored: StoredMessages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("src.events.looking._MOST_AT_ONCE", 10)
    monkeypatch.setattr("src.events.finding.PAGE_SIZE", 5)
    monkeypatch.setattr("src.events.catch_up._SETTLE_SECONDS", 0.0)
    await caught_up_until(resources.engine, HOUR)
    stored.records[INSTANCE] = [record(f"A{number}", number * MINUTE) for number in range(1, 50)]
    async with CatchUp(resources, Deliveries()):
        await until_there(resources.engine, *(f"A{number}" for number in range(1, 50)))


async def test_no_look_moves_on_past_what_was_left_to_a_sender_and_was_another_devices(
    resources: Resources, stored: StoredMessages
) -> None:
    await caught_up_until(resources.engine, 10 * MINUTE)
    message_id = await queue(resources.engine, "hi")
    other = new_id()
    stored.records[INSTANCE] = [record(other, 5 * MINUTE, from_me=True), record("B1", 4 * MINUTE)]
    await CatchUp(resources, None).look(quiet=True)
    assert await ids(resources.engine) == ["None", "B1"], "the other one may be what the sender has in hand"
    await rows(
        resources.engine, "UPDATE messages SET state = 'sent', evolution_id = 'A2', lease_until = NULL WHERE id = :id", id=message_id
    )
    await CatchUp(resources, None).look(quiet=True)
    assert await ids(resources.engine) == ["A2", "B1", other]
    (row,) = await rows(resources.engine, "SELECT until FROM caught_up")
    assert row["until"] > datetime.now(UTC) - timedelta(minutes=1), "it goes on then"


async def test_a_look_that_breaks_off_is_not_held_to_be_one(resources: Resources, stored: StoredMessages) -> None:
    await caught_up_until(resources.engine, HOUR)
    stored.fails[INSTANCE] = EvolutionFailedError(Fault(State.UNEXPECTED_ANSWER, "a database error", "nothing"))
    await CatchUp(resources, Deliveries()).look()
    stored.fails.clear()
    await CatchUp(resources, Deliveries()).look()
    assert [round(reach.total_seconds()) // MINUTE for _, reach in stored.asked] == [61, 61]


async def test_an_instance_that_is_away_or_has_just_come_back_is_looked_at_from_before_that(
    resources: Resources, stored: StoredMessages, fake_evolution: "FakeEvolution"
) -> None:
    await add_instance(resources.engine)
    await caught_up_until(resources.engine, HOUR)
    fake_evolution.instances[INSTANCE] = "close"
    stored.records[INSTANCE] = [record("A1", 50 * MINUTE)]
    await CatchUp(resources, Deliveries()).look(quiet=True)
    fake_evolution.instances[INSTANCE] = "open"
    await rows(resources.engine, "UPDATE instances SET state = 'open', state_changed_at = now()")
    stored.records[INSTANCE] += [record("A2", MINUTE)]
    catch_up = CatchUp(resources, Deliveries())
    await catch_up.look()
    stored.records[INSTANCE] += [record("A3", 40 * MINUTE)]  # WhatsApp hands out bit by bit, and not in order, what was sent meanwhile
    await catch_up.look()
    assert sorted(await ids(resources.engine)) == ["A1", "A2", "A3"]
    assert resources.faults.get("events") is None, "their events may be on their way"
    await rows(resources.engine, "UPDATE instances SET state_changed_at = now() - interval '5 minutes'")
    for _ in range(2):
        await catch_up.look()
    assert [round(reach.total_seconds()) // MINUTE for _, reach in stored.asked] == [61, 51, 51, 51, 1]


@pytest.mark.usefixtures("_at_once")
@pytest.mark.parametrize("of_one_instance", [False, True])
async def test_a_first_look_that_fails_makes_no_false_alarm_of_what_came_while_the_application_was_away(
    resources: Resources, stored: StoredMessages, fake_evolution: "FakeEvolution", *, of_one_instance: bool
) -> None:
    stored.records[INSTANCE] = [record("A1", 5 * MINUTE), record("A2", 2 if not of_one_instance else 40)]
    if of_one_instance:
        stored.fails[INSTANCE] = EvolutionFailedError(Fault(State.UNEXPECTED_ANSWER, "a database error", "nothing"))
    else:
        broken = 500, {"status": 500, "error": "Internal Server Error", "response": {"message": "x"}}
        fake_evolution.answers["/instance/fetchInstances"] = broken
    async with CatchUp(resources, Deliveries()):
        await asyncio.sleep(0.5)
        stored.fails.clear()
        fake_evolution.answers.clear()
        await rows(resources.engine, "UPDATE caught_up SET looked_at = now() - interval '1 minute'")
        await until_there(resources.engine, "A1", "A2")
        await asyncio.sleep(0.5)
    assert resources.faults.get("events") is None


async def test_one_instances_error_does_not_keep_the_others_from_being_looked_at(
    resources: Resources, stored: StoredMessages, fake_evolution: "FakeEvolution", caplog: pytest.LogCaptureFixture
) -> None:
    fake_evolution.instances = {"first": "open", "second": "open", "third": "open"}
    stored.records = {name: [record(f"of {name}")] for name in fake_evolution.instances}
    stored.fails["first"] = EvolutionFailedError(Fault(State.UNEXPECTED_ANSWER, "a database error", "nothing"))
    assert await CatchUp(resources, Deliveries()).look() == 2
    assert sorted(await ids(resources.engine)) == ["of second", "of third"]
    assert "a database error" in caplog.text
    assert resources.faults.get("events") is not None


@pytest.mark.usefixtures("_at_once")
async def test_marks_that_no_event_told_of_are_asked_for_again_after_an_outage_and_not_each_time(
    resources: Resources, stored: StoredMessages
) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=1)
    await store(resources.engine, *(sent(name, at=long_ago) for name in ("A1", "A2", "A3")), received("B1", at=long_ago))
    await rows(resources.engine, "UPDATE messages SET created_at = :at", at=long_ago)
    await caught_up_until(resources.engine, MINUTE)
    day = 24 * HOUR
    stored.records[INSTANCE] = [
        record("A1", day, from_me=True, statuses=("DELIVERY_ACK", "READ")),
        record("A2", day, from_me=True, statuses=("DELIVERY_ACK",)),
        record("A3", day, from_me=True),
    ]

    async def states() -> list[str]:
        return [row["state"] for row in await rows(resources.engine, "SELECT state FROM messages ORDER BY evolution_id")]

    await CatchUp(resources, Deliveries()).look()
    assert await states() == ["sent", "sent", "sent", "received"], "there is no reason to doubt"
    async with CatchUp(resources, Deliveries()):
        for _ in range(100):
            if await states() == ["read", "delivered", "sent", "received"]:
                break
            await asyncio.sleep(0.05)
        await asyncio.sleep(1)
    assert await states() == ["read", "delivered", "sent", "received"]
    far = [reach for _, reach in stored.asked if reach > timedelta(hours=20)]
    assert len(far) == 1, f"asked once after the start, of {len(stored.asked)} times"


async def test_marks_are_asked_for_again_when_a_message_came_without_an_event_and_in_parts(
    resources: Resources, stored: StoredMessages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("src.events.lost_marks._MOST_AT_ONCE", 4)
    monkeypatch.setattr("src.events.finding.PAGE_SIZE", 2)
    for number in range(10):
        at = datetime.now(UTC) - timedelta(hours=20 - number)
        await store(resources.engine, sent(f"A{number}", at=at))
        stored.records.setdefault(INSTANCE, []).append(record(f"A{number}", (20 - number) * HOUR, from_me=True, statuses=("READ",)))
    await rows(resources.engine, "UPDATE messages SET created_at = whatsapp_timestamp")
    await caught_up_until(resources.engine, 2 * MINUTE)
    stored.records[INSTANCE].append(record("B1", MINUTE))
    catch_up = CatchUp(resources, Deliveries())
    read = []
    for _ in range(6):
        await catch_up.look()
        read.append((await rows(resources.engine, "SELECT count(*) AS n FROM messages WHERE state = 'read'"))[0]["n"])
    assert read[0] == 0, "the look that finds the first one missing has no more to do"
    assert 0 < read[1] < 10
    assert read[-1] == 10


async def test_replicas_take_turns_and_each_looks_at_once_when_it_has_a_reason(
    resources: Resources, stored: StoredMessages, fake_evolution: "FakeEvolution"
) -> None:
    fake_evolution.instances = {"first": "open", "second": "open"}
    replicas = [CatchUp(resources, Deliveries()) for _ in range(3)]
    for each in replicas:
        await each.look(in_turn=True)
    assert [name for name, _ in stored.asked] == ["first", "second"]
    await replicas[1].look(quiet=True)
    assert len(stored.asked) == 4
    await rows(resources.engine, "UPDATE caught_up SET looked_at = now() - interval '26 s'")
    await asyncio.gather(*(each.look(in_turn=True) for each in replicas))
    assert len(stored.asked) == 6


async def test_a_clock_that_is_set_back_keeps_no_replica_from_looking_and_leaves_nothing_out(
    resources: Resources, stored: StoredMessages
) -> None:
    await caught_up_until(resources.engine, -HOUR)
    await rows(resources.engine, "UPDATE caught_up SET looked_at = now() + interval '1 hour'")
    await add_instance(resources.engine)
    await rows(resources.engine, "UPDATE instances SET state = 'open', state_changed_at = now() + interval '1 hour'")
    stored.records[INSTANCE] = [record("A1", 40)]
    await CatchUp(resources, Deliveries()).look(in_turn=True)
    assert await ids(resources.engine) == ["A1"]
    (row,) = await rows(resources.engine, "SELECT until, looked_at FROM caught_up")
    assert max(row["until"], row["looked_at"]) <= datetime.now(UTC)
