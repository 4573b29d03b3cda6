"""What simulated contacts write to an instance: it arrives at once, or when the instance is back."""

import base64
import binascii
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from posixpath import join
from typing import Any

from simulator.audio import AudioConverter
from simulator.errors import ApiError, bad_request
from simulator.events.bus import Events
from simulator.instance import Instance
from simulator.media import Media
from simulator.messages import content as contents
from simulator.messages.contacts import Contacts
from simulator.messages.content import Content, File
from simulator.messages.files import VOICE, sniffed, type_of
from simulator.messages.hub import Hub
from simulator.messages.jids import jid_of, number_of
from simulator.messages.sending import with_base64
from simulator.messages.store import DELIVERY_ACK, Message, MessageStore, StoredFile, composed
from simulator.messages.transfer import stored
from simulator.messages.view import shown
from simulator.preferences import Preferences

_KINDS = ("image", "video", "audio")
_LONGEST_NAME = 100


@dataclass(frozen=True)
class Receiver:
    """Takes what contacts write. `save_messages` and `save_contacts` are what Evolution stores."""

    store: MessageStore
    contacts: Contacts
    preferences: Preferences
    media: Media
    audio: AudioConverter
    events: Events
    hub: Hub
    save_messages: bool
    save_contacts: bool

    async def write(self, instance: Instance, body: Mapping[str, Any]) -> Message:
        """Let a contact write: `from` says who, `text`, `media` or `voice` what.

        Raises:
            ApiError: 400; the body isn't that.
        """
        if not isinstance(body.get("from"), str) or not self.contacts.on_whatsapp(jid_of(body["from"])):
            raise bad_request("from must be a number that is on WhatsApp, as a string: see unknownNumbers and 999 in the settings")
        jid = jid_of(body["from"])
        if jid == instance.wuid:
            raise bad_request("from is the instance's own number: somebody else has to write")
        content = await self._content(body)
        name: object = body.get("pushName") or await self.contacts.name_of(instance.id, jid) or number_of(jid)
        if not isinstance(name, str) or len(name) > _LONGEST_NAME:
            raise bad_request(f"pushName must be a string of at most {_LONGEST_NAME} characters")
        key, now = contents.received_key(jid), int(time.time())
        secret = {"messageContextInfo": {"deviceListMetadataVersion": 2, "messageSecret": contents.random_base64(32)}}
        content = replace(content, body={**content.body, **secret})
        message = composed(instance.id, key, content, push_name=name, timestamp=now, status=DELIVERY_ACK, saved=self.save_messages)
        if instance.state != "open":
            file = StoredFile(content.type, content.media["mimetype"], content.file) if content.file is not None else None
            message = replace(message, held=True)
            await self.store.insert(message, file)
        else:
            message, file = await self._uploaded(message, content)
            await self.store.insert(message, file)
            await self._arrived(instance, message, content)
        self.hub.tell("message", instance.name, jid=jid, message=shown(message))
        return message

    async def release(self, instance: Instance) -> None:
        """Let arrive what waited for the instance."""
        for waiting in await self.store.held(instance.id):
            file = await self.store.file(instance.id, waiting.key_id)
            content = Content(waiting.message_type, waiting.message, waiting.context_info, file.content if file else None)
            message, uploaded = await self._uploaded(replace(waiting, held=False), content)
            await self.store.released(message, uploaded.object if uploaded else None)
            await self._arrived(instance, message, content)
            self.hub.tell("message", instance.name, jid=message.remote_jid, message=shown(message))

    async def _uploaded(self, message: Message, content: Content) -> tuple[Message, StoredFile | None]:
        """Put a message's file into MinIO: for received ones the path doesn't hold the message's id."""
        folder = join(message.instance_id, message.remote_jid)
        file, url = await stored(self.media, content, folder, message.key_id, upload=message.saved)
        return (replace(message, message={**message.message, "mediaUrl": url}) if url else message), file

    async def _arrived(self, instance: Instance, message: Message, content: Content) -> None:
        """Do what 2.2.3 does with a message that came: tell of it, and of who wrote."""
        self.events.emit(instance, "messages.upsert", with_base64(instance, message.raw, content))
        self.events.emit(instance, "chats.update", [{"remoteJid": message.remote_jid, "instanceId": instance.id}])
        name = message.push_name or number_of(message.remote_jid)
        known = await self.contacts.wrote(instance.id, message.remote_jid, name, saved=self.save_contacts)
        contact = {"remoteJid": message.remote_jid, "pushName": name, "profilePicUrl": None, "instanceId": instance.id}
        self.events.emit(instance, "contacts.update" if known else "contacts.upsert", contact)
        settings = await self.preferences.settings(instance.id)
        if settings and settings["readMessages"]:
            await self.read(instance, [message.key_id])

    async def read(self, instance: Instance, key_ids: list[str]) -> None:
        """Let the contacts see that the instance read their messages."""
        for message in await self.store.see(instance.id, key_ids):
            self.hub.tell("message", instance.name, jid=message.remote_jid, message=shown(message))

    async def _content(self, body: Mapping[str, Any]) -> Content:
        said = [name for name in ("text", "media", "voice") if body.get(name)]
        if len(said) != 1:
            raise bad_request("say exactly one of text, media and voice")
        if said == ["text"]:
            if not isinstance(body["text"], str):
                raise bad_request("text must be a string")
            return contents.text(body["text"])
        given = body[said[0]]
        if not isinstance(given, dict):
            raise bad_request(f'{said[0]} must be an object: {{"base64": ...}}')
        recording = _bytes(given.get("base64"), said[0])
        return await self._voice(recording) if said == ["voice"] else contents.media(*_described(recording, given))

    async def _voice(self, recording: bytes) -> Content:
        """Speak as a phone does, in Ogg/Opus: what a browser records in another form is converted, where there is a converter."""
        mimetype = sniffed(recording)
        if mimetype != VOICE:
            try:
                return contents.voice(await self.audio.recorded(recording))
            except ApiError:
                return contents.voice(recording, mimetype or "application/octet-stream")
        return contents.voice(recording)


def _bytes(given: object, name: str) -> bytes:
    try:
        content = base64.b64decode(given, validate=True) if isinstance(given, str) else b""
    except (binascii.Error, ValueError):
        content = b""
    if not content:
        raise bad_request(f"{name}.base64 must be a file in bare base64")
    return content


def _described(content: bytes, given: Mapping[str, Any]) -> tuple[str, File]:
    """Tell what kind of media a file is, by the type that it is said to have.

    Raises:
        ApiError: 400; what is said of it isn't text.
    """
    for name in ("mimetype", "fileName", "caption"):
        if not isinstance(given.get(name, ""), str):
            raise bad_request(f"media.{name} must be a string")
    mimetype = given.get("mimetype") or type_of(given.get("fileName"))
    if not mimetype:
        raise bad_request("media.mimetype must say what the file is, for its name doesn't")
    kind = next((kind for kind in _KINDS if mimetype.startswith(f"{kind}/")), "document")
    file_name: str | None = given.get("fileName") or (f"file.{mimetype.rpartition('/')[2]}" if kind == "document" else None)
    return kind, File(content, mimetype, file_name, given.get("caption"))
