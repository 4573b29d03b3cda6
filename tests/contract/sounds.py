"""Sounds to send, and what became of them."""

import io
import math
import re
import struct
import subprocess
import wave

import imageio_ffmpeg

_RATE = 8000


def wav(seconds: float) -> bytes:
    """A tone, as a WAV file."""
    samples = (int(8000 * math.sin(2 * math.pi * 440 * each / _RATE)) for each in range(int(_RATE * seconds)))
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(_RATE)
        writer.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return file.getvalue()


def decoded(sound: bytes) -> tuple[str, float]:
    """The container format and codec that ffmpeg sees in a file, and how many seconds it decodes from it."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-i", "pipe:0", "-f", "s16le", "-ac", "1", "-ar", str(_RATE), "pipe:1"]
    ran = subprocess.run(command, input=sound, capture_output=True, check=False)
    told = ran.stderr.decode(errors="replace")
    assert ran.returncode == 0, f"ffmpeg can't decode it:\n{told}"
    found = re.search(r"Input #0, (\S+),.*?Audio: (\w+)", told, re.DOTALL)
    assert found, f"ffmpeg sees no sound in it:\n{told}"
    return f"{found[1]}/{found[2]}", len(ran.stdout) / 2 / _RATE
