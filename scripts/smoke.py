"""Shows that the application and Evolution API work together: `python -m scripts.smoke`, inside the application's container.

Prints a line for each step; exit code 0 when all that could be tried passed, else 1 with what is wrong and how to mend it. With the
simulator a message goes each way, and a voice message through the converter; a real Evolution API needs a phone for that, and those
steps are skipped; that it reaches the converter shows without one.

What it makes it removes. Only the voice message's file stays in MinIO: Evolution API 2.2.3 never removes media.
"""

import asyncio
import contextlib
import sys

import httpx
from pydantic import SecretStr

from scripts.smoke_messages import MESSAGE_STEPS, clean_up
from scripts.smoke_trial import Step, StepFailedError, StepSkippedError, Trial, trial
from src.evolution import EvolutionClient, EvolutionError, KeyRefusedError
from src.faults import Fault, State
from src.settings import Settings, load_settings_or_exit

APP_URL = "http://127.0.0.1:8000"

_ANSWERS = "Evolution API answers"
_KEY = "it accepts EVOLUTION_API_KEY"
_READY = "the application is ready"


async def _answers(trial: Trial) -> str:
    return f"version {(await trial.evolution.welcome()).version} at {trial.evolution.url}"


async def _accepts_the_key(trial: Trial) -> str:
    await trial.evolution.verify_key()
    return f"instances: {len(await trial.evolution.instances())}"


async def _refuses_no_key(trial: Trial) -> str:
    return await _refuses(trial.settings, None)


async def _refuses_a_wrong_key(trial: Trial) -> str:
    return await _refuses(trial.settings, SecretStr(f"not-{trial.settings.evolution_api_key.get_secret_value()}"))


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


async def _is_ready(trial: Trial) -> str:
    try:
        told = (await trial.app.get("/health/ready")).json()
    except httpx.TransportError as error:
        problem = f"The application does not answer at {trial.app.base_url}: {error or type(error).__name__}."
        raise StepFailedError(Fault(State.UNREACHABLE, problem, "look at its log: make logs SERVICE=app.")) from None
    for found in told["dependencies"].values():
        if not told["ready"] and found["state"] != State.OK:
            raise StepFailedError(Fault(State(found["state"]), found["problem"], found["mend"]))
    return ", ".join(told["dependencies"])


STEPS = (
    Step(_ANSWERS, _answers),
    Step(_KEY, _accepts_the_key, needs=(_ANSWERS,)),
    Step("it refuses a call without a key", _refuses_no_key, needs=(_ANSWERS,)),
    Step("it refuses a wrong key", _refuses_a_wrong_key, needs=(_ANSWERS,)),
    Step(_READY, _is_ready, needs=(_KEY,)),
    *(Step(each.title, each.run, needs=each.needs or (_READY,)) for each in MESSAGE_STEPS),
)


async def smoke(settings: Settings, app: httpx.AsyncClient, steps: tuple[Step, ...] = STEPS) -> bool:
    """Run the steps in order, each that can be tried, and return whether none failed."""
    passed: set[str] = set()
    failed = 0
    async with trial(settings, app) as run:
        try:
            for step in steps:
                if missing := [need for need in step.needs if need not in passed]:
                    _say("skip", f"{step.title} (not without: {missing[0]})")
                    continue
                try:
                    _say("ok", f"{step.title} ({await step.run(run)})")
                    passed.add(step.title)
                except StepSkippedError as why:
                    _say("skip", f"{step.title} ({why})")
                except (EvolutionError, StepFailedError) as error:
                    _say("FAIL", f"{step.title}\n  {error.fault}")
                    failed += 1
        finally:
            if run.made:  # interrupted, or the instance is there although making it failed
                with contextlib.suppress(StepFailedError):
                    await clean_up(run)
    skipped = len(steps) - len(passed) - failed
    _say("", f"{len(passed)} of {len(steps)} steps passed" + (f", {skipped} skipped" if skipped else ""))
    return failed == 0


def _say(result: str, text: str) -> None:
    sys.stdout.write(f"{result:<6}{text}\n" if result else f"{text}\n")
    sys.stdout.flush()


async def _run(settings: Settings) -> bool:
    key = settings.app_api_key
    headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
    async with httpx.AsyncClient(base_url=APP_URL, headers=headers, timeout=30, trust_env=False) as app:
        return await smoke(settings, app)


def main() -> None:
    """Run all steps with the application's own settings."""
    sys.exit(0 if asyncio.run(_run(load_settings_or_exit())) else 1)


if __name__ == "__main__":
    main()
