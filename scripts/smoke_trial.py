"""What the steps of the smoke test share."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from src.evolution import EvolutionClient
from src.faults import Fault, State
from src.settings import Settings

PATIENCE_SECONDS = 20.0
_LOOK_AGAIN_SECONDS = 0.2
_SIMULATOR_HEADER = "X-Simulator"


class StepFailedError(Exception):
    """A step did not see what it should; `fault` says what is wrong and what mends it."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.problem)
        self.fault = fault


class StepSkippedError(Exception):
    """A step can't be tried here; the text says why."""


@dataclass
class Trial:
    """One run of the smoke test.

    Attributes:
        settings: the application's.
        evolution: Evolution API, with the application's key.
        app: the application's own API.
        phone: the simulator's side of the phone; of no use with a real Evolution API.
        name: the instance that is made for the run.
        made: whether there may be something to remove.
    """

    settings: Settings
    evolution: EvolutionClient
    app: httpx.AsyncClient
    phone: httpx.AsyncClient
    name: str = field(default_factory=lambda: f"smoke-{secrets.token_hex(4)}")
    made: bool = False

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:  # noqa: ANN401  # JSON
        """Ask the application; its problems fail the step in its own words."""
        return _answer(await self._request(self.app, method, path, body), "look at the log of the service app.")

    async def as_phone(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:  # noqa: ANN401  # JSON
        """Do what the phone, or who writes to it, does."""
        answer = await self._request(self.phone, method, f"/simulator{path}", body)
        return _answer(answer, "look at the log of the service evolution-api.")

    async def is_simulated(self) -> bool:
        """Whether Evolution API is the simulator, which marks each of its answers."""
        return _SIMULATOR_HEADER in (await self._request(self.phone, "GET", "/", None)).headers

    @staticmethod
    async def _request(client: httpx.AsyncClient, method: str, path: str, body: dict[str, Any] | None) -> httpx.Response:
        try:
            return await client.request(method, path, json=body)
        except httpx.TransportError as error:
            problem = f"{client.base_url} did not answer {method} {path}: {error or type(error).__name__}."
            raise StepFailedError(Fault(State.UNREACHABLE, problem, "see that the service is up: make ps.")) from None

    @staticmethod
    async def until(look: Callable[[], Awaitable[Any]], late: Callable[[], Fault]) -> Any:  # noqa: ANN401  # what `look` gives
        """Look again until there is something to see; fail with `late()` when that takes too long."""
        deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while not (seen := await look()):
            if asyncio.get_running_loop().time() > deadline:
                raise StepFailedError(late())
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        return seen


@dataclass(frozen=True)
class Step:
    """One thing that must hold.

    Attributes:
        title: what it shows.
        run: returns what it saw, in a few words; raises an `EvolutionError`, `StepFailedError` or `StepSkippedError`.
        needs: titles of the steps without which this one can't be tried.
    """

    title: str
    run: Callable[[Trial], Awaitable[str]]
    needs: tuple[str, ...] = ()


@asynccontextmanager
async def trial(settings: Settings, app: httpx.AsyncClient) -> AsyncIterator[Trial]:
    """Make a trial; its connections are closed at the end."""
    key = settings.evolution_api_key
    headers = {"apikey": key.get_secret_value()}
    phone = httpx.AsyncClient(base_url=str(settings.evolution_api_url).rstrip("/"), headers=headers, timeout=30, trust_env=False)
    async with EvolutionClient(settings, key) as evolution, phone:
        yield Trial(settings, evolution, app, phone)


def _answer(answer: httpx.Response, mend: str) -> Any:  # noqa: ANN401  # JSON
    try:
        content = answer.json() if answer.content else None
    except ValueError:
        content = None
    if answer.is_success:
        return content
    told = content if isinstance(content, dict) else {}
    words = told.get("detail") or answer.text[:200]
    problem = f"{answer.request.method} {answer.request.url.path} was answered with {answer.status_code}: {words}"
    raise StepFailedError(Fault(State.UNEXPECTED_ANSWER, problem, told.get("mend") or mend))
