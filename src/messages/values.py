"""Values of a message to send, in the form that Evolution API 2.2.3 takes: to whom, and which media."""

import base64
import hashlib
import mimetypes
import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address
from pathlib import PurePosixPath
from unicodedata import normalize
from urllib.parse import unquote, urlsplit

_NUMBER = re.compile(r"[1-9]\d{6,14}")
_SPACING = re.compile(r"[\s().-]")
_JID = re.compile(r"[1-9]\d{6,14}@s\.whatsapp\.net|\d[\d-]{8,40}@g\.us|\d{5,20}@lid")

RECIPIENT_LIMIT = 64
URL_LIMIT = 2083
"""Evolution takes longer ones for base64, as validator.js does."""
_LABEL = re.compile(r"(?!-)[A-Za-z0-9\u00a1-\uffff-]{1,63}(?<!-)")
_TOP_LEVEL = re.compile(r"[A-Za-z\u00a1-\uffff]{2,63}|xn[A-Za-z0-9-]{2,}")
_THIS_HOST = IPv4Network("0.0.0.0/8")
_DATA_URI = re.compile(
    r"data:(?P<mimetype>[\w.+-]+/[\w.+-]+)?(?P<parameters>(?:;\s*[\w.+-]+=[^;,]*)*)(?P<base64>;base64)?,", re.ASCII | re.IGNORECASE
)
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")

DEFAULT_MIMETYPES = {"image": "image/png", "video": "video/mp4", "audio": "audio/mpeg", "document": "application/octet-stream"}
"""What media are taken for when nothing tells; of images and videos Evolution says the same."""


def storable(text: str) -> str:
    """Return a text that Postgres can store.

    Raises:
        ValueError: it has a NUL, or half of a character: JSON can hold both.
    """
    if "\x00" in text:
        raise ValueError("has the character U+0000, which can't be stored")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"has half of a character (U+{ord(text[error.start]):04X})") from None
    return text


def visible(text: str) -> str:
    """Return a text of which anything is to be seen; Evolution takes no other.

    Raises:
        ValueError: it is blank.
    """
    if not text.replace("\ufeff", " ").strip():  # JavaScript counts this one too as a space
        raise ValueError("blank: Evolution API sends no text of spaces alone")
    return text


def chat_of(recipient: str) -> str:
    """Return the JID of a number, with or without its spacing, or of a JID.

    A number of Brazil, Mexico or Argentina loses the digit that is dialled but not known to WhatsApp, by Evolution's own rule
    (`createJid` in 2.2.3), so that all messages to an account are of one chat. A JID stays as it is: it is WhatsApp's own word.

    Raises:
        ValueError: it is neither.
    """
    if len(recipient) > RECIPIENT_LIMIT:
        raise ValueError(f"longer than {RECIPIENT_LIMIT} characters")
    if "@" in recipient:
        if not _JID.fullmatch(recipient):
            raise ValueError("not a JID of a person or a group, as in 5511999990001@s.whatsapp.net or 120363040000000000@g.us")
        return recipient
    digits = _SPACING.sub("", recipient).removeprefix("+")
    if not _NUMBER.fullmatch(digits) or not digits.isascii():
        raise ValueError("not a phone number with its country code, 7 to 15 digits, as in 5511999990001")
    return f"{known_number(digits)}@s.whatsapp.net"


def known_number(number: str) -> str:
    """Return the digits that Evolution makes of a number's digits."""
    if len(number) != 13:
        return number
    if number.startswith(("52", "54")):
        return number[:2] + number[3:]
    if number.startswith("55") and number[2:4] >= "31" and number[5] >= "7":
        return number[:4] + number[5:]
    return number


def number_of(chat: str) -> str:
    """Return what Evolution wants as `number`: a person's digits, else the JID; that too where it would make other digits of them."""
    digits = chat.removesuffix("@s.whatsapp.net")
    return digits if known_number(digits) == digits else chat


@dataclass(frozen=True)
class MediaSource:
    """Media to send: a URL, or base64.

    Attributes:
        content: the URL, or the bare base64.
        is_url: which of the two.
        mimetype: what a data: URI says that it is.
    """

    content: str
    is_url: bool = False
    mimetype: str | None = None

    def sha256(self) -> str:
        """Return the digest of what the base64 stands for: WhatsApp keeps it with the file."""
        return hashlib.sha256(base64.b64decode(self.content)).hexdigest()


def media_source(given: str) -> MediaSource:
    """Read a URL, base64 or a base64 data: URI.

    Raises:
        ValueError: it is none, or a URL that Evolution doesn't take.
    """
    if re.match(r"[a-z][a-z0-9+.-]*://", given, re.IGNORECASE):
        _check_url(storable(given))
        return MediaSource(given, is_url=True)
    mimetype = None
    if given[:5].lower() == "data:":
        head = _DATA_URI.match(given)
        if not head or not head["base64"]:
            raise ValueError("a data: URI that is not of the form data:<type>/<subtype>;base64,<base64>")
        mimetype = (head["mimetype"] or "text/plain") + head["parameters"]
        given = given[head.end() :]
    given = "".join(given.split())
    if len(given) % 4 or not _BASE64.fullmatch(given):
        raise ValueError("neither an http(s) URL nor base64, padded with =, nor a base64 data: URI")
    return MediaSource(given, mimetype=mimetype)


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.scheme.lower() not in {"http", "https"} or port == 0 or re.search(r"[\s<>]", url) or len(url) > URL_LIMIT:
        raise ValueError(f"not a usable http(s) URL of at most {URL_LIMIT} characters")
    host = normalize("NFKC", host)  # as Node reads it: digits may be written in other forms too
    address = _address(host)
    if address and _is_inward(address):
        raise ValueError(f"the address {host} is one of Evolution API's own machine or link, from which nothing is fetched for a caller")
    if not address and not _is_dotted(host):
        raise ValueError(
            f"Evolution API takes no URL with the host {host!r}: it wants an IP address, or a name with a dot and without an underscore; "
            "use one, or send the bytes in base64"
        )


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(host)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _is_inward(address: IPv4Address | IPv6Address) -> bool:
    return address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast or address in _THIS_HOST


def _is_dotted(host: str) -> bool:
    *labels, last = host.split(".")
    is_name = bool(labels) and all(_LABEL.fullmatch(label) for label in labels) and _TOP_LEVEL.fullmatch(last) is not None
    return is_name and last.lower() != "localhost"


def file_name_of(kind: str, source: MediaSource, mimetype: str | None) -> str | None:
    """Name a document that came without a name, which Evolution either refuses or names after the URL's host."""
    if kind != "document":
        return None
    name = PurePosixPath(unquote(urlsplit(source.content).path)).name if source.is_url else ""
    return name or f"document{mimetypes.guess_extension((mimetype or '').partition(';')[0]) or ''}"


def mimetype_of(kind: str, source: MediaSource, file_name: str | None) -> str | None:
    """Say what the media are where the caller doesn't; None leaves it to Evolution, which asks the URL's server."""
    guessed = source.mimetype or (mimetypes.guess_type(file_name)[0] if file_name else None)
    return guessed or (None if source.is_url else DEFAULT_MIMETYPES[kind])
