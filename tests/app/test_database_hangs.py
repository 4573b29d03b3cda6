"""A database that hangs, or in which another process holds a lock and stands still: every request is answered, and says so."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg
import pytest
from sqlalchemy import make_url, text

from src import database
from src.database import create_engine
from src.settings import Settings
from tests.app.api_support import TEXT, MakeSettings, Serve, problem

if TYPE_CHECKING:
    import httpx

    from tests.app.conftest import Postgres

pytestmark = pytest.mark.anyio


@pytest.fixture
def settings(make_settings: MakeSettings, migrated_url: str) -> Settings:
    return make_settings(database=migrated_url)


@pytest.fixture
async def known(migrated_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection past the application, to a database that knows the instance a1."""
    connection = await asyncpg.connect(migrated_url)
    await connection.execute("INSERT INTO instances (id, name) VALUES ($1, 'a1')", uuid.uuid4())
    yield connection
    await connection.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The times of the application, shortened so that the tests are quick."""
    monkeypatch.setattr(database, "ANSWER_TIMEOUT_SECONDS", 4.0)
    monkeypatch.setattr(database, "POOL_TIMEOUT_SECONDS", 3.0)
    monkeypatch.setattr(database, "_PATIENCE", {"lock_timeout": "1s", "idle_in_transaction_session_timeout": "1s"})


@pytest.fixture
def paused(postgres: "Postgres") -> Iterator["Postgres"]:
    """The server, which a test may stop in its tracks."""
    yield postgres
    postgres.container.reload()
    if postgres.container.status == "paused":
        postgres.container.unpause()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("idle_seconds", [0.0, 60.0])
async def test_while_the_server_hangs_every_request_is_answered_and_afterwards_all_is_well(
    settings: Settings, serve: Serve, paused: "Postgres", monkeypatch: pytest.MonkeyPatch, idle_seconds: float
) -> None:
    monkeypatch.setattr(database, "TRUSTED_SECONDS", 5.0 - idle_seconds)
    async with serve(settings) as client:

        async def ask_all(count: int = 60) -> "list[httpx.Response]":
            return await asyncio.gather(*(client.get("/messages") for _ in range(count)))

        assert {answer.status_code for answer in await ask_all(20)} == {200}
        paused.container.pause()
        for answer in await asyncio.wait_for(ask_all(), 25):
            found = problem(answer, 503, "database_unusable")
            assert "did not answer in time" in found["detail"]
        paused.container.unpause()
        async with asyncio.timeout(25):
            while {answer.status_code for answer in await ask_all(20)} != {200}:
                pass


async def test_a_statement_of_a_migration_may_take_as_long_as_it_takes(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "ANSWER_TIMEOUT_SECONDS", 0.2)
    for make, is_cut in ((database.create_engine, True), (database.create_patient_engine, False)):
        engine = make(settings)
        async with engine.connect() as connection:
            try:
                await connection.execute(text("SELECT pg_sleep(0.5)"))
            except TimeoutError:
                assert is_cut, "a migration was cut"
            else:
                assert not is_cut, "a statement of the serving application was not"
        await engine.dispose()


@pytest.mark.usefixtures("impatient")
async def test_a_chat_whose_lock_is_kept_is_answered_in_time_and_another_chat_is_not_held_up(
    settings: Settings, serve: Serve, known: asyncpg.Connection
) -> None:
    async with serve(settings) as client, known.transaction():
        await known.execute("SELECT pg_advisory_xact_lock(hashtextextended('a1/5511999990001@s.whatsapp.net', 1))")
        kept = asyncio.create_task(client.post("/messages", json=TEXT))
        assert (await client.post("/messages", json=TEXT | {"to": "5511999990002"})).status_code == 202
        problem(await asyncio.wait_for(kept, 10), 503, "database_unusable")


@pytest.mark.usefixtures("impatient")
async def test_a_process_that_stands_still_in_a_transaction_loses_its_locks(settings: Settings, known: asyncpg.Connection) -> None:
    frozen = create_engine(settings)
    async with frozen.connect() as connection:
        await connection.execute(text("SELECT pg_advisory_xact_lock(1)"))
        async with asyncio.timeout(15), known.transaction():
            await known.execute("SELECT pg_advisory_xact_lock(1)")
        await connection.invalidate()
    await frozen.dispose()


async def test_a_server_whose_client_is_gone_notices_it(settings: Settings) -> None:
    engine = create_engine(settings)
    async with engine.connect() as connection:
        shown = (await connection.execute(text("SELECT current_setting('tcp_keepalives_idle')::int"))).scalar_one()
    await engine.dispose()
    assert shown == 10


class Gateway:
    """Stands before the server, and can forget the connections that it forwards without a word to either side."""

    def __init__(self, host: str, port: int) -> None:
        self._server_address = (host, port)
        self._forwarding: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[int]:
        """Give the port that it listens on."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            self.forget()

    def forget(self) -> None:
        for task in self._forwarding:
            task.cancel()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._server_address)
        for source, sink in ((reader, back), (there, writer)):
            self._forwarding.add(asyncio.create_task(self._forward(source, sink)))

    @staticmethod
    async def _forward(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            sink.write(data)
        sink.close()


async def test_an_idle_connection_that_is_gone_without_a_word_is_made_anew(
    make_settings: MakeSettings, migrated_url: str, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "TRUSTED_SECONDS", 0.0)
    url = make_url(migrated_url)
    gateway = Gateway(str(url.host), int(url.port or 0))
    async with gateway.open() as port:
        through = url.set(port=port).render_as_string(hide_password=False)
        async with serve(make_settings(database=through)) as client:
            assert (await client.get("/messages")).status_code == 200
            gateway.forget()
            assert (await asyncio.wait_for(client.get("/messages"), 15)).status_code == 200


async def test_an_error_in_a_statement_does_not_tell_what_people_write(settings: Settings) -> None:
    engine = create_engine(settings)
    async with engine.connect() as connection:
        with pytest.raises(database.DatabaseError) as raised:
            await connection.execute(text("SELECT CAST(:body AS text) FROM nowhere"), {"body": "a private word"})
    await engine.dispose()
    assert "private" not in str(raised.value)
