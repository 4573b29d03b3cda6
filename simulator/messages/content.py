"""What a message holds, in the form in which WhatsApp's own messages come out of 2.2.3 as JSON."""

import base64
import hashlib
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from simulator.messages.files import VOICE, ending_of, seconds_of, size_of, type_of
from simulator.messages.jids import jid_of

Json = dict[str, Any]

MEDIA_TYPES = ("imageMessage", "documentMessage", "audioMessage", "videoMessage", "stickerMessage", "ptvMessage")
"""In the order in which 2.2.3 looks for media in a message."""

DEFAULT_NAMES = {"image": "image.png", "video": "video.mp4"}
"""What files are called, and so taken for, when nobody says otherwise."""


@dataclass(frozen=True)
class Content:
    """What is said. `type` is the key under which `body` says it; `file` is the media itself, `context` what it answers to."""

    type: str
    body: Json
    context: Json | None = None
    file: bytes | None = None

    @property
    def json(self) -> Json:
        """The message as the API shows it. A new object each time: media messages get a `mediaUrl` later."""
        return dict(self.body)

    @property
    def media(self) -> Json:
        """The part that describes the media."""
        return dict(self.body[self.type])


def text(words: str) -> Content:
    """Say something."""
    return Content("conversation", {"conversation": words})


@dataclass(frozen=True)
class File:
    """A file to be sent, with what its sender says of it. `mimetype` is None where nobody can tell."""

    content: bytes
    mimetype: str | None = None
    name: str | None = None
    caption: str | None = None
    extra: Json = field(default_factory=dict)


def media(kind: str, file: File) -> Content:
    """Show an image, a video or a document, or let a sound be heard: `kind` is `mediatype` of the API."""
    mimetype = file.mimetype or type_of(file.name) or "false"  # as JavaScript writes that there is none
    described = _description(file.content, mimetype)
    if kind == "image":
        width, height = size_of(file.content) or (0, 0)
        described |= {"height": height, "width": width}
    if kind == "audio":
        described |= {"seconds": seconds_of(file.content) or 0}
    if kind == "video":
        described |= {"gifPlayback": False}
    if kind == "document" and file.name:
        described |= {"fileName": file.name}
    if file.caption is not None:
        described |= {"caption": file.caption}
    described |= {"contextInfo": {}, **file.extra}
    return Content(f"{kind}Message", {f"{kind}Message": described}, context={}, file=file.content)


def voice(recording: bytes, mimetype: str = VOICE) -> Content:
    """Speak: a recording that plays in the chat."""
    described = _description(recording, mimetype) | {"seconds": seconds_of(recording) or 0, "ptt": True, "waveform": _waveform(recording)}
    return Content("audioMessage", {"audioMessage": described}, file=recording)


def sticker(picture: bytes) -> Content:
    """Show a sticker. 2.2.3 makes a WebP of any picture; here it stays what it was, and is called one."""
    return Content("stickerMessage", {"stickerMessage": _description(picture, "image/webp")}, file=picture)


def location(latitude: float, longitude: float, name: str, address: str) -> Content:
    """Point to a place."""
    place = {"degreesLatitude": latitude, "degreesLongitude": longitude, "name": name, "address": address, "contextInfo": {}}
    return Content("locationMessage", {"locationMessage": place}, context={})


def contacts(given: list[Json]) -> Content:
    """Hand over one or several address cards."""
    cards = [{"displayName": each["fullName"], "vcard": _vcard(each)} for each in given]
    if len(cards) == 1:
        return Content("contactMessage", {"contactMessage": cards[0] | {"contextInfo": {}}}, context={})
    several = {"displayName": f"{len(cards)} contacts", "contacts": cards, "contextInfo": {}}
    return Content("contactsArrayMessage", {"contactsArrayMessage": several}, context={})


def reaction(key: Json, emoji: str) -> Content:
    """React to a message; an empty `emoji` takes the reaction back."""
    return Content(
        "reactionMessage", {"reactionMessage": {"key": key, "text": emoji, "senderTimestampMs": str(time.time_ns() // 1_000_000)}}
    )


def poll(name: str, selectable: int, values: list[str]) -> Content:
    """Ask for a choice."""
    asked = {"name": name, "options": [{"optionName": each} for each in values], "selectableOptionsCount": selectable}
    secret = {"messageSecret": random_base64(32)}
    kind = "pollCreationMessageV3" if selectable > 0 else "pollCreationMessage"
    return Content(kind, {"messageContextInfo": secret, kind: asked})


def new_key(jid: str) -> Json:
    """Make the key of a message of one's own, as 2.2.3 does."""
    return {"remoteJid": jid, "fromMe": True, "id": "3EB0" + secrets.token_hex(18).upper()}


def received_key(jid: str) -> Json:
    """Make the key of a message from an Android phone."""
    return {"remoteJid": jid, "fromMe": False, "id": secrets.token_hex(16).upper()}


def device_of(key_id: str) -> str:
    """Tell by a message's id on what it was written (`getDevice` of the library under 2.2.3)."""
    if len(key_id) == 20 and key_id.startswith("3A"):
        return "ios"
    if len(key_id) == 22 and key_id.startswith("3E"):
        return "web"
    if len(key_id) in {21, 32}:
        return "android"
    return "desktop" if key_id.startswith("3F") or len(key_id) == 18 else "unknown"


def random_base64(size: int) -> str:
    """Stand in for a key or a digest that only WhatsApp could make."""
    return base64.b64encode(secrets.token_bytes(size)).decode()


def file_name(key_id: str, described: Json) -> str:
    """Name a message's file: as its sender did, else after the message."""
    return str(described.get("fileName") or f"{key_id}.{ending_of(described['mimetype'])}")


def _description(content: bytes, mimetype: str) -> Json:
    """Describe a file. WhatsApp's own servers, where the real one is fetched from and decrypted, are not there: the URL leads nowhere."""
    path = f"/simulator/{secrets.token_urlsafe(24)}.enc"
    return {
        "url": f"https://mmg.whatsapp.net{path}",
        "mimetype": mimetype,
        "fileSha256": base64.b64encode(hashlib.sha256(content).digest()).decode(),
        "fileLength": str(len(content)),
        "mediaKey": random_base64(32),
        "fileEncSha256": random_base64(32),
        "directPath": path,
        "mediaKeyTimestamp": str(int(time.time())),
    }


def _waveform(recording: bytes) -> str:
    """Draw 64 bars from 0 to 99; of a compressed recording they only look like one."""
    step = max(len(recording) // 64, 1)
    return base64.b64encode(bytes(each % 100 for each in recording[::step][:64])).decode()


def _vcard(contact: Json) -> str:
    lines = ["BEGIN:VCARD", "VERSION:3.0", f"N:{contact['fullName']}", f"FN:{contact['fullName']}"]
    lines += [f"ORG:{contact['organization']};"] if contact.get("organization") else []
    lines += [f"{name.upper()}:{contact[name]}" for name in ("email", "url") if contact.get(name)]
    wuid = contact.get("wuid") or jid_of(contact["phoneNumber"])
    lines += [f"item1.TEL;waid={wuid}:{contact['phoneNumber']}", "item1.X-ABLabel:Celular", "END:VCARD"]
    return "\n".join(lines)


def summary(message: Json, message_type: str) -> str | None:
    """Say in a line what a message says, for the page; None where there are no words."""
    part = message.get(message_type)
    if message_type == "conversation":
        return str(part)
    if not isinstance(part, dict):
        return None
    if message_type == "locationMessage":
        return f"{part.get('name') or ''} {part.get('degreesLatitude')}, {part.get('degreesLongitude')}".strip()
    if message_type.startswith("pollCreationMessage"):
        return f"{part['name']}: " + " / ".join(each["optionName"] for each in part["options"])
    words = part.get("caption") or part.get("displayName") or part.get("text")
    return str(words) if words else None
