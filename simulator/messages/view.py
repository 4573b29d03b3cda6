"""Messages as the phone's page shows them."""

from typing import Any

from simulator.messages.content import MEDIA_TYPES, Json, summary
from simulator.messages.jids import number_of
from simulator.messages.store import STATUSES, Message
from simulator.store import Row


def shown(message: Message) -> Json:
    """Give what the page needs. `status` is how far a message came, whether or not Evolution was told."""
    return {
        "id": message.key_id,
        "fromMe": message.from_me,
        "pushName": message.push_name,
        "type": message.message_type,
        "text": message.edited or summary(message.message, message.message_type),
        "media": _media(message),
        "timestamp": message.message_timestamp,
        "status": STATUSES[message.reached],
        "held": message.held,
        "seen": message.seen,
        "edited": message.edited is not None,
        "deleted": bool(message.key.get("deleted")),
    }


def shown_chat(row: Row) -> Json:
    """Give a chat for the list."""
    last = None
    if row["key_id"]:
        said = summary(row["message"], row["message_type"])
        last = {
            "id": row["key_id"],
            "fromMe": row["from_me"],
            "type": row["message_type"],
            "text": said,
            "voice": bool(row["message"].get("audioMessage", {}).get("ptt")),
            "timestamp": row["message_timestamp"],
        }
    jid = row["remote_jid"]
    name = row["push_name"] or number_of(jid)
    return {"jid": jid, "pushName": name, "online": row["online"], "unread": row["unread"], "lastMessage": last}


def _media(message: Message) -> dict[str, Any] | None:
    part = message.message.get(message.message_type)
    if message.message_type not in MEDIA_TYPES or not isinstance(part, dict):
        return None
    return {
        "kind": message.message_type.removesuffix("Message"),
        "mimetype": part.get("mimetype"),
        "fileName": part.get("fileName"),
        "seconds": part.get("seconds"),
        "voice": bool(part.get("ptt")),
    }
