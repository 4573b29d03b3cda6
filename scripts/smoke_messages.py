"""The steps of the smoke test that need an instance: messages in both directions, and a voice message through the converter."""

import asyncio
import base64
import io
import math
import struct
import wave
from typing import Any

import httpx
from sqlalchemy import text

from scripts.smoke_trial import Step, StepFailedError, StepSkippedError, Trial
from src.database import DatabaseError, create_engine, explain
from src.evolution import InstanceNotConnectedError
from src.faults import Fault, State

_OWN_NUMBER = "5511988880000"
_CONTACT = "5511977776666"
_OGG = b"OggS"

INSTANCE = "it makes an instance"
PHONE = "a phone is paired with it"


async def _makes_an_instance(trial: Trial) -> str:
    trial.made = True
    await trial.ask("POST", "/instances", {"name": trial.name})
    return trial.name


async def _reaches_the_converter(trial: Trial) -> str:
    """Try a voice message before there is a phone: Evolution API calls the converter first, and its errors fail the step."""
    try:
        await trial.evolution.send_voice(trial.name, {"number": _CONTACT, "audio": base64.b64encode(_tone()).decode()})
    except InstanceNotConnectedError:
        return "it converts, and then misses the phone"
    raise StepFailedError(_unconverted("it was sent, although no phone is paired"))


async def _pairs_a_phone(trial: Trial) -> str:
    if not await trial.is_simulated():
        raise StepSkippedError("this is no simulator: somebody would have to scan a QR code with a phone")
    await trial.as_phone("POST", f"/instances/{trial.name}/pair", {"number": _OWN_NUMBER, "profileName": "Smoke test"})

    async def is_open() -> bool:
        return bool((await trial.ask("GET", f"/instances/{trial.name}/state"))["state"] == "open")

    await trial.until(is_open, lambda: _late("the instance did not open", "look at the log of the service evolution-api."))
    return "a simulated one: nothing reaches WhatsApp"


async def _sends_a_text(trial: Trial) -> str:
    message = await _send(trial, {"type": "text", "text": "smoke test"})
    behaviour = await trial.as_phone("GET", "/settings")
    wanted = {"delivered", "read"} if behaviour.get("autoDeliver", True) else {"sent", "delivered", "read"}
    return str((await _reaches(trial, message["id"], wanted))["state"])


async def _receives_a_text(trial: Trial) -> str:
    words = f"hello, {trial.name}"
    await trial.as_phone("POST", f"/instances/{trial.name}/messages", {"from": _CONTACT, "pushName": "Smoke test", "text": words})

    async def is_there() -> bool:
        page = await trial.ask("GET", f"/messages?instance={trial.name}&direction=inbound")
        return any(each["text"] == words for each in page["items"])

    mend = "see at /health/ready whether events come; look at the logs of the services app, rabbitmq and evolution-api."
    await trial.until(is_there, lambda: _late("a message was written to the phone, and no event of it was stored", mend))
    return "by its event"


async def _converts_a_voice_message(trial: Trial) -> str:
    message = await _send(trial, {"type": "voice", "audio": base64.b64encode(_tone()).decode()})
    sent = await _reaches(trial, message["id"], {"sent", "delivered", "read"})
    media: dict[str, Any] = sent["media"] or {}
    mimetype = media.get("mimetype") or "nothing"
    if not mimetype.startswith("audio/ogg"):
        raise StepFailedError(_unconverted(f"WhatsApp was given {mimetype}"))
    if url := media.get("url"):
        async with httpx.AsyncClient(timeout=10, trust_env=False) as minio:
            stored = await minio.get(url)
        if not stored.content.startswith(_OGG):
            raise StepFailedError(_unconverted(f"MinIO answered {stored.status_code} with something else than Ogg"))
    return f"WAV became {mimetype}"


async def _send(trial: Trial, message: dict[str, Any]) -> dict[str, Any]:
    stored: dict[str, Any] = await trial.ask("POST", "/messages", {"instance": trial.name, "to": _CONTACT, **message})
    return stored


async def _reaches(trial: Trial, message_id: str, wanted: set[str]) -> dict[str, Any]:
    """Wait for a state; fail with the message's own problem when it fails, or waits for something."""
    last: dict[str, Any] = {}

    async def look() -> dict[str, Any] | None:
        last.update(await trial.ask("GET", f"/messages/{message_id}"))
        if last["state"] == "failed":
            raise StepFailedError(_stuck(last))
        return last if last["state"] in wanted else None

    found: dict[str, Any] = await trial.until(look, lambda: _stuck(last))
    return found


def _stuck(message: dict[str, Any]) -> Fault:
    if problem := message.get("problem"):
        return Fault(State.UNEXPECTED_ANSWER, f"The message is {message['state']}: {problem['detail']}", problem["mend"])
    mend = "look at the log of the service app; see at /health/ready whether events come."
    return _late(f"the message stayed {message.get('state', 'unknown')}", mend)


def _late(what: str, mend: str) -> Fault:
    return Fault(State.TIMEOUT, f"In time, {what}.", mend)


def _unconverted(what: str) -> Fault:
    return Fault(
        State.UNEXPECTED_ANSWER,
        f"The voice message was not converted to Ogg/Opus: {what}.",
        "see that API_AUDIO_CONVERTER is http://audio-converter:4040/process-audio, and look at the log of the service audio-converter.",
    )


def _tone() -> bytes:
    """Make a second of sound, as WAV, which WhatsApp does not take for a voice message."""
    rate = 8000
    samples = (int(8000 * math.sin(2 * math.pi * 440 * number / rate)) for number in range(rate))
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return file.getvalue()


async def clean_up(trial: Trial) -> str:
    """Remove the instance, and then the rows that it leaves: messages outlive their instance."""
    await trial.ask("DELETE", f"/instances/{trial.name}")
    trial.made = False
    await asyncio.sleep(1)  # the last events of it are on their way
    engine = create_engine(trial.settings)
    try:
        async with engine.begin() as connection:
            for table in ("messages", "receipts", "connection_changes", "caught_up"):
                await connection.execute(text(f"DELETE FROM {table} WHERE instance = :name"), {"name": trial.name})  # noqa: S608
    except DatabaseError as error:
        raise StepFailedError(explain(error, trial.settings)) from None
    finally:
        await engine.dispose()
    return "with its messages"


MESSAGE_STEPS = (
    Step(INSTANCE, _makes_an_instance),
    Step("Evolution API reaches the audio converter", _reaches_the_converter, needs=(INSTANCE,)),
    Step(PHONE, _pairs_a_phone, needs=(INSTANCE,)),
    Step("it sends a text, and hears that it was delivered", _sends_a_text, needs=(PHONE,)),
    Step("it receives a text", _receives_a_text, needs=(PHONE,)),
    Step("the audio converter makes a voice message", _converts_a_voice_message, needs=(PHONE,)),
    Step("it removes the instance", clean_up, needs=(INSTANCE,)),
)
