"""Shows that the application and Evolution API work together: `python -m scripts.smoke`, inside the application's container.

Prints a line for each step; exit code 0 when all of them passed, else 1 with what is wrong and how to mend it.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pydantic import SecretStr

from src.evolution import EvolutionClient, EvolutionError, EvolutionUnreachableError, KeyRefusedError
from src.faults import Fault, State
from src.settings import Settings, load_settings_or_exit


@dataclass(frozen=True)
class Step:
    """One thing that must hold; `run` returns what it saw, in a few words, or raises `EvolutionError`."""

    title: str
    run: Callable[[Settings], Awaitable[str]]


async def _answers(settings: Settings) -> str:
    async with EvolutionClient(settings, key=None) as evolution:
        return f"version {(await evolution.welcome()).version} at {evolution.url}"


async def _accepts_the_key(settings: Settings) -> str:
    async with EvolutionClient(settings, settings.evolution_api_key) as evolution:
        await evolution.verify_key()
        return f"instances: {len(await evolution.instances())}"


async def _refuses_no_key(settings: Settings) -> str:
    return await _refuses(settings, None)


async def _refuses_a_wrong_key(settings: Settings) -> str:
    return await _refuses(settings, SecretStr(f"not-{settings.evolution_api_key.get_secret_value()}"))


async def _refuses(settings: Settings, key: SecretStr | None) -> str:
    async with EvolutionClient(settings, key) as evolution:
        try:
            await evolution.instances()
        except KeyRefusedError:
            return "401"
        raise EvolutionError(_open_to_all(evolution.url))


def _open_to_all(url: str) -> Fault:
    return Fault(
        State.UNEXPECTED_ANSWER,
        f"{url} lists its instances, with their tokens, to a caller without the right key.",
        "see that AUTHENTICATION_API_KEY is set for evolution-api, and that EVOLUTION_API_URL is the address of Evolution API itself.",
    )


STEPS = (
    Step("Evolution API answers", _answers),
    Step("it accepts EVOLUTION_API_KEY", _accepts_the_key),
    Step("it refuses a call without a key", _refuses_no_key),
    Step("it refuses a wrong key", _refuses_a_wrong_key),
)


async def smoke(settings: Settings, steps: tuple[Step, ...] = STEPS) -> bool:
    """Run the steps in order, all of them unless Evolution can't be reached, and return whether all passed."""
    passed = 0
    for step in steps:
        try:
            sys.stdout.write(f"ok    {step.title} ({await step.run(settings)})\n")
            passed += 1
        except EvolutionError as error:
            sys.stdout.write(f"FAIL  {step.title}\n  {error.fault}\n")
            if isinstance(error, EvolutionUnreachableError):
                break
    sys.stdout.write(f"{passed} of {len(steps)} steps passed\n")
    return passed == len(steps)


def main() -> None:
    """Run all steps with the application's own settings."""
    sys.exit(0 if asyncio.run(smoke(load_settings_or_exit())) else 1)


if __name__ == "__main__":
    main()
