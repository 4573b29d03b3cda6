"""`POST /instance/create`: from the body to an instance, and to the answer that describes it."""

from typing import Any
from uuid import uuid4

from simulator.errors import bad_request
from simulator.instance import BAILEYS, BUSINESS, INTEGRATIONS, Instance
from simulator.settings import Settings
from simulator.store import Row


def check_integration(body: dict[str, Any]) -> None:
    """Refuse what is no integration.

    Raises:
        ApiError: 400.
    """
    if body.get("integration") == BUSINESS and not body.get("token"):
        raise bad_request("token is required")
    if body.get("integration") not in INTEGRATIONS:
        raise bad_request("Invalid integration")


def check_the_rest(body: dict[str, Any]) -> None:
    """Refuse what needs the internet (a proxy is tried over it) or isn't simulated, and a business instance without a number.

    Raises:
        ApiError: 400.
    """
    if body.get("proxyHost") and body.get("proxyPort") and body.get("proxyProtocol"):
        raise bad_request("Invalid proxy")
    if body.get("chatwootAccountId") and body.get("chatwootToken") and body.get("chatwootUrl"):
        raise bad_request("Chatwoot is not enabled")
    if body.get("integration") == BUSINESS and not body.get("number"):
        raise bad_request("number is required")


def instance_from(body: dict[str, Any]) -> Instance:
    """Make an instance of a body.

    Raises:
        ApiError: 400; it has no name.
    """
    if body.get("instanceName") is None:
        raise bad_request("\nInvalid `this.prismaRepository.instance.create()` invocation: Argument `name` is missing.")
    return Instance(
        id=str(uuid4()),
        name=body["instanceName"],
        integration=body["integration"],
        token=body.get("token") or str(uuid4()).upper(),
        number=body.get("number"),
        state="close" if body["integration"] == BAILEYS else "open",
    )


def row_from(instance: Instance, body: dict[str, Any], client_name: str) -> Row:
    """Give the row to keep."""
    return {
        "id": instance.id,
        "name": instance.name,
        "connection_status": "close" if instance.integration == BAILEYS else body.get("status") or "open",
        "owner_jid": body.get("ownerJid"),
        "profile_name": body.get("profileName"),
        "profile_pic_url": body.get("profilePicUrl"),
        "integration": instance.integration,
        "number": instance.number,
        "business_id": body.get("businessId"),
        "token": instance.token,
        "client_name": client_name,
    }


def settings_from(body: dict[str, Any]) -> Row:
    """Read an instance's settings; those left out are off."""
    return {
        "rejectCall": body.get("rejectCall") is True,
        "msgCall": body.get("msgCall") or "",
        "groupsIgnore": body.get("groupsIgnore") is True,
        "alwaysOnline": body.get("alwaysOnline") is True,
        "readMessages": body.get("readMessages") is True,
        "readStatus": body.get("readStatus") is True,
        "syncFullHistory": body.get("syncFullHistory") is True,
        "wavoipToken": body.get("wavoipToken") or "",
    }


def described(instance: Instance, body: dict[str, Any], settings: Settings) -> Row:
    """Give the answer, but for a code."""
    business = instance.integration == BUSINESS
    shown = {"webhookUrl": "url", "webhookHeaders": "headers", "webhookByEvents": "byEvents", "webhookBase64": "base64"}
    return {
        "instance": {
            "instanceName": instance.name,
            "instanceId": instance.id,
            "integration": instance.integration,
            "webhookWaBusiness": f"{settings.server.url}/webhook/meta" if business else None,
            "accessTokenWaBusiness": settings.business_token if business else "",
            "status": instance.state,
        },
        "hash": instance.token,
        "webhook": _picked(body.get("webhook"), shown),
        **{kind: _picked(body.get(kind), {"enabled": "enabled"}) for kind in ("websocket", "rabbitmq", "sqs")},
        "settings": settings_from(body),
    }


def _picked(asked: Row | None, names: dict[str, str]) -> Row:
    """Repeat what was asked for, under the names of the answer; what was left out is left out."""
    return {answer: asked[name] for answer, name in names.items() if name in asked} if asked else {}
