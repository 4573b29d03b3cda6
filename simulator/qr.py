"""The code that a phone scans: its text and its picture, in the form in which 2.2.3 gives them."""

import base64
import io
import secrets
from dataclasses import dataclass
from typing import Any

import segno

_CROCKFORD = "123456789ABCDEFGHJKLMNPQRSTVWXYZ"
_PAIRING_CODE_LENGTH = 8
_MASK = 2
"""Any of the eight masks makes a valid code; finding the best one takes five times as long."""


@dataclass
class Code:
    """What an instance shows to be paired. `count` is how many codes there were; without any there is only the count."""

    count: int = 0
    text: str | None = None
    picture: str | None = None
    pairing_code: str | None = None

    def shown(self) -> dict[str, Any]:
        """Give it as the API shows it: what there is not is left out, but the pairing code, which is null."""
        if self.text is None:
            return {"count": self.count}
        return {"pairingCode": self.pairing_code, "code": self.text, "base64": self.picture, "count": self.count}


def new_text() -> str:
    """Make a text of the form of WhatsApp's: a reference and three keys of 32 bytes."""
    parts = (secrets.token_bytes(size) for size in (120, 32, 32, 32))
    return "2@" + ",".join(base64.b64encode(part).decode() for part in parts)


def new_pairing_code() -> str:
    """Make a code to type into a phone instead."""
    return "".join(secrets.choice(_CROCKFORD) for _ in range(_PAIRING_CODE_LENGTH))


def picture(text: str, colour: str) -> str:
    """Draw a code as a PNG in a data URI: four pixels a module, a margin of three, the highest error correction.

    Takes some 20 ms of a processor. `colour` is `#rrggbb`; what is none is black.
    """
    drawn = segno.make(text, error="h", boost_error=False, micro=False, mask=_MASK)
    png = io.BytesIO()
    try:
        drawn.save(png, kind="png", scale=4, border=3, dark=colour, light="#ffffff")
    except ValueError:
        return picture(text, "#000000")
    return "data:image/png;base64," + base64.b64encode(png.getvalue()).decode()
