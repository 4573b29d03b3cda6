"""The metrics' page: what it shows, and that it can't be made to grow by whoever calls."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import httpx
import pytest

from src.database import create_engine
from src.settings import Settings
from tasks.migrate import migrate
from tests.app.events_support import queue

pytestmark = pytest.mark.anyio

MakeSettings = Callable[..., Settings]
Serve = Callable[[Settings], AbstractAsyncContextManager[httpx.AsyncClient]]


async def page(client: httpx.AsyncClient) -> dict[str, float]:
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    lines = [line.rpartition(" ") for line in answer.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


async def test_the_outbox_is_counted_in_the_database(make_settings: MakeSettings, serve: Serve) -> None:
    settings = make_settings()
    await migrate(settings)
    engine = create_engine(settings)
    await queue(engine)
    await engine.dispose()
    async with serve(settings) as client:
        found = await page(client)
    assert found['app_outbox_messages{state="sending"}'] == 1
    assert found['app_outbox_messages{state="queued"}'] == 0
    assert 0 <= found["app_outbox_oldest_seconds"] < 60


async def test_the_page_is_there_while_the_database_is_not(make_settings: MakeSettings, serve: Serve, closed_port: int) -> None:
    async with serve(make_settings(database=f"postgresql://app:x@127.0.0.1:{closed_port}/app")) as client:
        found = await page(client)
    assert not [name for name in found if name.startswith("app_outbox_messages")], "a number that nobody knows is not shown"
    assert "app_events_consumer_connected" in found


async def test_requests_are_measured_by_their_routes_template(make_settings: MakeSettings, serve: Serve) -> None:
    settings = make_settings()
    await migrate(settings)
    async with serve(settings) as client:
        for number in range(3):
            await client.get(f"/messages/00000000-0000-0000-0000-00000000000{number}")
            await client.get(f"/nowhere/{number}")
            await client.request(f"MADE-UP-{number}", "/health/live")
        found = await page(client)
    series = [name for name in found if name.startswith("app_http_request_duration_seconds_count")]
    assert [name for name in series if "/messages/{" in name], series
    assert not [name for name in series if "0000-0000" in name or "/nowhere/1" in name or "MADE-UP" in name]
