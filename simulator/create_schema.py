"""The JSON schema of `POST /instance/create`, as far as 2.2.3 checks it: types only, and not even the presence of a name."""

import re
from collections.abc import Mapping
from typing import Any

_STRINGS = (
    "instanceName",
    "token",
    "number",
    "businessId",
    "msgCall",
    "wavoipToken",
    "proxyHost",
    "proxyPort",
    "proxyProtocol",
    "proxyUsername",
    "proxyPassword",
    "webhookUrl",
    "chatwootAccountId",
    "chatwootToken",
    "chatwootUrl",
    "chatwootNameInbox",
)
_BOOLEANS = (
    "qrcode",
    "rejectCall",
    "groupsIgnore",
    "alwaysOnline",
    "readMessages",
    "readStatus",
    "syncFullHistory",
    "webhookByEvents",
    "webhookBase64",
    "rabbitmqEnabled",
    "sqsEnabled",
    "chatwootSignMsg",
    "chatwootReopenConversation",
    "chatwootConversationPending",
    "chatwootImportContacts",
    "chatwootMergeBrazilContacts",
    "chatwootImportMessages",
)
_NUMBER_PATTERN = r"^\d+[\.@\w-]+"


def problems(body: Mapping[str, Any]) -> list[str]:
    """List what is wrong with a body, in the words of node's `jsonschema`; an empty list is a good body."""
    found = [f"{name} is not of a type(s) string" for name in _STRINGS if name in body and not isinstance(body[name], str)]
    found += [f"{name} is not of a type(s) boolean" for name in _BOOLEANS if name in body and not isinstance(body[name], bool)]
    number = body.get("number")
    if isinstance(number, str) and not re.match(_NUMBER_PATTERN, number, re.ASCII):
        found.append(f'number does not match pattern "{_NUMBER_PATTERN.replace(chr(92), chr(92) * 2)}"')
    if body.get("instanceName") == "" and set(body) == {"instanceName"}:
        found.append('The "instanceName" cannot be empty')
    return found
