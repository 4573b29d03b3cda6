"""Logs as one JSON object a line, each with the id of the request it belongs to."""

import json
import logging
import logging.config
import re
import time
import uuid
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from src.settings import LogLevel

CONFIGURATION = Path(__file__).with_name("logging.json")
"""Read here and by uvicorn's `--log-config`, so that the server's own lines look the same."""

REQUEST_ID_HEADER = "X-Request-ID"
_CALM_PATHS = ("/health/", "/metrics")
_USABLE_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_STANDARD_ATTRIBUTES = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "color_message"}

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The request that the current task serves."""

_log = logging.getLogger("app.requests")


class JsonFormatter(logging.Formatter):
    """Formats a record, with what was given as `extra`, as one line of JSON. Times carry their offset; the zone is that of TZ."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line without its end."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, tz=UTC).astimezone().isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if current := request_id.get():
            line["request_id"] = current
        line |= {name: value for name, value in record.__dict__.items() if name not in _STANDARD_ATTRIBUTES}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def configure_logging(level: "LogLevel") -> None:
    """Send every log of this process to stdout as JSON, from `level` upwards."""
    logging.config.dictConfig(json.loads(CONFIGURATION.read_text(encoding="utf-8")))
    logging.getLogger().setLevel(level.upper())


class RequestLog:
    """ASGI middleware that gives each request an id, sends it back, and logs the request once it is answered.

    The id is the caller's X-Request-ID where it is harmless to log, else a new one. Requests for health and metrics, which come all
    the time, are logged as debug. The id stays set when the request fails: the server logs the traceback after this layer,
    in the same task, and a task serves one request only.
    """

    def __init__(self, app: "ASGIApp") -> None:
        self._app = app

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        current = _request_id(scope)
        request_id.set(current)
        status = 500  # what the caller gets when the application raises before it answers

        async def send_with_id(message: "Message") -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), (REQUEST_ID_HEADER.lower().encode(), current.encode())]
            await send(message)

        start = time.perf_counter()
        try:
            await self._app(scope, receive, send_with_id)
        finally:
            level = logging.DEBUG if scope["path"].startswith(_CALM_PATHS) else logging.INFO
            duration_ms = round((time.perf_counter() - start) * 1000, 1)
            _log.log(
                level,
                "%s %s %s",
                scope["method"],
                scope["path"],
                status,
                extra={"method": scope["method"], "path": scope["path"], "status": status, "duration_ms": duration_ms},
            )


def _request_id(scope: "Scope") -> str:
    for name, value in scope["headers"]:
        if name == REQUEST_ID_HEADER.lower().encode() and _USABLE_REQUEST_ID.fullmatch(value.decode("latin-1")):
            return str(value.decode("latin-1"))
    return uuid.uuid4().hex
