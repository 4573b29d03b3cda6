"""Bodies that aren't JSON, aren't complete, or have values of wrong types."""

import base64
from typing import Any

import httpx
import pytest

from tests.contract.target import EVENT_LIST, Api, bad, broken, failure, refused

NUMBER = "5511999990001"
B64 = base64.b64encode(b"hello world!").decode()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{x}", "Expected property name or '}' in JSON at position 1"),
        ("{", "Expected property name or '}' in JSON at position 1"),
        ("nonsense", "Unexpected token 'n', \"nonsense\" is not valid JSON"),
        ('{"a":}', 'Unexpected token \'}\', "{"a":}" is not valid JSON'),
        ("null", "Unexpected token 'n', \"null\" is not valid JSON"),
        ("5", "Unexpected token '5', \"5\" is not valid JSON"),
    ],
)
def test_a_malformed_body_is_a_400_that_calls_itself_a_server_error(api: Api, content: str, complaint: str) -> None:
    headers = {"content-type": "application/json", "apikey": api.key}
    answer = httpx.post(f"{api.url}/instance/create", content=content, headers=headers)
    assert (answer.status_code, answer.json()) == (400, failure(400, "Internal Server Error", complaint))


@pytest.mark.parametrize("path", ["/nope", "/message/sendText/nope", "/verify-creds"])
def test_a_malformed_body_is_told_of_before_route_instance_and_key_are_looked_at(api: Api, path: str) -> None:
    answer = httpx.post(f"{api.url}{path}", content="{x}", headers={"content-type": "application/json"})
    complaint = "Expected property name or '}' in JSON at position 1"
    assert (answer.status_code, answer.json()) == (400, failure(400, "Internal Server Error", complaint))


def test_a_body_of_another_type_counts_as_empty_and_a_form_counts_as_json(api: Api, closed: str) -> None:
    def send(content_type: str, content: str) -> dict[str, Any]:
        headers = {"content-type": content_type, "apikey": api.key}
        return dict(httpx.post(f"{api.url}/message/sendText/{closed}", content=content, headers=headers).json())

    both = bad('instance requires property "number"', 'instance requires property "text"')
    assert send("text/plain", f'{{"number":"{NUMBER}","text":"hi"}}') == both
    assert send("application/x-www-form-urlencoded", f"number={NUMBER}") == bad('instance requires property "text"')


def _missing(*names: str) -> tuple[str, ...]:
    return tuple(f'instance requires property "{name}"' for name in names)


TEXT = {"number": NUMBER, "text": "hi"}
SCHEMA: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
    ("message/sendText", {}, _missing("number", "text")),
    ("message/sendText", {"number": NUMBER}, _missing("text")),
    ("message/sendText", {"number": NUMBER, "textMessage": {"text": "the shape of version 1"}}, _missing("text")),
    ("message/sendText", TEXT | {"number": 5}, ("Invalid format",)),
    ("message/sendText", TEXT | {"text": 5}, ("text is not of a type(s) string",)),
    ("message/sendText", TEXT | {"delay": "x"}, ("Enter a value in milliseconds",)),
    ("message/sendText", TEXT | {"linkPreview": "x"}, ("linkPreview is not of a type(s) boolean",)),
    ("message/sendText", TEXT | {"mentioned": []}, ("mentioned does not meet minimum length of 1",)),
    ("message/sendText", TEXT | {"mentioned": ["a"]}, ('"mentioned" must be an array of numeric strings',)),
    ("message/sendText", TEXT | {"quoted": {"key": {}}}, ('quoted.key requires property "id"',)),
    ("message/sendText", TEXT | {"quoted": {"key": {"id": ""}}}, ('The "id" cannot be empty',)),
    ("message/sendMedia", {}, _missing("number", "mediatype")),
    (
        "message/sendMedia",
        {"number": NUMBER, "mediatype": "nope"},
        ("mediatype is not one of enum values: image,document,video,audio",),
    ),
    ("message/sendMedia", {"number": NUMBER, "mediatype": "image", "media": 5}, ("media is not of a type(s) string",)),
    ("message/sendWhatsAppAudio", {}, _missing("number")),
    ("message/sendWhatsAppAudio", {"number": 5, "audio": B64}, ("Invalid format",)),
    ("chat/whatsappNumbers", {"numbers": []}, ("numbers does not meet minimum length of 1",)),
    ("chat/whatsappNumbers", {"numbers": [5]}, ('"numbers" must be an array of numeric strings',)),
    ("chat/markMessageAsRead", {}, _missing("readMessages")),
    ("chat/markMessageAsRead", {"readMessages": []}, ("readMessages does not meet minimum length of 1",)),
    (
        "chat/markMessageAsRead",
        {"readMessages": [{}]},
        tuple(f'readMessages[0] requires property "{name}"' for name in ("id", "fromMe", "remoteJid")),
    ),
    ("chat/findMessages", {"where": {"key": {"remoteJid": ""}}}, ("The property cannot be empty",)),
    ("chat/findMessages", {"where": 5}, ("where is not of a type(s) object",)),
    ("chat/findMessages", {"limit": "x"}, ("limit is not of a type(s) integer",)),
    (
        "chat/findContacts",
        {"where": {"id": ""}},
        ("where.id does not meet minimum length of 1", 'The "id" cannot be empty'),
    ),
    ("chat/sendPresence", {}, _missing("number", "presence", "delay")),
    ("webhook/set", {}, _missing("webhook")),
    ("webhook/set", {"url": "http://app:8000/x", "enabled": True}, _missing("webhook")),
    ("webhook/set", {"webhook": {}}, ('webhook requires property "enabled"', 'webhook requires property "url"')),
    (
        "webhook/set",
        {"webhook": {"enabled": "yes", "url": 5, "events": "x", "headers": [], "byEvents": 1, "base64": 1}},
        (
            "webhook.enabled is not of a type(s) boolean",
            "webhook.url is not of a type(s) string",
            "webhook.headers is not of a type(s) object",
            "webhook.byEvents is not of a type(s) boolean",
            "webhook.base64 is not of a type(s) boolean",
            "webhook.events is not of a type(s) array",
        ),
    ),
    *(
        (
            "webhook/set",
            {"webhook": {"enabled": True, "url": "http://app:8000", "events": [unknown]}},
            (f"webhook.events[0] is not one of enum values: {EVENT_LIST}",),
        )
        for unknown in ("NOPE", "INSTANCE_CREATE", "INSTANCE_DELETE", "GROUPS_UPDATE")
    ),
    ("rabbitmq/set", {"rabbitmq": {}}, ('rabbitmq requires property "enabled"',)),
    ("rabbitmq/set", {"rabbitmq": {"enabled": True, "events": ["NOPE"]}}, (f"rabbitmq.events[0] is not one of enum values: {EVENT_LIST}",)),
    (
        "rabbitmq/set",
        {"rabbitmq": {"enabled": "x", "events": "x"}},
        (
            "rabbitmq.enabled is not of a type(s) boolean",
            "rabbitmq.enabled is not one of enum values: true,false",
            "rabbitmq.events is not of a type(s) array",
        ),
    ),
    (
        "settings/set",
        {},
        _missing("rejectCall", "groupsIgnore", "alwaysOnline", "readMessages", "readStatus", "syncFullHistory"),
    ),
    (
        "settings/set",
        {"rejectCall": "x"},
        (
            "rejectCall is not of a type(s) boolean",
            *_missing("groupsIgnore", "alwaysOnline", "readMessages", "readStatus", "syncFullHistory"),
        ),
    ),
    ("instance/setPresence", {}, _missing("presence")),
    (
        "instance/setPresence",
        {"presence": "nope"},
        ("presence is not one of enum values: unavailable,available,composing,recording,paused",),
    ),
]


@pytest.mark.parametrize(("route", "body", "problems"), SCHEMA, ids=[f"{route} {str(body)[:60]}" for route, body, _ in SCHEMA])
def test_a_body_against_the_schema_is_a_400_with_a_nested_list_of_all_problems(
    api: Api, closed: str, route: str, body: dict[str, Any], problems: tuple[str, ...]
) -> None:
    answer = api.post(f"/{route}/{closed}", body)
    assert (answer.status_code, answer.json()) == (400, bad(*problems))


IMAGE = {"number": NUMBER, "mediatype": "image"}
DOCUMENT = {"number": NUMBER, "mediatype": "document", "media": B64}
NO_MEDIA = "Owned media must be a url or base64"
NO_AUDIO = "Owned media must be a url, base64, or valid file with buffer"
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("message/sendText", TEXT | {"text": ""}, "Text is required"),
    ("message/sendMedia", IMAGE, NO_MEDIA),
    ("message/sendMedia", IMAGE | {"media": "http://app:8000/x.png"}, NO_MEDIA),
    ("message/sendMedia", IMAGE | {"media": "http://localhost/x.png"}, NO_MEDIA),
    ("message/sendMedia", IMAGE | {"media": "http://my_host.com/x.png"}, NO_MEDIA),
    ("message/sendMedia", IMAGE | {"media": f"data:image/png;base64,{B64}"}, NO_MEDIA),
    ("message/sendMedia", DOCUMENT, "For base64 the file name must be informed."),
    ("message/sendWhatsAppAudio", {"number": NUMBER}, NO_AUDIO),
    ("message/sendWhatsAppAudio", {"number": NUMBER, "audio": "http://app:8000/a.ogg"}, NO_AUDIO),
    ("message/sendWhatsAppAudio", {"number": NUMBER, "audio": f"data:audio/wav;base64,{B64}"}, NO_AUDIO),
    ("webhook/set", {"webhook": {"enabled": True, "url": "", "events": []}}, 'Invalid "url" property'),
    ("webhook/set", {"webhook": {"enabled": True, "url": "http://my_app:8000", "events": []}}, 'Invalid "url" property'),
    ("chat/getBase64FromMediaMessage", {"message": {"key": {"id": "nope"}}}, "Message not found"),
    ("chat/getBase64FromMediaMessage", {}, "TypeError: Cannot read properties of undefined (reading 'key')"),
    ("s3/getMedia", {"id": "nope"}, "Media not found"),
]


@pytest.mark.parametrize(("route", "body", "message"), REFUSED, ids=[f"{route} {str(body)[:60]}" for route, body, _ in REFUSED])
def test_what_fits_the_schema_and_is_refused_all_the_same_is_a_400_with_a_flat_list(
    api: Api, closed: str, route: str, body: dict[str, Any], message: str
) -> None:
    answer = api.post(f"/{route}/{closed}", body)
    assert (answer.status_code, answer.json()) == (400, refused(message))


BROKEN: list[tuple[str, dict[str, Any], str]] = [
    ("chat/whatsappNumbers", {}, "Cannot read properties of undefined (reading 'forEach')"),
    (
        "webhook/set",
        {"webhook": {"enabled": True, "url": "http://app:8000/w"}},
        "Cannot read properties of undefined (reading 'length')",
    ),
]


@pytest.mark.parametrize(("route", "body", "message"), BROKEN, ids=[f"{route} {str(body)[:60]}" for route, body, _ in BROKEN])
def test_some_incomplete_bodies_are_a_500_in_the_words_of_javascript(
    api: Api, closed: str, route: str, body: dict[str, Any], message: str
) -> None:
    answer = api.post(f"/{route}/{closed}", body)
    assert (answer.status_code, answer.json()) == (500, broken(message))
