"""Sending and listing messages over HTTP: stored once before anything else, told honestly, paged without a gap."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import create_async_engine

from src.messages import store
from tests.app.api_support import TEXT, MakeSettings, Serve, pointers, problem
from tests.app.conftest import PNG, id_of

pytestmark = pytest.mark.anyio


@pytest.fixture
async def database(migrated_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A database in which the instance a1 is known."""
    connection = await asyncpg.connect(migrated_url)
    await connection.execute("INSERT INTO instances (id, name) VALUES ($1, 'a1')", uuid.UUID(id_of("a1")))
    yield connection
    await connection.close()


@pytest.fixture
async def client(make_settings: MakeSettings, migrated_url: str, serve: Serve, closed_port: int) -> AsyncIterator[httpx.AsyncClient]:
    """The application, whose Evolution API is down: messages are stored all the same."""
    async with serve(make_settings(database=migrated_url, evolution=f"http://127.0.0.1:{closed_port}")) as client:
        yield client


async def row(database: asyncpg.Connection, message_id: str) -> dict[str, Any]:
    found = await database.fetchrow("SELECT * FROM messages WHERE id = $1", uuid.UUID(message_id))
    assert found is not None
    return dict(found)


async def test_a_text_is_stored_queued_and_announced_to_the_senders(client: httpx.AsyncClient, database: asyncpg.Connection) -> None:
    heard = asyncio.Event()
    await database.add_listener("outbox", lambda *_: heard.set())
    answer = await client.post("/messages", json=TEXT)
    assert answer.status_code == 202
    message = answer.json()
    assert answer.headers["location"] == f"/messages/{message['id']}"
    assert (message["chat"], message["direction"], message["state"]) == ("5511999990001@s.whatsapp.net", "outbound", "queued")
    await asyncio.wait_for(heard.wait(), 5)
    stored = await row(database, message["id"])
    assert json.loads(stored["payload"]) == {"number": "5511999990001", "text": "hi"}
    assert stored["payload_bytes"] == len("5511999990001hi")
    assert (await client.get(answer.headers["location"])).json() == message


@pytest.mark.parametrize(
    ("to", "chat", "number"),
    [
        ("+55 (11) 99999-0001", "5511999990001@s.whatsapp.net", "5511999990001"),
        ("5531999990001", "553199990001@s.whatsapp.net", "553199990001"),
        ("5531999990001@s.whatsapp.net", "5531999990001@s.whatsapp.net", "5531999990001@s.whatsapp.net"),
        ("553199990001@s.whatsapp.net", "553199990001@s.whatsapp.net", "553199990001"),
        ("5215512345678", "525512345678@s.whatsapp.net", "525512345678"),
        ("14155550100", "14155550100@s.whatsapp.net", "14155550100"),
        ("120363040000000000@g.us", "120363040000000000@g.us", "120363040000000000@g.us"),
        ("123456789012345@lid", "123456789012345@lid", "123456789012345@lid"),
    ],
)
async def test_a_recipient_is_a_number_as_people_write_it_or_a_jid(
    client: httpx.AsyncClient, database: asyncpg.Connection, to: str, chat: str, number: str
) -> None:
    message = (await client.post("/messages", json=TEXT | {"to": to})).json()
    assert message["chat"] == chat, "all messages to a number must be of one chat: its order is kept by it"
    assert json.loads((await row(database, message["id"]))["payload"])["number"] == number


@pytest.mark.parametrize(
    "to", ["", "abc", "12345", "0511999990001", "5511999990001@nowhere", "1" * 16, "status@broadcast", "١٢٣٤٥٦٧٨", "5" * 99]
)
async def test_a_recipient_that_is_none_is_refused(client: httpx.AsyncClient, to: str) -> None:
    assert pointers(problem(await client.post("/messages", json=TEXT | {"to": to}), 422, "validation_failed")) == ["#/to"]


MEDIA = {"instance": "a1", "to": "5511999990001", "type": "media"}


@pytest.mark.parametrize(
    ("given", "payload", "media"),
    [
        (
            {"kind": "image", "media": f"data:image/jpeg;base64,{PNG}", "caption": "look"},
            {"mediatype": "image", "media": PNG, "mimetype": "image/jpeg", "caption": "look"},
            {"kind": "image", "mimetype": "image/jpeg", "file_name": None, "url": None, "seconds": None},
        ),
        (
            {"kind": "document", "media": "https://example.com/a/invoice%20one.pdf?x=1"},
            {"mediatype": "document", "media": "https://example.com/a/invoice%20one.pdf?x=1", "fileName": "invoice one.pdf"},
            {"kind": "document", "file_name": "invoice one.pdf", "url": "https://example.com/a/invoice%20one.pdf?x=1"},
        ),
        (
            {"kind": "document", "media": "JVBE\nRi0x\n", "mimetype": "application/pdf"},
            {"mediatype": "document", "media": "JVBERi0x", "fileName": "document.pdf", "mimetype": "application/pdf"},
            {"kind": "document", "file_name": "document.pdf", "mimetype": "application/pdf"},
        ),
        (
            {"kind": "audio", "media": "JVBERi0x"},
            {"mediatype": "audio", "media": "JVBERi0x", "mimetype": "audio/mpeg"},
            {"kind": "audio", "mimetype": "audio/mpeg"},
        ),
        (
            {"kind": "video", "media": "http://192.0.2.7:9000/v.mp4", "file_name": "film.webm"},
            {"mediatype": "video", "fileName": "film.webm", "mimetype": "video/webm"},
            {"kind": "video", "url": "http://192.0.2.7:9000/v.mp4"},
        ),
    ],
)
async def test_media_reach_evolution_in_the_only_forms_that_it_takes(
    client: httpx.AsyncClient, database: asyncpg.Connection, given: dict[str, str], payload: dict[str, str], media: dict[str, str]
) -> None:
    answer = await client.post("/messages", json=MEDIA | given)
    assert answer.status_code == 202, answer.text
    message = answer.json()
    stored = json.loads((await row(database, message["id"]))["payload"])
    assert {name: stored.get(name) for name in payload} == payload
    assert {name: message["media"].get(name) for name in media} == media
    assert message["text"] == given.get("caption")


async def test_a_voice_note_reaches_evolution_as_bare_base64(client: httpx.AsyncClient, database: asyncpg.Connection) -> None:
    voice = {"instance": "a1", "to": "5511999990001", "type": "voice", "audio": "data:audio/ogg; codecs=opus;base64,T2dnUw=="}
    answer = await client.post("/messages", json=voice)
    assert answer.status_code == 202, answer.text
    assert json.loads((await row(database, answer.json()["id"]))["payload"]) == {"number": "5511999990001", "audio": "T2dnUw=="}
    assert "T2dnUw" not in answer.text, "the bytes are nothing that a caller gets back"


INWARD = [
    "127.0.0.1",
    "127.9.9.9:8080",
    "0.0.0.0",  # noqa: S104
    "0.1.2.3",
    "169.254.169.254",
    "224.0.0.1",
    "[::1]",
    "[::]",
    "[fe80::1]",
    "[ff02::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:a9fe:a9fe]",
    "\uff11\uff12\uff17.0.0.\uff11",
]
ODD = [
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "127.1",
    "0177.0.0.1",
    "127.0.0.1.",
    "app.localhost",
    "127\u30020\u30020\u30021",
    "127.0.0.\u2474",
]
"""What Node, or a resolver, takes for the machine itself, and Evolution for no host at all."""


@pytest.mark.parametrize("host", ["192.168.1.7:9000", "10.0.0.1", "[fd00::1]", "203.0.113.7", "media.example.com"])
async def test_media_may_come_from_any_other_address(client: httpx.AsyncClient, database: asyncpg.Connection, host: str) -> None:
    assert database
    answer = await client.post("/messages", json=MEDIA | {"kind": "image", "media": f"http://{host}/x.png"})
    assert answer.status_code == 202, answer.text


@pytest.mark.parametrize(
    ("media", "why"),
    [
        ("http://minio:9000/x.png", "'minio'"),
        ("http://localhost/x.png", "'localhost'"),
        ("http://my_app.internal/x.png", "without an underscore"),
        *((f"http://{host}/x.png", "own machine or link") for host in INWARD),
        *((f"http://{host}/x.png", "takes no URL with the host") for host in ODD),
        ("ftp://example.com/x.png", "http(s) URL"),
        ("https://example.com/a b", "http(s) URL"),
        (f"https://example.com/{'x' * 2100}", "2083"),
        ("https://example.com/\ud83d", "half of a character"),
        ("data:image/png,hello", "data:<type>"),
        ("not base64!", "base64"),
        ("abc", "base64"),
        ("", "base64"),
        (7, "not a text"),
    ],
)
async def test_media_that_evolution_would_refuse_are_refused_with_the_reason(client: httpx.AsyncClient, media: object, why: str) -> None:
    for body, pointer in ((MEDIA | {"kind": "image", "media": media}, "#/media"), (TEXT | {"type": "voice", "audio": media}, "#/audio")):
        body.pop("text", None)
        answer = await client.post("/messages", content=json.dumps(body), headers={"Content-Type": "application/json"})
        found = problem(answer, 422, "validation_failed")
        assert pointers(found) == [pointer]
        assert why in found["errors"][0]["detail"]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"text": ""}, "#/text"),
        ({"text": "x" * 65_537}, "#/text"),
        ({"text": "nul \x00"}, "#/text"),
        ({"text": " \u00a0\u2003\ufeff\n"}, "#/text"),
        ({"text": None}, "#/text"),
        ({"to": 5511999990001}, "#/to"),
        ({"instance": ""}, "#/instance"),
        ({"instance": "\x00"}, "#/instance"),
        ({"type": "fax"}, "#/type"),
        ({"type": None}, "#/type"),
        ({"colour": "red"}, "#/colour"),
        ({"a/b": 1}, "#/a~1b"),
    ],
)
async def test_what_is_wrong_with_a_body_is_pointed_at(client: httpx.AsyncClient, change: dict[str, object], pointer: str) -> None:
    assert pointers(problem(await client.post("/messages", json=TEXT | change), 422, "validation_failed")) == [pointer]


@pytest.mark.parametrize(
    ("name", "pointer"), [("text", "#/text"), ("to", "#/to"), ("instance", "#/instance"), ("@", "#"), ("type", "#/type")]
)
async def test_half_a_character_is_refused_and_does_not_break_the_application(client: httpx.AsyncClient, name: str, pointer: str) -> None:
    body = json.dumps(TEXT | {name: "@"}).replace("@", "\\ud83d")
    answer = await client.post("/messages", content=body, headers={"Content-Type": "application/json"})
    assert pointers(problem(answer, 422, "validation_failed")) == [pointer]


async def test_a_body_that_is_no_json_is_told_from_one_that_is_not_said_to_be(client: httpx.AsyncClient) -> None:
    found = problem(await client.post("/messages", content="{x", headers={"Content-Type": "application/json"}), 400, "malformed_json")
    assert "character 1" in found["detail"]
    for body in (b'{"text": "\xff"}', b"[" * 100_000):
        answer = await client.post("/messages", content=body, headers={"Content-Type": "application/json"})
        assert "UTF-8, or is nested too deeply" in problem(answer, 400, "malformed_json")["detail"]
    for headers in ({}, {"Content-Type": "application/x-www-form-urlencoded"}):
        found = problem(await client.post("/messages", content=json.dumps(TEXT), headers=headers), 415, "unsupported_media_type")
        assert "Content-Type: application/json" in found["mend"]


async def test_the_numbers_and_times_of_a_chats_messages_are_taken_in_the_order_in_which_they_become_visible(
    client: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    async with database.transaction():
        await database.execute("SELECT pg_advisory_xact_lock(hashtextextended('a1/5511999990001@s.whatsapp.net', 1))")
        waiting = asyncio.create_task(client.post("/messages", json=TEXT))
        async with asyncio.timeout(5):
            while not await database.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory'"):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        meanwhile = (await client.post("/messages", json=TEXT | {"to": "5511999990002"})).json()
    late = (await waiting).json()
    for column in ("seq", "created_at"):
        earlier, later = [(await row(database, each["id"]))[column] for each in (meanwhile, late)]
        assert earlier < later, f"{column} was taken before the turn"


async def test_an_unknown_instance_stores_nothing(client: httpx.AsyncClient, database: asyncpg.Connection) -> None:
    problem(await client.post("/messages", json=TEXT | {"instance": "nobody"}), 404, "instance_unknown")
    assert await database.fetchval("SELECT count(*) FROM messages") == 0


async def test_a_repeated_request_with_its_key_stores_one_message_and_answers_it_as_it_is_now(
    client: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    key = {"Idempotency-Key": "order-17"}
    first = await client.post("/messages", json=TEXT, headers=key)
    await database.execute("UPDATE messages SET state = 'sent', evolution_id = '3EB0'")
    await database.execute("DELETE FROM instances")
    spaced = json.dumps(dict(reversed(TEXT.items())), indent=1)
    again = await client.post("/messages", content=spaced, headers=key | {"Content-Type": "application/json"})
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json() == first.json() | {"state": "sent", "evolution_id": "3EB0"}
    assert again.headers["location"] == first.headers["location"]


async def test_a_key_that_came_with_another_request_is_refused_and_another_instance_has_keys_of_its_own(
    client: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    key = {"Idempotency-Key": "order-17"}
    await client.post("/messages", json=TEXT, headers=key)
    for change in ({"text": "ho"}, {"to": "5511999990002"}):
        problem(await client.post("/messages", json=TEXT | change, headers=key), 422, "idempotency_key_reused")
    await database.execute("INSERT INTO instances (id, name) VALUES (gen_random_uuid(), 'b1')")
    assert (await client.post("/messages", json=TEXT | {"instance": "b1"}, headers=key)).status_code == 202
    assert await database.fetchval("SELECT count(*) FROM messages") == 2


async def test_many_equal_requests_at_once_store_one_message(client: httpx.AsyncClient, database: asyncpg.Connection) -> None:
    answers = await asyncio.gather(*(client.post("/messages", json=TEXT, headers={"Idempotency-Key": "one"}) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [202]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert await database.fetchval("SELECT count(*) FROM messages") == 1


async def test_many_different_requests_with_one_key_at_once_store_one_message(
    client: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    requests = (client.post("/messages", json=TEXT | {"text": str(n)}, headers={"Idempotency-Key": "one"}) for n in range(10))
    answers = await asyncio.gather(*requests)
    assert sorted(answer.status_code for answer in answers) == [202] + [422] * 9
    assert await database.fetchval("SELECT count(*) FROM messages") == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "two words", "á"])
async def test_an_unfit_idempotency_key_is_refused(client: httpx.AsyncClient, key: str) -> None:
    answer = await client.post("/messages", json=TEXT, headers={b"Idempotency-Key": key.encode("latin-1")})
    assert pointers(problem(answer, 422, "validation_failed")) == ["header/Idempotency-Key"]


async def test_a_message_that_is_not_there_is_told_from_an_id_that_is_none(client: httpx.AsyncClient) -> None:
    problem(await client.get(f"/messages/{uuid.uuid4()}"), 404, "message_unknown")
    assert pointers(problem(await client.get("/messages/nope"), 422, "validation_failed")) == ["path/message_id"]


async def test_a_message_that_a_sender_holds_shows_as_queued_with_its_last_problem(
    client: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    message = (await client.post("/messages", json=TEXT)).json()
    met = {"code": "converter_down", "detail": "d", "mend": "m", "at": "2026-11-22T12:00:00Z", "times": 3}
    await database.execute("UPDATE messages SET state = 'sending', attempts = 3, problem = $1", json.dumps(met))
    shown = (await client.get(f"/messages/{message['id']}")).json()
    assert (shown["state"], shown["attempts"]) == ("queued", 3)
    assert shown["problem"] == {"code": "converter_down", "detail": "d", "mend": "m", "at": "2026-11-22T12:00:00Z"}
    assert [each["id"] for each in (await client.get("/messages", params={"state": "queued"})).json()["items"]] == [message["id"]]


async def insert(database: asyncpg.Connection, at: datetime, **columns: str) -> str:
    values = {"instance": "a1", "chat": "1@s.whatsapp.net", "direction": "inbound", "type": "text", "state": "received"} | columns
    message_id = uuid.uuid4()
    names = ", ".join(values)
    places = ", ".join(f"${n}" for n in range(3, 3 + len(values)))
    await database.execute(f"INSERT INTO messages (id, created_at, {names}) VALUES ($1, $2, {places})", message_id, at, *values.values())  # noqa: S608
    return str(message_id)


START = datetime(2026, 11, 22, 12, tzinfo=UTC)


async def test_pages_have_each_message_once_whatever_comes_in_the_meantime(client: httpx.AsyncClient, database: asyncpg.Connection) -> None:
    # Many were stored at the same moment, as a batch of events is.
    stored = [await insert(database, START + timedelta(seconds=n // 7)) for n in range(30)]
    seen: list[str] = []
    cursor = None
    while True:
        page = (await client.get("/messages", params={"limit": 4} | ({"cursor": cursor} if cursor else {}))).json()
        seen += [each["id"] for each in page["items"]]
        await insert(database, START + timedelta(hours=1))
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == stored[::-1], "newest first, each once, none that came later"


async def test_a_last_page_that_is_full_has_no_next(client: httpx.AsyncClient, database: asyncpg.Connection) -> None:
    for n in range(2):
        await insert(database, START + timedelta(seconds=n))
    assert (await client.get("/messages", params={"limit": 2})).json()["next_cursor"] is None
    assert (await client.get("/messages", params={"limit": 1})).json()["next_cursor"] is not None


async def test_filters_hold_together(client: httpx.AsyncClient, database: asyncpg.Connection) -> None:
    wanted = await insert(database, START, chat="5511999990001@s.whatsapp.net")
    await insert(database, START, instance="b1", chat="5511999990001@s.whatsapp.net")
    await insert(database, START, chat="5511999990002@s.whatsapp.net")
    await insert(database, START, chat="5511999990001@s.whatsapp.net", type="voice")
    await insert(database, START, chat="5511999990001@s.whatsapp.net", direction="outbound", state="sent")
    await insert(database, START - timedelta(seconds=1), chat="5511999990001@s.whatsapp.net")
    await insert(database, START + timedelta(seconds=1), chat="5511999990001@s.whatsapp.net")
    query = {
        "instance": "a1",
        "chat": "+55 11 99999-0001",
        "direction": "inbound",
        "type": "text",
        "state": "received",
        "since": START.isoformat(),
        "until": "2026-11-22T09:00:01-03:00",
    }
    assert [each["id"] for each in (await client.get("/messages", params=query)).json()["items"]] == [wanted]


@pytest.mark.parametrize(
    ("stored", "another"),
    [
        ("5491123456789@s.whatsapp.net", "541123456788@s.whatsapp.net"),
        ("5541999990001@s.whatsapp.net", "554133330001@s.whatsapp.net"),
        ("5215512345678@s.whatsapp.net", "525512345679@s.whatsapp.net"),
    ],
)
async def test_a_chat_is_found_by_its_number_in_both_forms_and_by_its_jid(
    client: httpx.AsyncClient, database: asyncpg.Connection, stored: str, another: str
) -> None:
    wanted = await insert(database, START, chat=stored)
    await insert(database, START, chat=another)
    number = stored.partition("@")[0]
    without = number[:4] + number[5:] if number.startswith("55") else number[:2] + number[3:]
    for chat in (stored, number, without, f"{without}@s.whatsapp.net"):
        found = (await client.get("/messages", params={"chat": chat})).json()["items"]
        assert [each["id"] for each in found] == [str(wanted)], f"asked for {chat}"


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("limit=0", "query/limit"),
        ("limit=201", "query/limit"),
        ("limit=many", "query/limit"),
        ("cursor=zzz", "query/cursor"),
        ("cursor=WyIwMDAxLTAxLTAxVDAwOjAwOjAwKzE0OjAwIiwxXQ", "query/cursor"),
        ("cursor=WyIyMDI2LTAxLTAxVDAwOjAwOjAwWiIsOTIyMzM3MjAzNjg1NDc3NTgwOF0", "query/cursor"),
        ("since=2026-11-22T12:00:00", "query/since"),
        ("until=0001-01-01T00:00:00%2B14:00", "query/until"),
        ("state=sending", "query/state"),
        ("direction=up", "query/direction"),
        ("type=fax", "query/type"),
        ("chat=me", "query/chat"),
        ("instance=%00", "query/instance"),
        ("instanc=a1", "query/instanc"),
        ("state=sent&state=read", "query/state"),
    ],
)
async def test_what_is_wrong_with_a_query_is_pointed_at(client: httpx.AsyncClient, query: str, pointer: str) -> None:
    assert pointers(problem(await client.get(f"/messages?{query}"), 422, "validation_failed")) == [pointer]


async def test_the_log_tells_the_message_with_its_request_and_nothing_of_its_content(
    client: httpx.AsyncClient, database: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    assert database
    with caplog.at_level("INFO", "app.messages"):
        message = (await client.post("/messages", json=TEXT | {"text": "a private word"})).json()
    assert [str(vars(record)["message_id"]) for record in caplog.records] == [message["id"]]
    assert "private" not in caplog.text


async def test_a_database_that_is_away_is_a_problem_that_says_so(make_settings: MakeSettings, serve: Serve, closed_port: int) -> None:
    async with serve(make_settings(database=f"postgresql://app:x@127.0.0.1:{closed_port}/app")) as client:
        answer = await client.post("/messages", json=TEXT)
    found = problem(answer, 503, "database_unusable")
    assert answer.headers["retry-after"] == "5"
    assert "start the service db" in found["mend"]


async def test_a_database_without_tables_is_a_problem_that_says_so(make_settings: MakeSettings, serve: Serve) -> None:
    async with serve(make_settings()) as client:
        problem(await client.get("/messages"), 503, "database_unusable")


async def test_the_failed_messages_are_found_by_an_index_of_their_own(migrated_url: str, database: asyncpg.Connection) -> None:
    await database.execute(
        "INSERT INTO messages (id, instance, chat, direction, type, state, created_at) SELECT gen_random_uuid(), 'a1', '1@s.whatsapp.net',"
        " 'inbound', 'text', 'received', now() - n * interval '1 s' FROM generate_series(1, 20000) AS n"
    )
    await database.execute("ANALYZE messages")
    engine = create_async_engine(migrated_url.replace("postgresql:", "postgresql+asyncpg:"))
    asked: list[tuple[str, Any]] = []
    event.listen(engine.sync_engine, "before_cursor_execute", lambda *given: asked.append((given[2], given[3])))
    await store.page(engine, store.Filter(state="failed"), 50, None)
    await engine.dispose()
    statement, values = asked[-1]
    plan = [line["QUERY PLAN"] for line in await database.fetch(f"EXPLAIN {statement}", *values)]
    assert any("ix_messages_failed" in line for line in plan), "\n".join(plan)
