"""The environment as Evolution API sees it: the container's, and what its image holds in `/evolution/.env` for the variables left unset.

Those values are the ones of `.env.example` at Evolution API's tag 2.2.3, which its Dockerfile copies into the image. They differ from the
defaults in its code, which only come into play where a variable is set but empty. Only variables that the code of 2.2.3 reads are listed.
"""

import re
from collections.abc import Mapping

EVENT_KEYS = (
    "APPLICATION_STARTUP",
    "INSTANCE_CREATE",
    "INSTANCE_DELETE",
    "QRCODE_UPDATED",
    "MESSAGES_SET",
    "MESSAGES_UPSERT",
    "MESSAGES_EDITED",
    "MESSAGES_UPDATE",
    "MESSAGES_DELETE",
    "SEND_MESSAGE",
    "CONTACTS_SET",
    "CONTACTS_UPDATE",
    "CONTACTS_UPSERT",
    "PRESENCE_UPDATE",
    "CHATS_SET",
    "CHATS_UPDATE",
    "CHATS_UPSERT",
    "CHATS_DELETE",
    "CONNECTION_UPDATE",
    "LABELS_EDIT",
    "LABELS_ASSOCIATION",
    "GROUPS_UPSERT",
    "GROUP_UPDATE",
    "GROUP_PARTICIPANTS_UPDATE",
    "CALL",
    "TYPEBOT_START",
    "TYPEBOT_CHANGE_STATUS",
)
"""The switchable events, in the order in which 2.2.3 declares their queues at start."""

_WEBHOOKS_OFF = {"APPLICATION_STARTUP", "INSTANCE_CREATE", "INSTANCE_DELETE", "TYPEBOT_START", "TYPEBOT_CHANGE_STATUS"}


def event_variable(prefix: str, key: str) -> str:
    """Name the variable that switches an event; `GROUP_UPDATE` is read from `..._GROUPS_UPDATE` (`env.config.ts` of 2.2.3)."""
    return f"{prefix}_EVENTS_{'GROUPS_UPDATE' if key == 'GROUP_UPDATE' else key}"


IMAGE_ENV: dict[str, str] = {
    "SERVER_TYPE": "http",
    "SERVER_PORT": "8080",
    "SERVER_URL": "http://localhost:8080",
    "CORS_ORIGIN": "*",
    "CORS_METHODS": "GET,POST,PUT,DELETE",
    "CORS_CREDENTIALS": "true",
    "LOG_LEVEL": "ERROR,WARN,DEBUG,INFO,LOG,VERBOSE,DARK,WEBHOOKS,WEBSOCKET",
    "LOG_COLOR": "true",
    "DEL_INSTANCE": "false",
    "DATABASE_CONNECTION_URI": "postgresql://user:pass@postgres:5432/evolution?schema=public",
    "DATABASE_CONNECTION_CLIENT_NAME": "evolution_exchange",
    "DATABASE_SAVE_DATA_INSTANCE": "true",
    "DATABASE_SAVE_DATA_NEW_MESSAGE": "true",
    "DATABASE_SAVE_MESSAGE_UPDATE": "true",
    "DATABASE_SAVE_DATA_CONTACTS": "true",
    "DATABASE_SAVE_DATA_CHATS": "true",
    "DATABASE_SAVE_DATA_LABELS": "true",
    "DATABASE_SAVE_DATA_HISTORIC": "true",
    "DATABASE_SAVE_IS_ON_WHATSAPP": "true",
    "DATABASE_SAVE_IS_ON_WHATSAPP_DAYS": "7",
    "DATABASE_DELETE_MESSAGE": "true",
    "RABBITMQ_ENABLED": "false",
    "RABBITMQ_URI": "amqp://localhost",
    "RABBITMQ_EXCHANGE_NAME": "evolution",
    "RABBITMQ_GLOBAL_ENABLED": "false",
    "RABBITMQ_PREFIX_KEY": "evolution",
    "SQS_ENABLED": "false",
    "WEBSOCKET_ENABLED": "false",
    "WA_BUSINESS_TOKEN_WEBHOOK": "evolution",
    "WEBHOOK_GLOBAL_ENABLED": "false",
    "WEBHOOK_GLOBAL_URL": "",
    "WEBHOOK_GLOBAL_WEBHOOK_BY_EVENTS": "false",
    "WEBHOOK_EVENTS_ERRORS": "false",
    "WEBHOOK_EVENTS_ERRORS_WEBHOOK": "",
    "CONFIG_SESSION_PHONE_CLIENT": "Evolution API",
    "CONFIG_SESSION_PHONE_NAME": "Chrome",
    "CONFIG_SESSION_PHONE_VERSION": "2.3000.1015901307",
    "QRCODE_LIMIT": "30",
    "QRCODE_COLOR": "#175197",
    "CACHE_REDIS_ENABLED": "true",
    "CACHE_REDIS_URI": "redis://localhost:6379/6",
    "CACHE_REDIS_TTL": "604800",
    "CACHE_REDIS_PREFIX_KEY": "evolution",
    "CACHE_REDIS_SAVE_INSTANCES": "false",
    "CACHE_LOCAL_ENABLED": "false",
    "S3_ENABLED": "false",
    "S3_ACCESS_KEY": "",
    "S3_SECRET_KEY": "",
    "S3_BUCKET": "evolution",
    "S3_PORT": "443",
    "S3_ENDPOINT": "s3.domain.com",
    "S3_REGION": "eu-west-3",
    "S3_USE_SSL": "true",
    "AUTHENTICATION_API_KEY": "429683C4C977415CAAFCCE10F7D57E11",
    "AUTHENTICATION_EXPOSE_IN_FETCH_INSTANCES": "true",
} | {event_variable("WEBHOOK", key): "true" for key in EVENT_KEYS if key not in _WEBHOOKS_OFF}


class Environment:
    """The variables as node sees them: the container's, and for those that it leaves unset the image's."""

    def __init__(self, container: Mapping[str, str]) -> None:
        self._values = IMAGE_ENV | dict(container)

    def text(self, name: str, default: str = "") -> str:
        """Give the value, or the code's default where it is empty."""
        return self._values.get(name) or default

    def flag(self, name: str) -> bool:
        """True for the exact string `true` only: not `True`, not `1`."""
        return self._values.get(name) == "true"

    def words(self, name: str) -> tuple[str, ...]:
        """Split at commas, without trimming; an empty value is one empty word."""
        return tuple(self._values[name].split(","))

    def leading_number(self, name: str) -> int | None:
        """Read an integer as JavaScript's `parseInt` does: `80abc` is 80, `abc` is nothing."""
        found = re.match(r"\s*([+-]?\d+)", self._values.get(name) or "")
        return int(found[1]) if found else None

    def number(self, name: str, default: int) -> int:
        """Read an integer, or the code's default where there is none or it is zero."""
        return self.leading_number(name) or default

    def events(self, prefix: str) -> frozenset[str]:
        """Give the keys of the events whose switch is on."""
        return frozenset(key for key in EVENT_KEYS if self.flag(event_variable(prefix, key)))
