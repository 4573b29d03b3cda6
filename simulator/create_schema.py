"""The JSON schema of `POST /instance/create`, in 2.2.3's order. It asks for types only, and not even for a name."""

from simulator.instance import INTEGRATIONS
from simulator.messages.validation import Schema
from simulator.targets import EVENTS

_STRING: Schema = {"type": "string"}
_BOOLEAN: Schema = {"type": "boolean"}
_EVENTS: Schema = {"type": "array", "minItems": 0, "items": {"type": "string", "enum": list(EVENTS[:-2])}}
"""Without `REMOVE_INSTANCE` and `LOGOUT_INSTANCE`, and for names that nothing reads: the targets have schemas of their own."""

SCHEMA: Schema = {
    "type": "object",
    "properties": {
        "instanceName": _STRING,
        "token": _STRING,
        "number": {"type": "string", "pattern": r"^\d+[\.@\w-]+"},
        "businessId": _STRING,
        "qrcode": _BOOLEAN,
        "Integration": {"type": "string", "enum": list(INTEGRATIONS)},
        "rejectCall": _BOOLEAN,
        "msgCall": _STRING,
        **dict.fromkeys(("groupsIgnore", "alwaysOnline", "readMessages", "readStatus", "syncFullHistory"), _BOOLEAN),
        "wavoipToken": _STRING,
        **dict.fromkeys(("proxyHost", "proxyPort", "proxyProtocol", "proxyUsername", "proxyPassword"), _STRING),
        "webhookUrl": _STRING,
        "webhookByEvents": _BOOLEAN,
        "webhookBase64": _BOOLEAN,
        "webhookEvents": _EVENTS,
        "rabbitmqEnabled": _BOOLEAN,
        "rabbitmqEvents": _EVENTS,
        "sqsEnabled": _BOOLEAN,
        "sqsEvents": _EVENTS,
        **dict.fromkeys(("chatwootAccountId", "chatwootToken", "chatwootUrl"), _STRING),
        **dict.fromkeys(("chatwootSignMsg", "chatwootReopenConversation", "chatwootConversationPending"), _BOOLEAN),
        "chatwootImportContacts": _BOOLEAN,
        "chatwootNameInbox": _STRING,
        "chatwootMergeBrazilContacts": _BOOLEAN,
        "chatwootImportMessages": _BOOLEAN,
        "chatwootDaysLimitImportMessages": {"type": "number"},
    },
    "notEmpty": ["instanceName"],
}
