"""pgAdmin, on request: who logs in finds both databases, and reaches them with their passwords."""

import re
from contextlib import closing

import httpx

from tests.e2e.environment import Stack
from tests.e2e.machine import free_ports

_EMAIL = "admin@example.com"
_DATABASES = {"db": "POSTGRES_PASSWORD", "evolution_postgres": "EVOLUTION_POSTGRES_PASSWORD"}
"""The setting of each one's password."""

_GROUP = 1


def _log_in(port: int, password: str) -> httpx.Client:
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", follow_redirects=True, timeout=30)
    form = {"email": _EMAIL, "password": password, "csrf_token": _found(r'"csrfToken": "([^"]+)"', client.get("/login").text)}
    client.post("/authenticate/login", data=form).raise_for_status()
    client.headers["X-pgA-CSRFToken"] = _found(r"'csrf_token'\] = '([^']+)'", client.get("/browser/js/utils.js").text)
    return client


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    assert found, f"{pattern} is not in:\n{text[:2000]}"
    return found[1]


def test_pgadmin_lists_both_databases_and_reaches_them_and_goes_when_it_is_not_wanted_any_more(stack: Stack) -> None:
    before = stack.identities()
    port = free_ports(1)
    with stack.with_settings(PGADMIN_ENABLED="true", PGADMIN_PORT=str(port)):
        ran = stack.make("up")
        assert ran.code == 0, ran.told
        assert {name: identity for name, identity in stack.identities().items() if name != "pgadmin"} == before
        credentials = stack.credentials()
        with closing(_log_in(port, credentials["PGADMIN_DEFAULT_PASSWORD"])) as client:
            listed = client.get(f"/browser/server/nodes/{_GROUP}/").raise_for_status().json()["result"]
            assert {each["label"] for each in listed} == _DATABASES.keys()
            for each in listed:
                form = {"password": credentials[_DATABASES[each["label"]]]}
                answer = client.post(f"/browser/server/connect/{_GROUP}/{each['_id']}", data=form).json()
                assert answer["success"] == 1, f"{each['label']}: {answer}"
    stack.up()
    assert stack.identities() == before
