"""The smoke test that a user runs: one line a step, words for what is wrong, an exit code; and no key in any of it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from scripts.smoke import STEPS, smoke
from scripts.smoke_messages import MESSAGE_STEPS
from src.application import create_app
from src.evolution import EvolutionClient, EvolutionFailedError, EvolutionUnreachableError, UnexpectedAnswerError
from src.settings import Settings
from tasks.migrate import migrate
from tests.app import simulator_support
from tests.app.conftest import error
from tests.app.events_broker import eventually
from tests.app.events_support import rows
from tests.app.simulator_support import Broker, Process

if TYPE_CHECKING:
    from tests.app.conftest import FakeEvolution

pytest_plugins = ["tests.app.simulator_fixtures", "tests.contract.simulator", "tests.app.simulator_message_fixtures"]
pytestmark = pytest.mark.anyio

MakeSettings = Callable[..., Settings]
Serve = Callable[[Settings], AbstractAsyncContextManager[httpx.AsyncClient]]
NEED_A_PHONE = 4


async def run(settings: Settings, serve: Serve) -> bool:
    async with serve(settings) as app:
        return await smoke(settings, app)


async def test_against_an_evolution_without_a_phone_all_that_can_be_tried_passes_and_the_rest_is_skipped_with_the_reason(
    make_settings: MakeSettings, serve: Serve, fake_evolution: "FakeEvolution", capsys: pytest.CaptureFixture[str]
) -> None:
    settings = make_settings()
    await migrate(settings)
    assert await run(settings, serve)
    output = capsys.readouterr().out
    assert output.count("ok    ") == len(STEPS) - NEED_A_PHONE
    assert output.count("skip  ") == NEED_A_PHONE
    assert "no simulator" in output
    assert "version 2.2.3" in output
    assert "FAIL" not in output
    assert f"{len(STEPS) - NEED_A_PHONE} of {len(STEPS)} steps passed, {NEED_A_PHONE} skipped" in output
    assert fake_evolution.instances == {"a1": "close"}, "the instance that it made is left behind"


@pytest.mark.parametrize(
    ("status", "text", "mend"),
    [
        (500, "connect ECONNREFUSED 172.18.0.5:4040", "audio-converter is up"),
        (401, "Request failed with status code 401", "AUDIO_CONVERTER_API_KEY"),
        (500, "Request failed with status code 500", "ffmpeg"),
    ],
)
async def test_a_converter_that_does_not_work_fails_without_a_phone_too(
    make_settings: MakeSettings,
    serve: Serve,
    fake_evolution: "FakeEvolution",
    capsys: pytest.CaptureFixture[str],
    status: int,
    text: str,
    mend: str,
) -> None:
    fake_evolution.converter = status, error("whatever", text)
    settings = make_settings()
    await migrate(settings)
    assert not await run(settings, serve)
    output = capsys.readouterr().out
    assert output.count("FAIL") == 1
    assert "FAIL  Evolution API reaches the audio converter" in output
    assert mend in output


async def test_a_wrong_key_fails_the_step_that_sends_it_names_both_settings_and_keeps_the_rest_from_failing_too(
    make_settings: MakeSettings, serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not await run(make_settings(key="a-key-of-another-evolution"), serve)
    output = capsys.readouterr().out
    assert "FAIL  it accepts EVOLUTION_API_KEY" in output
    assert "AUTHENTICATION_API_KEY" in output
    assert "To mend it:" in output
    assert output.count("FAIL") == 1
    assert "ok    it refuses a wrong key" in output, "the steps that can be tried must still run"
    assert f"skip  {MESSAGE_STEPS[0].title}" in output
    assert "a-key-of-another-evolution" not in output


async def test_an_evolution_that_answers_without_a_key_fails_two_steps(
    make_settings: MakeSettings, serve: Serve, fake_evolution: "FakeEvolution", capsys: pytest.CaptureFixture[str]
) -> None:
    fake_evolution.guarded = False
    settings = make_settings()
    await migrate(settings)
    assert not await run(settings, serve)
    output = capsys.readouterr().out
    assert output.count("FAIL") == 2
    assert fake_evolution.accepted_key not in output


async def test_an_evolution_that_is_down_is_the_only_failure(
    make_settings: MakeSettings, serve: Serve, closed_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not await run(make_settings(evolution=f"http://127.0.0.1:{closed_port}"), serve)
    output = capsys.readouterr().out
    assert output.count("FAIL") == 1
    assert output.count("skip") == len(STEPS)
    assert "start the service evolution-api" in output


async def test_an_application_that_is_not_ready_is_told_in_its_own_words(
    make_settings: MakeSettings, serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not await run(make_settings(), serve)
    output = capsys.readouterr().out
    assert "FAIL  the application is ready" in output
    assert "python -m tasks.migrate" in output


async def test_an_application_that_does_not_answer_is_told(
    make_settings: MakeSettings, closed_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{closed_port}") as nobody:
        assert not await smoke(make_settings(), nobody)
    assert "The application does not answer" in capsys.readouterr().out


@asynccontextmanager
async def whole_application(settings: Settings) -> AsyncIterator[tuple[httpx.AsyncClient, AsyncEngine]]:
    app = create_app(settings)
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://app") as client:

        async def is_ready() -> bool:
            return (await client.get("/health/ready")).is_success

        await eventually(is_ready, "the application is ready")
        yield client, app.state.resources.engine


async def test_with_the_simulator_a_message_goes_each_way_a_voice_message_is_converted_and_nothing_is_left_behind(
    make_settings: MakeSettings, messenger: Process, broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = make_settings(evolution=messenger.url, key=simulator_support.KEY).model_copy(
        update={"rabbitmq_url": SecretStr(broker.uri.partition("?")[0]), "tz": "America/Sao_Paulo"}
    )
    await migrate(settings)
    async with whole_application(settings) as (app, engine):
        passed = await smoke(settings, app)
        output = capsys.readouterr().out
        assert passed, output
        assert f"{len(STEPS)} of {len(STEPS)} steps passed" in output
        assert "WAV became audio/ogg" in output
        for table in ("messages", "receipts", "connection_changes", "caught_up", "instances"):
            left = await rows(engine, f"SELECT * FROM {table} WHERE {'name' if table == 'instances' else 'instance'} LIKE 'smoke-%'")  # noqa: S608
            assert left == [], f"{table} has rows of the smoke test"
    left_there = messenger.api.get("/instance/fetchInstances").json()
    assert not [each for each in left_there if each["name"].startswith("smoke-")]


async def test_a_step_that_fails_leaves_nothing_behind_either(
    make_settings: MakeSettings, serve: Serve, messenger: Process, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scripts.smoke_trial.PATIENCE_SECONDS", 1.0)
    settings = make_settings(evolution=messenger.url, key=simulator_support.KEY)
    await migrate(settings)
    assert not await run(settings, serve), "no sender runs here, so nothing is sent"
    output = capsys.readouterr().out
    assert "the message stayed queued" in output
    assert "ok    it removes the instance" in output
    assert not [each for each in messenger.api.get("/instance/fetchInstances").json() if each["name"].startswith("smoke-")]


async def test_evolutions_nested_error_messages_are_told(make_settings: MakeSettings, fake_evolution: "FakeEvolution") -> None:
    nested = {"status": 500, "error": "Internal Server Error", "response": {"message": [["PrismaClient: the database is away"]]}}
    fake_evolution.answers["/instance/fetchInstances"] = (500, nested)
    settings = make_settings()
    async with EvolutionClient(settings, settings.evolution_api_key) as evolution:
        with pytest.raises(EvolutionFailedError, match="500: PrismaClient: the database is away"):
            await evolution.instances()


@pytest.mark.parametrize("body", ["<html>hello</html>", {"ok": True}, [{"id": 1}]])
async def test_a_success_that_does_not_have_evolutions_form_is_unexpected(
    body: object, make_settings: MakeSettings, fake_evolution: "FakeEvolution"
) -> None:
    fake_evolution.answers |= {"/": (200, body), "/instance/fetchInstances": (200, body)}
    settings = make_settings()
    async with EvolutionClient(settings, settings.evolution_api_key) as evolution:
        with pytest.raises(UnexpectedAnswerError):
            await evolution.welcome()
        with pytest.raises(UnexpectedAnswerError):
            await evolution.instances()


async def test_an_https_address_is_spoken_to_in_tls_alone(make_settings: MakeSettings, fake_evolution: "FakeEvolution") -> None:
    settings = make_settings(evolution=fake_evolution.url.replace("http://", "https://"))
    async with EvolutionClient(settings, None) as evolution:
        with pytest.raises(EvolutionUnreachableError, match=r"SSL|TLS"):
            await evolution.welcome()
