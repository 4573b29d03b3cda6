"""Another version of Postgres: a minor one is a setting, a major one is refused until `make upgrade-postgres` has moved the data."""

import asyncio
import os
import signal
from collections.abc import Iterator

import asyncpg
import pytest

from tests.e2e.data import Clients, Data
from tests.e2e.environment import Stack, eventually
from tests.e2e.machine import networks
from tests.e2e.project import Ran, Running

_SERVICE, _SETTING = "evolution_postgres", "EVOLUTION_POSTGRES_IMAGE"
_NEW, _OTHER = "postgres:18", "whatsapp-e2e-postgres:15"

_CONTENT = r"""
CREATE EXTENSION pgcrypto;
CREATE ROLE reader LOGIN PASSWORD 'thePasswordOfTheReader';
CREATE SCHEMA "Odd schema";
CREATE TABLE "Odd schema"."Odd table" (id serial PRIMARY KEY, words text, document jsonb, salt bytea DEFAULT gen_random_bytes(8));
INSERT INTO "Odd schema"."Odd table" (words, document)
    SELECT repeat('ação ' || n || E'\t\\.\n', 20), jsonb_build_object('n', n) FROM generate_series(1, 5000) AS n;
INSERT INTO "Odd schema"."Odd table" (words) VALUES ('CREATE ROLE evolution;'), (NULL), ('');
CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM "Odd schema"."Odd table";
CREATE SEQUENCE apart START 7; SELECT nextval('apart'), nextval('apart');
SELECT lo_from_bytea(4711, decode(repeat('00ff', 5000), 'hex'));
GRANT USAGE ON SCHEMA "Odd schema" TO reader; GRANT SELECT ON ALL TABLES IN SCHEMA "Odd schema" TO reader;
ALTER DATABASE evolution SET work_mem = '5MB'; ALTER ROLE reader SET search_path = "Odd schema";
"""
_LOOK = {
    "rows": """SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM "Odd schema"."Odd table" AS t""",
    "next number": """SELECT nextval('"Odd schema"."Odd table_id_seq"')""",
    "sequence": "SELECT last_value FROM apart",
    "view": "SELECT n FROM counted",
    "large object": "SELECT md5(lo_get(4711))",
    "extension": "SELECT encode(digest('x', 'sha256'), 'hex')",
    "setting": "SHOW work_mem",
    "roles": "SELECT string_agg(rolname || rolsuper || rolcanlogin, ',' ORDER BY rolname) FROM pg_roles WHERE rolname !~ '^pg_'",
    "databases": "SELECT string_agg(datname || pg_get_userbyid(datdba) || datcollate, ',' ORDER BY datname) FROM pg_database",
}


@pytest.fixture(scope="module")
def another_15(shared: Stack) -> Iterator[str]:
    """An image of the same major version that is not the one in use."""
    shared.settle()
    _have_another(shared, shared.container(_SERVICE).attributes["Image"], "15")
    yield _OTHER
    shared.client.api.remove_image(_OTHER, force=True)


def _have_another(stack: Stack, base: str, label: str) -> None:
    """Give the name of the other image to a new one, which has a label, as `docker pull` does where there is a registry."""
    api = stack.client.api
    made = api.create_container(base)["Id"]
    api.commit(made, repository=_OTHER.partition(":")[0], tag=_OTHER.partition(":")[2], changes=[f"LABEL e2e={label}"])
    api.remove_container(made, v=True)


@pytest.fixture(scope="module")
def data(shared: Stack) -> Data:
    """Data of the usual kind, and all that a cluster can hold beside it."""
    shared.settle()
    data = Data()
    data.write(Clients(shared, shared.credentials()))
    _psql(shared, _CONTENT)
    _psql(shared, 'CREATE DATABASE "second database"')
    _psql(shared, "CREATE TABLE second AS SELECT 'here' AS value", "second database")
    return data


@pytest.fixture(scope="module")
def looked(shared: Stack, data: Data) -> dict[str, str]:
    """What is in the cluster to begin with."""
    assert data
    return _look(shared)


def _psql(stack: Stack, statements: str, database: str = "evolution") -> str:
    command = ("psql", "-U", "evolution", "-d", database, "--no-psqlrc", "-qAt", "--set=ON_ERROR_STOP=1", "-c", statements)
    code, output = stack.inside(_SERVICE, *command)
    assert code == 0, output
    return output.strip()


def _look(stack: Stack) -> dict[str, str]:
    found = {what: _psql(stack, statement) for what, statement in _LOOK.items()}
    found["next number"] = str(int(found["next number"]) - 1)  # which is used up now
    _psql(stack, f"""SELECT setval('"Odd schema"."Odd table_id_seq"', {found["next number"]})""")
    return {**found, "second": _psql(stack, "SELECT value FROM second", "second database")}


def _version(stack: Stack) -> str:
    return _psql(stack, "SHOW server_version").partition(".")[0]


def _assert_serves(stack: Stack, version: str, data: Data, looked: dict[str, str]) -> None:
    """Everything is there, of that version, for the application and for whoever has a password."""
    assert _version(stack) == version
    assert _look(stack) == looked
    stack.assert_works()
    clients = Clients(stack, stack.credentials())
    data.assert_kept(clients)

    async def read() -> int:
        address = f"127.0.0.1:{stack.settings['EVOLUTION_POSTGRES_PORT']}"
        connection = await asyncpg.connect(f"postgresql://reader:thePasswordOfTheReader@{address}/evolution")
        count = await connection.fetchval('SELECT count(*) FROM "Odd table"')
        await connection.close()
        return int(count)

    assert asyncio.run(read()) == 5003, "a role's password, rights or settings are not as they were"


def _begin(stack: Stack, image: str, moment: str) -> Running:
    stack.settled = False
    run = stack.copy.start(["make", "upgrade-postgres", f"STACK={stack.name}", f"SERVICE={_SERVICE}", f"IMAGE={image}", "YES=1"])
    run.wait_for(moment, 120)
    return run


def _kill(run: Running) -> Ran:
    os.killpg(run.process.pid, signal.SIGKILL)
    return run.finish(15)


def _parts(stack: Stack) -> tuple[set[str], frozenset[str], dict[str, str]]:
    """What of the stack is on the engine, by name."""
    picture = stack.picture()
    return set(picture.containers), picture.volumes, networks(stack.client, stack.project)


def test_another_major_version_is_refused_by_up_before_anything_is_touched(stack: Stack) -> None:
    before = stack.picture()
    with stack.with_settings(**{_SETTING: _NEW, "POSTGRES_IMAGE": "postgres:15", "REDIS_PASSWORD": "changedBesideIt"}):
        refused = stack.fails()
        refused.assert_tells(
            "nothing was changed",
            f"{_SERVICE}: {_SETTING} is {_NEW}, of PostgreSQL 18, and the data is of PostgreSQL 15",
            f"make upgrade-postgres SERVICE={_SERVICE} IMAGE={_NEW} STACK={stack.name}",
            "db: POSTGRES_IMAGE is postgres:15, of PostgreSQL 15, and the data is of PostgreSQL 16",
        )
        refused.assert_soon()
        told = stack.fails("upgrade")
        told.assert_tells("and the data is of PostgreSQL 15", _NEW)
    assert stack.picture() == before
    stack.settled = True


def test_a_minor_version_is_a_setting_and_an_up(stack: Stack, another_15: str, data: Data, looked: dict[str, str]) -> None:
    before = stack.identities()
    stack.settings[_SETTING] = another_15  # for the tests that follow
    stack.write()
    stack.up()
    after = stack.identities()
    assert {service for service in after if after[service] != before[service]} == {_SERVICE}
    assert stack.container(_SERVICE).attributes["Config"]["Labels"]["e2e"] == "15"
    _assert_serves(stack, "15", data, looked)


def test_a_newer_image_of_the_same_name_is_an_up(stack: Stack, another_15: str, data: Data, looked: dict[str, str]) -> None:
    before = stack.identities()
    old = stack.container(_SERVICE).attributes["Image"]
    _have_another(stack, stack.client.images.get(old).attrs["Parent"], "newer")
    stack.make("upgrade").assert_tells(f"{another_15}  changes")
    assert "1 to replace" in stack.make("preview").output.replace("+-", "")
    stack.up().assert_tells(f"image {another_15} is another one by now")
    after = stack.identities()
    assert {service for service in after if after[service] != before[service]} == {_SERVICE}
    assert stack.container(_SERVICE).attributes["Config"]["Labels"]["e2e"] == "newer"
    _assert_serves(stack, "15", data, looked)
    assert "nothing to change" in stack.up().output
    stack.client.api.remove_image(old)


def test_an_upgrade_needs_a_yes_and_an_image_of_a_newer_version_that_can_be_had(stack: Stack) -> None:
    before = stack.picture()
    for image, said in (
        (_NEW, "Nothing was changed"),
        ("postgres:15", "is PostgreSQL 15, and the data is of PostgreSQL 15"),
        ("localhost:1/postgres:16", "localhost:1/postgres:16 can't be had"),
    ):
        refused = stack.make("upgrade-postgres", SERVICE=_SERVICE, IMAGE=image)
        assert refused.code != 0, refused.told
        refused.assert_tells(said)
    assert stack.picture() == before


def test_an_upgrade_while_somebody_is_connected_is_refused(stack: Stack, data: Data, looked: dict[str, str]) -> None:
    parts = _parts(stack)
    opened = stack.client.api.exec_create(
        stack.container(_SERVICE).id, ["psql", "-U", "evolution", "-d", "evolution", "-c", "SELECT pg_sleep(60)"]
    )
    stack.client.api.exec_start(opened["Id"], detach=True)
    refused = stack.make("upgrade-postgres", SERVICE=_SERVICE, IMAGE=_NEW, YES="1")
    assert refused.code != 0, refused.told
    refused.assert_tells(f"Others are connected to {_SERVICE}", "psql, user evolution on evolution")
    assert _parts(stack) == parts, f"something is left:\n{refused.told}"
    _psql(stack, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'")
    stack.up()
    _assert_serves(stack, "15", data, looked)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_an_upgrade_that_is_stopped_leaves_everything_as_it_was(stack: Stack, data: Data, looked: dict[str, str], number: int) -> None:
    before, parts = stack.container(_SERVICE).identity, _parts(stack)
    run = _begin(stack, _NEW, "copying")
    os.killpg(run.process.pid, number)
    stopped = run.finish(60)
    assert stopped.code != 0, stopped.told
    # Of a terminal that is closed, `make` dies at once, and what it runs tidies up.
    eventually(60, lambda: stack.container("evolution-api").status == "running", f"its user stays away:\n{stopped.told}")
    assert _parts(stack) == parts, f"something is left:\n{stopped.told}"
    assert stack.container(_SERVICE).identity == before
    assert "ready" in stack.up().output
    _assert_serves(stack, "15", data, looked)


def test_an_upgrade_that_is_killed_leaves_the_old_version_serving(stack: Stack, data: Data, looked: dict[str, str]) -> None:
    before, containers = stack.container(_SERVICE).identity, set(stack.picture().containers)
    killed = _kill(_begin(stack, _NEW, "copying"))
    assert _look(stack) == looked, f"the old version doesn't serve:\n{killed.told}"
    assert stack.container(_SERVICE).identity == before
    stack.up()
    assert set(stack.picture().containers) == containers, f"`up` leaves the copy's container:\n{killed.told}"
    _assert_serves(stack, "15", data, looked)


def test_an_upgrade_that_is_killed_completes_when_it_is_run_again_and_at_its_end_with_up(
    stack: Stack, data: Data, looked: dict[str, str]
) -> None:
    _kill(_begin(stack, _NEW, "copying"))
    _kill(_begin(stack, _NEW, "are now in"))
    told = stack.settings_file.read_text()
    assert f"{_SETTING}={_NEW}\n" in told
    assert "EVOLUTION_POSTGRES_VOLUME=postgres_evo_data_18\n" in told
    api = stack.container("evolution-api")
    assert api.status == "exited", "Evolution API runs on data that is about to be left"
    stack.up()
    assert stack.container("evolution-api").started > stack.container(_SERVICE).started, "Evolution API wrote to the data that was left"
    _assert_serves(stack, "18", data, looked)
    mounts = {mount["Destination"]: mount["Name"] for mount in stack.container(_SERVICE).attributes["Mounts"]}
    assert mounts["/var/lib/postgresql"] == f"{stack.project}_postgres_evo_data_18", "not where images of 18 have their volume"
    assert "nothing to change" in stack.up().output


def test_the_old_volume_is_kept_so_that_going_back_is_a_setting(stack: Stack, data: Data, looked: dict[str, str]) -> None:
    _psql(stack, "UPDATE e2e SET value = 'written by the new version'")
    before = stack.picture()
    stack.write()  # without the two lines that the upgrade wrote
    forgotten = stack.fails()
    forgotten.assert_tells(
        f"its data is in the volume {stack.project}_postgres_evo_data_18", "EVOLUTION_POSTGRES_VOLUME=postgres_evo_data."
    )
    assert stack.picture() == before
    with stack.with_settings(EVOLUTION_POSTGRES_VOLUME="postgres_evo_data"):
        stack.up()
    _assert_serves(stack, "15", data, looked)


def test_a_volume_that_has_served_is_not_overwritten_by_another_upgrade(stack: Stack) -> None:
    before = stack.picture()
    refused = stack.make("upgrade-postgres", SERVICE=_SERVICE, IMAGE=_NEW, YES="1")
    assert refused.code != 0, refused.told
    volume = f"{stack.project}_postgres_evo_data_18"
    refused.assert_tells(f"{volume} has been in use", f"docker volume rm {volume}")
    assert stack.picture() == before
    stack.client.api.remove_volume(volume)
    # The stack goes on as it was made.
    _psql(stack, 'DROP DATABASE "second database"')
    del stack.settings[_SETTING]
    stack.settled = False
