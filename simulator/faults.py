"""Faults on demand: what a test or a developer asks the simulator to do wrong. They live in memory only: a restart ends them."""

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from simulator.errors import bad_request, envelope

CONVERTER_FAULTS = ("refuse", "down")
CUT = "simulator.cut"
"""Where in an ASGI scope the function is that ends the connection without another byte; `Cuttable` puts it there."""

_LONGEST_LATENCY_MS = 600_000
_UNTOUCHED = ("/simulator", "/manager")
"""Paths that no fault touches: the phone's side and a page. The welcome, which is the container's health probe, isn't touched either."""


@dataclass(frozen=True)
class FaultSettings:
    """What goes wrong at the moment. The rates are probabilities from 0 to 1.

    `dropAnswers` does what is asked and then cuts the connection; `disconnect` names instances that WhatsApp can't be reached from;
    `converter` is what the audio converter does (`refuse`: it takes no key, `down`: nobody listens there); `loseBroker` ends the
    connection to RabbitMQ, which 2.2.3 never takes up again by itself.
    """

    latencyMs: int = 0  # noqa: N815  (the names are the API's)
    errorRate: float = 0  # noqa: N815
    dropAnswers: float = 0  # noqa: N815
    duplicateEvents: float = 0  # noqa: N815
    reorderEvents: float = 0  # noqa: N815
    disconnect: tuple[str, ...] = ()
    converter: str | None = None
    loseBroker: bool = False  # noqa: N815

    def shown(self) -> dict[str, Any]:
        """Give them as the API shows them."""
        return asdict(self) | {"disconnect": list(self.disconnect)}


NAMES = tuple(field.name for field in fields(FaultSettings))
_RATES = ("errorRate", "dropAnswers", "duplicateEvents", "reorderEvents")


def parse(body: Mapping[str, Any]) -> FaultSettings:
    """Read what is asked for; what isn't named is off.

    Raises:
        ApiError: 400 that lists all that is wrong.
    """
    wrong = [f"{name} is no fault; there are {', '.join(NAMES)}" for name in body if name not in NAMES]
    wrong += [f"{name} must be a number from 0 to 1" for name in _RATES if not _is_number(body.get(name, 0), 1)]
    if not _is_number(body.get("latencyMs", 0), _LONGEST_LATENCY_MS):
        wrong.append(f"latencyMs must be a number of milliseconds from 0 to {_LONGEST_LATENCY_MS}")
    disconnect = body.get("disconnect") or []
    if not isinstance(disconnect, list) or not all(isinstance(name, str) for name in disconnect):
        wrong.append("disconnect must be a list of instances' names")
    if body.get("converter") not in (None, *CONVERTER_FAULTS):
        wrong.append(f"converter must be null or one of {', '.join(CONVERTER_FAULTS)}")
    if not isinstance(body.get("loseBroker", False), bool):
        wrong.append("loseBroker must be true or false")
    if wrong:
        raise bad_request(wrong)
    return FaultSettings(**{**body, "disconnect": tuple(disconnect)})


def _is_number(value: object, largest: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= largest


class Faults:
    """The faults of this process. `current` is replaced as a whole; whoever acts on a change listens for it."""

    def __init__(self) -> None:
        self.current = FaultSettings()
        self._listeners: list[Callable[[FaultSettings, FaultSettings], None]] = []

    def listen(self, listener: Callable[[FaultSettings, FaultSettings], None]) -> None:
        """Call `listener(before, now)` after every change."""
        self._listeners.append(listener)

    def change(self, wanted: FaultSettings) -> None:
        """Put other faults in the place of the current ones."""
        before, self.current = self.current, wanted
        for listener in self._listeners:
            listener(before, wanted)

    @staticmethod
    def strikes(rate: float) -> bool:
        """Throw the dice."""
        return rate > 0 and random.random() < rate  # noqa: S311  (nothing secret)


class FaultGate:
    """An ASGI middleware that puts latency, 500s and cut connections before Evolution's own routes."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self._app = app
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, well or badly."""
        current = self._faults.current
        if scope["path"] == "/" or scope["path"].startswith(_UNTOUCHED):
            await self._app(scope, receive, send)
            return
        if current.latencyMs:
            await asyncio.sleep(current.latencyMs / 1000)
        if self._faults.strikes(current.errorRate):
            await envelope(500, "Internal Server Error", "A fault of the simulator: errorRate")(scope, receive, send)
        elif self._faults.strikes(current.dropAnswers) and CUT in scope:
            await self._app(scope, receive, _nowhere)
            scope[CUT]()
            while (await receive())["type"] != "http.disconnect":
                pass  # the server, too, has to know that nobody waits for an answer
        else:
            await self._app(scope, receive, send)


class Cuttable(HttpToolsProtocol):
    """A server's connection that an application can cut, which ASGI has no word for."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to serve."""
        super().connection_made(transport)
        app = self.app

        async def with_a_way_to_cut(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, CUT: transport.abort}, receive, send)

        self.app = with_a_way_to_cut


async def _nowhere(_: Message) -> None:
    """Take an answer that nobody gets."""
