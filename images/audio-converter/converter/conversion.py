"""Running ffmpeg on one file."""

import asyncio
import os
import re
import tempfile
from dataclasses import dataclass
from typing import IO, Final

_FFMPEG: Final = "ffmpeg"

# The original's own settings. A name that is not here makes Ogg too, and is still named in the answer.
_OGG: Final = ("-ac", "1", "-ar", "16000", "-c:a", "libopus", "-f", "ogg")
_ARGUMENTS: Final = {
    "mp3": ("-ar", "44100", "-ac", "2", "-b:a", "128k", "-c:a", "libmp3lame", "-f", "mp3"),
    "mp4": ("-vn", "-c:a", "aac", "-b:a", "128k", "-f", "adts"),
}
_REPORTED_TIME: Final = re.compile(rb"time=(\d+):(\d+):(\d+(?:\.\d+)?)")
_LOG_BYTES: Final = 64 * 1024


class ConversionError(Exception):
    """ffmpeg could not convert the file; the text is the original's, with ffmpeg's own log."""


@dataclass(frozen=True)
class Converted:
    """A converted file.

    Attributes:
        file: a temporary file, positioned at its end; it goes away when it is closed.
        size: of the file in bytes.
        duration: of the audio in seconds, rounded. (The original gives one of ffmpeg's early reports, which is wrong for long files.)
    """

    file: IO[bytes]
    size: int
    duration: int


async def convert(source: IO[bytes], target_format: str) -> Converted:
    """Convert a file; being cancelled ends ffmpeg.

    Args:
        source: a real file (it is handed to ffmpeg as its standard input), read from its beginning.
        target_format: ogg, mp3 or mp4; another name means ogg.

    Raises:
        ConversionError: it holds nothing that ffmpeg can make audio of.
    """
    descriptor = source.fileno()  # before seek(0): a small upload lies in memory until it is asked for this
    source.seek(0)
    result = tempfile.TemporaryFile()  # noqa: SIM115 - handed on
    try:
        log = await _run_ffmpeg(descriptor, result.fileno(), _ARGUMENTS.get(target_format, _OGG))
        return Converted(result, result.seek(0, os.SEEK_END), _duration(log))
    except BaseException:
        result.close()
        raise


async def _run_ffmpeg(source: int, target: int, arguments: tuple[str, ...]) -> bytes:
    """Run ffmpeg from one file descriptor to another; returns what it logged."""
    # Through pipe:0 and pipe:1, as the original does: a file that needs seeking (some MP4) must fail here too.
    command = (_FFMPEG, "-hide_banner", "-i", "pipe:0", *arguments, "pipe:1")
    process = await asyncio.create_subprocess_exec(*command, stdin=source, stdout=target, stderr=asyncio.subprocess.PIPE)
    try:
        log = await _tail(process.stderr)
        status = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if status != 0:
        raise ConversionError(f"error during conversion: exit status {status}, details: {log.decode(errors='replace')}")
    return log


async def _tail(stream: asyncio.StreamReader | None) -> bytes:
    """What the stream says until its end, the last part of it when that is long."""
    log = b""
    while stream and (chunk := await stream.read(_LOG_BYTES)):
        log = (log + chunk)[-_LOG_BYTES:]
    return log


def _duration(log: bytes) -> int:
    """The last time that ffmpeg reported, in seconds: the whole length."""
    reports = _REPORTED_TIME.findall(log)
    if not reports:
        raise ConversionError("duração não encontrada")
    hours, minutes, seconds = reports[-1]
    return round(int(hours) * 3600 + int(minutes) * 60 + float(seconds))
