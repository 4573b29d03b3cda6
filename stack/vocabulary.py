"""Closed vocabularies and constants of the environment: services, volumes, ports, Evolution API's events.

Ports are the ones on which the images listen; what the host sees is a setting.
"""

from enum import StrEnum


class ServiceName(StrEnum):
    """The services, by the name under which they reach each other on the network."""

    APP = "app"
    DB = "db"
    EVOLUTION_API = "evolution-api"
    EVOLUTION_POSTGRES = "evolution_postgres"
    REDIS = "redis"
    RABBITMQ = "rabbitmq"
    MINIO = "minio"
    AUDIO_CONVERTER = "audio-converter"
    PGADMIN = "pgadmin"


SETTING_PREFIXES = {
    ServiceName.APP: "APP",
    ServiceName.DB: "POSTGRES",
    ServiceName.EVOLUTION_API: "EVOLUTION",
    ServiceName.EVOLUTION_POSTGRES: "EVOLUTION_POSTGRES",
    ServiceName.REDIS: "REDIS",
    ServiceName.RABBITMQ: "RABBITMQ",
    ServiceName.MINIO: "MINIO",
    ServiceName.AUDIO_CONVERTER: "AUDIO_CONVERTER",
    ServiceName.PGADMIN: "PGADMIN",
}
"""How the names of each service's settings begin, as in `POSTGRES_MEMORY_MB`."""


class VolumeName(StrEnum):
    """The named volumes that hold all data; a stack's volume is called `<project>_<name>`, as Compose does."""

    POSTGRES_ADK_DATA = "postgres_adk_data"
    POSTGRES_EVO_DATA = "postgres_evo_data"
    REDIS_DATA = "redis_data"
    RABBITMQ_DATA = "rabbitmq_data"
    MINIO_DATA = "minio_data"
    EVOLUTION_INSTANCES = "evolution_instances"


class Event(StrEnum):
    """What Evolution API 2.2.3 can announce, by the suffix of its switches `RABBITMQ_EVENTS_*` and `WEBHOOK_EVENTS_*`.

    Two that its configuration knows are left out, for 2.2.3 never delivers them: APPLICATION_STARTUP and GROUPS_UPDATE.
    """

    QRCODE_UPDATED = "QRCODE_UPDATED"
    MESSAGES_SET = "MESSAGES_SET"
    MESSAGES_UPSERT = "MESSAGES_UPSERT"
    MESSAGES_EDITED = "MESSAGES_EDITED"
    MESSAGES_UPDATE = "MESSAGES_UPDATE"
    MESSAGES_DELETE = "MESSAGES_DELETE"
    SEND_MESSAGE = "SEND_MESSAGE"
    CONTACTS_SET = "CONTACTS_SET"
    CONTACTS_UPDATE = "CONTACTS_UPDATE"
    CONTACTS_UPSERT = "CONTACTS_UPSERT"
    PRESENCE_UPDATE = "PRESENCE_UPDATE"
    CHATS_SET = "CHATS_SET"
    CHATS_UPDATE = "CHATS_UPDATE"
    CHATS_UPSERT = "CHATS_UPSERT"
    CHATS_DELETE = "CHATS_DELETE"
    CONNECTION_UPDATE = "CONNECTION_UPDATE"
    LABELS_EDIT = "LABELS_EDIT"
    LABELS_ASSOCIATION = "LABELS_ASSOCIATION"
    GROUPS_UPSERT = "GROUPS_UPSERT"
    GROUP_PARTICIPANTS_UPDATE = "GROUP_PARTICIPANTS_UPDATE"
    CALL = "CALL"
    TYPEBOT_START = "TYPEBOT_START"
    TYPEBOT_CHANGE_STATUS = "TYPEBOT_CHANGE_STATUS"
    INSTANCE_CREATE = "INSTANCE_CREATE"
    INSTANCE_DELETE = "INSTANCE_DELETE"

    @property
    def topic(self) -> str:
        """The name under which Evolution API publishes the event."""
        return _DASHED_TOPICS.get(self, self.lower().replace("_", "."))


_DASHED_TOPICS = {
    Event.GROUP_PARTICIPANTS_UPDATE: "group-participants.update",
    Event.TYPEBOT_CHANGE_STATUS: "typebot.change-status",
}

DEFAULT_EVENTS = frozenset(
    {
        Event.QRCODE_UPDATED,
        Event.MESSAGES_UPSERT,
        Event.MESSAGES_UPDATE,
        Event.SEND_MESSAGE,
        Event.CONNECTION_UPDATE,
        Event.INSTANCE_CREATE,
        Event.INSTANCE_DELETE,
    }
)

APP_PORT = 8000
EVOLUTION_PORT = 8080
POSTGRES_PORT = 5432
REDIS_PORT = 6379
REDIS_DATA_SHARE = 0.75
"""Of Redis' memory limit, for data: above it, it refuses writes. The rest is for connections, buffers and the copies that rewriting the
log makes; without this bound the kernel would end Redis at its limit, and again each time it has read the same log back."""
AMQP_PORT = 5672
RABBITMQ_UI_PORT = 15672
MINIO_PORT = 9000
MINIO_CONSOLE_PORT = 9001
PGADMIN_PORT = 5050
