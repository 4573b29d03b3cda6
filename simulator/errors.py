"""Evolution's error envelope: `{"status": n, "error": "<name>", "response": {"message": ...}}`."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response


class Answer(Response):
    """A JSON answer as Express writes it: compact, UTF-8, the character set named."""

    media_type = "application/json; charset=utf-8"

    def render(self, content: Any) -> bytes:  # noqa: ANN401  (any JSON)
        """Encode the content."""
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


class ApiError(Exception):
    """A failure that the caller is told about. `message` is a list where 2.2.3 sends a list, and a string where it sends a string."""

    def __init__(self, status: int, error: str, message: object) -> None:
        super().__init__(message)
        self.status = status
        self.error = error
        self.message = message


Report = Callable[[ApiError], None]


def bad_request(message: object) -> ApiError:
    """400; a list as message (the failures of a JSON schema) makes a nested one."""
    return ApiError(400, "Bad Request", [message])


def unauthorized() -> ApiError:
    """401, the one whose message is not a list."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def forbidden(message: str) -> ApiError:
    """403."""
    return ApiError(403, "Forbidden", [message])


def not_found(message: str) -> ApiError:
    """404."""
    return ApiError(404, "Not Found", [message])


def internal_error(message: object) -> ApiError:
    """500; a guard's failure comes as a list, any other as a string."""
    return ApiError(500, "Internal Server Error", message)


def envelope(status: int, error: str, message: object) -> Answer:
    """Make the answer for a failure."""
    return Answer({"status": status, "error": error, "response": {"message": message}}, status_code=status)


def install(app: FastAPI, report: Report) -> None:
    """Make the application answer every failure with the envelope, and `report` those that aren't about an unknown route."""

    @app.exception_handler(ApiError)
    async def _api_error(_: Request, error: ApiError) -> Answer:
        report(error)
        return envelope(error.status, error.error, error.message)

    @app.exception_handler(HTTPException)
    async def _no_such_route(request: Request, _: HTTPException) -> Answer:
        """Express knows no 405: a wrong method is an unknown route too."""
        query = request.scope["query_string"].decode("latin-1")
        url = quote(request.scope["raw_path"], safe="/%:@!$&'()*+,;=~") + (f"?{query}" if query else "")
        return envelope(404, "Not Found", [f"Cannot {request.method} {url}"])

    @app.exception_handler(Exception)
    async def _unexpected(_: Request, error: Exception) -> Answer:
        failure = internal_error(str(error) or type(error).__name__)
        report(failure)
        return envelope(failure.status, failure.error, failure.message)
