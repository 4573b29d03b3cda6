"""Events by webhook: only with the secret, stored once, whatever RabbitMQ delivers beside; what can't be read is kept and answered."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from src.application import create_app
from src.events import storing
from src.events.facts import Event
from src.events.gathering import Gathering
from src.events.outcome import Outcome
from src.events.payloads import read_event
from src.events.service import following_events
from src.resources import open_resources
from src.settings import EventsVia, Settings
from tasks.migrate import migrate
from tests.app.events_broker import VirtualHost, consuming, eventually, publishing
from tests.app.events_support import ZONE, connected, envelope, marked, messages, new_id, received, rows, sent
from tests.app.simulator_support import Broker

pytest_plugins = ["tests.app.simulator_fixtures"]
pytestmark = pytest.mark.anyio

MakeSettings = Callable[..., Settings]
SECRET = "the-webhook-secret"
HEADERS = {"X-Webhook-Secret": SECRET}
PATH = "/webhooks/evolution"


@asynccontextmanager
async def receiving(settings: Settings) -> AsyncIterator[tuple[httpx.AsyncClient, AsyncEngine]]:
    app = create_app(settings, services=())
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        yield client, app.state.resources.engine


@pytest.fixture
async def settings(make_settings: MakeSettings) -> Settings:
    settings = make_settings()
    await migrate(settings)
    return settings.model_copy(update={"webhook_secret": SecretStr(SECRET)})


async def test_an_event_is_stored_once_on_either_path(settings: Settings) -> None:
    async with receiving(settings) as (client, engine):
        event = received("A1")
        assert (await client.post(PATH, content=event, headers=HEADERS)).json() == {"stored": True}
        again = await client.post(f"{PATH}/messages-upsert", content=event, headers=HEADERS)
        assert (again.status_code, again.json()) == (200, {"stored": False})
        assert [row["evolution_id"] for row in await messages(engine)] == ["A1"]


@pytest.mark.parametrize("headers", [{}, {"X-Webhook-Secret": "another"}, {"X-Webhook-Secret": ""}])
async def test_without_the_secret_nothing_is_stored(settings: Settings, headers: dict[str, str]) -> None:
    async with receiving(settings) as (client, engine):
        for path in (PATH, f"{PATH}/messages-upsert"):
            answer = await client.post(path, content=received("A1"), headers=headers)
            assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
            assert answer.json()["type"] == "urn:whatsapp-app:problem:unauthorized"
            assert answer.headers["www-authenticate"] == "X-Webhook-Secret"
            assert SECRET not in answer.text
        assert await messages(engine) == []


async def test_an_application_without_a_secret_takes_no_webhook(settings: Settings) -> None:
    async with receiving(settings.model_copy(update={"webhook_secret": None})) as (client, _):
        answer = await client.post(PATH, content=received("A1"), headers=HEADERS)
        assert answer.status_code == 401
        assert "WEBHOOK_SECRET" in answer.json()["detail"]


@pytest.mark.parametrize("body", [b"no JSON", b"", b"{}", b"\xff\0", envelope("messages.upsert", {"key": None}), b"x" * 100_000])
async def test_what_cannot_be_read_is_kept_aside_and_answered_with_200(
    settings: Settings, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with receiving(settings) as (client, engine):
        answer = await client.post(PATH, content=body, headers=HEADERS)
        assert (answer.status_code, answer.json()) == (200, {"stored": False}), "Evolution would send it ten times more"
        (kept,) = await rows(engine, "SELECT * FROM rejected_events")
        assert (kept["source"], len(kept["body"])) == ("webhook", min(len(body.decode("utf-8", "replace")), 65536))
        assert kept["error"]
    assert "rejected_events" in caplog.text


async def test_few_of_the_unreadable_are_kept(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src.events.webhook._KEPT_EVENTS", 3)
    async with receiving(settings) as (client, engine):
        for number in range(6):
            await client.post(PATH, content=f"no JSON {number}".encode(), headers=HEADERS)
        assert [row["body"] for row in await rows(engine, "SELECT body FROM rejected_events ORDER BY id")] == [
            "no JSON 3",
            "no JSON 4",
            "no JSON 5",
        ]


async def test_what_is_of_no_use_is_taken_and_forgotten(settings: Settings) -> None:
    async with receiving(settings) as (client, engine):
        for event in (envelope("chats.upsert", []), connected("open", 1)):
            assert (await client.post(PATH, content=event, headers=HEADERS)).status_code == 200
        assert await rows(engine, "SELECT * FROM rejected_events") == []


async def test_a_database_that_is_down_is_a_503_so_that_evolution_sends_again(settings: Settings, closed_port: int) -> None:
    down = settings.model_copy(update={"database_url": SecretStr(f"postgresql://app:x@127.0.0.1:{closed_port}/app")})
    async with receiving(down) as (client, _):
        for body in (received("A1"), b"no JSON"):
            answer = await client.post(PATH, content=body, headers=HEADERS)
            assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")


async def test_webhook_and_rabbitmq_together_store_each_once(settings: Settings, broker: Broker) -> None:
    host = VirtualHost(broker)
    ids = [new_id() for _ in range(60)]
    events = [event for each in ids for event in (sent(each), marked(each, "READ"))]
    try:
        both = settings.model_copy(update={"rabbitmq_url": SecretStr(host.url)})
        async with consuming(both), publishing(host.url) as evolution, receiving(settings) as (client, engine):

            async def post() -> None:
                for event in events:
                    assert (await client.post(PATH, content=event, headers=HEADERS)).status_code == 200

            await asyncio.gather(post(), evolution.send(*events))
            await asyncio.sleep(1)
            found = await messages(engine)
            assert sorted(row["evolution_id"] for row in found) == sorted(ids)
            assert {row["state"] for row in found} == {"read"}
    finally:
        host.close()


async def test_where_events_come_as_webhooks_no_queue_of_rabbitmq_is_left_unread(settings: Settings, broker: Broker) -> None:
    host = VirtualHost(broker)
    try:
        async with consuming(settings.model_copy(update={"rabbitmq_url": SecretStr(host.url)})):
            pass  # before the switch
        switched = settings.model_copy(update={"rabbitmq_url": SecretStr(host.url), "events_via": EventsVia.WEBHOOK})
        async with publishing(host.url) as evolution, open_resources(switched) as resources, following_events(resources):
            await evolution.send(received("A1"))

            async def stored() -> bool:
                return [row["evolution_id"] for row in await messages(resources.engine)] == ["A1"]

            await eventually(stored, "the event is stored")
    finally:
        host.close()


async def test_a_storm_of_changes_is_few_transactions_and_is_answered_when_it_is_stored(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []
    store = storing.store

    async def counted(engine: AsyncEngine, events: Sequence[Event], source: str) -> list[storing.Stored]:
        batches.append(len(events))
        return await store(engine, events, source)

    monkeypatch.setattr(storing, "store", counted)
    async with receiving(settings) as (client, engine):
        storm = [connected("close" if number % 2 else "connecting", number) for number in range(180)]
        answers = await asyncio.gather(*(client.post(PATH, content=event, headers=HEADERS) for event in storm))
        assert {answer.json()["stored"] for answer in answers} == {True}
        assert (await rows(engine, "SELECT count(*) AS kept FROM connection_changes"))[0]["kept"] == 180
    assert sum(batches) == 180
    assert len(batches) <= 8, f"these many transactions: {batches}"


async def test_a_storm_while_the_database_is_down_is_a_503_for_each(settings: Settings, closed_port: int) -> None:
    down = settings.model_copy(update={"database_url": SecretStr(f"postgresql://app:x@127.0.0.1:{closed_port}/app")})
    async with receiving(down) as (client, _):
        answers = await asyncio.gather(*(client.post(PATH, content=connected("close", each), headers=HEADERS) for each in range(20)))
        assert {answer.status_code for answer in answers} == {503}


async def test_one_caller_that_goes_away_takes_nothing_from_the_others(settings: Settings) -> None:
    async with open_resources(settings) as resources:
        gathering = Gathering(resources.engine)
        waiting = [asyncio.create_task(gathering.store(read_event(connected(state, 1), ZONE))) for state in ("connecting", "open")]
        await asyncio.sleep(0.05)
        waiting[0].cancel()
        assert (await waiting[1]).outcome is Outcome.STORED
        assert len(await rows(resources.engine, "SELECT * FROM connection_changes")) == 2
