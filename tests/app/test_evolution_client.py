"""Evolution API 2.2.3's odd answers become honest errors, which say whether it may have done what it was asked.

The answers are those of tag 2.2.3's source, and of what was seen while it ran.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import httpx
import pytest

from src import evolution
from src.evolution import EvolutionClient, EvolutionError, Outcome
from src.evolution.diagnosis import diagnose
from tests.app.api_support import MakeSettings
from tests.app.conftest import id_of

if TYPE_CHECKING:
    from tests.app.conftest import FakeEvolution

TEXT, MEDIA, VOICE = "/message/sendText/a", "/message/sendMedia/a", "/message/sendWhatsAppAudio/a"
NO, PERHAPS = Outcome.NOT_DONE, Outcome.UNKNOWN

ANSWERS: list[tuple[str, int, object, type[EvolutionError], Outcome]] = [
    (TEXT, 401, "Unauthorized", evolution.KeyRefusedError, NO),
    (TEXT, 404, ['The "a" instance does not exist'], evolution.InstanceUnknownError, NO),
    ("/instance/fetchInstances", 404, ['Instance "a" not found'], evolution.InstanceUnknownError, NO),
    ("/instance/create", 403, ['This name "a" is already in use.'], evolution.NameTakenError, NO),
    (TEXT, 400, [{"exists": False, "jid": "55@s.whatsapp.net", "number": "55"}], evolution.NumberNotOnWhatsAppError, NO),
    (TEXT, 400, [['instance requires property "text"', "x"]], evolution.RefusedError, NO),
    (TEXT, 400, "Expected property name or '}' in JSON at position 1", evolution.RefusedError, NO),
    (MEDIA, 400, ["Owned media must be a url or base64"], evolution.RefusedError, NO),
    # Not connected, in many words.
    (TEXT, 500, "Cannot read properties of undefined (reading 'onWhatsApp')", evolution.InstanceNotConnectedError, NO),
    (MEDIA, 500, ["TypeError: Cannot read properties of undefined (reading 'waUploadToServer')"], evolution.InstanceNotConnectedError, NO),
    (TEXT, 400, ["TypeError: Cannot read properties of undefined (reading 'sendPresenceUpdate')"], evolution.InstanceNotConnectedError, NO),
    ("/instance/logout/a", 400, ['The "a" instance is not connected'], evolution.InstanceNotConnectedError, NO),
    (TEXT, 500, "Connection Closed", evolution.InstanceNotConnectedError, NO),
    (TEXT, 400, ["Error: Connection Closed"], evolution.InstanceNotConnectedError, PERHAPS),
    # The audio converter's errors, under Evolution's name.
    (VOICE, 401, "Request failed with status code 401", evolution.ConverterRefusedKeyError, NO),
    (VOICE, 401, "Unauthorized", evolution.KeyRefusedError, NO),
    (VOICE, 500, "connect ECONNREFUSED 127.0.0.1:4040", evolution.ConverterUnavailableError, NO),
    (VOICE, 500, "getaddrinfo ENOTFOUND audio-converter", evolution.ConverterUnavailableError, NO),
    (VOICE, 500, "getaddrinfo EAI_AGAIN audio-converter", evolution.ConverterUnavailableError, NO),
    (VOICE, 404, "Request failed with status code 404", evolution.ConverterUnavailableError, NO),
    (VOICE, 500, "Request failed with status code 500", evolution.ConversionFailedError, NO),
    (VOICE, 400, "Request failed with status code 400", evolution.ConversionFailedError, NO),
    (VOICE, 500, ["Failed to convert audio"], evolution.ConversionFailedError, NO),
    (MEDIA, 500, ["AxiosError: Request failed with status code 404"], evolution.MediaUnavailableError, NO),
    # What is thrown while sending is a 400, also after WhatsApp has taken the message.
    (TEXT, 400, ["PrismaClientKnownRequestError: \nInvalid x"], evolution.EvolutionFailedError, PERHAPS),
    (TEXT, 400, ["Error: Timed Out"], evolution.EvolutionFailedError, PERHAPS),
    (TEXT, 500, ["PrismaClient"], evolution.EvolutionFailedError, PERHAPS),
    (TEXT, 404, ["Cannot POST /message/sendText/a"], evolution.UnexpectedAnswerError, PERHAPS),
]


def answered(path: str, status: int, message: object) -> httpx.Response:
    body = {"status": status, "error": "x", "response": {"message": message}}
    return httpx.Response(status, json=body, request=httpx.Request("POST", f"http://evolution-api:8080{path}"))


@pytest.mark.parametrize(("path", "status", "message", "kind", "outcome"), ANSWERS, ids=[f"{a[0]} {a[1]} {a[2]}" for a in ANSWERS])
def test_an_answer_becomes_the_error_that_it_means(
    path: str, status: int, message: object, kind: type[EvolutionError], outcome: Outcome
) -> None:
    found = diagnose(answered(path, status, message))
    assert type(found) is kind, found
    assert found.outcome is outcome
    assert str(status) in found.fault.problem or kind is evolution.KeyRefusedError
    assert found.fault.mend


@pytest.mark.parametrize("body", ["", "<html>\n  <b>Bad gateway</b>", "null", "[]", '{"message": "x"}', '"text"'])
def test_an_answer_of_something_else_is_unexpected_and_shown(body: str) -> None:
    request = httpx.Request("POST", f"http://evolution-api:8080{TEXT}")
    found = diagnose(httpx.Response(502, text=body, request=request))
    assert type(found) is evolution.UnexpectedAnswerError
    assert found.outcome is PERHAPS
    assert found.fault.problem.endswith(": " + (" ".join(body.split()) or "an empty body"))


def test_nested_arrays_of_texts_become_one_text() -> None:
    found = diagnose(answered(TEXT, 400, [['instance requires property "number"', "instance.text is not of a type(s) string"], ["c"]]))
    assert found.fault.problem.endswith('400: requires property "number"; text is not of a type(s) string; c')


@pytest.mark.parametrize(
    "frame",
    [
        ":\n\n",
        " in\n/evolution/dist/main.js:251:973\n\n  250 \n→ 251 await this.prismaRepository.contact.findMany({where:{}})" + "x" * 900 + "\n",
    ],
)
def test_a_failure_of_evolutions_database_is_told_without_the_code_that_met_it(frame: str) -> None:
    reason = "Can't reach database server at `evolution_postgres:5432`"
    text = f"PrismaClientKnownRequestError: \nInvalid `this.prismaRepository.contact.findMany()` invocation{frame}{reason}\n"
    found = diagnose(answered(TEXT, 400, [text]))
    assert type(found) is evolution.EvolutionFailedError
    assert found.fault.problem.endswith(f"400: PrismaClientKnownRequestError: its database failed: {reason}")


def test_an_endless_message_is_cut() -> None:
    assert len(diagnose(answered(TEXT, 500, "x" * 100_000)).fault.problem) < 500


@pytest.fixture
async def client(make_settings: MakeSettings) -> AsyncIterator[EvolutionClient]:
    settings = make_settings()
    async with EvolutionClient(settings, settings.evolution_api_key) as client:
        yield client


SENT = {
    "key": {"remoteJid": "5511999990001@s.whatsapp.net", "fromMe": True, "id": "3EB0"},
    "pushName": "",
    "status": "PENDING",
    "message": {"conversation": "hi"},
    "contextInfo": None,
    "messageType": "conversation",
    "messageTimestamp": 1795347843,
    "instanceId": id_of("a1"),
    "source": "unknown",
}


@pytest.mark.anyio
async def test_a_sent_message_is_read_with_its_id_and_time(client: EvolutionClient, fake_evolution: "FakeEvolution") -> None:
    fake_evolution.answers["/message/sendText/a1"] = (201, SENT)
    sent = await client.send_text("a1", {"number": "5511999990001", "text": "hi"})
    assert (sent.key.id, sent.key.remote_jid, sent.message_type) == ("3EB0", "5511999990001@s.whatsapp.net", "conversation")
    assert sent.message_timestamp == datetime.fromtimestamp(1795347843, UTC)
    assert fake_evolution.requests[-1] == ("POST", "/message/sendText/a1", {"number": "5511999990001", "text": "hi"})


@pytest.mark.anyio
async def test_found_messages_are_asked_for_as_evolution_understands(client: EvolutionClient, fake_evolution: "FakeEvolution") -> None:
    record = {**SENT, "id": "cm1", "message": None, "MessageUpdate": [{"status": "DELIVERY_ACK"}, {"status": "READ"}]}
    fake_evolution.answers["/chat/findMessages/a1"] = (200, {"messages": {"total": 1, "pages": 1, "currentPage": 2, "records": [record]}})
    since = datetime(2026, 11, 22, 12, tzinfo=UTC)
    found = await client.find_messages("a1", chat="55@s.whatsapp.net", from_me=True, between=(since, since + timedelta(minutes=1)), page=2)
    assert [each.status for each in found.records[0].updates] == ["DELIVERY_ACK", "READ"]
    assert fake_evolution.requests[-1][2] == {
        "where": {
            "key": {"remoteJid": "55@s.whatsapp.net", "fromMe": True},
            "messageTimestamp": {"gte": "2026-11-22T12:00:00+00:00", "lte": "2026-11-22T12:01:00+00:00"},
        },
        "page": 2,
        "offset": 50,
    }


@pytest.mark.anyio
async def test_a_restart_of_what_is_not_connected_is_told_though_evolution_gives_no_reason(
    client: EvolutionClient, fake_evolution: "FakeEvolution"
) -> None:
    fake_evolution.answers["/instance/restart/a1"] = (200, {"error": True, "message": "[object Object]"})
    with pytest.raises(evolution.InstanceNotConnectedError):
        await client.restart("a1")
    fake_evolution.instances["a1"] = "open"
    with pytest.raises(evolution.EvolutionFailedError, match="it gave no reason"):
        await client.restart("a1")


@pytest.mark.anyio
async def test_a_name_is_quoted_wherever_it_goes_into_a_path(client: EvolutionClient, fake_evolution: "FakeEvolution") -> None:
    fake_evolution.answers["/instance/connectionState/z%205%2F%C3%BC"] = (200, {"instance": {"instanceName": "z 5/ü", "state": "open"}})
    assert await client.state("z 5/ü") == "open"


@pytest.mark.anyio
async def test_an_unknown_instance_is_believed_only_of_an_evolution_that_accepts_the_key(
    client: EvolutionClient, fake_evolution: "FakeEvolution"
) -> None:
    with pytest.raises(evolution.InstanceUnknownError):
        await client.state("nobody")
    fake_evolution.accepted_key = "another"
    with pytest.raises(evolution.KeyRefusedError):
        await client.state("nobody")


@pytest.mark.anyio
async def test_a_token_in_an_answer_of_the_wrong_form_is_not_told(client: EvolutionClient, fake_evolution: "FakeEvolution") -> None:
    fake_evolution.answers["/instance/create"] = (201, {"instance": {"instanceName": "x"}, "hash": "A-TOKEN"})
    with pytest.raises(evolution.UnexpectedAnswerError) as raised:
        await client.create_instance("x")
    assert "A-TOKEN" not in str(raised.value)
    assert "instanceId" in str(raised.value), "what was missing helps to find the cause"


@pytest.mark.anyio
async def test_a_connection_that_never_came_about_is_told_from_one_that_broke(
    make_settings: MakeSettings, closed_port: int, silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_settings(evolution=f"http://127.0.0.1:{closed_port}")
    async with EvolutionClient(settings, settings.evolution_api_key) as client:
        with pytest.raises(evolution.EvolutionUnreachableError) as refused:
            await client.send_text("a1", {})
    assert (type(refused.value), refused.value.outcome) == (evolution.EvolutionUnreachableError, NO)
    monkeypatch.setattr("src.evolution.client.SEND_TIMEOUT_SECONDS", 0.2)
    settings = make_settings(evolution=f"http://127.0.0.1:{silent_port}")
    async with EvolutionClient(settings, settings.evolution_api_key) as client:
        with pytest.raises(evolution.AnswerLostError) as lost:
            await client.send_text("a1", {})
    assert lost.value.outcome is PERHAPS
    assert "did not answer in time" in lost.value.fault.problem
