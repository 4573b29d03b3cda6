"""WhatsApp's addresses, made of what callers write as a number: 2.2.3's own rules (`createJid.ts`)."""

import re

USERS = "@s.whatsapp.net"
GROUPS = "@g.us"
BROADCAST = "@broadcast"
STATUS = "status@broadcast"
"""The only broadcast that 2.2.3 tells from a user."""

_GROUP_WITH_DASH_LENGTH = 24
_GROUP_LENGTH = 18
_MEXICAN_OR_ARGENTINE_LENGTH = 13
_FIRST_AREA_WITHOUT_NINE = 31
"""Brazilian numbers of the areas from here on have no ninth digit on WhatsApp, by 2.2.3's belief."""


def jid_of(number: str) -> str:
    """Make a JID of a number in any writing; what is a JID stays one."""
    number = re.sub(r":\d+", "", number, count=1)
    if any(domain in number for domain in (GROUPS, USERS, "@lid", BROADCAST)):
        return number
    number = re.sub(r"[\s+()]", "", number).split(":")[0].split("@")[0]
    if "-" in number and len(number) >= _GROUP_WITH_DASH_LENGTH:
        return re.sub(r"[^\d-]", "", number) + GROUPS
    number = re.sub(r"[^0-9]", "", number)
    if len(number) >= _GROUP_LENGTH:
        return number + GROUPS
    return _brazilian(_mexican_or_argentine(number)) + USERS


def number_of(jid: str) -> str:
    """Give the part before the `@`."""
    return jid.partition("@")[0]


def _mexican_or_argentine(number: str) -> str:
    """Drop the digit that is only dialled."""
    if number[:2] in {"52", "54"} and len(number) == _MEXICAN_OR_ARGENTINE_LENGTH:
        return number[:2] + number[3:]
    return number


def _brazilian(number: str) -> str:
    """Drop the ninth digit of a mobile number where WhatsApp goes without it."""
    found = re.fullmatch(r"55(\d{2})\d(\d)(\d{7})", number)
    if found and int(found[2]) >= 7 and int(found[1]) >= _FIRST_AREA_WITHOUT_NINE:
        return f"55{found[1]}{found[2]}{found[3]}"
    return number
