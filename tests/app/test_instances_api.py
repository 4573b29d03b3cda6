"""Instances over HTTP: made, taken over, paired, logged out and removed, with honest problems when Evolution doesn't play along."""

import base64
import uuid
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import asyncpg
import httpx
import pytest
from pydantic import HttpUrl, SecretStr

from src.instances.negotiation import preferred
from src.settings import EventsVia
from tests.app.api_support import MakeSettings, Serve, pointers, problem
from tests.app.conftest import PNG, error, id_of

if TYPE_CHECKING:
    from tests.app.conftest import FakeEvolution

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client(make_settings: MakeSettings, migrated_url: str, serve: Serve) -> AsyncIterator[httpx.AsyncClient]:
    async with serve(make_settings(database=migrated_url)) as client:
        yield client


@pytest.fixture
async def database(migrated_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(migrated_url)
    yield connection
    await connection.close()


async def test_an_instance_is_made_without_waiting_for_a_code_and_is_listed(
    client: httpx.AsyncClient, fake_evolution: "FakeEvolution"
) -> None:
    answer = await client.post("/instances", json={"name": "support", "number": "5511988887777"})
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert (made["id"], made["name"], made["state"]) == (id_of("support"), "support", "close")
    assert "A-TOKEN" not in answer.text, "the instance's own key of Evolution API is nobody's business"
    assert (await client.get(answer.headers["location"])).json() == made
    assert (await client.get("/instances")).json() == {"items": [made]}
    sent = next(body for method, path, body in fake_evolution.requests if path == "/instance/create")
    assert sent == {"instanceName": "support", "integration": "WHATSAPP-BAILEYS", "qrcode": False, "number": "5511988887777"}


async def test_an_instance_that_evolution_has_and_the_application_does_not_is_taken_over(
    client: httpx.AsyncClient, fake_evolution: "FakeEvolution"
) -> None:
    fake_evolution.instances["a1"] = "open"
    answer = await client.post("/instances", json={"name": "a1"})
    assert answer.status_code == 200, answer.text
    assert {name: answer.json()[name] for name in ("id", "state", "phone")} == {
        "id": id_of("a1"),
        "state": "open",
        "phone": "5511988887777",
    }


async def test_an_instance_that_both_have_is_a_conflict(client: httpx.AsyncClient) -> None:
    await client.post("/instances", json={"name": "support"})
    problem(await client.post("/instances", json={"name": "support"}), 409, "instance_exists")


async def test_an_instance_that_evolution_lost_is_made_again_under_its_new_id(
    client: httpx.AsyncClient, database: asyncpg.Connection, fake_evolution: "FakeEvolution"
) -> None:
    await database.execute("INSERT INTO instances (id, name, state, phone) VALUES ($1, 'support', 'open', '551')", uuid.uuid4())
    answer = await client.post("/instances", json={"name": "support"})
    assert answer.status_code == 201
    assert {name: answer.json()[name] for name in ("id", "state", "phone")} == {"id": id_of("support"), "state": "close", "phone": None}
    assert "support" in fake_evolution.instances


async def test_what_an_event_has_stored_of_a_new_instance_already_stays(client: httpx.AsyncClient, database: asyncpg.Connection) -> None:
    await database.execute("INSERT INTO instances (id, name, state) VALUES ($1, 'support', 'connecting')", uuid.UUID(id_of("support")))
    assert (await client.post("/instances", json={"name": "support"})).json()["state"] == "connecting"


@pytest.mark.parametrize("name", ["", "-a", "a b", "é", "a/b", "x" * 65, None, 7, "a\n"])
async def test_a_name_that_would_need_quoting_is_refused(client: httpx.AsyncClient, fake_evolution: "FakeEvolution", name: object) -> None:
    assert pointers(problem(await client.post("/instances", json={"name": name}), 422, "validation_failed")) == ["#/name"]
    assert fake_evolution.requests == [], "Evolution itself takes any name, even none"


async def test_with_events_by_webhook_a_new_instance_and_one_taken_over_get_it(
    make_settings: MakeSettings, migrated_url: str, serve: Serve, fake_evolution: "FakeEvolution"
) -> None:
    settings = make_settings(
        database=migrated_url,
        events_via=EventsVia.WEBHOOK,
        webhook_secret=SecretStr("a-secret"),
        webhook_url=HttpUrl("http://app.internal:8000/webhooks/evolution"),
    )
    async with serve(settings) as client:
        assert (await client.post("/instances", json={"name": "support"})).status_code == 201
        assert (await client.post("/instances", json={"name": "a1"})).status_code == 200
    webhooks = [
        body["webhook"]
        for _, path, body in fake_evolution.requests
        if path in {"/instance/create", "/webhook/set/a1"} and "webhook" in body
    ]
    assert len(webhooks) == 3, "create is tried for both, then set for the one that was there"
    for webhook in webhooks:
        assert webhook["url"] == "http://app.internal:8000/webhooks/evolution"
        assert webhook["headers"] == {"X-Webhook-Secret": "a-secret"}
        assert {"MESSAGES_UPSERT", "CONNECTION_UPDATE"} <= set(webhook["events"]), "Evolution 2.2.3 fails without a list of events"
        assert not {"INSTANCE_CREATE", "INSTANCE_DELETE"} & set(webhook["events"]), "Evolution 2.2.3 refuses these for an instance"


@pytest.mark.parametrize(
    ("accept", "query", "media_type"),
    [
        (None, "", "application/json"),
        ("*/*", "", "application/json"),
        ("application/json", "", "application/json"),
        ("image/png", "", "image/png"),
        ("image/*", "", "image/png"),
        ("text/html, image/png;q=0.9, */*;q=0.8", "", "image/png"),
        ("application/json;q=0.5, image/png;q=0.4", "", "application/json"),
        ("application/json", "?format=png", "image/png"),
        ("text/html", "?format=json", "application/json"),
    ],
)
async def test_a_qr_code_comes_in_the_form_that_the_caller_prefers(
    client: httpx.AsyncClient, accept: str | None, query: str, media_type: str
) -> None:
    await client.post("/instances", json={"name": "a1"})
    del client.headers["accept"]
    answer = await client.get(f"/instances/a1/qr{query}", headers={"Accept": accept} if accept else {})
    assert (answer.status_code, answer.headers["content-type"]) == (200, media_type), answer.text
    assert answer.headers["cache-control"] == "no-store"
    if media_type == "image/png":
        assert answer.content == base64.b64decode(PNG)
    else:
        assert answer.json() == {"code": "2@a,b,c,d", "base64": f"data:image/png;base64,{PNG}", "pairing_code": None, "count": 1}


async def test_who_names_the_phone_gets_a_code_to_type_as_well(client: httpx.AsyncClient, fake_evolution: "FakeEvolution") -> None:
    await client.post("/instances", json={"name": "a1"})
    answer = {"pairingCode": "WZYEH1YY", "code": "2@a", "base64": f"data:image/png;base64,{PNG}", "count": 1}
    fake_evolution.answers["/instance/connect/a1"] = 200, answer
    assert (await client.get("/instances/a1/qr?number=5511988887777")).json()["pairing_code"] == "WZYEH1YY"
    assert fake_evolution.queries[-1] == "number=5511988887777"
    problem(await client.get("/instances/a1/qr?number=+55"), 422, "validation_failed")


async def test_a_form_that_there_is_none_of_is_not_acceptable(client: httpx.AsyncClient, fake_evolution: "FakeEvolution") -> None:
    await client.post("/instances", json={"name": "a1"})
    for accept in ("text/html", "image/png;q=0, application/json;q=0", "image/webp"):
        problem(await client.get("/instances/a1/qr", headers={"Accept": accept}), 406, "not_acceptable")
    assert pointers(problem(await client.get("/instances/a1/qr?format=svg"), 422, "validation_failed")) == ["query/format"]
    assert fake_evolution.instances["a1"] == "close", "a request that is refused must not begin to pair"


async def test_the_most_specific_range_of_an_accept_header_decides() -> None:
    assert preferred("image/*;q=0.1, image/png;q=0.9, application/json;q=0.5", ("application/json", "image/png")) == "image/png"
    assert preferred("IMAGE/PNG", ("application/json", "image/png")) == "image/png"
    assert preferred("image/png;q=nonsense", ("application/json", "image/png")) is None
    assert preferred("", ("application/json",)) == "application/json"


async def test_an_open_instance_has_nothing_to_scan(client: httpx.AsyncClient, fake_evolution: "FakeEvolution") -> None:
    fake_evolution.instances["a1"] = "open"
    await client.post("/instances", json={"name": "a1"})
    found = problem(await client.get("/instances/a1/qr"), 409, "instance_open")
    assert "logout" in found["mend"]


async def test_a_code_that_is_not_there_yet_is_worth_another_try(client: httpx.AsyncClient, fake_evolution: "FakeEvolution") -> None:
    await client.post("/instances", json={"name": "a1"})
    fake_evolution.answers["/instance/connect/a1"] = (200, {"count": 0})
    answer = await client.get("/instances/a1/qr")
    problem(answer, 503, "qr_not_ready")
    assert int(answer.headers["retry-after"]) > 0


async def test_who_asks_for_a_code_again_and_again_starts_no_storm(
    client: httpx.AsyncClient, fake_evolution: "FakeEvolution", monkeypatch: pytest.MonkeyPatch
) -> None:
    def begun() -> int:
        return [path for _, path, _ in fake_evolution.requests].count("/instance/connect/a1")

    await client.post("/instances", json={"name": "a1"})
    fake_evolution.answers["/instance/connect/a1"] = (200, {"count": 0})
    for _ in range(3):
        found = problem(await client.get("/instances/a1/qr"), 503, "qr_not_ready")
    assert begun() == 1, "Evolution 2.2.3 starts another client for each call while the instance reads closed"
    assert "make restart SERVICE=evolution-api" in found["mend"]
    monkeypatch.setattr("src.instances.service.PAIR_AGAIN_SECONDS", 0.0)
    await client.get("/instances/a1/qr")
    assert begun() == 2, "it is worth another try after a while"
    monkeypatch.undo()
    fake_evolution.instances["a1"] = "connecting"
    del fake_evolution.answers["/instance/connect/a1"]
    assert (await client.get("/instances/a1/qr")).status_code == 200, "while it pairs, asking begins nothing"


async def test_an_error_in_a_200_is_told_as_an_error(client: httpx.AsyncClient, fake_evolution: "FakeEvolution") -> None:
    await client.post("/instances", json={"name": "a1"})
    fake_evolution.answers["/instance/connect/a1"] = (200, {"error": True, "message": "[object Object]"})
    found = problem(await client.get("/instances/a1/qr"), 502, "evolution_failed")
    assert "[object Object]" not in found["detail"]


async def test_the_state_is_asked_of_evolution(client: httpx.AsyncClient, fake_evolution: "FakeEvolution") -> None:
    await client.post("/instances", json={"name": "a1"})
    fake_evolution.instances["a1"] = "open"
    assert (await client.get("/instances/a1/state")).json() == {"name": "a1", "state": "open"}


async def test_an_instance_is_logged_out_and_one_that_is_not_connected_can_not_be(
    client: httpx.AsyncClient, fake_evolution: "FakeEvolution"
) -> None:
    fake_evolution.instances["a1"] = "open"
    await client.post("/instances", json={"name": "a1"})
    answer = await client.post("/instances/a1/logout")
    assert (answer.status_code, answer.content) == (204, b"")
    problem(await client.post("/instances/a1/logout"), 409, "instance_not_connected")


async def test_a_deleted_instance_is_gone_and_its_messages_stay(
    client: httpx.AsyncClient, database: asyncpg.Connection, fake_evolution: "FakeEvolution"
) -> None:
    await client.post("/instances", json={"name": "a1"})
    await client.post("/messages", json={"instance": "a1", "to": "5511999990001", "type": "text", "text": "hi"})
    await database.execute("INSERT INTO caught_up (instance) VALUES ('a1'), ('another')")
    answer = await client.delete("/instances/a1")
    assert (answer.status_code, answer.content) == (204, b"")
    assert "a1" not in fake_evolution.instances
    assert (await client.get("/instances")).json() == {"items": []}
    assert await database.fetchval("SELECT count(*) FROM messages") == 1
    assert await database.fetchval("SELECT string_agg(instance, ' ') FROM caught_up") == "another", "how far catch-up got is forgotten"
    problem(await client.delete("/instances/a1"), 404, "instance_unknown")


async def test_a_name_is_free_again_once_its_deletion_is_answered(client: httpx.AsyncClient, fake_evolution: "FakeEvolution") -> None:
    fake_evolution.deletion_seconds = 0.3  # Evolution answers before it is done
    await client.post("/instances", json={"name": "a1"})
    assert (await client.delete("/instances/a1")).status_code == 204
    assert (await client.post("/instances", json={"name": "a1"})).status_code == 201


@pytest.mark.parametrize("path", ["/state", "/qr"])
async def test_an_instance_that_evolution_has_not_loaded_yet_is_worth_another_try(
    client: httpx.AsyncClient, fake_evolution: "FakeEvolution", path: str
) -> None:
    await client.post("/instances", json={"name": "a1"})
    fake_evolution.unloaded.add("a1")
    answer = await client.get(f"/instances/a1{path}")
    problem(answer, 503, "instance_not_loaded")
    assert int(answer.headers["retry-after"]) > 0


async def test_an_instance_that_evolution_lost_can_be_deleted(client: httpx.AsyncClient, fake_evolution: "FakeEvolution") -> None:
    await client.post("/instances", json={"name": "a1"})
    del fake_evolution.instances["a1"]
    problem(await client.get("/instances/a1/state"), 404, "instance_unknown")
    assert (await client.delete("/instances/a1")).status_code == 204
    assert (await client.get("/instances")).json() == {"items": []}


CALLS = [("GET", ""), ("GET", "/state"), ("GET", "/qr"), ("POST", "/logout"), ("DELETE", "")]


@pytest.mark.parametrize("name", ["nobody", "%00", "%F0%28", "x" * 500, "é"])
@pytest.mark.parametrize(("method", "path"), CALLS)
async def test_an_instance_that_the_application_does_not_know_is_unknown_to_all_routes(
    client: httpx.AsyncClient, method: str, path: str, name: str
) -> None:
    problem(await client.request(method, f"/instances/{name}{path}"), 404, "instance_unknown")


@pytest.mark.parametrize(("method", "path"), CALLS[1:])
async def test_a_refused_key_is_told_whatever_evolution_says_of_the_instance(
    client: httpx.AsyncClient, database: asyncpg.Connection, fake_evolution: "FakeEvolution", method: str, path: str
) -> None:
    await database.execute("INSERT INTO instances (id, name) VALUES (gen_random_uuid(), 'a1'), (gen_random_uuid(), 'lost')")
    fake_evolution.accepted_key = "another"
    for name in ("a1", "lost"):  # of the lost one Evolution says 404, before it looks at the key
        found = problem(await client.request(method, f"/instances/{name}{path}"), 502, "evolution_key_refused")
        assert "AUTHENTICATION_API_KEY" in found["detail"]
        assert "the same value" in found["mend"]


async def test_a_refused_key_is_told_before_a_name_that_is_in_use(client: httpx.AsyncClient, fake_evolution: "FakeEvolution") -> None:
    fake_evolution.accepted_key = "another"
    for name in ("a1", "new"):
        problem(await client.post("/instances", json={"name": name}), 502, "evolution_key_refused")
    assert (await client.get("/instances")).json() == {"items": []}


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        ((400, error("Bad Request", ["instance.number does not match pattern"])), 422, "refused_by_evolution"),
        ((500, error("Internal Server Error", "PrismaClientKnownRequestError: \nInvalid x")), 502, "evolution_failed"),
        ((201, {"instance": {}, "hash": "A-TOKEN"}), 502, "evolution_unexpected_answer"),
        ((200, "<html>hello</html>"), 502, "evolution_unexpected_answer"),
        ((404, error("Not Found", "Cannot POST /instance/create")), 502, "evolution_unexpected_answer"),
        ((503, ""), 502, "evolution_unexpected_answer"),
    ],
)
async def test_what_evolution_answers_instead_becomes_a_problem_without_its_secrets(
    client: httpx.AsyncClient, fake_evolution: "FakeEvolution", answer: tuple[int, object], status: int, code: str
) -> None:
    fake_evolution.answers["/instance/create"] = answer
    response = await client.post("/instances", json={"name": "support"})
    problem(response, status, code)
    assert "A-TOKEN" not in response.text


async def test_an_evolution_that_is_down_is_told_from_one_that_does_not_answer(
    make_settings: MakeSettings,
    migrated_url: str,
    serve: Serve,
    closed_port: int,
    monkeypatch: pytest.MonkeyPatch,
    fake_evolution: "FakeEvolution",
) -> None:
    async with serve(make_settings(database=migrated_url, evolution=f"http://127.0.0.1:{closed_port}")) as client:
        answer = await client.post("/instances", json={"name": "a1"})
        problem(answer, 503, "evolution_unreachable")
        assert answer.headers["retry-after"] == "5"
    fake_evolution.hang.set()
    async with serve(make_settings(database=migrated_url)) as client:
        monkeypatch.setattr("src.evolution.client.EvolutionClient._guarded_call.__kwdefaults__", {"query": None, "timeout_seconds": 0.2})
        problem(await client.post("/instances", json={"name": "a1"}), 504, "evolution_no_answer")
