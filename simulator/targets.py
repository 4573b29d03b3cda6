"""Where an instance's own events go, as told in `create`; the same rules hold for the later `/webhook/set` and `/rabbitmq/set`."""

from collections.abc import Iterator
from typing import Any

from simulator.errors import bad_request
from simulator.settings import Settings
from simulator.store import Target
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


def targets_from(body: dict[str, Any], settings: Settings) -> Iterator[Target]:
    """Read the targets in 2.2.3's order; what isn't switched on is passed over, however wrong.

    Raises:
        ApiError: 400; the events are missing (in JavaScript's words) or the webhook's address is no URL.
    """
    switched_on = {"websocket": settings.websocket_enabled, "rabbitmq": settings.rabbitmq.enabled, "sqs": settings.sqs_enabled}
    for kind, on in switched_on.items():
        if body.get(kind) and on:
            yield Target(kind, enabled=True, events=_events(body[kind]))
    webhook = body.get("webhook")
    if webhook:
        if not is_url(webhook.get("url"), require_tld=False):
            raise bad_request('Invalid "url" property')
        yield Target(
            "webhook",
            enabled=True,
            events=_events(webhook),
            url=webhook["url"],
            headers=webhook.get("headers"),
            by_events=webhook.get("byEvents", False),
            base64=webhook.get("base64", False),
        )


def _events(target: dict[str, Any]) -> tuple[str, ...]:
    if not isinstance(target.get("events"), list):
        raise bad_request("Cannot read properties of undefined (reading 'length')")
    return tuple(target["events"] or EVENTS)
