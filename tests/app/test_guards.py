"""Who may call, how much a request may hold, and what an unforeseen error becomes."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Self

import httpx
import pytest
from fastapi import Request
from pydantic import SecretStr

from src import guards
from src.application import create_app
from src.background import running
from src.guards import BODY_LIMIT_BYTES, LARGE_BODIES_BYTES, LARGE_BODY_BYTES, BodyLimit
from src.problems import ProblemError
from tests.app.api_support import MakeSettings, Serve, problem

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

    from src.resources import Resources

pytestmark = pytest.mark.anyio

JSON = {"Content-Type": "application/json"}
GUARDED = [("GET", "/messages"), ("POST", "/messages"), ("GET", "/instances"), ("DELETE", "/instances/a1"), ("GET", "/instances/a1/qr")]


@pytest.mark.parametrize(("method", "path"), GUARDED)
@pytest.mark.parametrize("given", [None, "Bearer", "Bearer wrong", "the-app-key", "Basic the-app-key", "Bearer the-app-keyy", "Bearer é"])
async def test_with_a_key_set_nobody_comes_in_without_it(
    make_settings: MakeSettings, serve: Serve, method: str, path: str, given: str | None
) -> None:
    headers = {b"Authorization": given.encode()} if given else {}
    async with serve(make_settings(app_api_key=SecretStr("the-app-key"))) as client:
        answer = await client.request(method, path, headers=headers, content=b"{not read" if method == "POST" else None)
    found = problem(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "APP_API_KEY" in found["mend"]
    assert "the-app-key" not in answer.text


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_with_the_key_everything_works(make_settings: MakeSettings, migrated_url: str, serve: Serve, scheme: str) -> None:
    async with serve(make_settings(database=migrated_url, app_api_key=SecretStr("the-app-key"))) as client:
        assert (await client.get("/instances", headers={"Authorization": f"{scheme} the-app-key"})).status_code == 200


async def test_health_and_documents_are_open_and_without_a_key_all_is(make_settings: MakeSettings, migrated_url: str, serve: Serve) -> None:
    async with serve(make_settings(app_api_key=SecretStr("the-app-key"))) as client:
        assert [(await client.get(path)).status_code for path in ("/health/live", "/openapi.json", "/docs")] == [200] * 3
    async with serve(make_settings(database=migrated_url)) as client:
        assert (await client.get("/messages")).status_code == 200


async def in_pieces(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // LARGE_BODY_BYTES + 1):
        yield b" " * LARGE_BODY_BYTES


async def test_a_request_that_is_too_large_is_refused_whether_or_not_it_says_so_first(make_settings: MakeSettings, serve: Serve) -> None:
    async with serve(make_settings()) as client:
        announced = await client.post("/messages", headers={"Content-Length": str(BODY_LIMIT_BYTES + 1)} | JSON, content=b"{}")
        in_chunks = await client.post("/messages", content=in_pieces(BODY_LIMIT_BYTES), headers=JSON)
    for answer in (announced, in_chunks):
        assert "32 MiB" in problem(answer, 413, "too_large")["detail"]


@pytest.mark.parametrize(("announced", "together"), [(True, 4), (False, 1)])
async def test_few_large_requests_are_in_memory_at_a_time_and_small_ones_go_on(announced: bool, together: int) -> None:
    size = LARGE_BODIES_BYTES // 4 // LARGE_BODY_BYTES * LARGE_BODY_BYTES
    begun = asyncio.Event()
    inside = 0
    most = 0

    async def application(_: "Scope", receive: "Receive", send: "Send") -> None:
        nonlocal inside, most
        read, more = 0, True
        while more:
            message = await receive()
            read, more = read + len(message["body"]), message.get("more_body", False)
        if read > LARGE_BODY_BYTES:
            inside += 1
            most = max(most, inside)
            begun.set()
            await asyncio.sleep(0.02)
            inside -= 1
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def body() -> bytes | AsyncIterator[bytes]:
        return b" " * size if announced else in_pieces(size - LARGE_BODY_BYTES)

    transport = httpx.ASGITransport(BodyLimit(application))
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        large = [asyncio.create_task(client.post("/", content=body())) for _ in range(12)]
        await begun.wait()
        assert (await client.post("/", content=b" ")).status_code == 204
        assert not all(each.done() for each in large), "a small request waited for large ones"
        assert [(await each).status_code for each in large] == [204] * len(large)
    assert most == together


async def _whole_body(_: "Scope", receive: "Receive", send: "Send") -> None:
    """An application that reads the body and says how large it was."""
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message["body"]), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(size).encode()})


async def _silence() -> AsyncIterator[bytes]:
    yield b"{"
    await asyncio.Event().wait()


async def _a_byte_at_a_time() -> AsyncIterator[bytes]:
    while True:
        yield b" "
        await asyncio.sleep(0)


@pytest.mark.parametrize(("body", "limit"), [(_silence, "SILENCE_SECONDS"), (_a_byte_at_a_time, "BODY_SECONDS")])
async def test_a_body_that_does_not_come_to_its_end_is_given_up(
    make_settings: MakeSettings,
    serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
    body: Callable[[], AsyncIterator[bytes]],
    limit: str,
) -> None:
    monkeypatch.setattr(guards, limit, 0.02)
    async with asyncio.timeout(5), serve(make_settings()) as client:
        answer = await client.post("/messages", content=body(), headers=JSON)
    problem(answer, 408, "too_slow")
    assert answer.headers["connection"] == "close", "the server would wait for the rest"


async def test_to_wait_for_a_callers_going_away_after_its_body_has_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "SILENCE_SECONDS", 0.0)
    told: list[Message] = [{"type": "http.request", "body": b"{}", "more_body": False}, {"type": "http.disconnect"}]
    heard: list[str] = []

    async def receive() -> "Message":
        if len(told) == 1:
            await asyncio.sleep(0.01)
        return told.pop(0)

    async def application(_: "Scope", receive: "Receive", __: "Send") -> None:
        heard.extend([(await receive())["type"], (await receive())["type"]])

    async def send(_: "Message") -> None: ...

    await BodyLimit(application)({"type": "http", "headers": []}, receive, send)
    assert heard == ["http.request", "http.disconnect"]


@pytest.mark.parametrize("announced", [True, False])
async def test_a_large_request_waits_some_seconds_for_others_and_then_is_told_to_come_again(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch, announced: bool
) -> None:
    monkeypatch.setattr(guards, "ROOM_SECONDS", 0.02)
    app = create_app(make_settings(), services=())
    begun, done = asyncio.Event(), asyncio.Event()

    @app.post("/long")
    async def long(request: Request) -> None:
        await request.body()
        begun.set()
        await done.wait()

    async with asyncio.timeout(5), httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as client:
        other = asyncio.create_task(client.post("/long", content=b" " * BODY_LIMIT_BYTES))
        await begun.wait()
        large = b" " * 2 * LARGE_BODY_BYTES if announced else in_pieces(LARGE_BODY_BYTES)
        answer = await client.post("/messages", content=large, headers=JSON)
        done.set()
        assert (await other).status_code == 200
    problem(answer, 503, "busy")
    assert answer.headers["retry-after"] == "5"


async def test_room_is_free_again_after_a_slow_request_was_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "SILENCE_SECONDS", 0.02)
    transport = httpx.ASGITransport(BodyLimit(_whole_body))
    async with asyncio.timeout(5), httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        slow = {"Content-Length": str(BODY_LIMIT_BYTES)}
        with pytest.raises(ProblemError):
            await client.post("/", content=_silence(), headers=slow)
        assert (await client.post("/", content=b" " * BODY_LIMIT_BYTES)).text == str(BODY_LIMIT_BYTES)


async def test_an_unforeseen_error_is_a_problem_with_its_request_id_and_nothing_of_its_text(make_settings: MakeSettings) -> None:
    app = create_app(make_settings())

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("a secret detail")

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        answer = await client.get("/broken", headers={"X-Request-ID": "mine"})
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert answer.json()["request_id"] == answer.headers["x-request-id"] == "mine"
    assert "secret" not in answer.text


async def test_a_route_that_is_none_and_a_method_that_it_does_not_know_are_problems(make_settings: MakeSettings, serve: Serve) -> None:
    async with serve(make_settings()) as client:
        problem(await client.get("/nowhere"), 404, "not_found")
        problem(await client.get("/messages/"), 404, "not_found")
        answer = await client.put("/messages")
        problem(answer, 405, "method_not_allowed")
        assert answer.headers["allow"] == "GET, POST"
        assert (await client.put("/instances/a1")).headers["allow"] == "DELETE, GET"
        assert (await client.post("/health/live")).headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_the_applications_own_address_leads_to_the_page_of_its_routes(make_settings: MakeSettings, serve: Serve, method: str) -> None:
    async with serve(make_settings()) as client:
        answer = await client.request(method, "/")
        assert (answer.status_code, answer.headers["location"]) == (307, "/docs")
        assert "Swagger" in (await client.get("/", follow_redirects=True)).text


class Recorder:
    """A background service that tells what happens to it."""

    def __init__(self, told: list[str], name: str, stop_seconds: float = 0.0, fails: bool = False) -> None:
        self._told, self._name, self._stop_seconds, self._fails = told, name, stop_seconds, fails

    async def __aenter__(self) -> Self:
        self._told.append(f"{self._name} started")
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.sleep(self._stop_seconds)
        self._told.append(f"{self._name} stopped")
        if self._fails:
            raise RuntimeError("on purpose")


async def test_background_services_stop_at_the_same_time_and_none_keeps_another_from_it(caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []
    services = [
        lambda _: Recorder(told, "slow", stop_seconds=0.2),
        lambda _: Recorder(told, "broken", fails=True),
        lambda _: Recorder(told, "quick", stop_seconds=0.1),
    ]
    resources: Resources = object()  # type: ignore[assignment]  # nothing of it is used
    with caplog.at_level(logging.ERROR, "app.background"):
        async with running(services, resources):
            assert told == ["slow started", "broken started", "quick started"]
            told.clear()
    assert told == ["broken stopped", "quick stopped", "slow stopped"]
    assert "Recorder did not stop in order" in caplog.text
