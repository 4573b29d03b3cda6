"""The smoke test that a user runs: one line a step, words for what is wrong, an exit code; and no key in any of it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from scripts.smoke import STEPS, smoke
from src.evolution import EvolutionClient, EvolutionFailedError, EvolutionUnreachableError, UnexpectedAnswerError
from src.settings import Settings

if TYPE_CHECKING:
    from tests.app.conftest import FakeEvolution

pytestmark = pytest.mark.anyio

MakeSettings = Callable[..., Settings]


async def test_all_steps_pass_against_an_evolution_that_keeps_its_rules(
    make_settings: MakeSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await smoke(make_settings())
    output = capsys.readouterr().out
    assert output.count("ok    ") == len(STEPS)
    assert "version 2.2.3" in output
    assert "FAIL" not in output


async def test_a_wrong_key_fails_the_step_that_sends_it_and_names_both_settings(
    make_settings: MakeSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not await smoke(make_settings(key="a-key-of-another-evolution"))
    output = capsys.readouterr().out
    assert "FAIL  it accepts EVOLUTION_API_KEY" in output
    assert "AUTHENTICATION_API_KEY" in output
    assert "To mend it:" in output
    assert f"{len(STEPS) - 1} of {len(STEPS)} steps passed" in output, "the steps after the failed one must still run"
    assert "a-key-of-another-evolution" not in output


async def test_an_evolution_that_answers_without_a_key_fails_two_steps(
    make_settings: MakeSettings, fake_evolution: "FakeEvolution", capsys: pytest.CaptureFixture[str]
) -> None:
    fake_evolution.guarded = False
    assert not await smoke(make_settings())
    output = capsys.readouterr().out
    assert output.count("FAIL") == 2
    assert fake_evolution.accepted_key not in output


async def test_an_evolution_that_is_down_stops_the_smoke_test_at_once(
    make_settings: MakeSettings, closed_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not await smoke(make_settings(evolution=f"http://127.0.0.1:{closed_port}"))
    output = capsys.readouterr().out
    assert output.count("FAIL") == 1
    assert "start the service evolution-api" in output


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
