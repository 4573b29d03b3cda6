"""What the outbox makes of each thing that can happen to a request, and that nothing is ever sent twice or not at all."""

import asyncio
import hashlib
import logging
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from src.budget import ByteBudget
from src.messages.accepted import store_accepted
from src.messages.claims import Claims
from src.messages.outbox import Tuning
from src.messages.pauses import Pauses
from src.messages.sender import Sender
from tests.app.events_support import PHONES_ID, WEBS_ID
from tests.app.outbox_support import (
    ACCEPT_AND_DROP,
    ACCEPT_AND_HANG,
    CHAT,
    DROP,
    FAST,
    HANG,
    INSTANCE,
    OK,
    Behaviour,
    Stage,
    chat_of,
    failure,
    staged,
)

if TYPE_CHECKING:
    from tests.app.conftest import Postgres

pytestmark = pytest.mark.anyio
VOICE = {"number": "1", "audio": "T2dn"}
IMAGE = {"number": "1", "mediatype": "image", "media": "aGk=", "mimetype": "image/png", "caption": "look"}


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[Stage]:
    async with staged(database_url) as made:
        yield made


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (failure(400, [{"exists": False, "jid": CHAT, "number": "1"}]), "number_not_on_whatsapp"),
        (failure(400, [['instance requires property "text"']]), "refused_by_evolution"),
        (failure(404, ['The "support" instance does not exist']), "instance_unknown"),
    ],
)
async def test_what_evolution_will_never_send_fails_at_once_with_the_reason(stage: Stage, answer: Behaviour, code: str) -> None:
    stage.evolution.always = answer
    await stage.queue()
    async with stage.sending():
        await stage.expect(lambda rows: rows[0]["state"] == "failed", "it fails")
    row = await stage.only()
    assert (row["problem"]["code"], row["attempts"], row["payload"]) == (code, 1, None)
    assert row["problem"]["mend"], "the problem doesn't say how to mend it"
    assert len(stage.evolution.requests) == 1


@pytest.mark.parametrize(
    ("kind", "answer", "code"),
    [
        ("text", failure(500, "Cannot read properties of undefined (reading 'onWhatsApp')"), "instance_not_connected"),
        ("text", failure(500, "Cannot read properties of undefined (reading 'textMessage')"), "evolution_failed"),
        ("text", failure(500, "Connection Closed"), "instance_not_connected"),
        ("text", failure(401, "Unauthorized"), "evolution_key_refused"),
        ("media", failure(500, ["TypeError: Cannot read properties of undefined (reading 'waUploadToServer')"]), "instance_not_connected"),
        ("voice", failure(500, "connect ECONNREFUSED 172.18.0.5:4040"), "converter_down"),
        ("voice", failure(401, "Request failed with status code 401"), "converter_refused_key"),
        ("voice", failure(500, "Request failed with status code 500"), "voice_not_convertible"),
        ("media", failure(500, ["Error: Media upload failed on all hosts"]), "evolution_failed"),
    ],
)
async def test_what_was_not_sent_is_tried_again_without_a_look(stage: Stage, kind: str, answer: Behaviour, code: str) -> None:
    stage.evolution.script = [answer]
    body = {"text": {"number": "1", "text": "hi"}, "media": IMAGE, "voice": VOICE}[kind]
    await stage.queue_body(kind, body)
    async with stage.sending():
        seen = await stage.expect_problem(code)
        await stage.expect_sent()
    assert seen["state"] == "queued"
    row = await stage.only()
    assert (row["attempts"], row["problem"]) == (2, None)
    assert len(stage.evolution.accepted) == 1
    assert stage.evolution.looks == 0, "it looked for what was certainly not sent"


async def test_a_file_that_the_converter_can_not_read_is_tried_three_times(stage: Stage) -> None:
    stage.evolution.always = failure(500, "Request failed with status code 500")
    await stage.queue_body("voice", VOICE)
    async with stage.sending():
        await stage.expect(lambda rows: rows[0]["state"] == "failed", "it fails")
    row = await stage.only()
    assert (row["problem"]["code"], row["attempts"], len(stage.evolution.requests)) == ("voice_not_convertible", 3, 3)


async def test_a_file_that_kills_the_converter_is_given_up_although_it_is_away_in_between(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("src.messages.sender.backoff", lambda _: timedelta(seconds=0.05))
    away, killed = failure(500, "connect ECONNREFUSED 172.18.0.5:4040"), failure(500, "socket hang up")
    stage.evolution.script = [*[away] * 12, *[killed, away] * 9, killed]
    await stage.queue_body("voice", VOICE)
    async with stage.sending():
        await stage.expect(lambda rows: rows[0]["state"] == "failed", "it fails", seconds=30)
    row = await stage.only()
    assert (row["problem"]["code"], row["attempts"]) == ("converter_broke_off", 12 + 2 * 9 + 1)


UNKNOWN: list[Behaviour] = [
    DROP,
    failure(500, "something new"),
    failure(502, "Bad Gateway"),
    failure(400, ["Error: Timed Out"]),
    (201, {"nothing": "known"}),
    (201, "<html>"),
]


@pytest.mark.parametrize("answer", UNKNOWN)
async def test_what_may_have_been_sent_but_was_not_is_sent_after_a_look(stage: Stage, answer: Behaviour) -> None:
    stage.evolution.script = [answer]
    await stage.queue()
    async with stage.sending():
        await stage.expect_sent()
    row = await stage.only()
    assert (stage.evolution.texts(), row["attempts"]) == (["hi"], 2)
    assert stage.evolution.looks == 1


@pytest.mark.parametrize("kind", ["text", "media", "voice"])
async def test_what_was_sent_although_its_answer_was_lost_is_found_and_not_sent_again(stage: Stage, kind: str) -> None:
    stage.evolution.script = [ACCEPT_AND_DROP]
    body = {"text": {"number": "4915100000001", "text": "hi"}, "media": IMAGE, "voice": VOICE}[kind]
    stage.evolution.rename = {"1@s.whatsapp.net": CHAT}
    media: dict[str, Any] = {"kind": "image", "mimetype": "image/png", "file_name": None, "url": None, "seconds": None}
    columns: dict[str, dict[str, object]] = {
        "text": {"text": "hi"},
        "media": {"text": "look", "media": media},
        "voice": {"media": media | {"kind": "audio"}},
    }
    await stage.queue_body(kind, body, CHAT, INSTANCE, **columns[kind])
    async with stage.sending():
        await stage.expect_sent()
    row = await stage.only()
    assert len(stage.evolution.accepted) == 1, "it was sent twice"
    assert row["evolution_id"] == stage.evolution.accepted[0]["key"]["id"]
    if kind == "voice":
        assert (row["media"]["seconds"], row["media"]["url"]) == (2, "http://m.x/v")


async def test_another_devices_picture_is_not_taken_for_the_one_that_was_to_be_sent(stage: Stage) -> None:
    digest = hashlib.sha256(b"hi").hexdigest()
    stage.evolution.script = [DROP]
    media = {"kind": "image", "mimetype": "image/png", "file_name": None, "url": None, "seconds": None, "sha256": digest}
    await stage.queue_body("media", IMAGE, text="look", media=media)
    stage.evolution.rename = {"1@s.whatsapp.net": CHAT}
    other = stage.evolution.accept("sendMedia", IMAGE | {"media": "aG8="})
    async with stage.sending():
        await stage.expect_sent()
    assert len(stage.evolution.accepted) == 2, "it was not sent"
    assert (await stage.only())["evolution_id"] not in {None, other["key"]["id"]}


@pytest.mark.parametrize("other_id", [PHONES_ID, WEBS_ID])
@pytest.mark.parametrize(
    ("kind", "body"),
    [("voice", VOICE), ("media", {"number": "1", "mediatype": "image", "media": "aGk="}), ("text", {"number": "1", "text": "hi"})],
)
async def test_what_another_device_sends_is_not_taken_for_the_same_that_was_to_be_sent(
    stage: Stage, kind: str, body: dict[str, Any], other_id: str
) -> None:
    """Of a voice note, and of a file behind a URL, nothing but the id tells it."""
    stage.evolution.script = [DROP]
    stage.evolution.rename = {"1@s.whatsapp.net": CHAT}
    await stage.queue_body(kind, body, text=body.get("text"))
    how = {"voice": "sendWhatsAppAudio", "media": "sendMedia", "text": "sendText"}[kind]
    stage.evolution.accept(how, body)["key"]["id"] = other_id
    async with stage.sending():
        await stage.expect_sent()
    assert len(stage.evolution.accepted) == 2, "it was not sent"
    assert (await stage.only())["evolution_id"] not in {None, other_id}


async def test_two_equal_texts_whose_answers_are_lost_are_two_messages(stage: Stage) -> None:
    stage.evolution.script = [ACCEPT_AND_DROP, ACCEPT_AND_DROP, DROP]
    for _ in range(3):
        await stage.queue("again")
    async with stage.sending():
        rows = await stage.expect_sent()
    assert stage.evolution.texts() == ["again"] * 3
    assert [row["evolution_id"] for row in rows] == [record["key"]["id"] for record in stage.evolution.accepted]


async def test_a_message_is_found_under_the_jid_that_evolution_made_of_its_number(stage: Stage) -> None:
    chat, known = "5541999990001@s.whatsapp.net", "554199990001@s.whatsapp.net"
    stage.evolution.rename = {chat: known}
    stage.evolution.script = [ACCEPT_AND_DROP]
    await stage.queue("oi", chat)
    async with stage.sending():
        await stage.expect_sent()
    assert len(stage.evolution.accepted) == 1, "it was sent twice"
    assert (await stage.only())["chat"] == known


async def test_while_evolution_can_not_be_asked_nothing_of_unknown_outcome_is_sent_again(stage: Stage) -> None:
    stage.evolution.script = [ACCEPT_AND_DROP]
    stage.evolution.look = failure(500, ["PrismaClientKnownRequestError: Can't reach database server"])
    await stage.queue()
    async with stage.sending():
        await stage.expect(lambda _: stage.evolution.looks >= 2, "it looks again and again")
        assert len(stage.evolution.requests) == 1
        stage.evolution.look = OK
        await stage.expect_sent()
    assert stage.evolution.texts() == ["hi"]


async def test_what_evolution_sent_but_could_not_store_is_not_sent_again(stage: Stage) -> None:
    stage.evolution.script = [failure(400, ["PrismaClientKnownRequestError: \nInvalid `prismaRepository.message.create()` invocation"])]
    await stage.queue()
    async with stage.sending():
        await stage.expect_sent()
    row = await stage.only()
    assert len(stage.evolution.requests) == 1
    assert (row["evolution_id"], row["problem"]["code"]) == (None, "sent_but_not_recorded")


@pytest.mark.parametrize("behaviour", [ACCEPT_AND_HANG, HANG])
async def test_a_sender_that_dies_over_a_request_neither_doubles_nor_loses_it(stage: Stage, behaviour: Behaviour) -> None:
    stage.evolution.script = [behaviour]
    await stage.queue()
    await stage.queue("next")
    killed = _start_sender(stage)
    await stage.expect(lambda _: len(stage.evolution.requests) == 1, "the request is under way", seconds=30)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    async with stage.sending():
        await stage.expect_sent(seconds=20)
    assert stage.evolution.texts() == ["hi", "next"]


async def test_a_sender_that_is_killed_under_load_neither_doubles_nor_loses_anything(stage: Stage) -> None:
    stage.evolution.work_seconds = 0.02
    for number in range(300):
        await stage.queue(str(number), chat_of(number % 60))
    for round_ in range(1, 4):
        killed = _start_sender(stage)
        await stage.expect(lambda _, most=40 * round_: len(stage.evolution.accepted) >= most, "some are sent", seconds=30)  # type: ignore[misc]
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    async with stage.sending(), stage.sending():
        await stage.expect_sent(seconds=60)
    sent = stage.evolution.texts()
    assert sorted(map(int, sent)) == list(range(300)), f"{len(sent)} were sent, {len(set(sent))} different ones, of 300"
    for chat in range(60):
        assert stage.evolution.texts(chat_of(chat)) == [str(number) for number in range(chat, 300, 60)]


async def test_a_sender_that_is_cancelled_between_evolutions_answer_and_the_storing_of_it_doubles_nothing(stage: Stage) -> None:
    await stage.queue()
    async with stage.sending() as outbox:

        async def cancel(_: dict[str, Any]) -> None:
            for task in outbox._in_flight.values():
                task.cancel()

        stage.evolution.on_accept = cancel
        await stage.expect(lambda _: bool(stage.evolution.accepted), "it is accepted")
        stage.evolution.on_accept = None
        await stage.expect_sent()
    assert stage.evolution.texts() == ["hi"]


def _start_sender(stage: Stage) -> "subprocess.Popen[bytes]":
    """Run an outbox in a process of its own."""
    program = "import asyncio; from tests.app.outbox_support import run_sender; asyncio.run(run_sender())"
    environment = {
        **os.environ,
        "DATABASE_URL": stage.settings.database_url.get_secret_value(),
        "EVOLUTION_API_URL": stage.evolution.url,
        "EVOLUTION_API_KEY": "the-key",
    }
    return subprocess.Popen([sys.executable, "-c", program], env=environment, cwd=Path(__file__).parents[2])


async def test_an_event_that_came_before_the_answer_becomes_one_message_with_it(stage: Stage) -> None:
    read_at = datetime.now(UTC)

    async def told(record: dict[str, Any]) -> None:
        await _store_event_row(stage, record, state="read", read_at=read_at)

    stage.evolution.on_accept = told
    message_id = await stage.queue()
    async with stage.sending():
        await stage.expect(lambda rows: len(rows) == 1, "the two are one", seconds=5)
        row = (await stage.expect(lambda rows: rows[0]["state"] == "read", "it keeps the mark"))[0]
    assert (row["id"], row["read_at"], row["direction"]) == (message_id, read_at, "outbound")
    assert row["evolution_id"] == stage.evolution.accepted[0]["key"]["id"]


async def test_marks_that_came_before_the_answer_are_not_lost(stage: Stage) -> None:
    delivered_at = datetime.now(UTC)

    async def marked(record: dict[str, Any]) -> None:
        await stage.rows(
            "INSERT INTO receipts (instance, evolution_id, state, delivered_at) VALUES (:instance, :id, 'delivered', :at)",
            instance=INSTANCE,
            id=record["key"]["id"],
            at=delivered_at,
        )

    stage.evolution.on_accept = marked
    await stage.queue()
    async with stage.sending():
        await stage.expect(lambda rows: rows[0]["state"] == "delivered", "it keeps the mark")
    assert (await stage.only())["delivered_at"] == delivered_at
    assert await stage.rows("SELECT * FROM receipts") == []


async def test_a_lost_answer_is_replaced_by_what_an_event_tells_when_evolution_can_not_be_asked(stage: Stage) -> None:
    stage.evolution.script = [ACCEPT_AND_DROP]
    stage.evolution.look = DROP
    await stage.queue()
    async with stage.sending():
        await stage.expect(lambda _: stage.evolution.looks >= 1, "it looks")
        await _store_event_row(stage, stage.evolution.accepted[0])
        await stage.expect(lambda rows: len(rows) == 1 and rows[0]["state"] == "sent", "the event's row is taken")
    assert len(stage.evolution.requests) == 1


async def _store_event_row(stage: Stage, record: dict[str, Any], state: str = "sent", **columns: object) -> None:
    """Store an own message as the consumer of events does when it knows of none that it could be."""
    values: dict[str, object] = {
        "instance": INSTANCE,
        "chat": record["key"]["remoteJid"],
        "direction": "outbound",
        "type": "text",
        "state": state,
        "text": record["message"]["conversation"],
        "evolution_id": record["key"]["id"],
        "whatsapp_timestamp": datetime.fromtimestamp(record["messageTimestamp"], UTC),
        "sent_at": datetime.now(UTC) - timedelta(seconds=1),
        **columns,
    }
    await stage.insert(values)


async def test_a_database_that_breaks_all_connections_when_evolution_answers_loses_and_doubles_nothing(stage: Stage) -> None:
    all_accepted = asyncio.Event()

    async def break_connections(_: dict[str, Any]) -> None:
        if len(stage.evolution.accepted) == 20:
            all_accepted.set()
        if len(stage.evolution.accepted) == 5:
            await stage.rows(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    stage.evolution.on_accept = break_connections
    for number in range(20):
        await stage.queue(str(number), chat_of(number))
    async with stage.sending():
        async with asyncio.timeout(20):
            await all_accepted.wait()  # before, a look into the database would meet the broken connections too
        await stage.expect_sent(seconds=20)
    assert sorted(map(int, stage.evolution.texts())) == list(range(20))


async def test_a_result_whose_commit_was_not_heard_of_is_stored_once_and_no_error(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[bool] = []

    async def commit_and_break(*given: Any, **more: Any) -> bool:  # noqa: ANN401
        calls.append(await store_accepted(*given, **more))
        if len(calls) == 1:
            raise OSError("on purpose")
        return calls[-1]

    monkeypatch.setattr("src.messages.sender.store_accepted", commit_and_break)
    monkeypatch.setattr("src.messages.sender.STORE_AGAIN_SECONDS", 0.0)
    caplog.set_level(logging.INFO, "app.outbox")
    await stage.queue()
    async with stage.sending():
        await stage.expect(lambda _: len(calls) == 2, "it tries again")
    assert [each.outcome for each in caplog.records if hasattr(each, "outcome")] == ["sent"]
    row = await stage.only()
    assert (row["state"], row["evolution_id"]) == ("sent", stage.evolution.accepted[0]["key"]["id"])


@pytest.mark.parametrize("senders", [1, 2])
async def test_claims_that_run_out_while_the_database_hangs_are_not_taken_from_senders_that_live(
    stage: Stage, postgres: "Postgres", senders: int
) -> None:
    stage.evolution.work_seconds = 12.0
    await stage.queue()
    async with AsyncExitStack() as stack:
        for _ in range(senders):
            await stack.enter_async_context(stage.sending())
        await stage.expect(lambda _: len(stage.evolution.requests) == 1, "the request is under way")
        postgres.container.pause()
        try:
            await asyncio.sleep(FAST.lease + 1)
        finally:
            postgres.container.unpause()
        await stage.expect_sent(seconds=30)
    assert stage.evolution.texts() == ["hi"], "it was sent twice"


async def test_a_sender_whose_renewals_fail_does_not_take_up_again_what_it_is_at(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise OSError("on purpose")

    monkeypatch.setattr(Claims, "renew", fail)
    stage.evolution.work_seconds = 6.0
    await stage.queue()
    async with stage.sending(Tuning(lease=1.0, poll=0.1)):
        await stage.expect_sent(seconds=20)
    assert stage.evolution.texts() == ["hi"], "it was sent twice"


async def test_payloads_in_memory_are_bounded_and_a_large_one_still_goes(stage: Stage) -> None:
    stage.evolution.work_seconds = 0.05
    for number in range(6):
        await stage.queue("x" * 2000, chat_of(number))
    async with stage.sending(Tuning(lease=3.0, poll=0.1, memory_bytes=1000)):
        await stage.expect_sent()
    assert sum(stage.evolution.most_in_flight.values()) == 6
    assert stage.evolution.most_at_once == 1, "payloads larger than the budget were in memory together"


async def test_a_sender_that_lost_its_claim_does_not_send(stage: Stage) -> None:
    """As when the process was frozen, and another one has taken the message over."""
    await stage.queue()
    claims = Claims(stage.engine, "slow", timedelta(seconds=0.01))
    (claim,) = await claims.claim(1)
    await asyncio.sleep(0.05)
    await Sender(stage.engine, stage.resources.evolution, claims, Pauses(), 24, ByteBudget(1)).process(claim)
    assert stage.evolution.requests == []


async def test_a_dead_senders_request_that_evolution_ends_after_the_first_look_is_not_sent_again(stage: Stage) -> None:
    long_ago = datetime.now(UTC) - timedelta(seconds=1)
    await stage.queue(state="sending", attempts=1, lease_owner="dead", lease_until=long_ago, attempt_started_at=long_ago)
    stage.evolution.late = ("sendText", {"number": CHAT, "text": "hi"})
    async with stage.sending():
        await stage.expect_sent()
    assert stage.evolution.texts() == ["hi"]
    assert (stage.evolution.looks, stage.evolution.requests) == (2, [])
