"""Voice messages through the audio converter, as 2.2.3 calls it: what it answers other than audio becomes the sender's error."""

import asyncio
import base64
import binascii
from http import HTTPStatus
from urllib.parse import urlsplit

import httpx

from simulator.errors import ApiError, internal_error
from simulator.faults import Faults
from simulator.journal import Journal

_OGG = b"OggS"
_MP4 = "mp4"


class AudioConverter:
    """The way to the converter. Without `API_AUDIO_CONVERTER` 2.2.3 uses an ffmpeg of its own, which isn't here."""

    def __init__(self, url: str, key: str, faults: Faults, journal: Journal) -> None:
        self._url = url
        self._key = key
        self._faults = faults
        self._journal = journal.named("ChannelStartupService")
        self._client = httpx.AsyncClient(timeout=None)  # noqa: S113  (axios has none either: long audio takes long)

    async def voice(self, source: str, *, is_url: bool) -> bytes:
        """Convert a recording, given by its address or in base64, to Ogg/Opus.

        Raises:
            ApiError: the converter's own status in an envelope (401 when it refuses the key); 500 when nobody answers or it gives no audio.
        """
        fault = self._faults.current.converter
        if fault == "refuse":
            raise _failed(HTTPStatus.UNAUTHORIZED)
        if fault == "down":
            raise await self._unreachable()
        if not self._url:
            return self._unconverted(source, is_url=is_url)
        return await self._convert({"url" if is_url else "base64": source})

    async def recorded(self, recording: bytes) -> bytes:
        """Convert what a simulated contact recorded, to what a phone would send. Faults don't touch it: it isn't Evolution that asks.

        Raises:
            ApiError: it can't be converted.
        """
        if not self._url:
            raise internal_error(["Failed to convert audio"])
        return await self._convert({"base64": base64.b64encode(recording).decode()})

    async def mp4(self, recording: bytes) -> bytes:
        """Convert a recording to MP4's sound (2.2.3 does that with its own ffmpeg).

        Raises:
            ApiError: as for `voice`.
        """
        if not self._url:
            raise internal_error(["Failed to convert audio"])
        return await self._convert({"base64": base64.b64encode(recording).decode(), "format": _MP4})

    async def _convert(self, fields: dict[str, str]) -> bytes:
        form = {name: (None, value) for name, value in fields.items()}
        try:
            answer = await self._client.post(self._url, files=form, headers={"apikey": self._key})
        except httpx.ConnectError:
            raise await self._unreachable() from None
        except httpx.HTTPError as error:
            raise internal_error(str(error) or "socket hang up") from None
        if not answer.is_success:
            raise _failed(answer.status_code)
        return _audio(answer)

    async def _unreachable(self) -> ApiError:
        """Say so as node does, by address."""
        parts = urlsplit(self._url)
        host, port = parts.hostname or "localhost", parts.port or (443 if parts.scheme == "https" else 80)
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port)
        except OSError:
            return internal_error(f"getaddrinfo ENOTFOUND {host}")
        return internal_error(f"connect ECONNREFUSED {found[0][4][0]}:{port}")

    def _unconverted(self, source: str, *, is_url: bool) -> bytes:
        """Take what is Ogg already, as nothing here can make it so."""
        recording = b"" if is_url else _decoded(source)
        if recording.startswith(_OGG):
            return recording
        self._journal.error("API_AUDIO_CONVERTER is not set, and the simulator has no ffmpeg of its own: it only takes Ogg/Opus in base64")
        raise internal_error(["Failed to convert audio"])


def _failed(status: int) -> ApiError:
    """Fail as an axios error does when it passes through: it brings its status along, and a message that is no list."""
    return ApiError(status, "Internal Server Error", f"Request failed with status code {int(status)}")


def _audio(answer: httpx.Response) -> bytes:
    """Take `audio` out of the answer, and nothing else."""
    try:
        content = answer.json()
    except ValueError:
        content = None
    audio = content.get("audio") if isinstance(content, dict) else None
    if not isinstance(audio, str) or not audio:
        raise internal_error(["Failed to convert audio"])
    return _decoded(audio)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError):
        raise internal_error(["Failed to convert audio"]) from None
