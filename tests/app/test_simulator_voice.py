"""Voice messages through the real audio converter, and what becomes of them when it fails."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import imageio_ffmpeg
import pytest

from simulator.messages.files import VOICE, seconds_of
from tests.app.simulator_messages import CONTACT, Phone, encoded, hear, paired, serving, wav
from tests.app.simulator_support import Broker, Process

pytest_plugins = ["tests.app.simulator_fixtures", "tests.contract.simulator", "tests.app.simulator_message_fixtures"]

Run = Callable[..., Process]
Alone = Callable[[], dict[str, str]]


def decoded_seconds(recording: bytes, folder: Path) -> float:
    """How long a recording plays, by ffmpeg."""
    file = folder / "recording"
    file.write_bytes(recording)
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(file), "-f", "s16le", "-ar", "48000", "-ac", "1", "-"]
    return len(subprocess.run(command, check=True, capture_output=True).stdout) / 2 / 48000


def speak(phone: Phone, **voice: object) -> dict[str, Any]:
    answer = phone.post("message/sendWhatsAppAudio", number=CONTACT, **voice)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def refusal(phone: Phone, audio: bytes) -> tuple[int, Any]:
    answer = phone.post("message/sendWhatsAppAudio", number=CONTACT, audio=encoded(audio))
    return answer.status_code, answer.json()["response"]["message"]


def test_a_recording_becomes_ogg_with_opus_of_the_same_length_in_the_bucket(phone: Phone, broker: Broker, tmp_path: Path) -> None:
    heard = hear(broker, phone)
    sent = speak(phone, audio=encoded(wav(2)))
    audio = sent["message"]["audioMessage"]
    assert (sent["messageType"], audio["mimetype"], audio["ptt"], audio["seconds"]) == ("audioMessage", VOICE, True, 2)
    url = sent["message"]["mediaUrl"]
    assert url.partition("?")[0].endswith(f"/{sent['key']['id']}/audioMessage/{sent['key']['id']}.oga")
    stored = httpx.get(url)
    assert stored.headers["content-type"] == "audio/ogg"
    assert stored.content.startswith(b"OggS")
    assert b"OpusHead" in stored.content[:100]
    assert abs(decoded_seconds(stored.content, tmp_path) - 2) < 0.1
    assert heard.wait_for("send.message") == sent


def test_a_recording_may_be_uploaded_or_fetched_by_the_converter(phone: Phone) -> None:
    upload = phone.process.api.post(
        f"/message/sendWhatsAppAudio/{phone.name}", data={"number": CONTACT}, files={"file": ("a.wav", wav(1), "audio/wav")}
    )
    assert upload.status_code == 201, upload.text
    with serving(200, wav(3), "audio/wav") as server:
        fetched = speak(phone, audio=f"{server.url}/a.wav")
    seconds = [sent["message"]["audioMessage"]["seconds"] for sent in (upload.json(), fetched)]
    assert seconds == [1, 3]


def test_without_encoding_a_recording_is_passed_on_as_it_is(phone: Phone) -> None:
    sent = speak(phone, audio=encoded(wav(1)), encoding=False)
    assert sent["message"]["audioMessage"]["mimetype"] == VOICE, "2.2.3 says so of anything"
    assert httpx.get(sent["message"]["mediaUrl"]).content == wav(1)


@pytest.mark.parametrize("audio", ["http://app:8000/a.wav", "data:audio/wav;base64,aGk=", "no base64!", None])
def test_what_is_neither_address_nor_base64_is_refused(phone: Phone, audio: str | None) -> None:
    answer = phone.post("message/sendWhatsAppAudio", number=CONTACT, **({"audio": audio} if audio else {}))
    message = ["Owned media must be a url, base64, or valid file with buffer"]
    assert (answer.status_code, answer.json()["response"]["message"]) == (400, message)


def test_the_converter_gets_a_form_with_the_key_and_only_its_audio_is_used(run: Run, alone: Alone) -> None:
    ogg = b"OggS and so on"
    content = b'{"audio":"%s","duration":99,"format":"ogg","url":"http://nowhere"}' % encoded(ogg).encode()
    with serving(200, content, "application/json") as converter:
        url = f"{converter.url}/process-audio"
        phone = paired(run(alone(), API_AUDIO_CONVERTER=url, API_AUDIO_CONVERTER_KEY="a-key"))
        sent = speak(phone, audio="aGk=")
        speak(phone, audio="https://example.com/a.mp3")
    assert [(path, headers["apikey"]) for path, headers, _ in converter.asked] == [("/process-audio", "a-key")] * 2
    assert all(headers["content-type"].startswith("multipart/form-data; boundary=") for _, headers, _ in converter.asked)
    assert [body.split(b"\r\n")[1] for _, _, body in converter.asked] == [
        b'Content-Disposition: form-data; name="base64"',
        b'Content-Disposition: form-data; name="url"',
    ]
    file = phone.post("chat/getBase64FromMediaMessage", message={"key": sent["key"]}).json()
    assert file["base64"] == encoded(ogg)
    assert sent["message"]["audioMessage"]["seconds"] != 99


@pytest.mark.parametrize(
    ("status", "content", "expected"),
    [
        (401, b'{"error":"Invalid API_KEY"}', (401, "Request failed with status code 401")),
        (400, b'{"error":"illegal base64 data"}', (400, "Request failed with status code 400")),
        (500, b"", (500, "Request failed with status code 500")),
        (200, b'{"url":"http://s3/a.ogg","duration":2}', (500, ["Failed to convert audio"])),
        (200, b"no json", (500, ["Failed to convert audio"])),
    ],
)
def test_what_the_converter_answers_other_than_audio_becomes_the_senders_error(
    run: Run, alone: Alone, status: int, content: bytes, expected: tuple[int, object]
) -> None:
    with serving(status, content, "application/json") as converter:
        phone = paired(run(alone(), API_AUDIO_CONVERTER=f"{converter.url}/process-audio"))
        answer = phone.post("message/sendWhatsAppAudio", number=CONTACT, audio="aGk=")
    assert (answer.status_code, answer.json()["response"]["message"]) == expected
    assert answer.json()["error"] == "Internal Server Error", "axios' error has no name that 2.2.3 would show"
    assert phone.found() == []


def test_a_converter_that_is_down_is_named_by_its_address_and_asked_before_the_phone(run: Run, alone: Alone, closed_port: int) -> None:
    process = run(alone(), API_AUDIO_CONVERTER=f"http://127.0.0.1:{closed_port}/process-audio")
    phone = paired(process)
    assert refusal(phone, b"hi") == (500, f"connect ECONNREFUSED 127.0.0.1:{closed_port}")
    unpaired = Phone(process, str(process.create()["instance"]["instanceName"]))
    assert refusal(unpaired, b"hi") == (500, f"connect ECONNREFUSED 127.0.0.1:{closed_port}")


def test_a_broken_recording_is_the_converters_500(phone: Phone) -> None:
    assert refusal(phone, b"this is no audio") == (500, "Request failed with status code 500")


def test_the_converter_fails_on_demand(phone: Phone) -> None:
    def fault(converter: str | None) -> None:
        phone.call("PUT", "/simulator/faults", {"converter": converter}).raise_for_status()

    try:
        fault("refuse")
        assert refusal(phone, wav(1)) == (401, "Request failed with status code 401")
        fault("down")
        status, message = refusal(phone, wav(1))
        assert (status, message[:21]) == (500, "connect ECONNREFUSED ")
        heard = phone.receive(voice={"base64": encoded(wav(1))})
        assert heard["media"]["mimetype"] == VOICE, "what a contact records is no business of Evolution's"
    finally:
        fault(None)
    speak(phone, audio=encoded(wav(1)))


def test_without_a_converter_only_ogg_is_taken(run: Run, alone: Alone) -> None:
    phone = paired(run(alone()))
    assert refusal(phone, wav(1)) == (500, ["Failed to convert audio"])
    assert "API_AUDIO_CONVERTER is not set" in phone.process.output()
    speak(phone, audio=encoded(b"OggS and so on"))


def test_what_a_contact_records_arrives_as_a_phone_would_send_it(phone: Phone, broker: Broker, tmp_path: Path) -> None:
    heard = hear(broker, phone)
    phone.receive(voice={"base64": encoded(wav(2))})
    message = heard.wait_for("messages.upsert")["message"]
    assert (message["audioMessage"]["mimetype"], message["audioMessage"]["ptt"]) == (VOICE, True)
    assert abs(decoded_seconds(httpx.get(message["mediaUrl"]).content, tmp_path) - 2) < 0.1


def test_what_a_contact_records_stays_as_it_is_without_a_converter(run: Run, alone: Alone) -> None:
    phone = paired(run(alone()))
    assert phone.receive(voice={"base64": encoded(wav(1))})["media"]["mimetype"] == "audio/wav"


def test_the_length_of_a_wav_is_read_and_of_the_unknown_is_not() -> None:
    assert seconds_of(wav(2.9)) == 2
    assert seconds_of(b"OggS") == 0
    assert seconds_of(b"ID3 and so on") is None
