"""Messages sent through the API: to whom, in which order what is looked at, and what it leaves behind."""

import asyncio
import base64
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from redis.exceptions import RedisError

from simulator.audio import AudioConverter
from simulator.errors import ApiError, bad_request, internal_error
from simulator.events.bus import Events
from simulator.instance import Instance
from simulator.media import Media
from simulator.messages import content as contents
from simulator.messages.contacts import Contacts
from simulator.messages.content import Content, File, Json
from simulator.messages.files import type_of
from simulator.messages.hub import Hub
from simulator.messages.jids import GROUPS, STATUS, jid_of, number_of
from simulator.messages.receipts import Receipts
from simulator.messages.store import PENDING, MessageStore, composed
from simulator.messages.transfer import FetchError, fetch, stored
from simulator.messages.view import shown
from simulator.sessions import Sessions
from simulator.urls import is_url

_REDIS_AGAIN_S = 0.2
_NO_EMOJI = re.compile(r"[()\w\sà-ú\"-+]*")


@dataclass(frozen=True)
class Sender:
    """Sends for the instances. `save` is whether messages are stored, as far as Evolution goes."""

    store: MessageStore
    contacts: Contacts
    receipts: Receipts
    sessions: Sessions
    media: Media
    audio: AudioConverter
    events: Events
    hub: Hub
    save: bool

    async def text(self, instance: Instance, body: Json) -> Json:
        """Send words."""
        if not body["text"].strip():
            raise bad_request("Text is required")
        return await self._send(instance, body["number"], contents.text(body["text"]), body)

    async def file(self, instance: Instance, body: Json, upload: bytes | None) -> Json:
        """Send an image, a document, a video or a sound: an upload, or what `media` holds or points to."""
        given = body.get("media")
        if _is_base64(given) and not body.get("fileName") and body["mediatype"] == "document":
            raise bad_request("For base64 the file name must be informed.")
        if upload is None and not _is_media(given):
            raise bad_request("Owned media must be a url or base64")
        try:
            reach(instance, "waUploadToServer")
            sent = await _prepared(body, upload)
        except FetchError as error:
            raise internal_error([f"AxiosError: {error}"]) from None
        except ApiError as error:
            raise internal_error([thrown(error)]) from None
        return await self._send(instance, body["number"], contents.media(body["mediatype"], sent), body)

    async def voice(self, instance: Instance, body: Json, upload: bytes | None) -> Json:
        """Send a recording, converted unless `encoding` is false: before anybody looks whether the instance is connected."""
        given = body.get("audio")
        if upload is not None:
            given = base64.b64encode(upload).decode()
        elif not _is_media(given):
            raise bad_request("Owned media must be a url, base64, or valid file with buffer")
        source = str(given)
        from_url = is_url(source, require_tld=True)
        if body.get("encoding") is not False:
            recording = await self.audio.voice(source, is_url=from_url)
        else:
            reach(instance, "onWhatsApp")
            recording = await _fetched(source) if from_url else _decoded(source)
        return await self._send(instance, body["number"], contents.voice(recording), {"delay": body.get("delay")})

    async def sticker(self, instance: Instance, body: Json, upload: bytes | None) -> Json:
        """Send a sticker."""
        given = body.get("sticker")
        if upload is None and not _is_media(given):
            raise bad_request("Owned media must be a url or base64")
        source = str(given)
        picture = upload if upload is not None else await _fetched(source) if is_url(source, require_tld=True) else _decoded(source)
        return await self._send(instance, body["number"], contents.sticker(picture), body)

    async def location(self, instance: Instance, body: Json) -> Json:
        """Send a place."""
        place = contents.location(body["latitude"], body["longitude"], body["name"], body["address"])
        return await self._send(instance, body["number"], place, body)

    async def contact(self, instance: Instance, body: Json) -> Json:
        """Send address cards."""
        return await self._send(instance, body["number"], contents.contacts(body["contact"]), {})

    async def reaction(self, instance: Instance, body: Json) -> Json:
        """React to a message."""
        if _NO_EMOJI.fullmatch(body["reaction"]):
            raise bad_request('"reaction" must be an emoji')
        return await self._send(instance, body["key"]["remoteJid"], contents.reaction(body["key"], body["reaction"]), {})

    async def poll(self, instance: Instance, body: Json) -> Json:
        """Ask for a choice."""
        return await self._send(instance, body["number"], contents.poll(body["name"], body["selectableCount"], body["values"]), body)

    async def numbers(self, instance: Instance, numbers: list[str]) -> list[Json]:
        """Look up who is on WhatsApp, the senders of broadcasts first; the names are for others to add.

        Raises:
            ApiError: 500; the instance isn't connected, or there is a group among them, which nobody here is in.
        """
        jids = [(jid_of(number), number) for number in numbers]
        broadcast = [{"jid": jid, "exists": False, "number": number} for jid, number in jids if jid == STATUS]
        if any(jid.endswith(GROUPS) for jid, _ in jids):
            raise internal_error("Cannot read properties of undefined (reading 'id')")
        reach(instance, "onWhatsApp")
        users = [(jid, number) for jid, number in jids if jid != STATUS]
        return broadcast + [{"exists": self.contacts.on_whatsapp(jid), "jid": jid, "number": number} for jid, number in users]

    async def receiver(self, instance: Instance, number: str) -> str:
        """Give the JID of somebody to write to.

        Raises:
            ApiError: 400 that describes a number which isn't on WhatsApp; 500 when the instance isn't connected.
        """
        (found,) = await self.numbers(instance, [number])
        if not found["exists"] and found["jid"] != STATUS:
            raise bad_request(found)
        return str(found["jid"]).lower()

    async def _send(self, instance: Instance, number: str, content: Content, options: Mapping[str, Any]) -> Json:
        jid = await self.receiver(instance, number)
        if options.get("delay"):
            await asyncio.sleep(options["delay"] / 1000)
        if options.get("quoted"):
            content = await self._quoting(instance, content, options["quoted"])
        await self._with_session(instance, jid)
        key = contents.new_key(jid)
        message = composed(instance.id, key, content, push_name="", timestamp=int(time.time()), status=PENDING, saved=self.save)
        file, url = await stored(self.media, content, f"{instance.id}/{jid}/{key['id']}", key["id"], upload=self.save)
        if url:
            message.message["mediaUrl"] = url
        await self.store.insert(message, file)
        raw = with_base64(instance, message.raw, content)
        self.events.emit(instance, "send.message", raw)
        self.receipts.sent(instance, message)
        if self.hub.heard:
            self.hub.tell("message", instance.name, jid=jid, message=shown(message))
        return raw

    async def _with_session(self, instance: Instance, jid: str) -> None:
        """Read the session's keys, or make them with the first message to somebody: without Redis this hangs."""
        number = number_of(jid)
        await self.sessions.available()
        while number not in instance.sessions:
            try:
                await self.sessions.keep(instance.id, number)
                instance.sessions.add(number)
            except (RedisError, OSError):  # it went away just now
                await asyncio.sleep(_REDIS_AGAIN_S)
                await self.sessions.available()

    async def _quoting(self, instance: Instance, content: Content, quoted: Json) -> Content:
        """Answer to a message, if there is one."""
        key = quoted.get("key") or {}
        found = await self.store.by_key(instance.id, str(key.get("id")))
        message = quoted.get("message") or (found.message if found else None)
        if not message:
            return content
        author = instance.wuid if (found.from_me if found else key.get("fromMe")) else key.get("remoteJid") or (found and found.remote_jid)
        context = {"stanzaId": key.get("id"), "participant": author, "quotedMessage": message}
        body = dict(content.body)
        if isinstance(body.get(content.type), dict):
            body[content.type] = {**body[content.type], "contextInfo": context}
        return replace(content, body=body, context=context)


def with_base64(instance: Instance, raw: Json, content: Content) -> Json:
    """Add the file itself, where the instance's webhook is to get it: everybody then gets it."""
    webhook = instance.targets.get("webhook")
    if content.file is None or not (webhook and webhook.enabled and webhook.base64):
        return raw
    return {**raw, "message": {**raw["message"], "base64": base64.b64encode(content.file).decode()}}


def thrown(error: ApiError) -> str:
    """Write an error as JavaScript's `toString` does."""
    return f"{'TypeError' if str(error).startswith('Cannot read') else 'Error'}: {error}"


def reach(instance: Instance, method: str) -> None:
    """Use the connection to WhatsApp.

    Raises:
        ApiError: 500; there is none, in the words of JavaScript or of the library.
    """
    if not instance.has_client:
        raise internal_error(f"Cannot read properties of undefined (reading '{method}')")
    if instance.state != "open":
        raise internal_error("Connection Closed")


async def _prepared(body: Json, upload: bytes | None) -> File:
    """Get the file that is to be sent, with its type and its name.

    Raises:
        ApiError: 500; a document's name is neither given nor in its address.
        FetchError: its address doesn't give it.
    """
    kind, source, mimetype = body["mediatype"], str(body.get("media")), body.get("mimetype")
    name = body.get("fileName") or contents.DEFAULT_NAMES.get(kind)
    from_url = upload is None and is_url(source, require_tld=True)
    served_as = None
    if upload is None and from_url:
        upload, served_as = await fetch(source)
    if kind == "document" and not name:
        found = re.match(r".*/(.+?)\.", source) if from_url else None
        if not found:
            raise internal_error("Cannot read properties of null (reading '1')")
        name = found[1]
    content = upload if upload is not None else _decoded(source)
    return File(content, mimetype or type_of(name) or served_as, name, body.get("caption"))


async def _fetched(url: str) -> bytes:
    try:
        return (await fetch(url))[0]
    except FetchError as error:
        raise internal_error(str(error)) from None


def _is_media(value: object) -> bool:
    return is_url(value, require_tld=True) or _is_base64(value)


def _is_base64(value: object) -> bool:
    """Whether a text is bare base64 by the rules of validator 13.12, for which an empty one is; a `data:` URI isn't."""
    return isinstance(value, str) and len(value) % 4 == 0 and re.fullmatch(r"[A-Za-z0-9+/]*={0,2}", value) is not None


def _decoded(text: str) -> bytes:
    return base64.b64decode(text)
