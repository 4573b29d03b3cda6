"""Media that the simulator sends and receives: where they come from, where they lie in MinIO, and what happens without it."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import pytest

from simulator.messages.files import ending_of, size_of, type_of
from tests.app.simulator_messages import CHAT, CONTACT, PNG, Phone, encoded, hear, paired, serving
from tests.app.simulator_support import Broker, Passage, Process, Service, eventually

pytest_plugins = ["tests.app.simulator_fixtures", "tests.contract.simulator", "tests.app.simulator_message_fixtures"]

Run = Callable[..., Process]
Alone = Callable[[], dict[str, str]]


def send(phone: Phone, **media: object) -> dict[str, Any]:
    answer = phone.post("message/sendMedia", number=CONTACT, **media)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def message_of(answer: httpx.Response) -> Any:  # noqa: ANN401
    return answer.json()["response"]["message"]


@pytest.mark.parametrize(
    ("mimetype", "ending"),
    [
        ("image/jpeg", "jpeg"),
        ("audio/ogg; codecs=opus", "oga"),
        ("audio/mpeg", "mpga"),
        ("video/mp4", "mp4"),
        ("text/plain; charset=utf-8", "txt"),
        ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"),
        ("no/such", "false"),
    ],
)
def test_a_type_gives_the_ending_that_2_2_3_gives(mimetype: str, ending: str) -> None:
    assert ending_of(mimetype) == ending


def test_a_name_gives_a_type_and_a_picture_its_size() -> None:
    assert [type_of(name) for name in ("a.jpg", "A.PDF", "a.oga", "noending", None)] == [
        "image/jpeg",
        "application/pdf",
        "audio/ogg",
        None,
        None,
    ]
    assert size_of(PNG) == (3, 2)
    assert size_of(b"GIF89a\x05\0\x04\0") == (5, 4)
    assert size_of(b"\xff\xd8\xff\xe0\0\4ab\xff\xc0\0\x11\x08\0\x07\0\x09\x03") == (9, 7)
    assert size_of(b"no picture") is None


def test_a_sent_picture_lies_in_the_bucket_where_its_url_leads(phone: Phone) -> None:
    sent = send(phone, mediatype="image", media=encoded(PNG), mimetype="image/png", caption="look")
    key_id, image = sent["key"]["id"], sent["message"]["imageMessage"]
    assert (sent["messageType"], image["caption"], image["mimetype"]) == ("imageMessage", "look", "image/png")
    assert (image["fileLength"], image["width"], image["height"]) == (str(len(PNG)), 3, 2)
    url = urlsplit(sent["message"]["mediaUrl"])
    assert unquote(url.path) == f"/evolution/evolution-api/{phone.id}/{CHAT}/{key_id}/imageMessage/{key_id}.png"
    assert "%40s.whatsapp.net" in url.path
    assert parse_qs(url.query)["X-Amz-Expires"] == ["604800"], "seven days"
    fetched = httpx.get(sent["message"]["mediaUrl"])
    assert (fetched.status_code, fetched.content, fetched.headers["content-type"]) == (200, PNG, "image/png")
    assert fetched.headers["x-amz-meta-custom-header-application"] == "evolution-api"
    assert phone.found()[0]["message"] == sent["message"]


def test_a_received_picture_lies_one_folder_higher(phone: Phone, broker: Broker) -> None:
    heard = hear(broker, phone)
    received = phone.receive(media={"base64": encoded(PNG), "mimetype": "image/png", "caption": "look"})
    url = heard.wait_for("messages.upsert")["message"]["mediaUrl"]
    assert unquote(urlsplit(url).path) == f"/evolution/evolution-api/{phone.id}/{CHAT}/imageMessage/{received['id']}.png"
    assert httpx.get(url).content == PNG


def test_a_document_keeps_its_name_in_the_message_and_in_the_bucket(phone: Phone) -> None:
    sent = send(phone, mediatype="document", media=encoded(b"bill\n"), fileName="a.txt")
    document = sent["message"]["documentMessage"]
    assert (document["fileName"], document["mimetype"]) == ("a.txt", "text/plain")
    assert urlsplit(sent["message"]["mediaUrl"]).path.endswith("/documentMessage/a.txt")


def test_a_multipart_upload_is_sent_as_it_is(phone: Phone) -> None:
    fields = {"number": CONTACT, "mediatype": "video", "caption": "film"}
    answer = phone.process.api.post(
        f"/message/sendMedia/{phone.name}", data=fields, files={"file": ("any.bin", b"\0\0\0\x18ftypmp42", "video/mp4")}
    )
    assert answer.status_code == 201, answer.text
    video = answer.json()["message"]["videoMessage"]
    assert (video["caption"], video["mimetype"]) == ("film", "video/mp4")
    assert httpx.get(answer.json()["message"]["mediaUrl"]).content == b"\0\0\0\x18ftypmp42"
    wrong = phone.process.api.post(f"/message/sendMedia/{phone.name}", data=fields, files={"other": ("a", b"a")})
    assert (wrong.status_code, message_of(wrong)) == (500, "Unexpected field")
    schema = phone.process.api.post(f"/message/sendMedia/{phone.name}", data={"number": CONTACT}, files={"file": ("a", b"a")})
    assert (schema.status_code, message_of(schema)) == (400, [['instance requires property "mediatype"']])


def test_a_file_is_fetched_from_its_address_and_named_after_it(phone: Phone) -> None:
    with serving(200, b"%PDF-1.4", "application/pdf") as server:
        sent = send(phone, mediatype="document", media=f"{server.url}/files/bill.pdf")
        sound = send(phone, mediatype="audio", media=f"{server.url}/files/sound")
        image = send(phone, mediatype="image", media=f"{server.url}/files/picture.jpg")
    document = sent["message"]["documentMessage"]
    assert (document["fileName"], document["mimetype"]) == ("bill", "application/pdf"), "without its ending: 2.2.3 cuts it off"
    assert sound["message"]["audioMessage"]["mimetype"] == "application/pdf", "its server says so"
    assert image["message"]["imageMessage"]["mimetype"] == "image/png", "without a name every image is called image.png"
    assert httpx.get(sent["message"]["mediaUrl"]).content == b"%PDF-1.4"


def test_a_file_that_cannot_be_fetched_is_a_500(phone: Phone, closed_port: int) -> None:
    with serving(404, b"", "text/plain") as server:
        missing = phone.post("message/sendMedia", number=CONTACT, mediatype="image", media=f"{server.url}/a.png")
    assert (missing.status_code, message_of(missing)) == (500, ["AxiosError: Request failed with status code 404"])
    nobody = phone.post("message/sendMedia", number=CONTACT, mediatype="image", media=f"http://127.0.0.1:{closed_port}/a.png")
    assert nobody.status_code == 500
    assert message_of(nobody)[0].startswith("AxiosError: connect ECONNREFUSED")


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"mediatype": "image", "media": "http://app:8000/x.png"}, 400, ["Owned media must be a url or base64"]),
        ({"mediatype": "image", "media": f"data:image/png;base64,{encoded(PNG)}"}, 400, ["Owned media must be a url or base64"]),
        ({"mediatype": "image"}, 400, ["Owned media must be a url or base64"]),
        ({"mediatype": "document", "media": encoded(b"a")}, 400, ["For base64 the file name must be informed."]),
        ({"mediatype": "film", "media": "aGk="}, 400, [["mediatype is not one of enum values: image,document,video,audio"]]),
        ({"mediatype": "document", "media": "https://127.0.0.1"}, 500, None),
    ],
)
def test_media_that_are_none_are_refused(phone: Phone, body: dict[str, str], status: int, message: object) -> None:
    answer = phone.post("message/sendMedia", number=CONTACT, **body)
    assert answer.status_code == status
    assert message is None or message_of(answer) == message


def test_with_minio_away_media_are_sent_with_an_address_that_leads_to_nothing(
    run: Run, alone: Alone, minio_server: Service, with_minio: dict[str, str]
) -> None:
    passage = Passage("127.0.0.1", minio_server.ports["9000"])
    process = run(alone(), with_minio, S3_PORT=str(passage.port))
    process.wait_for_line("S3 Bucket evolution - ON")
    phone = paired(process)
    passage.shut()
    sent = send(phone, mediatype="image", media=encoded(PNG))
    assert "[S3 Service]" in process.output()
    passage.open()
    assert httpx.get(sent["message"]["mediaUrl"]).status_code == 404
    again = send(phone, mediatype="image", media=encoded(PNG))
    assert httpx.get(again["message"]["mediaUrl"]).content == PNG, "the next one works again"
    file = phone.post("chat/getBase64FromMediaMessage", message={"key": sent["key"]}).json()
    assert file["base64"] == encoded(PNG), "WhatsApp has it all the same"


def test_without_s3_and_without_saving_messages_have_no_address(run: Run, alone: Alone, with_minio: dict[str, str]) -> None:
    for settings in ({}, {**with_minio, "DATABASE_SAVE_DATA_NEW_MESSAGE": "false"}):
        phone = paired(run(alone(), settings))
        assert "mediaUrl" not in send(phone, mediatype="image", media=encoded(PNG))["message"], settings


def test_a_webhook_that_asks_for_files_makes_everybody_get_them(phone: Phone, broker: Broker) -> None:
    heard = hear(broker, phone)
    with serving(200, b"", "text/plain") as server:
        webhook = {"enabled": True, "url": f"{server.url}/hook", "events": ["SEND_MESSAGE"], "base64": True}
        phone.post("webhook/set", webhook=webhook).raise_for_status()
        sent = send(phone, mediatype="image", media=encoded(PNG))
        assert sent["message"]["base64"] == encoded(PNG)
        assert heard.wait_for("send.message") == sent
        eventually(lambda: server.asked, "the webhook is called")
    told = [json.loads(body) for _, _, body in server.asked]
    assert [each["data"]["message"]["base64"] for each in told if each["event"] == "send.message"] == [encoded(PNG)]
    assert "base64" not in phone.found()[0]["message"], "it isn't stored there"
