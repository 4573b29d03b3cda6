"""The settings of one process: the variables that Evolution API 2.2.3 reads, with the meaning and the defaults that they have in its image.

Any other variable is ignored, as there. `environment` says what an unset variable becomes; the defaults in this file are those of the
code (`src/config/env.config.ts` at 2.2.3) for a variable that is set but empty.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from simulator.environment import Environment

NOT_SIMULATED = ("CHATWOOT_ENABLED", "DIFY_ENABLED", "OPENAI_ENABLED", "PROVIDER_ENABLED", "PUSHER_ENABLED", "TYPEBOT_ENABLED")
"""Switches of Evolution's that the simulator reads only to say that they have no effect here."""


class StartRefusedError(Exception):
    """The real one would not start like this. The text is what it prints before it exits with status 1."""


@dataclass(frozen=True)
class Server:
    """The HTTP server. `url` is only repeated in events."""

    type: str
    port: int
    url: str
    manager: bool
    privkey: str
    fullchain: str


@dataclass(frozen=True)
class Cors:
    """Who may call from a browser."""

    origins: tuple[str, ...]
    methods: tuple[str, ...]
    credentials: bool


@dataclass(frozen=True)
class Log:
    """Which kinds of lines are printed, and whether in colour."""

    levels: frozenset[str]
    colour: bool


@dataclass(frozen=True)
class SaveData:
    """What is kept in Postgres. Without `instance`, stored instances aren't loaded at start and their tokens don't open the list."""

    instance: bool
    new_message: bool
    message_update: bool
    contacts: bool
    logical_message_delete: bool


@dataclass(frozen=True)
class Database:
    """Postgres. `provider` is None unless the container itself sets it: the image's entrypoint doesn't read the file in the image."""

    provider: str | None
    uri: str
    client_name: str
    save: SaveData


@dataclass(frozen=True)
class Redis:
    """Where session keys live."""

    enabled: bool
    uri: str
    prefix: str


@dataclass(frozen=True)
class Rabbitmq:
    """The broker; `events` are the keys (`MESSAGES_UPSERT`) of what goes to the global exchange when `globally` is on."""

    enabled: bool
    uri: str
    exchange: str
    globally: bool
    prefix: str
    events: frozenset[str]


@dataclass(frozen=True)
class Webhook:
    """The global webhook."""

    enabled: bool
    url: str
    by_events: bool
    events: frozenset[str]
    errors: bool
    errors_url: str


@dataclass(frozen=True)
class S3:
    """MinIO. `endpoint` is a bare host; `port` is None where the variable holds no number."""

    enabled: bool
    endpoint: str
    port: int | None
    use_ssl: bool
    access_key: str
    secret_key: str
    bucket: str
    region: str


@dataclass(frozen=True)
class Phone:
    """The QR code that pairs it."""

    qrcode_limit: int
    qrcode_color: str


@dataclass(frozen=True)
class Settings:
    """Everything that the process was told. `delete_after_minutes` is 0 for never; `without_effect` names switches that do nothing here."""

    server: Server
    cors: Cors
    log: Log
    database: Database
    redis: Redis
    rabbitmq: Rabbitmq
    webhook: Webhook
    s3: S3
    phone: Phone
    api_key: str
    expose_token: bool
    delete_after_minutes: float
    websocket_enabled: bool
    sqs_enabled: bool
    business_token: str
    audio_converter: str
    audio_converter_key: str
    without_effect: tuple[str, ...]


def load(container: Mapping[str, str]) -> Settings:
    """Read the settings from a container's environment. Never fails: whether they are usable shows when they are used, as in 2.2.3."""
    env = Environment(container)
    return Settings(
        server=_server(env),
        cors=Cors(env.words("CORS_ORIGIN"), env.words("CORS_METHODS"), env.flag("CORS_CREDENTIALS")),
        log=Log(frozenset(env.words("LOG_LEVEL")), env.flag("LOG_COLOR")),
        database=Database(
            provider=container.get("DATABASE_PROVIDER"),
            uri=env.text("DATABASE_CONNECTION_URI"),
            client_name=env.text("DATABASE_CONNECTION_CLIENT_NAME", "evolution"),
            save=_save(env),
        ),
        redis=Redis(
            enabled=env.flag("CACHE_REDIS_ENABLED") and env.text("CACHE_REDIS_URI") != "",
            uri=env.text("CACHE_REDIS_URI"),
            prefix=env.text("CACHE_REDIS_PREFIX_KEY", "evolution-cache"),
        ),
        rabbitmq=_rabbitmq(env),
        webhook=_webhook(env),
        s3=_s3(env),
        phone=_phone(env),
        api_key=env.text("AUTHENTICATION_API_KEY", "BQYHJGJHJ"),
        expose_token=env.flag("AUTHENTICATION_EXPOSE_IN_FETCH_INSTANCES"),
        delete_after_minutes=max(env.number("DEL_INSTANCE", 0), 0),
        websocket_enabled=env.flag("WEBSOCKET_ENABLED"),
        sqs_enabled=env.flag("SQS_ENABLED"),
        business_token=env.text("WA_BUSINESS_TOKEN_WEBHOOK", "evolution"),
        audio_converter=env.text("API_AUDIO_CONVERTER"),
        audio_converter_key=env.text("API_AUDIO_CONVERTER_KEY"),
        without_effect=tuple(name for name in NOT_SIMULATED if env.flag(name)),
    )


def _server(env: Environment) -> Server:
    return Server(
        type=env.text("SERVER_TYPE"),
        port=env.number("SERVER_PORT", 8080),
        url=env.text("SERVER_URL"),
        manager=not env.flag("SERVER_DISABLE_MANAGER"),
        privkey=env.text("SSL_CONF_PRIVKEY"),
        fullchain=env.text("SSL_CONF_FULLCHAIN"),
    )


def _save(env: Environment) -> SaveData:
    return SaveData(
        instance=env.flag("DATABASE_SAVE_DATA_INSTANCE"),
        new_message=env.flag("DATABASE_SAVE_DATA_NEW_MESSAGE"),
        message_update=env.flag("DATABASE_SAVE_MESSAGE_UPDATE"),
        contacts=env.flag("DATABASE_SAVE_DATA_CONTACTS"),
        logical_message_delete=env.flag("DATABASE_DELETE_MESSAGE"),
    )


def _rabbitmq(env: Environment) -> Rabbitmq:
    return Rabbitmq(
        enabled=env.flag("RABBITMQ_ENABLED"),
        uri=env.text("RABBITMQ_URI", "amqp://localhost"),
        exchange=env.text("RABBITMQ_EXCHANGE_NAME", "evolution_exchange"),
        globally=env.flag("RABBITMQ_GLOBAL_ENABLED"),
        prefix=env.text("RABBITMQ_PREFIX_KEY", "evolution"),
        events=env.events("RABBITMQ"),
    )


def _webhook(env: Environment) -> Webhook:
    return Webhook(
        enabled=env.flag("WEBHOOK_GLOBAL_ENABLED"),
        url=env.text("WEBHOOK_GLOBAL_URL"),
        by_events=env.flag("WEBHOOK_GLOBAL_WEBHOOK_BY_EVENTS"),
        events=env.events("WEBHOOK"),
        errors=env.flag("WEBHOOK_EVENTS_ERRORS"),
        errors_url=env.text("WEBHOOK_EVENTS_ERRORS_WEBHOOK"),
    )


def _s3(env: Environment) -> S3:
    port = env.leading_number("S3_PORT") if env.text("S3_PORT") else 9000
    return S3(
        enabled=env.flag("S3_ENABLED"),
        endpoint=env.text("S3_ENDPOINT"),
        port=port,
        use_ssl=env.flag("S3_USE_SSL"),
        access_key=env.text("S3_ACCESS_KEY"),
        secret_key=env.text("S3_SECRET_KEY"),
        bucket=env.text("S3_BUCKET"),
        region=env.text("S3_REGION"),
    )


def _phone(env: Environment) -> Phone:
    return Phone(
        qrcode_limit=env.number("QRCODE_LIMIT", 30),
        qrcode_color=env.text("QRCODE_COLOR", "#198754"),
    )
