"""What the tests of the HTTP API share."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx

from src.problems import TYPE_PREFIX
from src.settings import Settings

MakeSettings = Callable[..., Settings]
Serve = Callable[[Settings], AbstractAsyncContextManager[httpx.AsyncClient]]

TEXT = {"instance": "a1", "to": "5511999990001", "type": "text", "text": "hi"}


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Return the problem that an answer must be: this one."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    found: dict[str, Any] = answer.json()
    assert (answer.status_code, found["status"], found["type"]) == (status, status, f"{TYPE_PREFIX}{code}"), answer.text
    assert found["title"]
    assert found["detail"]
    assert found["instance"] == answer.request.url.path
    assert found["request_id"] == answer.headers["x-request-id"], "a reader of the problem must find it in the log"
    return found


def pointers(found: dict[str, Any]) -> list[str]:
    """Return where the things are that a problem says are wrong."""
    return [each["pointer"] for each in found["errors"]]
