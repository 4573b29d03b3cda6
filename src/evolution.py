"""Evolution API 2.2.3 as this application uses it: typed calls, and its errors in words."""

import ssl
from types import TracebackType
from typing import Any, Self

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr, TypeAdapter, ValidationError

from src.faults import Fault, State
from src.settings import Settings

REQUEST_TIMEOUT_SECONDS = 10.0


class EvolutionError(Exception):
    """A call did not do what it should; `fault` says why and what mends it."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.problem)
        self.fault = fault


class EvolutionUnreachableError(EvolutionError):
    """Nothing answered, or not in time. Whether Evolution did what was asked is unknown."""


class KeyRefusedError(EvolutionError):
    """Evolution answered 401: the key is not one that it accepts."""


class UnexpectedAnswerError(EvolutionError):
    """Something answered, but not as Evolution API 2.2.3 does when all is well."""


class Welcome(BaseModel):
    """The answer of `GET /`, which needs no key."""

    version: str


class InstanceSummary(BaseModel):
    """One element of `GET /instance/fetchInstances`. The instance's own token, which is there too, is left out."""

    model_config = ConfigDict(populate_by_name=True)

    name: str
    connection_status: str = Field(alias="connectionStatus")


_INSTANCES = TypeAdapter(list[InstanceSummary])


class EvolutionClient:
    """Calls Evolution API with one key over a shared pool of connections, which the context manager closes."""

    def __init__(self, settings: Settings, key: SecretStr | None) -> None:
        self.url = str(settings.evolution_api_url).rstrip("/")
        self._http = httpx.AsyncClient(
            base_url=self.url,
            headers={"apikey": key.get_secret_value()} if key else {},
            timeout=REQUEST_TIMEOUT_SECONDS,
            trust_env=False,  # a service of the same network: no proxy of the environment belongs between
            verify=_tls(settings),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        await self._http.aclose()

    async def welcome(self) -> Welcome:
        """Return who answers, from `GET /`: it needs no key, and answers whatever else is wrong with Evolution.

        Raises:
            EvolutionError: nothing answers, or not as Evolution API does.
        """
        answer = await self._call("GET", "/")
        try:
            return Welcome.model_validate_json(answer.content)
        except ValidationError:
            raise self._unexpected(answer) from None

    async def verify_key(self) -> None:
        """Ask whether the key is Evolution's global one, by the cheapest call that says so.

        Raises:
            EvolutionError: it isn't (`KeyRefusedError`), or there is no usable answer.
        """
        await self._call("POST", "/verify-creds")

    async def instances(self) -> list[InstanceSummary]:
        """Return all instances; Evolution asks its database for them.

        Raises:
            EvolutionError: the key was refused (`KeyRefusedError`), or there is no usable answer.
        """
        answer = await self._call("GET", "/instance/fetchInstances")
        try:
            return _INSTANCES.validate_json(answer.content)
        except ValidationError:
            raise self._unexpected(answer) from None

    async def _call(self, method: str, path: str) -> httpx.Response:
        try:
            answer = await self._http.request(method, path)
        except httpx.TimeoutException:
            raise EvolutionUnreachableError(slow(self.url)) from None
        except httpx.TransportError as error:
            raise EvolutionUnreachableError(_unreachable(self.url, error)) from None
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise KeyRefusedError(_key_refused(self.url))
        if not answer.is_success:
            raise self._unexpected(answer)
        return answer

    def _unexpected(self, answer: httpx.Response) -> UnexpectedAnswerError:
        request = answer.request
        fault = Fault(
            State.UNEXPECTED_ANSWER,
            f"{self.url} answered {request.method} {request.url.path} with {answer.status_code}: {_message(answer)}",
            "look at the log of the service evolution-api, and see that EVOLUTION_API_URL is the address of an Evolution API 2.2.3.",
        )
        return UnexpectedAnswerError(fault)


def slow(url: str) -> Fault:
    """Describe an Evolution API that takes a connection, but doesn't answer in time."""
    return Fault(
        State.TIMEOUT,
        f"Evolution API at {url} did not answer in time.",
        "look at the log and the load of the service evolution-api; restart it when it hangs.",
    )


def _unreachable(url: str, error: httpx.TransportError) -> Fault:
    return Fault(
        State.UNREACHABLE,
        f"Evolution API can't be reached at {url}: {error or type(error).__name__}.",
        "start the service evolution-api, look at its log, and see that EVOLUTION_API_URL is its address.",
    )


def _key_refused(url: str) -> Fault:
    return Fault(
        State.CREDENTIALS_REFUSED,
        f"Evolution API at {url} refused the key: EVOLUTION_API_KEY (what the application sends) differs from AUTHENTICATION_API_KEY "
        "(what Evolution accepts).",
        "give both settings the same value, or leave both out to have one made for the two, and bring the stack up again.",
    )


def _message(answer: httpx.Response) -> str:
    """Return the innermost text of Evolution's error envelope (its message may be a nested array), or else the start of the body."""
    try:
        found: Any = answer.json()["response"]["message"]
    except (ValueError, KeyError, TypeError):
        return answer.text[:200] or "an empty body"
    while isinstance(found, list) and found:
        found = found[0]
    return str(found)[:200]


def _tls(settings: Settings) -> ssl.SSLContext:
    """Make the context that httpx wants in any case; the certificate authorities, some MiB, are loaded only where they are used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if settings.evolution_api_url.scheme == "https":
        context.load_default_certs()
    return context
