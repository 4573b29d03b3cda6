"""What stands before all routes: who may call, how much a request may hold, and how long its body may take to come."""

import asyncio
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
ROOM_SECONDS = 10.0
"""How long a large request waits for the others before its caller is told to come again."""
SILENCE_SECONDS = 15.0
"""How long nothing may come of a body that has not ended."""
BODY_SECONDS = 120.0
"""How long a whole body may take; 32 MiB need 2 Mbit/s. A caller who is slower could keep all other large requests out."""


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
    """ASGI middleware that refuses requests with too large or too slow a body, and reads few large ones at a time."""

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
                try:
                    await self._spend(spending, announced)
                except ProblemError as error:
                    await problems.answer(Request(scope), error)(scope, receive, send)
                    return
            await self._app(scope, self._limited(receive, spending, announced), send)

    def _limited(self, receive: "Receive", spending: AsyncExitStack, spent: int) -> "Receive":
        read = 0
        limit = _TimeLimit()

        async def receive_limited() -> "Message":
            nonlocal read, spent
            message = await limit.receive(receive)
            read += len(message.get("body", b""))
            if read > BODY_LIMIT_BYTES:
                raise _too_large()
            if read > max(spent, LARGE_BODY_BYTES):  # it did not say how large it is
                spent = BODY_LIMIT_BYTES
                await self._spend(spending, spent)
            return message

        return receive_limited

    async def _spend(self, spending: AsyncExitStack, size: int) -> None:
        try:
            async with asyncio.timeout(ROOM_SECONDS):
                await spending.enter_async_context(self._budget.spend(size))
        except TimeoutError:
            raise ProblemError(
                problems.BUSY, "Other large requests are in hand.", "try again later, or give large media by a URL."
            ) from None


class _TimeLimit:
    """Bounds the time that one request's body takes to come. What the application does with it in between is counted as well."""

    def __init__(self) -> None:
        self._ends_at: float | None = None
        self._has_ended = False

    async def receive(self, receive: "Receive") -> "Message":
        """Receive the next part; after the last one there is only the caller's going away to wait for, without a limit."""
        if self._has_ended:
            return await receive()
        now = asyncio.get_running_loop().time()
        self._ends_at = self._ends_at or now + BODY_SECONDS
        try:
            async with asyncio.timeout_at(min(now + SILENCE_SECONDS, self._ends_at)):
                message = await receive()
        except TimeoutError:
            raise ProblemError(
                problems.TOO_SLOW,
                f"Nothing of the body has come for {SILENCE_SECONDS:.0f} s, or it has not come as a whole in {BODY_SECONDS:.0f} s.",
                "give large media by a URL.",
                headers={"Connection": "close"},  # the server would wait for the rest
            ) from None
        self._has_ended = not message.get("more_body", False)
        return message


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
