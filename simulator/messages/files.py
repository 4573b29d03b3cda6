"""What a media file is: its name's ending, its type, its size on screen, its length in seconds."""

import mimetypes
import struct

_OFFICE = "application/vnd.openxmlformats-officedocument."
_ENDINGS = {
    "application/msword": "doc",
    "application/vnd.ms-excel": "xls",
    "application/vnd.ms-powerpoint": "ppt",
    "application/vnd.oasis.opendocument.text": "odt",
    f"{_OFFICE}presentationml.presentation": "pptx",
    f"{_OFFICE}spreadsheetml.sheet": "xlsx",
    f"{_OFFICE}wordprocessingml.document": "docx",
    "application/x-7z-compressed": "7z",
    "application/vnd.rar": "rar",
    "audio/amr": "amr",
    "image/heic": "heic",
    "video/3gpp": "3gp",
    "video/x-matroska": "mkv",
    "application/json": "json",
    "application/octet-stream": "bin",
    "application/pdf": "pdf",
    "application/xml": "xml",
    "application/zip": "zip",
    "audio/aac": "aac",
    "audio/mp4": "m4a",
    "audio/mpeg": "mpga",
    "audio/ogg": "oga",
    "audio/wav": "wav",
    "audio/webm": "weba",
    "image/gif": "gif",
    "image/jpeg": "jpeg",
    "image/png": "png",
    "image/svg+xml": "svg",
    "image/webp": "webp",
    "text/csv": "csv",
    "text/html": "html",
    "text/plain": "txt",
    "video/mp4": "mp4",
    "video/ogg": "ogv",
    "video/quicktime": "mov",
    "video/webm": "webm",
}
"""The first ending of each type in npm's `mime-db`, which 2.2.3 asks; for other types Python is asked, not the machine's own lists."""

_OTHERS = mimetypes.MimeTypes()

_TYPES = {ending: kind for kind, ending in _ENDINGS.items()} | {
    "jpg": "image/jpeg",
    "mp3": "audio/mpeg",
    "ogg": "audio/ogg",
    "opus": "audio/ogg",
    "htm": "text/html",
}

VOICE = "audio/ogg; codecs=opus"
"""The type that every voice message is given, whatever it holds."""

_OPUS_HZ = 48000
_OGG_HEADER = 27
_JPEG_SIZES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})


def ending_of(mimetype: str) -> str:
    """Give the ending for a type, `false` for an unknown one: JavaScript writes its absence so into a file's name."""
    kind = mimetype.partition(";")[0].strip().lower()
    return _ENDINGS.get(kind) or (_OTHERS.guess_extension(kind, strict=False) or ".false")[1:]


def type_of(file_name: str | None) -> str | None:
    """Give the type that a file's name says."""
    ending = (file_name or "").rpartition(".")[2].lower()
    return _TYPES.get(ending) or _OTHERS.guess_type(f"a.{ending}", strict=False)[0]


def sniffed(content: bytes) -> str | None:
    """Give the type of a recording by its first bytes."""
    if content.startswith(b"OggS"):
        return VOICE
    if content.startswith(b"\x1a\x45\xdf\xa3"):
        return "audio/webm"
    if content.startswith(b"RIFF"):
        return "audio/wav"
    if content.startswith(b"ID3") or content[:1] == b"\xff":
        return "audio/mpeg"
    return "audio/mp4" if content[4:8] == b"ftyp" else None


def seconds_of(content: bytes) -> int | None:
    """Give the length of an Ogg/Opus or WAV recording in whole seconds; None for anything else."""
    if content.startswith(b"OggS"):
        return _ogg_seconds(content)
    if content.startswith(b"RIFF") and content[8:12] == b"WAVE":
        return _wav_seconds(content)
    return None


def _ogg_seconds(content: bytes) -> int:
    """Read the last page's position, less what a decoder skips."""
    last = content.rfind(b"OggS")
    head = content.find(b"OpusHead")
    if last + _OGG_HEADER > len(content) or head < 0 or head + 12 > len(content):
        return 0
    (position,) = struct.unpack_from("<q", content, last + 6)
    (skipped,) = struct.unpack_from("<H", content, head + 10)
    return int(max(position - skipped, 0) // _OPUS_HZ)


def _wav_seconds(content: bytes) -> int:
    data = content.find(b"data")
    if len(content) < 32 or data < 0:
        return 0
    (bytes_per_second,) = struct.unpack_from("<I", content, 28)
    return int((len(content) - data - 8) // bytes_per_second) if bytes_per_second else 0


def size_of(content: bytes) -> tuple[int, int] | None:
    """Give the width and the height of a PNG, GIF or JPEG in pixels; None for anything else."""
    if content.startswith(b"\x89PNG\r\n\x1a\n") and len(content) >= 24:
        width, height = struct.unpack_from(">II", content, 16)
        return width, height
    if content.startswith(b"GIF8") and len(content) >= 10:
        width, height = struct.unpack_from("<HH", content, 6)
        return width, height
    return _jpeg_size(content) if content.startswith(b"\xff\xd8") else None


def _jpeg_size(content: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(content) and content[at] == 0xFF:
        if content[at + 1] in _JPEG_SIZES:
            height, width = struct.unpack_from(">HH", content, at + 5)
            return width, height
        (length,) = struct.unpack_from(">H", content, at + 2)
        at += 2 + length
    return None
