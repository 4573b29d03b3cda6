"""Who still takes a password or key: asked over TCP from another container, as its users ask."""

import json

from minio.error import S3Error

from tests.e2e.data import Clients

# Run in the application's container, which has the clients: what each service answers to the credentials in the variable CREDENTIALS.
_ASK = """
import asyncio, json, os, urllib.error, urllib.request
import aio_pika, asyncpg

given = json.loads(os.environ["CREDENTIALS"])

async def postgres(host, user, password):
    connection = await asyncpg.connect(host=host, user=user, database=user, password=password, timeout=10)
    await connection.close()

async def redis(password):
    reader, writer = await asyncio.open_connection("redis", 6379)
    writer.write(f"AUTH {password}\\r\\n".encode())
    answer = await reader.readline()
    writer.close()
    if not answer.startswith(b"+OK"):
        raise PermissionError(answer.decode().strip())

async def rabbitmq(password):
    await (await aio_pika.connect(host="rabbitmq", login="whatsapp", password=password, timeout=10)).close()

async def http(url, key, expected):
    request = urllib.request.Request(url, headers={"apikey": key}, method="POST" if expected == 400 else "GET")
    try:
        status = await asyncio.to_thread(lambda: urllib.request.urlopen(request, timeout=10).status)
    except urllib.error.HTTPError as error:
        status = error.code
    if status != expected:
        raise PermissionError(status)

async def ask():
    questions = {
        "POSTGRES": postgres("db", "app", given["POSTGRES_PASSWORD"]),
        "EVOLUTION_POSTGRES": postgres("evolution_postgres", "evolution", given["EVOLUTION_POSTGRES_PASSWORD"]),
        "REDIS": redis(given["REDIS_PASSWORD"]),
        "RABBITMQ": rabbitmq(given["RABBITMQ_DEFAULT_PASS"]),
        "EVOLUTION": http("http://evolution-api:8080/instance/fetchInstances", given["AUTHENTICATION_API_KEY"], 200),
        "AUDIO_CONVERTER": http("http://audio-converter:4040/process-audio", given["AUDIO_CONVERTER_API_KEY"], 400),
    }
    answers = await asyncio.gather(*questions.values(), return_exceptions=True)
    said = {name: "accepted" if answer is None else f"{type(answer).__name__}: {answer}" for name, answer in zip(questions, answers)}
    print("ANSWERS" + json.dumps(said))

asyncio.run(ask())
"""
_REFUSALS = {
    "POSTGRES": "InvalidPasswordError",
    "EVOLUTION_POSTGRES": "InvalidPasswordError",
    "REDIS": "PermissionError: -WRONGPASS",
    "RABBITMQ": "ProbableAuthenticationError",
    "EVOLUTION": "PermissionError: 401",
    "AUDIO_CONVERTER": "PermissionError: 401",
    "MINIO": "SignatureDoesNotMatch",
}


def answers(clients: Clients) -> dict[str, str]:
    """What each service says to these credentials: `accepted`, or why not."""
    code, output = clients.stack.inside("app", "python", "-c", _ASK, CREDENTIALS=json.dumps(clients.credentials))
    assert code == 0, output
    found: dict[str, str] = json.loads(output.rpartition("ANSWERS")[2])
    try:
        clients.minio().list_buckets()
        found["MINIO"] = "accepted"
    except S3Error as error:
        found["MINIO"] = str(error.code)
    return found


def assert_accepted(clients: Clients) -> None:
    """Everybody takes the credentials."""
    found = answers(clients)
    assert found == dict.fromkeys(found, "accepted"), f"not all credentials are taken: {found}"


def assert_refused(clients: Clients, *services: str) -> None:
    """Just these services, named by how their settings begin, refuse the credentials as wrong; all others take them."""
    found = answers(clients)
    assert {name for name, answer in found.items() if answer != "accepted"} == set(services), f"who refuses: {found}"
    for name in services:
        assert found[name].startswith(_REFUSALS[name]), f"{name} answers, but not that the credential is wrong: {found[name]}"


EVERYBODY = tuple(_REFUSALS)
