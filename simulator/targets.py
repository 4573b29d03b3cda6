"""Where an instance's own events go: the rules of `create`, and those of the later `/webhook/set`, `/rabbitmq/set` and so on."""

from collections.abc import Iterator
from typing import Any

from simulator.errors import bad_request, internal_error
from simulator.messages.validation import Schema
from simulator.preferences import Target
from simulator.settings import Settings
from simulator.urls import is_url

EVENTS = (
    "APPLICATION_STARTUP",
    "QRCODE_UPDATED",
    "MESSAGES_SET",
    "MESSAGES_UPSERT",
    "MESSAGES_EDITED",
    "MESSAGES_UPDATE",
    "MESSAGES_DELETE",
    "SEND_MESSAGE",
    "CONTACTS_SET",
    "CONTACTS_UPSERT",
    "CONTACTS_UPDATE",
    "PRESENCE_UPDATE",
    "CHATS_SET",
    "CHATS_UPSERT",
    "CHATS_UPDATE",
    "CHATS_DELETE",
    "GROUPS_UPSERT",
    "GROUP_UPDATE",
    "GROUP_PARTICIPANTS_UPDATE",
    "CONNECTION_UPDATE",
    "LABELS_EDIT",
    "LABELS_ASSOCIATION",
    "CALL",
    "TYPEBOT_START",
    "TYPEBOT_CHANGE_STATUS",
    "REMOVE_INSTANCE",
    "LOGOUT_INSTANCE",
)
"""What an instance can ask for; an empty list asks for all of it. Creation and deletion of instances are global events only."""


_EVENTS_SCHEMA: Schema = {"type": "array", "minItems": 0, "items": {"type": "string", "enum": list(EVENTS)}}
_TARGET_SCHEMA: Schema = {
    "type": "object",
    "properties": {"enabled": {"type": "boolean", "enum": [True, False]}, "events": _EVENTS_SCHEMA},
    "required": ["enabled"],
}
TARGETS_SCHEMA: Schema = {"type": "object", "properties": dict.fromkeys(("websocket", "rabbitmq", "sqs"), _TARGET_SCHEMA)}
WEBHOOK_SCHEMA: Schema = {
    "type": "object",
    "properties": {
        "webhook": {
            "type": "object",
            "properties": {
                "enabled": {"type": "boolean"},
                "url": {"type": "string"},
                "headers": {"type": "object"},
                "byEvents": {"type": "boolean"},
                "base64": {"type": "boolean"},
                "events": _EVENTS_SCHEMA,
            },
            "required": ["enabled", "url"],
            "notEmpty": ["enabled", "url"],
        }
    },
    "required": ["webhook"],
}


def is_on(kind: str, settings: Settings) -> bool:
    """Whether this way for events is switched on at all; the webhook always is."""
    switches = {"websocket": settings.websocket_enabled, "rabbitmq": settings.rabbitmq.enabled, "sqs": settings.sqs_enabled}
    return switches.get(kind, True)


def targets_from(body: dict[str, Any], settings: Settings) -> Iterator[Target]:
    """Read the targets of a `create` in 2.2.3's order; what isn't switched on is passed over, however wrong.

    Raises:
        ApiError: 400 or 500; the events are missing (in JavaScript's words) or the webhook's address is no URL.
    """
    for kind in ("websocket", "rabbitmq", "sqs", "webhook"):
        if body.get(kind) and is_on(kind, settings):
            yield target_from(kind, {**(body[kind] if isinstance(body[kind], dict) else {}), "enabled": True})


def target_from(kind: str, told: dict[str, Any] | None) -> Target:
    """Read one target, which its schema finds good. A disabled one wants no events.

    Raises:
        ApiError: 400, the webhook's address is no URL; 500 in JavaScript's words, nothing is told or the events are missing.
    """
    if told is None:
        raise internal_error("Cannot set properties of undefined (setting 'events')")
    if kind == "webhook" and not is_url(told.get("url"), require_tld=False):
        raise bad_request('Invalid "url" property')
    events: list[str] = []
    if told.get("enabled"):
        if not isinstance(told.get("events"), list):
            raise internal_error("Cannot read properties of undefined (reading 'length')")
        events = told["events"] or list(EVENTS)
    own = {"url": told.get("url"), "headers": told.get("headers"), "by_events": told.get("byEvents"), "base64": told.get("base64")}
    return Target(kind, bool(told.get("enabled")), tuple(events), **own if kind == "webhook" else {})
