"""The simulator keeps what it is told in its Postgres, Redis and MinIO, and lives through their absence as Evolution does."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import asyncpg
import httpx
import pytest

from simulator.database import migrate, parse_uri
from simulator.journal import Journal
from simulator.media import Media
from simulator.runtime import Simulator
from simulator.settings import load
from tests.app.simulator_support import BAILEYS, PHONE, Passage, Process, Service, eventually, new_name, redis_cli

pytest_plugins = ["tests.app.simulator_fixtures"]

Run = Callable[..., Process]
Alone = Callable[[], dict[str, str]]


def state(process: Process, name: str) -> str:
    return str(process.api.get(f"/instance/connectionState/{name}").json()["instance"]["state"])


def query(uri: str, sql: str) -> list[asyncpg.Record]:
    async def run_query() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(uri.partition("?")[0])
        try:
            return await connection.fetch(sql)
        finally:
            await connection.close()

    return asyncio.run(run_query())


# Postgres


def test_its_tables_leave_the_schema_of_the_uri_empty_for_the_real_one(simulator: Process) -> None:
    rows = query(
        simulator.environment["DATABASE_CONNECTION_URI"], "select schemaname, tablename from pg_tables where tablename !~ '^(pg|sql)_'"
    )
    assert {row["schemaname"] for row in rows} == {"public_simulator"}, "Prisma refuses to migrate a schema that isn't empty (P3005)"


def test_instances_and_a_pairing_survive_a_restart(run: Run, alone: Alone, with_redis: dict[str, str]) -> None:
    process = run(alone(), with_redis)
    paired, unpaired = new_name(), new_name()
    process.create(paired, token="the-token")
    process.create(unpaired)
    process.pair(paired)
    before = process.row(paired)
    assert (before["connectionStatus"], before["ownerJid"], before["profileName"]) == ("open", "5511999990001@s.whatsapp.net", "Ana")
    process.restart()
    after = process.row(paired)
    assert after | {"updatedAt": None} == before | {"updatedAt": None}
    eventually(lambda: state(process, paired) == "open", "a paired instance is open again")
    assert state(process, unpaired) == "connecting", "every stored instance tries to connect at a start"
    assert process.api.get(f"/instance/connectionState/{paired}", headers={"apikey": "the-token"}).status_code == 200


def test_several_that_start_at_once_without_a_database_make_it_together(database_uri: Callable[[], str]) -> None:
    address = parse_uri(database_uri())

    async def start_together() -> None:
        await asyncio.gather(*(migrate(address) for _ in range(8)))

    asyncio.run(start_together())


def test_without_saved_instances_a_restart_knows_none_and_no_token_opens_the_list(run: Run, alone: Alone) -> None:
    process = run(alone(), DATABASE_SAVE_DATA_INSTANCE="false")
    created = process.create()
    name = created["instance"]["instanceName"]
    assert process.api.get("/instance/fetchInstances", headers={"apikey": created["hash"]}).status_code == 401
    process.restart()
    assert process.api.get(f"/instance/connectionState/{name}").json() == {"instance": {"instanceName": name}}


def test_instances_of_another_client_name_are_not_listed_and_their_names_are_taken(run: Run, alone: Alone) -> None:
    environment = alone()
    one = run(environment)
    other = run(environment, DATABASE_CONNECTION_CLIENT_NAME="other")
    name = one.create()["instance"]["instanceName"]
    assert other.api.get("/instance/fetchInstances").json() == []
    assert other.api.post("/instance/create", json={"instanceName": name, "integration": BAILEYS}).status_code == 403
    assert other.api.get("/").json()["clientName"] == "other"


def test_with_postgres_away_what_is_in_memory_answers_and_the_rest_says_500_until_it_is_back(run: Run, alone: Alone) -> None:
    environment = alone()
    uri = environment["DATABASE_CONNECTION_URI"]
    host, _, port = uri.partition("@")[2].partition("/")[0].partition(":")
    passage = Passage(host, int(port))
    process = run(environment, DATABASE_CONNECTION_URI=uri.replace(f":{port}/", f":{passage.port}/"))
    created = process.create()
    name = created["instance"]["instanceName"]
    passage.shut()
    assert process.api.get("/").status_code == 200
    assert process.api.get(f"/instance/connectionState/{name}").json() == {"instance": {"instanceName": name, "state": "close"}}
    unknown = process.api.get("/instance/connectionState/nope")
    assert unknown.status_code == 500
    assert unknown.json()["response"]["message"][0].startswith("PrismaClientKnownRequestError: \nInvalid"), "a guard's failure is a list"
    listed = process.api.get("/instance/fetchInstances")
    assert (listed.status_code, listed.json()["error"]) == (500, "Internal Server Error")
    assert listed.json()["response"]["message"].startswith("\nInvalid `this.prismaRepository"), "any other is a string"
    passage.open()
    assert process.row(name)["name"] == name, "it recovers with the first request"


def test_an_instance_that_is_not_opened_in_time_is_deleted(
    database_uri: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where the opened one leaves its keys
    settings = load({"DATABASE_CONNECTION_URI": database_uri(), "CACHE_REDIS_ENABLED": "false"})
    soon = replace(settings, delete_after_minutes=0.3 / 60)

    async def left_after_a_second() -> list[str]:
        await migrate(parse_uri(soon.database.uri))
        simulator = await Simulator.start(soon, Journal(soon.log, "test"))
        for name in ("opened", "forgotten"):
            await simulator.instances.create({"instanceName": name, "integration": BAILEYS})
        await simulator.connections.pair(simulator.instances.simulated("opened"), PHONE, "Ana")
        await asyncio.sleep(1)
        left = await simulator.instances.described(None, None, None)
        await simulator.stop()
        return [row["name"] for row in left]

    assert asyncio.run(left_after_a_second()) == ["opened"]


def test_a_broker_that_never_answers_keeps_no_instance_from_being_known(run: Run, alone: Alone, silent_port: int) -> None:
    process = run(alone(), RABBITMQ_ENABLED="true", RABBITMQ_URI=f"amqp://127.0.0.1:{silent_port}")
    name = process.create()["instance"]["instanceName"]
    process.restart()
    assert process.row(name)["name"] == name
    eventually(lambda: state(process, name) == "connecting", "it tries to connect all the same")


# Redis


def test_a_pairing_leaves_a_hash_without_a_time_to_live_which_outlives_the_instance(simulator: Process, redis_server: Service) -> None:
    instance = simulator.create()["instance"]
    key = f"evolution:instance:{instance['instanceId']}"
    assert redis_cli(redis_server, "exists", key) == "0"
    simulator.pair(instance["instanceName"])
    assert redis_cli(redis_server, "hkeys", key) == "session-5511999990001.0"
    assert redis_cli(redis_server, "ttl", key) == "-1"
    simulator.api.delete(f"/instance/delete/{instance['instanceName']}").raise_for_status()
    eventually(
        lambda: simulator.api.get(f"/instance/connectionState/{instance['instanceName']}").status_code == 404, "the instance is gone"
    )
    assert redis_cli(redis_server, "exists", key) == "1", "2.2.3 leaves it behind"


def test_a_pairing_is_lost_with_its_keys(run: Run, alone: Alone, with_redis: dict[str, str], redis_server: Service) -> None:
    process = run(alone(), with_redis)
    instance = process.create()["instance"]
    process.pair(instance["instanceName"])
    redis_cli(redis_server, "del", f"evolution:instance:{instance['instanceId']}")
    process.restart()
    process.wait_for_line("has lost its session")
    assert state(process, instance["instanceName"]) == "connecting"
    eventually(lambda: process.row(instance["instanceName"])["connectionStatus"] != "open", "the list no longer says open")


def test_without_redis_the_keys_are_files_and_survive_too(run: Run, alone: Alone) -> None:
    process = run(alone())
    name = process.create()["instance"]["instanceName"]
    process.pair(name)
    process.restart()
    eventually(lambda: state(process, name) == "open", "a paired instance is open again")


def test_only_the_global_key_pairs_a_phone(simulator: Process) -> None:
    created = simulator.create()
    path = f"/simulator/instances/{created['instance']['instanceName']}/pair"
    assert simulator.api.post(path, json={"number": "551"}, headers={"apikey": created["hash"]}).status_code == 401
    assert simulator.api.post(path, json={"number": "no number"}).status_code == 400


# MinIO


def test_the_bucket_is_made_and_anybody_may_read_it(simulator: Process, minio_server: Service) -> None:
    simulator.wait_for_line("S3 Bucket evolution - ON")
    url = f"http://127.0.0.1:{minio_server.ports['9000']}/evolution"
    assert httpx.get(f"{url}/missing").status_code == 404, "reading is allowed: a missing object is missing"
    assert httpx.get(url).status_code == 403, "listing is not"
    assert httpx.put(f"{url}/written", content=b"x").status_code == 403, "nor is writing"


def test_a_sent_file_is_found_in_the_storage_with_its_message_and_an_address(simulator: Process) -> None:
    name = simulator.create()["instance"]["instanceName"]
    simulator.pair(name)
    body = {"number": "5511977776666", "mediatype": "document", "media": "aGVsbG8=", "fileName": "hello.txt", "mimetype": "text/plain"}
    sent = simulator.api.post(f"/message/sendMedia/{name}", json=body).raise_for_status().json()
    assert simulator.api.post(f"/s3/getMedia/{name}", json={"id": "nope"}).json()["response"]["message"] == ["Media not found"]
    listed = simulator.api.post(f"/s3/getMedia/{name}", json={"type": "documentMessage"})
    assert listed.status_code == 201
    (found,) = [media for media in listed.json() if media["Message"]["key"] == sent["key"]]
    assert found["fileName"].endswith("/hello.txt")
    assert found["Message"]["message"]["mediaUrl"] == sent["message"]["mediaUrl"]
    address = simulator.api.post(f"/s3/getMediaUrl/{name}", json={"id": found["id"], "expiry": "60"}).raise_for_status().json()["mediaUrl"]
    assert httpx.get(address).content == b"hello"


def prepare_media(settings: dict[str, str]) -> None:
    known = load(settings)
    asyncio.run(Media(known.s3, Journal(known.log, "test")).prepare())


def test_a_second_start_finds_the_bucket_there(simulator: Process, with_minio: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    simulator.wait_for_line("S3 Bucket evolution - ON")
    prepare_media(with_minio)
    assert "S3 Bucket evolution - ON" in capsys.readouterr().out


def test_wrong_credentials_for_minio_are_logged_and_survived(with_minio: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    prepare_media(with_minio | {"S3_SECRET_KEY": "not-the-secret"})
    said = capsys.readouterr().out
    assert "S3 ERROR:" in said
    assert "The request signature we calculated does not match" in said
