"""What a WhatsApp message holds, as far as it is kept: its kind, its text, and what its media are; never their bytes."""

import base64
from dataclasses import dataclass
from typing import Any

_MEDIA = {
    "imageMessage": "image",
    "videoMessage": "video",
    "ptvMessage": "video",
    "documentMessage": "document",
    "audioMessage": "audio",
    "stickerMessage": "image",
}
_WRAPPERS = (
    "ephemeralMessage",
    "viewOnceMessage",
    "viewOnceMessageV2",
    "viewOnceMessageV2Extension",
    "documentWithCaptionMessage",
    "deviceSentMessage",
)
_MOST_WRAPPERS = 4
_WORDS = (
    ("buttonsResponseMessage", "selectedDisplayText"),
    ("templateButtonReplyMessage", "selectedDisplayText"),
    ("listResponseMessage", "title"),
    ("reactionMessage", "text"),
    ("contactMessage", "displayName"),
    ("contactsArrayMessage", "displayName"),
    ("locationMessage", "name"),
    ("liveLocationMessage", "caption"),
    ("pollCreationMessage", "name"),
    ("pollCreationMessageV2", "name"),
    ("pollCreationMessageV3", "name"),
)
"""What can be read as a text of messages that are neither text nor media."""
_DIGEST_BYTES = 32


@dataclass(frozen=True)
class Content:
    """What is kept of a message's content.

    Attributes:
        type: text, media, voice or other, as in the table of messages.
        text: the text, or a caption; of another message what can be read as one.
        media: kind, mimetype, file_name, url and seconds, for media and voice; and the plain file's sha256, where it is known.
        whatsapp_type: Evolution's `messageType`.
    """

    type: str
    text: str | None = None
    media: dict[str, Any] | None = None
    whatsapp_type: str | None = None


def read_content(message: dict[str, Any], whatsapp_type: str | None) -> Content:
    """Read the `message` of an event; what isn't known is of type `other`."""
    inner = _unwrapped(message)
    text = _text(inner.get("conversation")) or _text(_part(inner, "extendedTextMessage").get("text"))
    if text is not None:
        return Content("text", text, whatsapp_type=whatsapp_type or "conversation")
    for name, kind in _MEDIA.items():
        if isinstance(part := inner.get(name), dict):
            is_voice = name == "audioMessage" and part.get("ptt") is True
            media = _media(kind, part, message.get("mediaUrl") or inner.get("mediaUrl"))
            return Content("voice" if is_voice else "media", _text(part.get("caption")), media, whatsapp_type or name)
    words = (_text(_part(inner, name).get(field)) for name, field in _WORDS)
    return Content("other", next(filter(None, words), None), whatsapp_type=whatsapp_type)


def is_edit(message: dict[str, Any]) -> bool:
    """Whether the `message` of an event changes another one: it has an id of its own, and WhatsApp shows it in the other's place."""
    return bool(_part(_unwrapped(message), "editedMessage"))


def clean(value: Any) -> Any:  # noqa: ANN401  # whatever the JSON held
    """Take from a text what Postgres can't store: NUL, and halves of characters that JavaScript cut in two."""
    if not isinstance(value, str):
        return value
    whole = value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return whole.replace("\0", "")


def _media(kind: str, part: dict[str, Any], url: object) -> dict[str, Any]:
    seconds = part.get("seconds")
    sha256 = _digest(part.get("fileSha256"))
    return {
        "kind": kind,
        "mimetype": _text(part.get("mimetype")),
        "file_name": _text(part.get("fileName")) or _text(part.get("title")),
        "url": _text(url),
        "seconds": seconds if isinstance(seconds, int) and not isinstance(seconds, bool) else None,
        **({"sha256": sha256} if sha256 else {}),
    }


def _digest(value: object) -> str | None:
    """Return a SHA-256 in hexadecimal: it comes as base64, or as JavaScript writes an array of bytes that it takes for an object."""
    try:
        if isinstance(value, str):
            digest = base64.b64decode(value, validate=True)
        elif isinstance(value, dict):
            digest = bytes(value[str(place)] for place in range(_DIGEST_BYTES))
        else:
            return None
    except (ValueError, KeyError, TypeError):
        return None
    return digest.hex() if len(digest) == _DIGEST_BYTES else None


def _unwrapped(message: dict[str, Any]) -> dict[str, Any]:
    for _ in range(_MOST_WRAPPERS):
        inner = next((found for name in _WRAPPERS if (found := _part(_part(message, name), "message"))), None)
        if inner is None:
            break
        message = inner
    return message


def _part(message: dict[str, Any], name: str) -> dict[str, Any]:
    part = message.get(name)
    return part if isinstance(part, dict) else {}


def _text(value: object) -> str | None:
    return clean(value) or None if isinstance(value, str) else None
