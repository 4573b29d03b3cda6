"""Readiness: every dependency is named with its state, in bounded time, in words, without secrets."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

import asyncpg
import httpx
import pytest
from pydantic import SecretStr

from src.application import create_app
from src.faults import Fault, State
from src.health import CHECK_TIMEOUT_SECONDS
from src.settings import Settings
from tasks.migrate import migrate

if TYPE_CHECKING:
    from tests.app.conftest import FakeEvolution, Postgres

pytestmark = pytest.mark.anyio

MakeSettings = Callable[..., Settings]
Serve = Callable[[Settings], AbstractAsyncContextManager[httpx.AsyncClient]]
BOUND_SECONDS = CHECK_TIMEOUT_SECONDS * 1.75
"""Less than two checks one after the other, with room for a busy machine."""


async def readiness(client: httpx.AsyncClient) -> tuple[int, dict[str, dict[str, str]]]:
    answer = await client.get("/health/ready")
    body: dict[str, Any] = answer.json()
    assert body["ready"] is (answer.status_code == 200), "the status and the body must tell the same"
    return answer.status_code, body["dependencies"]


async def other_connections(database_url: str) -> int:
    connection = await asyncpg.connect(database_url)
    deadline = time.monotonic() + 5  # Postgres notices a closed connection a moment later
    while True:
        count: int = await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        if count == 0 or time.monotonic() > deadline:
            await connection.close()
            return count
        await asyncio.sleep(0.05)


async def test_all_is_well_when_the_database_is_migrated_and_evolution_accepts_the_key(
    make_settings: MakeSettings, serve: Serve, database_url: str
) -> None:
    settings = make_settings()
    await migrate(settings)
    async with serve(settings) as client:
        assert await readiness(client) == (200, {"database": {"state": "ok"}, "evolution": {"state": "ok"}})
    assert await other_connections(database_url) == 0, "the pool was not closed with the application"


async def test_a_load_balancer_may_ask_by_head(make_settings: MakeSettings, serve: Serve) -> None:
    settings = make_settings()
    async with serve(settings) as client:
        assert [(await client.head(path)).status_code for path in ("/health/live", "/health/ready")] == [200, 503]
        await migrate(settings)
        assert (await client.head("/health/ready")).status_code == 200


async def test_a_database_that_is_down_is_named_with_its_address_and_a_mend(
    make_settings: MakeSettings, serve: Serve, closed_port: int
) -> None:
    async with serve(make_settings(database=f"postgresql://app:x@127.0.0.1:{closed_port}/app")) as client:
        status, found = await readiness(client)
    assert status == 503
    assert found["database"]["state"] == "unreachable"
    assert f"127.0.0.1:{closed_port}" in found["database"]["problem"]
    assert "start the service db" in found["database"]["mend"]
    assert found["evolution"] == {"state": "ok"}, "one dependency's fault must not colour the other"


async def test_a_host_name_that_does_not_resolve_counts_as_unreachable(make_settings: MakeSettings, serve: Serve) -> None:
    settings = make_settings(database="postgresql://app:x@no-such-host.invalid/app", evolution="http://no-such-host.invalid:8080")
    async with serve(settings) as client:
        status, found = await readiness(client)
    assert (status, found["database"]["state"], found["evolution"]["state"]) == (503, "unreachable", "unreachable")
    assert "no-such-host.invalid:5432" in found["database"]["problem"]


async def test_an_empty_database_is_not_migrated(make_settings: MakeSettings, serve: Serve) -> None:
    async with serve(make_settings()) as client:
        status, found = await readiness(client)
    assert (status, found["database"]["state"]) == (503, "not_migrated")
    assert "at revision none; this code expects 0" in found["database"]["problem"]
    assert "python -m tasks.migrate" in found["database"]["mend"]


async def test_a_schema_at_another_revision_is_not_migrated_and_both_revisions_are_named(
    make_settings: MakeSettings, serve: Serve, database_url: str
) -> None:
    settings = make_settings()
    await migrate(settings)
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE alembic_version SET version_num = 'from-the-future'")
    await connection.close()
    async with serve(settings) as client:
        status, found = await readiness(client)
    assert (status, found["database"]["state"]) == (503, "not_migrated")
    assert "from-the-future" in found["database"]["problem"]


async def test_a_refused_database_password_is_told_from_a_database_that_is_down_and_never_shown(
    make_settings: MakeSettings, serve: Serve, postgres: "Postgres", caplog: pytest.LogCaptureFixture
) -> None:
    async with serve(make_settings(database=postgres.url(password="a-wrong-password"))) as client:
        status, found = await readiness(client)
    assert (status, found["database"]["state"]) == (503, "credentials_refused")
    assert "a-wrong-password" not in f"{found}{caplog.text}"


async def test_a_database_that_the_server_does_not_have_is_named(make_settings: MakeSettings, serve: Serve, postgres: "Postgres") -> None:
    async with serve(make_settings(database=postgres.url("nowhere"))) as client:
        status, found = await readiness(client)
    assert status == 503
    assert "has no database 'nowhere'" in found["database"]["problem"]


async def test_an_evolution_that_is_down_is_named_with_its_url(make_settings: MakeSettings, serve: Serve, closed_port: int) -> None:
    settings = make_settings(evolution=f"http://127.0.0.1:{closed_port}")
    await migrate(settings)
    async with serve(settings) as client:
        status, found = await readiness(client)
    assert (status, found["evolution"]["state"], found["database"]["state"]) == (503, "unreachable", "ok")
    assert f"http://127.0.0.1:{closed_port}" in found["evolution"]["problem"]


async def test_a_refused_key_says_which_two_settings_differ_and_shows_neither_key(
    make_settings: MakeSettings, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    settings = make_settings(key="a-key-of-another-evolution")
    await migrate(settings)
    async with serve(settings) as client:
        status, found = await readiness(client)
    assert (status, found["evolution"]["state"]) == (503, "credentials_refused")
    assert "EVOLUTION_API_KEY (what the application sends) differs from AUTHENTICATION_API_KEY" in found["evolution"]["problem"]
    assert "a-key-of-another-evolution" not in f"{found}{caplog.text}"


async def test_something_else_at_evolutions_address_is_not_taken_for_evolution(
    make_settings: MakeSettings, serve: Serve, fake_evolution: "FakeEvolution"
) -> None:
    fake_evolution.answers["/verify-creds"] = (404, "<html>another service</html>")
    async with serve(make_settings()) as client:
        status, found = await readiness(client)
    assert (status, found["evolution"]["state"]) == (503, "unexpected_answer")
    assert "POST /verify-creds with 404" in found["evolution"]["problem"]


async def test_dependencies_that_hang_bound_the_answer_and_are_asked_at_the_same_time(
    make_settings: MakeSettings, serve: Serve, fake_evolution: "FakeEvolution", silent_port: int
) -> None:
    fake_evolution.hang.set()
    async with serve(make_settings(database=f"postgresql://app:x@127.0.0.1:{silent_port}/app")) as client:
        start = time.monotonic()
        status, found = await readiness(client)
        took = time.monotonic() - start
    assert (status, found["database"]["state"], found["evolution"]["state"]) == (503, "timeout", "timeout")
    assert took < BOUND_SECONDS, (
        f"two hanging dependencies took {took:.1f} s: they are asked one after the other, or waited for after their limit"
    )


async def test_a_database_that_hangs_under_an_open_connection_bounds_the_answer_and_recovers(
    make_settings: MakeSettings, serve: Serve, postgres: "Postgres"
) -> None:
    settings = make_settings()
    await migrate(settings)
    async with serve(settings) as client:
        assert (await readiness(client))[0] == 200
        postgres.container.pause()
        try:
            start = time.monotonic()
            status, found = await readiness(client)
            took = time.monotonic() - start
        finally:
            postgres.container.unpause()
        assert (status, found["database"]["state"]) == (503, "timeout")
        assert took < BOUND_SECONDS, f"it took {took:.1f} s"
        assert (await readiness(client))[0] == 200, "the pool must not keep the connection that hung"


async def test_a_database_that_was_restarted_is_reached_at_the_first_attempt(
    make_settings: MakeSettings, serve: Serve, database_url: str
) -> None:
    settings = make_settings()
    await migrate(settings)
    async with serve(settings) as client:
        assert (await readiness(client))[0] == 200
        connection = await asyncpg.connect(database_url)
        cut = await connection.fetchval(
            """SELECT count(*) FILTER (WHERE pg_terminate_backend(pid, 10000)) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid()"""
        )
        await connection.close()
        assert cut == 1, "the application's connection should have been the other one"
        await asyncio.sleep(0.2)  # for its end to arrive, as it long has after a restart
        assert (await readiness(client))[0] == 200, "a connection that the database had closed was used again"


async def test_it_lives_whatever_it_depends_on_is_down(make_settings: MakeSettings, serve: Serve, closed_port: int) -> None:
    settings = make_settings(database=f"postgresql://app:x@127.0.0.1:{closed_port}/app", evolution=f"http://127.0.0.1:{closed_port}")
    async with serve(settings) as client:
        answer = await client.get("/health/live")
    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})


async def test_a_fault_is_logged_with_the_dependency_that_has_it(
    make_settings: MakeSettings, serve: Serve, closed_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve(make_settings(evolution=f"http://127.0.0.1:{closed_port}")) as client:
        with caplog.at_level(logging.WARNING, "app.health"):
            await readiness(client)
    assert {vars(record)["dependency"] for record in caplog.records} == {"database", "evolution"}


@pytest.mark.parametrize(
    ("events_via", "status_without_rabbitmq"),
    [("rabbitmq", 503), ("webhook", 200)],
    ids=["the way on which events come", "a second way"],
)
async def test_what_background_services_found_is_told_too_and_a_note_about_lost_events_leaves_it_ready(
    make_settings: MakeSettings, events_via: str, status_without_rabbitmq: int
) -> None:
    settings = make_settings(events_via=events_via, webhook_secret=SecretStr("a-secret"))
    await migrate(settings)
    app = create_app(settings, services=())
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        faults = app.state.resources.faults
        faults["rabbitmq"] = None
        faults["events"] = Fault(State.UNREACHABLE, "Evolution API has lost its connection to RabbitMQ.", "restart evolution-api.")
        status, found = await readiness(client)
        assert (status, found["rabbitmq"], found["events"]["state"]) == (200, {"state": "ok"}, "unreachable")
        assert found["events"]["mend"] == "restart evolution-api."
        faults["rabbitmq"] = Fault(State.UNREACHABLE, "No events are consumed.", "start the service rabbitmq.")
        status, found = await readiness(client)
        assert (status, found["rabbitmq"]["problem"]) == (status_without_rabbitmq, "No events are consumed.")
