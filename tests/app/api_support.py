"""What the tests of the HTTP API share."""

import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import cache
from typing import Any

import httpx
from pydantic import SecretStr

from src.application import create_app
from src.problems import MEDIA_TYPE, TYPE_PREFIX
from src.settings import Settings

MakeSettings = Callable[..., Settings]
Serve = Callable[[Settings], AbstractAsyncContextManager[httpx.AsyncClient]]

TEXT = {"instance": "a1", "to": "5511999990001", "type": "text", "text": "hi"}
OF_NO_ROUTE = {"not_found", "method_not_allowed"}


@cache
def document() -> dict[str, Any]:
    """The application's OpenAPI document."""
    return create_app(Settings(database_url=SecretStr("postgresql://a:b@127.0.0.1:1/app"), evolution_api_key=SecretStr("k"))).openapi()


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Return the problem that an answer must be: this one, and one that OpenAPI tells of."""
    assert answer.headers["content-type"] == MEDIA_TYPE, answer.text
    found: dict[str, Any] = answer.json()
    assert (answer.status_code, found["status"], found["type"]) == (status, status, f"{TYPE_PREFIX}{code}"), answer.text
    assert found["title"]
    assert found["detail"]
    assert found["instance"] == answer.request.url.path
    assert found["request_id"] == answer.headers["x-request-id"], "a reader of the problem must find it in the log"
    if code not in OF_NO_ROUTE:
        assert code in _described(answer), f"OpenAPI does not tell that {answer.request.method} {answer.request.url.path} may answer {code}"
    return found


def _described(answer: httpx.Response) -> set[str]:
    """Return the codes that OpenAPI has for the request's route and the answer's status."""
    path = answer.request.url.raw_path.decode().partition("?")[0]
    for template, methods in document()["paths"].items():
        operation = methods.get(answer.request.method.lower())
        if operation and re.fullmatch(re.sub(r"{\w+}", "[^/]+", template), path):
            return set(operation["responses"].get(str(answer.status_code), {}).get("content", {}).get(MEDIA_TYPE, {}).get("examples", {}))
    return set()


def pointers(found: dict[str, Any]) -> list[str]:
    """Return where the things are that a problem says are wrong."""
    return [each["pointer"] for each in found["errors"]]
