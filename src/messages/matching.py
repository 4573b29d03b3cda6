"""Whether a message that Evolution knows is the one that was to be sent: it tells no name that the application gave it.

Evolution chooses the id and may change the chat's JID, so what is left to compare is the content, and the form of the id.
"""

import re
from typing import Any

from src.events.content import Content
from src.messages.values import known_number

_OPTIONAL_DIGITS = (("55", "9", 4), ("52", "1", 2), ("54", "9", 2))
"""Country code, the digit that mobile numbers got later, and where it stands."""
_SHORTEST_REST = 9
_MADE_BY_EVOLUTION = re.compile(r"3EB0[0-9A-F]{36}")
"""`sendMessage` of tag 2.2.3. Phones and WhatsApp Web have ids of 18 to 32 characters."""


def chat_variants(chat: str) -> list[str]:
    """Return the JIDs under which Evolution may have sent to `chat`, the most likely first.

    WhatsApp knows old mobile numbers of Brazil, Mexico and Argentina without a digit that was put in later; Evolution changes the
    number by rules of its own (`createJid` of tag 2.2.3), and then takes the form that WhatsApp answers.
    """
    number, at, domain = chat.partition("@")
    variants = [number]
    for country, digit, position in _OPTIONAL_DIGITS:
        if domain == "s.whatsapp.net" and number.startswith(country):
            start, rest = number[:position], number[position:]
            variants.append(start + digit + rest)
            if len(rest) >= _SHORTEST_REST - (country != "55"):
                variants.append(start + rest[1:])
    return [f"{variant}{at}{domain}" for variant in variants]


def chats_of_same_account(chat: str) -> list[str]:
    """Return the JIDs under which an account's messages may be stored: the one that Evolution makes of its number, and WhatsApp's own."""
    return [variant for variant in chat_variants(chat) if _known(variant) == _known(chat)]


def _known(chat: str) -> str:
    return known_number(chat.partition("@")[0])


def may_be_evolutions(evolution_id: str) -> bool:
    """Tell whether Evolution may have chosen an id, and not another device of the same account."""
    return _MADE_BY_EVOLUTION.fullmatch(evolution_id) is not None


def may_be_a_librarys(evolution_id: str) -> bool:
    """Tell whether Evolution 2.3.6 or later may have: it leaves the choice to its library, whose ids look like those of WhatsApp Web."""
    return evolution_id.startswith("3EB0")


def is_same(wanted: Content, found: Content) -> bool:
    """Tell whether two contents are the same as far as both are known; Evolution keeps a file's name only for documents.

    Media that were given in base64 are known to the byte, for Evolution sends them as they are. Of those from a URL, and of voice notes,
    nobody knows the bytes beforehand: there only `may_be_evolutions` keeps another device's message of the same kind apart.
    """
    if wanted.type != found.type:
        return False
    if wanted.type == "voice":
        return True  # it was converted on the way, so nothing of it is left to compare
    if (wanted.text or None) != (found.text or None):
        return False
    return all(_agree(wanted.media, found.media, name) for name in ("kind", "mimetype", "file_name", "sha256"))


def _agree(wanted: dict[str, Any] | None, found: dict[str, Any] | None, name: str) -> bool:
    asked, told = (wanted or {}).get(name), (found or {}).get(name)
    return asked is None or told is None or asked == told
