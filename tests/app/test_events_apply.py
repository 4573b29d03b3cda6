"""Events are stored once, whatever comes twice, late or out of order; against a real Postgres."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from src.database import create_engine
from src.events.outcome import Outcome
from src.settings import Settings
from tasks.migrate import migrate
from tests.app.events_support import (
    CHAT,
    INSTANCE,
    PHONES_ID,
    START,
    WEBS_ID,
    add_instance,
    connected,
    envelope,
    marked,
    message,
    messages,
    new_id,
    queue,
    received,
    rows,
    sent,
    store,
)

pytestmark = pytest.mark.anyio

MakeSettings = Callable[..., Settings]


@pytest.fixture
async def engine(make_settings: MakeSettings) -> AsyncIterator[AsyncEngine]:
    settings = make_settings()
    await migrate(settings)
    engine = create_engine(settings)
    yield engine
    await engine.dispose()


async def test_a_message_that_is_told_of_twice_is_one_message(engine: AsyncEngine) -> None:
    event = received("A1", "hello", at=START)
    assert await store(engine, event) == [Outcome.STORED]
    assert await store(engine, event, event) == [Outcome.DUPLICATE, Outcome.DUPLICATE]
    (row,) = await messages(engine)
    assert (row["instance"], row["chat"], row["direction"], row["state"], row["text"]) == (INSTANCE, CHAT, "inbound", "received", "hello")
    assert (row["evolution_id"], row["push_name"], row["whatsapp_timestamp"]) == ("A1", "Ana", START)


async def test_the_same_event_twice_in_one_batch_is_one_message(engine: AsyncEngine) -> None:
    event = received("A1")
    assert await store(engine, event, event) == [Outcome.STORED, Outcome.DUPLICATE]
    assert len(await messages(engine)) == 1


async def test_the_same_id_in_two_instances_is_two_messages(engine: AsyncEngine) -> None:
    await store(engine, received("A1", instance="one"), received("A1", instance="two"))
    assert [row["instance"] for row in await messages(engine)] == ["one", "two"]


async def test_many_at_once_that_tell_of_the_same_messages_store_each_once_and_do_not_wait_in_a_circle(engine: AsyncEngine) -> None:
    events = [event for number in range(30) for event in (sent(f"A{number}"), marked(f"A{number}", "READ"))]
    batches = [random.sample(events, len(events)) for _ in range(8)]
    async with asyncio.timeout(30):
        await asyncio.gather(*(store(engine, *batch) for batch in batches))
    found = await messages(engine)
    assert sorted(row["evolution_id"] for row in found) == sorted(f"A{number}" for number in range(30))
    assert {row["state"] for row in found} == {"read"}
    assert await rows(engine, "SELECT * FROM receipts") == []


MARKS = [("SERVER_ACK", 1), ("DELIVERY_ACK", 2), ("READ", 3)]


async def test_marks_and_their_message_leave_the_same_row_in_every_order(engine: AsyncEngine) -> None:
    for order in itertools.permutations(range(4)):
        name = f"A{order}"
        events = [sent(name, at=START), *(marked(name, status, at=START + timedelta(seconds=seconds)) for status, seconds in MARKS)]
        for index in order:
            await store(engine, events[index])
    found = await messages(engine)
    assert len(found) == 24
    times = START, START + timedelta(seconds=2), START + timedelta(seconds=3)
    assert {(row["state"], row["sent_at"], row["delivered_at"], row["read_at"]) for row in found} == {("read", *times)}
    assert await rows(engine, "SELECT * FROM receipts") == [], "a mark must not wait on for a message that is there"


async def test_a_mark_says_what_became_of_it(engine: AsyncEngine) -> None:
    await store(engine, sent("A1"), received("A2"))
    read, delivered = marked("A1", "READ"), marked("A1", "DELIVERY_ACK")
    assert await store(engine, read) == [Outcome.STORED]
    assert await store(engine, read, delivered) == [Outcome.DUPLICATE, Outcome.STALE]
    assert await store(engine, marked("A2", "READ"), marked("A2", "READ", from_me=False)) == [Outcome.IGNORED, Outcome.IGNORED]
    assert [row["state"] for row in await messages(engine)] == ["read", "received"]


async def test_a_mark_of_the_future_counts_as_one_of_now(engine: AsyncEngine) -> None:
    await store(engine, sent("A1"), marked("A1", "READ", at=datetime.now(UTC) + timedelta(hours=3)))
    (row,) = await messages(engine)
    assert row["read_at"] <= datetime.now(UTC)


@pytest.mark.parametrize("refused_first", [True, False])
async def test_a_refusal_of_whatsapps_is_a_failure_until_the_message_is_delivered_after_all(
    engine: AsyncEngine, *, refused_first: bool
) -> None:
    await store(engine, sent("A1"))
    if refused_first:
        await store(engine, marked("A1", "ERROR"))
        (row,) = await messages(engine)
        assert (row["state"], row["problem"]["code"]) == ("failed", "refused_by_whatsapp")
        assert row["failed_at"] is not None
        await store(engine, marked("A1", "DELIVERY_ACK"))
    else:
        await store(engine, marked("A1", "DELIVERY_ACK"))
        await store(engine, marked("A1", "ERROR"))
    (row,) = await messages(engine)
    assert (row["state"], row["problem"], row["failed_at"]) == ("delivered", None, None)


async def test_an_own_message_of_another_device_is_stored(engine: AsyncEngine) -> None:
    own = envelope("messages.upsert", message("A1", "from the phone", from_me=True, at=START))
    assert await store(engine, own) == [Outcome.STORED]
    (row,) = await messages(engine)
    assert (row["direction"], row["state"], row["sent_at"], row["push_name"], row["attempts"]) == ("outbound", "sent", START, None, 0)


async def test_an_own_message_that_a_sender_has_in_hand_is_left_to_it_and_its_marks_wait(engine: AsyncEngine) -> None:
    await queue(engine, "hi")
    own = new_id()
    assert await store(engine, sent(own, "hi"), marked(own, "DELIVERY_ACK")) == [Outcome.LEFT, Outcome.STORED]
    assert [row["state"] for row in await messages(engine)] == ["sending"], "there must be no second row, which a reader would see"
    (waiting,) = await rows(engine, "SELECT * FROM receipts")
    assert (waiting["evolution_id"], waiting["state"]) == (own, "delivered")


@pytest.mark.parametrize("other_id", [PHONES_ID, WEBS_ID])
async def test_what_another_device_sends_is_stored_although_a_sender_has_the_same_in_hand(engine: AsyncEngine, other_id: str) -> None:
    await queue(engine, "hi")
    assert await store(engine, sent(other_id, "hi")) == [Outcome.STORED]


async def test_it_is_left_too_when_whatsapp_knows_the_number_without_its_ninth_digit(engine: AsyncEngine) -> None:
    await queue(engine, "hi", chat="5511977776666@s.whatsapp.net")
    assert await store(engine, sent(new_id(), "hi", chat="551177776666@s.whatsapp.net")) == [Outcome.LEFT]


async def test_it_is_stored_when_the_senders_claim_ran_out_or_the_content_is_another(engine: AsyncEngine) -> None:
    await queue(engine, "hi", lease_seconds=-1)
    assert await store(engine, sent(new_id(), "hi")) == [Outcome.STORED], "whoever looks what became of the attempt finds it here"
    await queue(engine, "another", chat="5511900000000@s.whatsapp.net")
    assert await store(engine, sent(new_id(), "typed elsewhere", chat="5511900000000@s.whatsapp.net")) == [Outcome.STORED]


async def state_of(engine: AsyncEngine) -> tuple[str, datetime | None]:
    (row,) = await rows(engine, "SELECT state, state_changed_at FROM instances WHERE name = :name", name=INSTANCE)
    return row["state"], row["state_changed_at"]


async def changes(engine: AsyncEngine) -> list[tuple[str, float]]:
    found = await rows(engine, "SELECT state, at FROM connection_changes WHERE instance = :name ORDER BY at", name=INSTANCE)
    return [(row["state"], (row["at"] - START).total_seconds()) for row in found]


async def test_an_open_connection_brings_phone_and_name(engine: AsyncEngine) -> None:
    await add_instance(engine)
    opened = connected("open", 5, wuid="5511988887777@s.whatsapp.net", profileName="Support")
    assert await store(engine, opened) == [Outcome.STORED]
    (row,) = await rows(engine, "SELECT * FROM instances")
    assert (row["state"], row["phone"], row["profile_name"]) == ("open", "5511988887777", "Support")
    assert row["state_changed_at"] == START + timedelta(seconds=5)


async def test_an_older_change_never_replaces_a_newer_one(engine: AsyncEngine) -> None:
    await add_instance(engine)
    await store(engine, connected("connecting", 1))
    await store(engine, connected("open", 3))
    await store(engine, connected("close", 2))
    assert await state_of(engine) == ("open", START + timedelta(seconds=3))
    assert await changes(engine) == [("connecting", 1), ("close", 2), ("open", 3)]


async def test_a_state_from_before_the_clock_was_set_back_gives_way_to_the_next_change(engine: AsyncEngine) -> None:
    await add_instance(engine)
    await rows(engine, "UPDATE instances SET state = 'open', state_changed_at = now() + interval '1 hour'")
    await store(engine, connected("close", 2))
    assert await state_of(engine) == ("close", START + timedelta(seconds=2))


async def test_a_late_change_between_two_of_the_same_state_does_not_become_the_last(engine: AsyncEngine) -> None:
    await add_instance(engine)
    await store(engine, connected("open", 1))
    await store(engine, connected("open", 3))
    await store(engine, connected("close", 2))
    assert await state_of(engine) == ("open", START + timedelta(seconds=3))
    assert await changes(engine) == [("open", 1), ("close", 2), ("open", 3)]


async def test_a_storm_of_one_state_is_one_change(engine: AsyncEngine) -> None:
    await add_instance(engine)
    outcomes = await store(engine, *(connected("connecting", number / 100) for number in range(100)))
    outcomes += await store(engine, *(connected("connecting", 1 + number / 100) for number in range(100)))
    assert outcomes.count(Outcome.STORED) == 1
    assert await changes(engine) == [("connecting", 0)]


async def test_used_up_qr_codes_close_the_instance(engine: AsyncEngine) -> None:
    await add_instance(engine)
    await store(engine, connected("connecting", 1), connected("refused", 2))
    assert (await state_of(engine))[0] == "close"
    assert await changes(engine) == [("connecting", 1), ("refused", 2)]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    told=st.lists(
        st.tuples(st.sampled_from(["open", "close", "connecting"]), st.integers(0, 9)),
        min_size=1,
        max_size=8,
        unique_by=lambda each: each[1],
    ),
    cuts=st.lists(st.integers(1, 3), min_size=8, max_size=8),
)
def test_whatever_the_order_of_changes_the_state_is_the_newest(
    postgres_engine: Callable[..., AsyncEngine], told: list[tuple[str, int]], cuts: list[int]
) -> None:
    async def run() -> None:
        engine = postgres_engine()
        await rows(engine, "TRUNCATE instances, connection_changes")
        await add_instance(engine)
        rest = list(told)
        for cut in cuts:
            batch, rest = rest[:cut], rest[cut:]
            if batch:
                await store(engine, *(connected(state, second) for state, second in batch))
        newest = max(told, key=lambda each: each[1])
        assert await state_of(engine) == (newest[0], START + timedelta(seconds=newest[1]))
        stored = await changes(engine)
        assert stored[-1][0] == newest[0]
        assert all(one[0] != two[0] for one, two in itertools.pairwise(stored)), "neighbours differ"
        await engine.dispose()

    asyncio.run(run())


@pytest.fixture
def postgres_engine(make_settings: MakeSettings) -> Callable[[], AsyncEngine]:
    settings = make_settings()
    asyncio.run(migrate(settings))
    return lambda: create_engine(settings)


async def test_a_connection_that_opens_wakes_the_outbox_and_one_that_is_open_already_does_not(engine: AsyncEngine) -> None:
    await add_instance(engine)
    heard: list[str] = []
    async with engine.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        await driver.add_listener("outbox", lambda *told: heard.append(told[3]))
        await store(engine, connected("connecting", 1))
        await store(engine, connected("open", 2))
        await store(engine, connected("open", 3))
        await connection.exec_driver_sql("SELECT 1")
        assert heard == [INSTANCE]
        await connection.invalidate()


async def test_an_instance_made_anew_by_others_gets_its_new_id_and_an_old_event_of_it_changes_nothing(engine: AsyncEngine) -> None:
    await add_instance(engine)
    now = datetime.now(UTC)
    other = "7a5a3b5e-0f5e-4f0e-9a3c-0d4b5d1f0c11"
    old = envelope("instance.create", {"instanceName": INSTANCE, "instanceId": other}, at=now - timedelta(hours=1))
    assert await store(engine, old) == [Outcome.DUPLICATE]
    new = envelope("instance.create", {"instanceName": INSTANCE, "instanceId": other}, at=now + timedelta(seconds=1))
    assert await store(engine, new) == [Outcome.STORED]
    (row,) = await rows(engine, "SELECT * FROM instances")
    assert str(row["id"]) == other
    gone = envelope("instance.delete", {"instanceName": INSTANCE, "instanceId": other})
    await rows(engine, "INSERT INTO caught_up (instance) VALUES (:instance), ('another')", instance=INSTANCE)
    assert await store(engine, gone, gone) == [Outcome.STORED, Outcome.DUPLICATE]
    assert await rows(engine, "SELECT * FROM instances") == []
    assert await rows(engine, "SELECT instance FROM caught_up") == [{"instance": "another"}], "how far catch-up got is forgotten"


async def test_what_is_of_no_use_is_ignored(engine: AsyncEngine) -> None:
    assert await store(engine, envelope("chats.upsert", []), envelope("presence.update", {})) == [Outcome.IGNORED, Outcome.IGNORED]


async def test_a_change_of_connection_does_not_wait_for_a_message_that_is_being_queued(engine: AsyncEngine) -> None:
    await add_instance(engine)
    async with engine.begin() as posting, asyncio.timeout(5):
        await posting.execute(text("SELECT id FROM instances FOR KEY SHARE"))  # as a POST /messages does
        assert await store(engine, connected("open", 1)) == [Outcome.STORED]
