"""What `/chat` does to messages: read, fetch the file, delete, edit, and the sign that somebody is typing."""

import asyncio
import base64
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simulator.audio import AudioConverter
from simulator.errors import ApiError, bad_request, internal_error
from simulator.events.bus import Events
from simulator.instance import Instance
from simulator.messages.content import MEDIA_TYPES, Json, file_name, new_key
from simulator.messages.hub import Hub
from simulator.messages.jids import jid_of
from simulator.messages.receiving import Receiver
from simulator.messages.sending import Sender, reach, thrown
from simulator.messages.store import PENDING, MessageStore
from simulator.messages.view import shown

_LONGEST_PRESENCE_MS = 60_000
_EDITABLE = ("conversation", "imageMessage", "videoMessage")


@dataclass(frozen=True)
class Chats:
    """Works on stored messages. `keep_deleted` is whether a message deleted for everyone stays in the database, marked so."""

    store: MessageStore
    sender: Sender
    receiver: Receiver
    audio: AudioConverter
    events: Events
    hub: Hub
    keep_deleted: bool

    async def mark_read(self, instance: Instance, keys: list[Json]) -> Json:
        """Let the writers see that their messages were read."""
        try:
            reach(instance, "readMessages")
        except ApiError as error:
            raise internal_error(["Read messages fail", thrown(error)]) from None
        await self.receiver.read(instance, [key["id"] for key in keys if not key["fromMe"]])
        return {"message": "Read messages", "read": "success"}

    async def file(self, instance: Instance, body: Mapping[str, Any]) -> Json:
        """Give a message's file in base64; a voice message as MP4 too, if that is wanted.

        Raises:
            ApiError: 400; there is no such message, it has no file, or the file can't be converted.
        """
        asked = body.get("message")
        if not isinstance(asked, dict):
            raise bad_request("TypeError: Cannot read properties of undefined (reading 'key')")
        key_id = str((asked.get("key") or {}).get("id"))
        found = await self.store.by_key(instance.id, key_id)
        if not found or not found.saved:
            raise bad_request("Message not found")
        kind = next((kind for kind in MEDIA_TYPES if kind in found.message), None)
        file = await self.store.file(instance.id, key_id) if kind else None
        if kind is None or file is None:
            raise bad_request("The message is not of the media type")
        part, content, mimetype = found.message[kind], file.content, file.mimetype
        if body.get("convertToMp4") and kind == "audioMessage":
            try:
                content, mimetype = await self.audio.mp4(content), "audio/mp4"
            except ApiError:
                raise bad_request("Failed to convert audio to MP4") from None
        size = {name: part[name] for name in ("fileLength", "height", "width") if name in part}
        caption = {"caption": part["caption"]} if "caption" in part else {}
        encoded = (await asyncio.to_thread(base64.b64encode, content)).decode()
        named = {"mediaType": kind, "fileName": file_name(key_id, part), **caption}
        return {**named, "size": size, "mimetype": mimetype, "base64": encoded, "buffer": None}

    async def delete(self, instance: Instance, key: Json) -> Json:
        """Take a message back from everybody, and tell of it."""
        try:
            reach(instance, "sendMessage")
        except ApiError as error:
            raise internal_error(["Error while deleting message for everyone", thrown(error)]) from None
        answer = _protocol_message(key["remoteJid"], {"key": key, "type": "REVOKE"})
        found = await self.store.by_key(instance.id, key["id"])
        if not found or not found.saved:
            if self.keep_deleted:
                return answer
            undefined = "TypeError: Cannot read properties of null (reading 'id')"
            raise internal_error(["Error while deleting message for everyone", undefined])
        deleted_key = {**found.key, "deleted": True} if self.keep_deleted else found.key
        if self.keep_deleted:
            await self.store.delete_logically(found.id, deleted_key)
        else:
            await self.store.delete(found.id)
        told = {
            "id": found.id,
            "instanceId": instance.id,
            "key": deleted_key,
            "messageType": found.message_type,
            "status": "DELETED",
            "source": found.source,
            "messageTimestamp": found.message_timestamp,
            "pushName": found.push_name,
            "participant": None,
            "message": found.message,
        }
        self.events.emit(instance, "messages.delete", told)
        self.hub.tell("message", instance.name, jid=found.remote_jid, message={**shown(found), "deleted": True})
        return answer

    async def edit(self, instance: Instance, body: Json) -> Json:
        """Change what a message says; 2.2.3 tells WhatsApp so, and keeps what was.

        Raises:
            ApiError: 400; there is no such message, or it can't be edited.
        """
        key = body.get("key") or {}
        found = await self.store.by_key(instance.id, str(key.get("id")))
        if not found or found.message_type not in _EDITABLE:
            raise bad_request("Message not compatible")
        try:
            reach(instance, "sendMessage")
        except ApiError as error:
            raise bad_request(thrown(error)) from None
        words = str(body.get("text"))
        await self.store.edit(found.id, words)
        self.hub.tell("message", instance.name, jid=found.remote_jid, message={**shown(found), "text": words, "edited": True})
        edited = {"key": key, "type": "MESSAGE_EDIT", "editedMessage": {"extendedTextMessage": {"text": words}}}
        return _protocol_message(jid_of(body["number"]), edited)

    async def presence(self, instance: Instance, body: Json) -> Json:
        """Show that somebody types or records, for `delay` milliseconds."""
        try:
            jid = await self.sender.receiver(instance, body["number"])
        except ApiError as error:
            raise bad_request("[object Object]" if error.status == 400 else thrown(error)) from None
        self.hub.tell("presence", instance.name, jid=jid, presence=body["presence"])
        await asyncio.sleep(min(max(body["delay"], 0), _LONGEST_PRESENCE_MS) / 1000)
        self.hub.tell("presence", instance.name, jid=jid, presence="paused")
        return {"presence": body["presence"]}


def _protocol_message(jid: str, said: Json) -> Json:
    """Make the message that changes another one."""
    return {"key": new_key(jid), "message": {"protocolMessage": said}, "messageTimestamp": str(int(time.time())), "status": PENDING}
