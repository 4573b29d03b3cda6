"""Which problem each error becomes."""

import logging
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from src import database, evolution, problems
from src.faults import State
from src.problems import InvalidPart, Kind, ProblemError
from src.settings import Settings

_log = logging.getLogger("app.problems")

_BY_STATUS = {kind.status: kind for kind in (problems.MALFORMED_JSON, problems.NOT_FOUND, problems.METHOD_NOT_ALLOWED)}
"""What FastAPI and Starlette raise themselves."""
_BY_ERROR: tuple[tuple[type[evolution.EvolutionError], Kind], ...] = (  # the first that fits
    (evolution.AnswerLostError, problems.EVOLUTION_NO_ANSWER),
    (evolution.EvolutionUnreachableError, problems.EVOLUTION_UNREACHABLE),
    (evolution.KeyRefusedError, problems.EVOLUTION_KEY_REFUSED),
    (evolution.InstanceUnknownError, problems.INSTANCE_UNKNOWN),
    (evolution.InstanceNotLoadedError, problems.INSTANCE_NOT_LOADED),
    (evolution.NameTakenError, problems.INSTANCE_EXISTS),
    (evolution.InstanceNotConnectedError, problems.INSTANCE_NOT_CONNECTED),
    (evolution.RefusedError, problems.REFUSED_BY_EVOLUTION),
    (evolution.UnexpectedAnswerError, problems.EVOLUTION_UNEXPECTED_ANSWER),
    (evolution.EvolutionError, problems.EVOLUTION_FAILED),
)
_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
_UNUSABLE = {State.UNREACHABLE, State.TIMEOUT, State.CREDENTIALS_REFUSED}


def add_error_handlers(app: FastAPI, settings: Settings) -> None:
    """Have every error of the application's routes answered as a problem."""

    async def database_failed(request: Request, error: Exception) -> Response:
        fault = database.explain(error, settings)
        if fault.state in _UNUSABLE or database.is_missing_table(error):
            _log.warning(fault.problem)
            return problems.answer(request, ProblemError(problems.DATABASE_UNUSABLE, fault.problem, fault.mend))
        raise error

    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(evolution.EvolutionError, _evolution_failed)
    app.add_exception_handler(Exception, _failed)
    for kind in database.DatabaseError:
        app.add_exception_handler(kind, database_failed)


async def _refused(request: Request, error: Exception) -> Response:
    if isinstance(error, ProblemError):
        return problems.answer(request, error)
    if not isinstance(error, HTTPException):  # the type that Starlette wants of a handler is wider
        raise error
    kind = _BY_STATUS.get(error.status_code, Kind("http_error", error.status_code, error.detail))
    detail = {
        problems.MALFORMED_JSON: "The body is not JSON: it is not UTF-8, or is nested too deeply.",
        problems.NOT_FOUND: f"There is no route {request.url.path}.",
        problems.METHOD_NOT_ALLOWED: f"{request.url.path} does not know {request.method}.",
    }.get(kind, error.detail)
    headers = {"Allow": _methods_of_path(request)} if kind is problems.METHOD_NOT_ALLOWED else error.headers
    return problems.answer(request, ProblemError(kind, detail, headers=headers))


def _methods_of_path(request: Request) -> str:
    """List what all routes of the path know together; the error has the first one's only."""

    def is_known(method: str) -> bool:
        return any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in request.app.routes)

    return ", ".join(filter(is_known, _METHODS))


async def _not_valid(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):  # the type that Starlette wants of a handler is wider
        raise error
    found = error.errors()
    if found and found[0]["type"] == "json_invalid":
        position = found[0]["loc"][-1]
        detail = f"The body is not JSON: {found[0]['ctx']['error']} at character {position}."
        return problems.answer(request, ProblemError(problems.MALFORMED_JSON, detail))
    if found and found[0]["loc"] == ("body",) and not _is_json(request):
        given = request.headers.get("content-type", "none")
        mend = "send the header `Content-Type: application/json`."
        detail = f"The route takes application/json; the request's Content-Type is {given}."
        return problems.answer(request, ProblemError(problems.UNSUPPORTED_MEDIA_TYPE, detail, mend))
    parts = [InvalidPart(pointer=_pointer(each), detail=_text(each)) for each in found]
    return problems.answer(request, problems.not_valid(parts))


def _is_json(request: Request) -> bool:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return media_type == "application/json" or media_type.endswith("+json")


def _pointer(error: Any) -> str:  # noqa: ANN401  # pydantic's dictionary
    """Write a place as a JSON pointer for the body, and with its kind before it for the rest."""
    where, *path = error["loc"]
    if error["type"].startswith("union_tag_"):
        path = [*path, _TAG]
    if where == "body" and path and path[0] in _FORMS:
        path = path[1:]  # which of several forms of the body was meant; no part of it
    steps = [str(step).replace("~", "~0").replace("/", "~1") for step in path]
    return "/".join(["#" if where == "body" else str(where), *steps])


_TAG = "type"
_FORMS = frozenset({"text", "media", "voice"})
"""The types of messages, each with a body of its own form; no other body has a field of such a name at its top."""


def _text(error: Any) -> str:  # noqa: ANN401  # pydantic's dictionary
    return str(error["msg"]).removeprefix("Value error, ")


async def _evolution_failed(request: Request, error: Exception) -> Response:
    if not isinstance(error, evolution.EvolutionError):  # the type that Starlette wants of a handler is wider
        raise error
    kind = next(kind for known, kind in _BY_ERROR if isinstance(error, known))
    if kind.status >= problems.INTERNAL_ERROR.status:
        _log.warning(error.fault.problem, extra={"code": kind.code})
    return problems.answer(request, ProblemError(kind, error.fault.problem, error.fault.mend))


async def _failed(request: Request, error: Exception) -> Response:  # noqa: ARG001  # the server logs it, with its traceback
    mend = "look for the request id in the application's log."
    return problems.answer_outside_the_log(request, ProblemError(problems.INTERNAL_ERROR, "The application failed unexpectedly.", mend))
