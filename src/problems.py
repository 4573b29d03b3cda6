"""Errors as RFC 9457 problems (`application/problem+json`), of every route, and how OpenAPI describes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from src.logs import REQUEST_ID_HEADER, request_id

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:whatsapp-app:problem:"
RETRY_AFTER_SECONDS = 5


@dataclass(frozen=True)
class Kind:
    """One kind of problem: its stable code, the status it comes with, and its title, which is the same each time."""

    code: str
    status: int
    title: str
    retry_after: bool = False


MALFORMED_JSON = Kind("malformed_json", 400, "The body is not JSON")
UNAUTHORIZED = Kind("unauthorized", 401, "The key is missing or wrong")
NOT_FOUND = Kind("not_found", 404, "There is no such route")
INSTANCE_UNKNOWN = Kind("instance_unknown", 404, "There is no such instance")
MESSAGE_UNKNOWN = Kind("message_unknown", 404, "There is no such message")
METHOD_NOT_ALLOWED = Kind("method_not_allowed", 405, "The route does not know this method")
NOT_ACCEPTABLE = Kind("not_acceptable", 406, "The answer can't be given in a form that the caller accepts")
TOO_SLOW = Kind("too_slow", 408, "The request takes too long to come")
INSTANCE_EXISTS = Kind("instance_exists", 409, "The instance exists already")
INSTANCE_OPEN = Kind("instance_open", 409, "The instance is connected already")
INSTANCE_NOT_CONNECTED = Kind("instance_not_connected", 409, "The instance is not connected to WhatsApp")
TOO_LARGE = Kind("too_large", 413, "The request is too large")
UNSUPPORTED_MEDIA_TYPE = Kind("unsupported_media_type", 415, "The body's media type is not the one that the route takes")
VALIDATION_FAILED = Kind("validation_failed", 422, "The request is not valid")
IDEMPOTENCY_KEY_REUSED = Kind("idempotency_key_reused", 422, "The idempotency key came with another request before")
REFUSED_BY_EVOLUTION = Kind("refused_by_evolution", 422, "Evolution API refuses the request")
INTERNAL_ERROR = Kind("internal_error", 500, "The application failed")
EVOLUTION_FAILED = Kind("evolution_failed", 502, "Evolution API failed")
EVOLUTION_KEY_REFUSED = Kind("evolution_key_refused", 502, "Evolution API refuses the application's key")
EVOLUTION_UNEXPECTED_ANSWER = Kind("evolution_unexpected_answer", 502, "Evolution API answered something unexpected")
BUSY = Kind("busy", 503, "The application has too much in hand", retry_after=True)
QR_NOT_READY = Kind("qr_not_ready", 503, "There is no QR code yet", retry_after=True)
INSTANCE_NOT_LOADED = Kind("instance_not_loaded", 503, "Evolution API has not loaded the instance", retry_after=True)
EVOLUTION_UNREACHABLE = Kind("evolution_unreachable", 503, "Evolution API can't be reached", retry_after=True)
DATABASE_UNUSABLE = Kind("database_unusable", 503, "The database can't be used", retry_after=True)
EVOLUTION_NO_ANSWER = Kind("evolution_no_answer", 504, "Evolution API did not answer")

FROM_EVOLUTION = (EVOLUTION_FAILED, EVOLUTION_KEY_REFUSED, EVOLUTION_UNEXPECTED_ANSWER, EVOLUTION_UNREACHABLE, EVOLUTION_NO_ANSWER)
"""What may come from any call of Evolution API."""

OF_BODY = (TOO_SLOW, TOO_LARGE, BUSY)
"""What may become of a request that has a body before it is looked at."""

OF_JSON_BODY = (*OF_BODY, MALFORMED_JSON, UNSUPPORTED_MEDIA_TYPE, VALIDATION_FAILED)
"""What may be wrong with a request that has a body of JSON."""


class InvalidPart(BaseModel):
    """One thing that is wrong with a request."""

    pointer: str = Field(description="Where: a JSON pointer into the body, as in `#/to`, or `query/limit`, `header/…`, `path/…`.")
    detail: str


class Problem(BaseModel):
    """An error, as RFC 9457 has it."""

    type: str = Field(description=f"`{TYPE_PREFIX}<code>`; the codes are stable.")
    title: str
    status: int
    detail: str = Field(description="What is wrong this time.")
    instance: str = Field(description="The path of the request.")
    mend: str | None = Field(default=None, description="What the caller, or who runs the application, can do about it.")
    errors: list[InvalidPart] | None = Field(default=None, description="Everything that is wrong with the request.")
    request_id: str | None = Field(default=None, description="The id under which the logs tell of this request.")


class ProblemError(HTTPException):
    """Ends a request with a problem.

    Args:
        kind: which one.
        detail: what is wrong this time.
        mend: what the caller can do about it.
        errors: what is wrong with the request's parts.
        headers: headers of the answer.
    """

    def __init__(
        self,
        kind: Kind,
        detail: str,
        mend: str | None = None,
        errors: Sequence[InvalidPart] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(kind.status, detail, headers)
        self.kind = kind
        self.mend = mend
        self.errors = errors


def not_valid(parts: Sequence[InvalidPart]) -> ProblemError:
    """Make the problem of a request some of whose parts are wrong."""
    detail = "; ".join(f"{part.pointer}: {part.detail}" for part in parts[:3]) + ("; ..." if len(parts) > 3 else "")
    return ProblemError(VALIDATION_FAILED, detail, errors=parts)


def answer(request: Request, error: ProblemError) -> Response:
    """Make the response of a problem."""
    kind = error.kind
    problem = Problem(
        type=f"{TYPE_PREFIX}{kind.code}",
        title=kind.title,
        status=kind.status,
        detail=error.detail,
        instance=request.url.path,
        mend=error.mend,
        errors=list(error.errors) if error.errors else None,
        request_id=request_id.get(),
    )
    headers = dict(error.headers or {})
    if kind.retry_after:
        headers.setdefault("Retry-After", str(RETRY_AFTER_SECONDS))
    return JSONResponse(problem.model_dump(exclude_none=True), kind.status, headers, MEDIA_TYPE)


def answer_outside_the_log(request: Request, error: ProblemError) -> Response:
    """Make the response of an unforeseen failure: the server's outermost layer sends it, where no request id is added any more."""
    response = answer(request, error)
    if current := request_id.get():
        response.headers[REQUEST_ID_HEADER] = current
    return response


def responses(*kinds: Kind) -> dict[int | str, dict[str, Any]]:
    """Describe for OpenAPI the problems that a route may answer with (FastAPI's argument `responses`)."""
    found: dict[int | str, dict[str, Any]] = {}
    for kind in sorted(kinds, key=lambda each: (each.status, each.code)):
        of_status = found.setdefault(kind.status, {"description": "", "content": {MEDIA_TYPE: {"schema": _REFERENCE, "examples": {}}}})
        of_status["description"] = "; ".join(filter(None, (of_status["description"], kind.title)))
        of_status["content"][MEDIA_TYPE]["examples"][kind.code] = {"summary": kind.title, "value": _example(kind)}
        if kind.retry_after:
            of_status["headers"] = {"Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer"}}}
        if kind is UNAUTHORIZED:
            of_status["headers"] = {"WWW-Authenticate": {"description": _CHALLENGE, "schema": {"type": "string"}}}
    return found


_CHALLENGE = "`Bearer`; of the webhook, the name of the header that it wants"
_REFERENCE = {"$ref": "#/components/schemas/Problem"}


def _example(kind: Kind) -> dict[str, Any]:
    shown = Problem(
        type=f"{TYPE_PREFIX}{kind.code}",
        title=kind.title,
        status=kind.status,
        detail=f"{kind.title}.",
        instance="/messages",
        errors=[InvalidPart(pointer="#/to", detail="Field required")] if kind is VALIDATION_FAILED else None,
        request_id="0123456789abcdef0123456789abcdef",
    )
    return shown.model_dump(exclude_none=True)
