"""Makes an honest error of an answer of Evolution API 2.2.3.

Its own statuses say little: a converter's 401 comes as its own, an instance that isn't connected is a 500, and what fails while a
message is being sent is a 400 like a refusal. So the texts decide; they are those of its source at tag 2.2.3 and of what was seen
while it ran.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

import httpx

from src.evolution import errors
from src.evolution.errors import EvolutionError, Outcome

TEXT_LIMIT = 300
SMALL_BYTES = 4096
"""A success that hides a failure is smaller than that; most others needn't be read twice."""
_NO_REASON = "it gave no reason"
"""In place of what JavaScript makes of an object that is taken for a text."""
_VOICE_PATH = "/message/sendWhatsAppAudio/"
_MEDIA_PATH = "/message/sendMedia/"

_UNKNOWN_INSTANCE = re.compile(r'The ".*" instance does not exist|Instance ".*" not found')
_NAME_TAKEN = re.compile(r'This name ".*" is already in use')
_NO_SOCKET = re.compile(r"of undefined \(reading '(onWhatsApp|waUploadToServer|sendPresenceUpdate|sendMessage|user|ws)'\)")
"""What JavaScript says when Evolution uses the connection of an instance that has none."""
_NO_GROUP = re.compile(r"of undefined \(reading 'id'\)")
_TO_GROUP = re.compile(rb'"number": ?"[^"]*@g\.us"')
_SOCKET_CLOSED = re.compile(r"Connection (Closed|Terminated|Failure|was lost)")
_NOT_CONNECTED = re.compile(r"instance is not connected")
_UPSTREAM_STATUS = re.compile(r"Request failed with status code (\d{3})")
_NO_CONNECTION = re.compile(r"\b(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH)\b")
_BROKEN_OFF = re.compile(r"\b(ECONNRESET|EPIPE|socket hang up)\b")
_DATABASE_FAILED = re.compile(r"Invalid `[^`]*` invocation.*\n([^\n]+)\s*\Z", re.DOTALL)
"""What Prisma says: where in Evolution's code it was called, lines of that code, and at last the reason."""
_EXCEPTION = re.compile(r"^(?:[A-Z]\w*)?(?:Error|Exception): ")
_NO_CONVERTER_THERE = {httpx.codes.NOT_FOUND, httpx.codes.BAD_GATEWAY, httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.GATEWAY_TIMEOUT}
_CONNECT_MEND = "connect the instance: GET /instances/{name}/qr shows the code to scan with the phone."
_CONVERTER_MEND = "see that the service audio-converter is up, and look at its log."
_CONVERTER_KEY_MEND = "bring the stack up again: AUDIO_CONVERTER_API_KEY goes to audio-converter and to evolution-api."


@dataclass(frozen=True)
class _Envelope:
    """What an error body says: `{"status", "error", "response": {"message"}}`, whose message is a text or nested arrays of texts."""

    message: Any
    text: str

    @property
    def is_validation(self) -> bool:
        """Whether it lists what a JSON schema misses: such a list is an array in an array."""
        return isinstance(self.message, list) and any(isinstance(part, list) for part in self.message)

    @property
    def unknown_number(self) -> str | None:
        """The number, or JID, that WhatsApp doesn't know, where that is what it says."""
        for part in self.message if isinstance(self.message, list) else []:
            if isinstance(part, dict) and part.get("exists") is False:
                return str(part.get("number") or part.get("jid"))
        return None


def diagnose(answer: httpx.Response) -> EvolutionError:
    """Return the error that an answer means; for one that isn't a success, or says that it failed."""
    envelope = _envelope(answer)
    if envelope is None:
        return errors.UnexpectedAnswerError(errors.unexpected(answer, start_of(answer)))
    if _is_by(answer, _VOICE_PATH) and (error := _voice(answer, envelope.text)):
        return error
    if error := _instance(answer, envelope.text):
        return error
    if error := _group(answer, envelope.text):
        return error
    if answer.status_code == httpx.codes.UNAUTHORIZED and envelope.text == "Unauthorized":
        return errors.KeyRefusedError(errors.key_refused(_base(answer)))
    if answer.status_code == httpx.codes.BAD_REQUEST:
        return _bad_request(answer, envelope)
    if answer.is_success or answer.is_server_error:
        return _server_error(answer, envelope.text)
    return errors.UnexpectedAnswerError(errors.unexpected(answer, envelope.text))


def says_error(answer: httpx.Response) -> bool:
    """Whether a successful status hides a failure: `{"error": true, "message": ...}`."""
    content = _json(answer) if len(answer.content) < SMALL_BYTES else None
    return isinstance(content, dict) and content.get("error") is True


def start_of(answer: httpx.Response) -> str:
    """Return the start of a body that can't be read as what it should be."""
    text = " ".join(answer.text.split())
    return text[:TEXT_LIMIT] or "an empty body"


def _voice(answer: httpx.Response, text: str) -> EvolutionError | None:
    """Tell the audio converter's errors, which Evolution hands on with the converter's own status, or 500 when it has none."""
    if upstream := _UPSTREAM_STATUS.search(text):
        status = int(upstream[1])
        if status == httpx.codes.UNAUTHORIZED:
            return errors.ConverterRefusedKeyError(
                errors.failed(answer, f"the audio converter refused the key that Evolution API sends ({text})", _CONVERTER_KEY_MEND)
            )
        if status in _NO_CONVERTER_THERE:
            return errors.ConverterUnavailableError(
                errors.failed(answer, f"the audio converter is not at its address ({text})", _CONVERTER_MEND)
            )
        what = f"the audio converter could not convert what it got ({text})"
        return errors.ConversionFailedError(errors.failed(answer, what, "send a sound file that ffmpeg can read."))
    if "Failed to convert audio" in text or "ffmpeg exited" in text:
        return errors.ConversionFailedError(errors.failed(answer, text, "send a sound file that ffmpeg can read."))
    if answer.is_server_error and _BROKEN_OFF.search(text):
        what = f"the audio converter broke off while it was at the file ({text})"
        return errors.ConverterBrokeOffError(errors.failed(answer, what, _CONVERTER_MEND))
    if answer.is_server_error and _NO_CONNECTION.search(text):
        what = f"Evolution API could not reach the audio converter ({text})"
        return errors.ConverterUnavailableError(errors.failed(answer, what, _CONVERTER_MEND))
    return None


def _instance(answer: httpx.Response, text: str) -> EvolutionError | None:
    """Tell what is wrong with the instance that the call is for."""
    if answer.status_code == httpx.codes.NOT_FOUND and _UNKNOWN_INSTANCE.search(text):
        mend = "create the instance, or use one that GET /instances lists."
        return errors.InstanceUnknownError(errors.failed(answer, text, mend))
    if answer.status_code == httpx.codes.FORBIDDEN and _NAME_TAKEN.search(text):
        return errors.NameTakenError(errors.failed(answer, text, "use another name."))
    if _NO_SOCKET.search(text) or _NOT_CONNECTED.search(text):
        what = f"the instance is not connected to WhatsApp ({text})"
        return errors.InstanceNotConnectedError(errors.failed(answer, what, _CONNECT_MEND))
    if _SOCKET_CLOSED.search(text):
        # Before the sending itself it is a 500; a 400 comes from within it, where the message may have left already.
        outcome = Outcome.UNKNOWN if answer.status_code == httpx.codes.BAD_REQUEST else Outcome.NOT_DONE
        what = f"the instance lost its connection to WhatsApp ({text})"
        return errors.InstanceNotConnectedError(errors.failed(answer, what, _CONNECT_MEND), outcome)
    return None


def _group(answer: httpx.Response, text: str) -> EvolutionError | None:
    """Tell that a group can't be found, which Evolution looks for before it sends: first at WhatsApp, then in its own cache."""
    is_refused = answer.status_code == httpx.codes.BAD_REQUEST and text == _NO_REASON
    is_missing = is_refused or (answer.is_server_error and _NO_GROUP.search(text))
    if not is_missing or not _TO_GROUP.search(answer.request.content):
        return None
    mend = "see that the instance is connected, and that its account is a member of the group."
    return errors.GroupUnavailableError(errors.failed(answer, f"there is no such group for the instance ({text})", mend))


def _bad_request(answer: httpx.Response, envelope: _Envelope) -> EvolutionError:
    if number := envelope.unknown_number:
        return errors.NumberNotOnWhatsAppError(
            errors.failed(answer, f"{number} is not on WhatsApp", "see that the number is complete, with its country code.")
        )
    # Evolution answers 400 for whatever is thrown while it sends, also by its database after WhatsApp has taken the message.
    if _EXCEPTION.match(envelope.text) and not envelope.is_validation:
        return errors.EvolutionFailedError(errors.failed(answer, envelope.text))
    return errors.RefusedError(errors.failed(answer, envelope.text, "send what Evolution API 2.2.3 accepts."))


def _server_error(answer: httpx.Response, text: str) -> EvolutionError:
    if _is_by(answer, _MEDIA_PATH) and text.startswith("AxiosError: "):
        what = f"Evolution API could not fetch the media ({text})"
        return errors.MediaUnavailableError(
            errors.failed(answer, what, "see that evolution-api can reach the URL, or send the bytes in base64.")
        )
    return errors.EvolutionFailedError(errors.failed(answer, text))


def _envelope(answer: httpx.Response) -> _Envelope | None:
    content = _json(answer)
    if not isinstance(content, dict):
        return None
    inner = content.get("response")
    if isinstance(inner, dict) and "message" in inner:
        return _Envelope(inner["message"], _flat(inner["message"]))
    if content.get("error") is True:  # the form of a failure that comes with 200
        text = _flat(content.get("message"))
        return _Envelope(text, text)
    return None


def _json(answer: httpx.Response) -> Any:  # noqa: ANN401  # whatever was answered
    try:
        return answer.json()
    except ValueError:
        return None


def _flat(message: Any) -> str:  # noqa: ANN401  # texts, in any nesting of arrays
    """Join all texts of a message into one."""
    if isinstance(message, list):
        parts = [_flat(part) for part in message]
        return "; ".join(part for part in parts if part)[:TEXT_LIMIT]
    text = message if isinstance(message, str) else json.dumps(message, ensure_ascii=False)
    if text == "[object Object]":
        return _NO_REASON
    text = _DATABASE_FAILED.sub(r"its database failed: \1", text)
    # A validation's subject is always called "instance", which means something else here.
    return " ".join(text.split()).removeprefix("instance ").removeprefix("instance.")[:TEXT_LIMIT]


def _is_by(answer: httpx.Response, path: str) -> bool:
    return path in answer.request.url.path


def _base(answer: httpx.Response) -> str:
    return str(answer.request.url.copy_with(raw_path=b"/")).rstrip("/")
