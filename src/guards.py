"""What stands before all routes: who may call, and how much a request may hold."""

import secrets
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from pydantic import SecretStr
from starlette.requests import Request

from src import problems
from src.budget import ByteBudget
from src.problems import ProblemError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_LIMIT_BYTES = 32 * 1024 * 1024
LARGE_BODY_BYTES = 1024 * 1024
LARGE_BODIES_BYTES = BODY_LIMIT_BYTES
"""How much the large requests in memory may have together, of which one alone may have all: as text, as an object and on its way to the
database, each takes up to seven times its size, and the container has 512 MiB by default. Others wait before they are read."""


class CallerKey:
    """ASGI middleware that lets only callers with the key to some routes; it comes before a body is read."""

    def __init__(self, app: "ASGIApp", key: SecretStr, prefixes: Sequence[str]) -> None:
        self._app = app
        self._expected = f"Bearer {key.get_secret_value()}".encode()
        self._prefixes = tuple(prefixes)

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "http" and scope["path"].startswith(self._prefixes) and not self._knows(scope):
            error = ProblemError(
                problems.UNAUTHORIZED,
                "The header Authorization is missing, or has another key than the application's.",
                "send `Authorization: Bearer <key>` with the value of APP_API_KEY.",
                headers={"WWW-Authenticate": "Bearer"},
            )
            await problems.answer(Request(scope), error)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _knows(self, scope: "Scope") -> bool:
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        return len(given) == 1 and secrets.compare_digest(_scheme_in_title_case(given[0]), self._expected)


def _scheme_in_title_case(value: bytes) -> bytes:
    """Return the header with its scheme as it is compared: its case doesn't matter (RFC 9110)."""
    scheme, space, key = value.partition(b" ")
    return scheme.title() + space + key.strip()


class BodyLimit:
    """ASGI middleware that refuses requests with too large a body, and reads few large ones at a time."""

    def __init__(self, app: "ASGIApp") -> None:
        self._app = app
        self._budget = ByteBudget(LARGE_BODIES_BYTES)

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = _announced(scope)
        if announced > BODY_LIMIT_BYTES:
            await problems.answer(Request(scope), _too_large())(scope, receive, send)
            return
        async with AsyncExitStack() as spending:
            if announced > LARGE_BODY_BYTES:
                await spending.enter_async_context(self._budget.spend(announced))
            await self._app(scope, self._limited(receive, spending, announced), send)

    def _limited(self, receive: "Receive", spending: AsyncExitStack, spent: int) -> "Receive":
        read = 0

        async def receive_limited() -> "Message":
            nonlocal read, spent
            message = await receive()
            read += len(message.get("body", b""))
            if read > BODY_LIMIT_BYTES:
                raise _too_large()
            if read > max(spent, LARGE_BODY_BYTES):  # it did not say how large it is
                spent = BODY_LIMIT_BYTES
                await spending.enter_async_context(self._budget.spend(spent))
            return message

        return receive_limited


def _announced(scope: "Scope") -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0


def _too_large() -> ProblemError:
    return ProblemError(
        problems.TOO_LARGE,
        f"The body has more than {BODY_LIMIT_BYTES // 1024 // 1024} MiB.",
        "give large media by a URL: base64 takes a third more than the bytes.",
    )
