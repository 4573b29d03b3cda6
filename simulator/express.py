"""What Express does around 2.2.3's routes: CORS, bodies, HEAD, trailing slashes and its header. And the header that marks the simulator."""

import json
import re
import traceback
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from simulator import VERSION
from simulator.errors import ApiError, Report, envelope
from simulator.journal import Journal
from simulator.settings import Cors

BODY_LIMIT = 136 * 1024 * 1024
"""Bytes of a JSON or form body (`main.ts`)."""

MARK = f"stand-in for Evolution API {VERSION}; nothing reaches WhatsApp"


class Express:
    """An ASGI middleware; `request.state.body` is the parsed JSON or form body, an empty object where there is none."""

    def __init__(self, app: ASGIApp, cors: Cors, report: Report, journal: Journal) -> None:
        self._app = app
        self._report = report
        self._cors = cors
        self._journal = journal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        send = self._decorated(headers.get("origin"), _without_body(send) if scope["method"] == "HEAD" else send)
        try:
            refusal = self._cors_refusal(headers.get("origin"), scope["method"])
            if refusal:
                await refusal(scope, receive, send)
                return
            scope.setdefault("state", {})["body"] = await _body(headers, receive)
            await self._app(_normalised(scope), receive, send)
        except ApiError as error:
            self._report(error)
            await envelope(error.status, error.error, error.message)(scope, receive, send)
        except Exception:  # noqa: BLE001  (the answer was sent by the application's own handler; a request must not end the process)
            self._journal.error(traceback.format_exc())

    def _cors_refusal(self, origin: str | None, method: str) -> Response | None:
        """Answer a preflight, and refuse an origin that isn't listed: a request without one isn't either, unless `*` is (`main.ts`)."""
        if "*" not in self._cors.origins and origin not in self._cors.origins:
            return envelope(HTTPStatus.INTERNAL_SERVER_ERROR, "Internal Server Error", "Not allowed by CORS")
        if method == "OPTIONS":
            return Response(status_code=HTTPStatus.NO_CONTENT, headers={"Access-Control-Allow-Methods": ",".join(self._cors.methods)})
        return None

    def _decorated(self, origin: str | None, send: Send) -> Send:
        async def decorated(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Powered-By"] = "Express"
                headers["X-Simulator"] = MARK
                headers["Vary"] = "Origin, Accept-Encoding"
                if origin and ("*" in self._cors.origins or origin in self._cors.origins):
                    headers["Access-Control-Allow-Origin"] = origin
                if self._cors.credentials:
                    headers["Access-Control-Allow-Credentials"] = "true"
            await send(message)

        return decorated


def _without_body(send: Send) -> Send:
    async def bodiless(message: Message) -> None:
        await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

    return bodiless


def _normalised(scope: Scope) -> Scope:
    """Route as Express does: on the path as it was sent, so that a name may hold an escaped slash; HEAD like GET; a last slash ignored."""
    path = scope["raw_path"].decode("latin-1")
    if path != "/" and not path.startswith("/manager"):
        path = path.removesuffix("/")
    return {**scope, "path": path, "method": "GET" if scope["method"] == "HEAD" else scope["method"]}


async def _body(headers: Headers, receive: Receive) -> Any:  # noqa: ANN401  (any JSON)
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in {"application/json", "application/x-www-form-urlencoded"}:
        return {}
    raw = await _read(receive)
    if kind == "application/x-www-form-urlencoded":
        return dict(parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True))
    return parse_json(raw) if raw.strip() else {}


async def _read(receive: Receive) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        chunk = message.get("body", b"")
        chunks.append(chunk)
        size += len(chunk)
        if size > BODY_LIMIT:
            raise ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Internal Server Error", "request entity too large")
        if not message.get("more_body"):
            return b"".join(chunks)


_V8_WORDING = {
    "Expecting property name enclosed in double quotes": "Expected property name or '}' in JSON at position {0}",
    "Expecting ',' delimiter": "Expected ',' or '}' after property value in JSON at position {0}",
    "Expecting ':' delimiter": "Expected ':' after property name in JSON at position {0}",
    "Extra data": "Unexpected non-whitespace character after JSON at position {0}",
    "Unterminated string starting at": "Unterminated string in JSON at position {1}",
}
"""Python's words for a JSON error and V8's; {0} is where the error is, {1} the length of the text."""


def parse_json(raw: bytes) -> Any:  # noqa: ANN401  (any JSON)
    """Parse a body; only objects and arrays count, as for body-parser.

    Raises:
        ApiError: 400 with the odd pair of status and name that 2.2.3 answers, its message a string in V8's words.
    """
    text = raw.decode("utf-8", "replace")
    try:
        if not re.match(r"\s*[{\[]", text):
            raise json.JSONDecodeError("Expecting value", text, len(text) - len(text.lstrip()))
        return json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        raise ApiError(HTTPStatus.BAD_REQUEST, "Internal Server Error", _in_v8_words(error, text)) from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"Unexpected token '{name[0]}' in JSON")


def _in_v8_words(error: ValueError, text: str) -> str:
    if not isinstance(error, json.JSONDecodeError):
        return str(error)
    wording = _V8_WORDING.get(error.msg)
    if wording:
        return wording.replace("{0}", str(error.pos)).replace("{1}", str(len(text)))
    if error.pos >= len(text):
        return "Unexpected end of JSON input"
    return f"Unexpected token '{text[error.pos]}', \"{text}\" is not valid JSON"
