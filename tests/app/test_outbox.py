"""The outbox against a real Postgres and an Evolution API that answers as told."""

import asyncio
import time
from collections.abc import AsyncIterator

import asyncpg
import pytest

from src.messages.bell import CHANNEL, TELL_SECONDS
from src.messages.outbox import Outbox, Tuning
from src.resources import open_resources
from tests.app.outbox_support import CHAT, OK, Stage, chat_of, failure, staged

pytestmark = pytest.mark.anyio
ONLY_WOKEN = Tuning(poll=60)
"""Looks for messages when it is notified, and hardly ever else."""


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[Stage]:
    async with staged(database_url) as made:
        yield made


async def test_a_queued_message_is_sent_and_keeps_what_evolution_says_of_it(stage: Stage) -> None:
    await stage.queue("hello")
    async with stage.sending():
        await stage.expect_sent()
    row = await stage.only()
    record = stage.evolution.accepted[0]
    assert row["evolution_id"] == record["key"]["id"]
    assert (row["attempts"], row["payload"], row["problem"], row["lease_owner"]) == (1, None, None, None)
    assert row["whatsapp_type"] == "conversation"
    assert int(row["whatsapp_timestamp"].timestamp()) == record["messageTimestamp"]
    assert row["created_at"] <= row["sent_at"]


async def test_a_message_that_is_stored_while_the_outbox_waits_is_sent_at_once(stage: Stage) -> None:
    async with stage.sending(ONLY_WOKEN):
        await asyncio.sleep(0.3)
        await stage.queue("now")
        await stage.expect_sent()


async def test_the_outbox_of_the_process_that_stores_a_message_needs_no_notification(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hear_nothing(_: Outbox) -> None:
        await asyncio.sleep(3600)

    monkeypatch.setattr(Outbox, "_listen", hear_nothing)
    async with open_resources(stage.settings) as resources, Outbox(resources, ONLY_WOKEN):
        await asyncio.sleep(0.3)
        await stage.queue("now")
        resources.bell.ring()
        await stage.expect_sent()


async def test_others_are_told_of_many_messages_a_few_times_and_of_the_last_one_too(stage: Stage) -> None:
    heard: list[float] = []
    listener = await asyncpg.connect(stage.settings.database_url.get_secret_value())
    await listener.add_listener(CHANNEL, lambda *_: heard.append(time.monotonic()))
    for _ in range(50):
        last_ring = time.monotonic()
        stage.resources.bell.ring()
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.5)
    await listener.close()
    assert heard[-1] > last_ring
    assert 2 <= len(heard) <= 2 + (heard[-1] - heard[0]) / TELL_SECONDS, "each message woke all processes"


async def test_each_chat_is_sent_in_order_and_one_at_a_time(stage: Stage) -> None:
    stage.evolution.work_seconds = 0.01
    for number in range(40):
        await stage.queue(str(number), chat_of(number % 4))
    async with stage.sending():
        await stage.expect_sent()
    for chat in range(4):
        assert stage.evolution.texts(chat_of(chat)) == [str(number) for number in range(chat, 40, 4)]
    assert max(stage.evolution.most_in_flight.values()) == 1


async def test_a_message_that_can_not_be_sent_yet_holds_up_its_chat_but_no_other(stage: Stage) -> None:
    stage.evolution.converter = failure(500, "connect ECONNREFUSED 172.18.0.5:4040")
    await stage.queue_body("voice", {"number": "1", "audio": "T2dn"})
    await stage.queue("after")
    await stage.queue("elsewhere", chat_of(2))
    async with stage.sending():
        rows = await stage.expect(lambda rows: rows[0]["attempts"] > 0 and rows[2]["state"] == "sent", "the other chat goes on")
        assert rows[1]["attempts"] == 0, "a message overtook the one before it in its chat"
        stage.evolution.converter = None
        await stage.expect_sent()
    assert stage.evolution.accepted[1]["message"]["audioMessage"]
    assert stage.evolution.texts(CHAT) == ["after"]


async def test_several_senders_share_the_work_and_double_nothing(stage: Stage) -> None:
    stage.evolution.work_seconds = 0.005
    for number in range(200):
        await stage.queue(str(number), chat_of(number % 50))
    async with stage.sending(), stage.sending(), stage.sending():
        await stage.expect_sent(seconds=20)
    assert sorted(map(int, stage.evolution.texts())) == list(range(200))
    for chat in range(50):
        assert stage.evolution.texts(chat_of(chat)) == [str(number) for number in range(chat, 200, 50)]


async def test_evolution_that_is_away_delays_messages_and_loses_none(stage: Stage) -> None:
    await stage.evolution.stop()
    for number in range(30):
        await stage.queue(str(number), chat_of(number))
    async with stage.sending():
        await stage.expect_problem("evolution_unreachable")
        await stage.evolution.start()
        await stage.expect_sent()
    assert sorted(map(int, stage.evolution.texts())) == list(range(30))


async def test_messages_of_an_instance_that_connects_are_sent_at_once(stage: Stage) -> None:
    stage.evolution.always = failure(500, "Cannot read properties of undefined (reading 'onWhatsApp')")
    for number in range(3):
        await stage.queue(str(number), chat_of(number))
    async with stage.sending(ONLY_WOKEN):
        await stage.expect(lambda rows: all(row["state"] == "queued" and row["attempts"] for row in rows), "an attempt")
        stage.evolution.always = OK
        await stage.rows("SELECT pg_notify('outbox', 'support')")
        await stage.expect_sent()


async def test_an_instance_that_is_not_connected_does_not_hold_up_another(stage: Stage) -> None:
    stage.evolution.always = failure(500, "Connection Closed")
    for number in range(20):
        await stage.queue(str(number), chat_of(number))
    async with stage.sending(ONLY_WOKEN):
        await stage.expect(lambda rows: any(row["problem"] for row in rows), "a failure")
        stage.evolution.always = OK
        await stage.queue("mine", CHAT, instance="sales")
        await stage.expect(lambda rows: rows[-1]["state"] == "sent", "the other instance goes on")


async def test_instances_that_hang_do_not_hold_up_another(stage: Stage) -> None:
    stage.evolution.hanging = {"support"}
    for number in range(60):
        await stage.queue(str(number), chat_of(number))
    async with stage.sending(Tuning(lease=3.0, poll=0.1, slow=0.5)):
        await stage.expect(lambda rows: sum(row["state"] == "sending" for row in rows) == 16, "all places are taken")
        await stage.queue("mine", CHAT, instance="sales")
        await stage.expect(lambda rows: rows[-1]["state"] == "sent", "the other instance goes on")
        assert len(stage.evolution.requests) == 17, "the instance that hangs got more places"


async def test_a_refused_key_stops_all_sending_until_it_is_accepted(stage: Stage) -> None:
    stage.evolution.always = failure(401, "Unauthorized")
    for number in range(50):
        await stage.queue(str(number), chat_of(number))
    async with stage.sending():
        await stage.expect_problem("evolution_key_refused")
        await asyncio.sleep(0.3)
        assert len(stage.evolution.requests) <= stage.settings.outbox_concurrency, "it went on asking with a refused key"
        stage.evolution.always = OK
        await stage.expect_sent()


async def test_what_can_not_be_sent_in_time_fails_and_says_what_was_in_the_way(database_url: str) -> None:
    async with staged(database_url, give_up_hours=0.0003) as stage:  # a second
        stage.evolution.always = failure(500, "Connection Closed")
        await stage.queue("late")
        await stage.queue("behind it")
        async with stage.sending():
            first, second = await stage.expect(lambda rows: all(row["state"] == "failed" for row in rows), "both are given up")
    assert {first["problem"]["code"], second["problem"]["code"]} == {"gave_up"}
    assert "Connection Closed" in first["problem"]["detail"]
    assert first["payload"] is None
    assert first["failed_at"] is not None


async def test_stopping_finishes_what_is_in_flight_and_takes_nothing_new(stage: Stage) -> None:
    stage.evolution.work_seconds = 0.4
    for number in range(40):
        await stage.queue(str(number), chat_of(number))
    async with stage.sending():
        await stage.expect(lambda rows: any(row["state"] == "sending" for row in rows), "some are in flight")
    states = [row["state"] for row in await stage.messages()]
    assert (states.count("sent"), states.count("queued")) == (16, 24)
