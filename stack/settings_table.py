"""The one table of settings: name, type, default, meaning. Those for events, which are made from their list, stand in `settings_events`.

`.env.example`, the README's tables and the validation are made from it. A field's name in capitals is the setting's name.
A secret without a value is generated; everything else has a default that starts without errors.
"""

from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from stack.settings_types import (
    BindAddress,
    BucketName,
    CallerKey,
    ClientName,
    Cpus,
    DatabaseName,
    DataVolume,
    Email,
    ExchangeName,
    Folder,
    HostPort,
    HttpUrl,
    ImageReference,
    LoginName,
    LogLevels,
    MemoryMiB,
    MinioSecret,
    MinioUser,
    Passphrase,
    PhoneVersion,
    PostgresParameters,
    ProjectName,
    RedisPrefix,
    RoleName,
    Secret,
    Text,
    TimeZone,
)


class Environment(StrEnum):
    """How strict a stack is: production wants its own settings file and passphrase."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


class ImageSource(StrEnum):
    """Where images come from: a container registry, or built here from packages."""

    REGISTRY = "registry"
    LOCAL = "local"


class Publication(StrEnum):
    """Which services have ports on the host: all that people look at, or only those that the world calls."""

    ALL = "all"
    PUBLIC = "public"


class EventTransport(StrEnum):
    """How Evolution API tells the application what happens."""

    RABBITMQ = "rabbitmq"
    WEBHOOK = "webhook"


class EvolutionKind(StrEnum):
    """What runs as evolution-api: the real API, or its simulator, which needs no phone."""

    API = "api"
    SIMULATOR = "simulator"


def setting(default: Any, description: str, example: str | None = None) -> Any:  # noqa: ANN401 - pydantic's Field has the same type
    """One row of the table; `example` is shown where the default can't be."""
    return Field(default=default, description=description, examples=None if example is None else [example])


class Section(BaseModel):
    """What belongs together. Its docstring is its title, for people."""

    # defer_build: only the whole table is ever validated, and building a part costs time at every `up`
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)


class StackSettings(Section):
    """Stack."""

    environment: Environment = setting(Environment.DEVELOPMENT, "`development` or `production`")
    env_file: str = setting("", "Settings file (`.env` for dev, `.env.<stack>` for others); only in the stack's configuration", ".env.prod")
    project_name: ProjectName | None = setting(None, "Compose project name; name an existing project to adopt its volumes", "whatsapp-dev")
    bind_address: BindAddress = setting("127.0.0.1", "Address of this machine on which ports are published; `0.0.0.0` for all")
    publish: Publication = setting(Publication.ALL, "Published services: `all`, or `public` for app and evolution-api only")
    protect_volumes: bool = setting(False, "Refuse any change that would delete a data volume")
    images: ImageSource = setting(
        ImageSource.REGISTRY, "Image source: `registry`, or `local` to build from packages (chosen by the set-up)"
    )
    tz: TimeZone = setting("America/Sao_Paulo", "Time zone of all containers")


class AppSettings(Section):
    """Application."""

    app_port: HostPort = setting(8000, "Host port of the application; replicas take the ports after it")
    app_replicas: int = Field(default=1, ge=1, le=32, description="Number of application containers")
    app_mount_source: bool = setting(True, "Mount src, scripts, tasks and alembic and reload on change; off: run from the image")
    app_log_level: Literal["debug", "info", "warning", "error"] = setting("info", "Log level of the application")
    app_python_image: ImageReference = setting("python:3.12-slim", "Base image of the application's build")
    app_memory_mb: MemoryMiB = setting(512, "Memory limit of each application container, MiB")
    app_cpus: Cpus = setting(2.0, "CPU limit of each application container, cores")
    evolution_api_key: Secret | None = setting(None, "Key that the application sends to Evolution API", "exampleKey0123456789exampleKey012")
    app_api_key: CallerKey | None = setting(
        None,
        "Key that callers of the application send; without it development is open, and production generates one",
        "exampleKey0123456789exampleKey012",
    )
    webhook_secret: Secret | None = setting(
        None, "Secret that a call of the application's webhook has to carry", "exampleSecret0123456789exampleSe"
    )
    app_events_via: EventTransport = setting(
        EventTransport.RABBITMQ, "How instances announce events to the application: `rabbitmq`, or by `webhook` as well"
    )
    app_outbox_concurrency: int = Field(default=16, ge=1, le=256, description="Messages that one application container sends at a time")
    app_outbox_give_up_hours: int = Field(default=24, ge=1, le=720, description="Hours after which a message that can't be sent has failed")


class DbSettings(Section):
    """Application database (db)."""

    postgres_user: RoleName = setting("app", "User of the application's database")
    postgres_password: Secret | None = setting(None, "Password of that user", "examplePassword0123456789example")
    postgres_db: DatabaseName = setting("app", "Name of the application's database")
    postgres_port: HostPort = setting(5432, "Host port of the application's database")
    postgres_max_connections: int = Field(default=100, ge=10, le=10_000, description="Connection limit of the application's database")
    postgres_parameters: PostgresParameters = setting("", "Its other parameters, separated by blanks", "shared_buffers=128MB work_mem=8MB")
    postgres_image: ImageReference = setting("postgres:16", "Image of the application's database")
    postgres_volume: DataVolume = setting("postgres_adk_data", "Volume of its data; `make upgrade-postgres` sets it")
    postgres_memory_mb: MemoryMiB = setting(512, "Memory limit, MiB")
    postgres_cpus: Cpus = setting(2.0, "CPU limit, cores")


class EvolutionSettings(Section):
    """Evolution API."""

    evolution: EvolutionKind = setting(EvolutionKind.API, "`api`, or `simulator` to work without a phone (always with IMAGES=local)")
    evolution_port: HostPort = setting(8080, "Host port of Evolution API")
    authentication_api_key: Secret | None = setting(None, "Key that Evolution API accepts", "exampleKey0123456789exampleKey012")
    evolution_server_url: HttpUrl | None = setting(None, "Public URL of Evolution API, as events carry it", "http://localhost:8080")
    evolution_client_name: ClientName = setting("evolution", "Name that scopes this API's instances in its database")
    evolution_log_level: LogLevels = setting("ERROR,WARN,INFO,LOG", "Log levels of Evolution API, separated by commas")
    evolution_image: ImageReference = setting("atendai/evolution-api:v2.2.3", "Image of Evolution API")
    evolution_memory_mb: MemoryMiB = setting(1024, "Memory limit, MiB")
    evolution_cpus: Cpus = setting(2.0, "CPU limit, cores")
    config_session_phone_version: PhoneVersion = setting(
        "", "WhatsApp Web version to announce; empty asks WhatsApp for the latest", "2.3000.1015901307"
    )
    config_session_phone_client: Text = setting("Evolution API", "Device name shown in the phone's list of linked devices")
    config_session_phone_name: Literal["Chrome", "Firefox", "Edge", "Opera", "Safari"] = setting(
        "Chrome", "Browser name shown in that list"
    )
    qrcode_limit: int = Field(default=30, ge=1, le=1000, description="QR codes shown before pairing is given up")
    del_instance: bool = setting(False, "Delete instances that are not connected")
    telemetry_enabled: bool = setting(False, "Send request paths, instance names included, to Evolution's makers")
    authentication_expose_in_fetch_instances: bool = setting(False, "Put the instance's token into every event")
    language: Literal["en", "pt-BR", "es"] = setting("pt-BR", "Language of Evolution API's own texts")


class PrivacySettings(Section):
    """What Evolution API stores (privacy)."""

    database_save_data_instance: bool = setting(True, "Store instances (needed to keep pairings)")
    database_save_data_new_message: bool = setting(
        True,
        "Store messages; off: no media, no delivery and read marks come, events that get lost are lost for good, and a message may be sent "
        "twice after a kill",
    )
    database_save_message_update: bool = setting(True, "Store delivery and read marks")
    database_save_data_contacts: bool = setting(True, "Store contacts")
    database_save_data_chats: bool = setting(True, "Store chats")
    database_save_data_labels: bool = setting(True, "Store labels")
    database_save_data_historic: bool = setting(False, "Store the history that the phone sends when it is paired")
    database_save_is_on_whatsapp: bool = setting(True, "Remember which numbers are on WhatsApp")
    database_save_is_on_whatsapp_days: int = Field(default=7, ge=1, le=3650, description="Days to remember that")
    database_delete_message: bool = setting(True, "Keep messages that were deleted, marked as such, instead of removing them")


class EvolutionDbSettings(Section):
    """Evolution API's database (evolution_postgres)."""

    evolution_postgres_user: RoleName = setting("evolution", "User of Evolution's database")
    evolution_postgres_password: Secret | None = setting(None, "Password of that user", "examplePassword0123456789example")
    evolution_postgres_db: DatabaseName = setting("evolution", "Name of Evolution's database")
    evolution_postgres_port: HostPort = setting(5433, "Host port of Evolution's database")
    evolution_postgres_max_connections: int = Field(default=100, ge=10, le=10_000, description="Connection limit of Evolution's database")
    evolution_postgres_parameters: PostgresParameters = setting(
        "", "Its other parameters, separated by blanks", "shared_buffers=128MB work_mem=8MB"
    )
    evolution_postgres_image: ImageReference = setting("postgres:15", "Image of Evolution's database")
    evolution_postgres_volume: DataVolume = setting("postgres_evo_data", "Volume of its data; `make upgrade-postgres` sets it")
    evolution_postgres_memory_mb: MemoryMiB = setting(512, "Memory limit, MiB")
    evolution_postgres_cpus: Cpus = setting(2.0, "CPU limit, cores")


class RedisSettings(Section):
    """Redis."""

    redis_password: Secret | None = setting(
        None, "Password of Redis, which holds WhatsApp session keys", "examplePassword0123456789example"
    )
    cache_redis_prefix_key: RedisPrefix = setting("evolution", "Prefix of Evolution API's keys; changed later, every phone pairs anew")
    evolution_redis_database: int = Field(
        default=6, ge=0, le=15, description="Number of Evolution API's database in Redis; changed later, every phone pairs anew"
    )
    redis_image: ImageReference = setting("redis:7", "Image of Redis")
    redis_memory_mb: MemoryMiB = setting(256, "Memory limit, MiB")
    redis_cpus: Cpus = setting(1.0, "CPU limit, cores")


class RabbitmqSettings(Section):
    """RabbitMQ."""

    rabbitmq_default_user: LoginName = setting("whatsapp", "User of RabbitMQ, administrator of its web page")
    rabbitmq_default_pass: Secret | None = setting(None, "Password of that user", "examplePassword0123456789example")
    rabbitmq_ui_port: HostPort = setting(15672, "Host port of RabbitMQ's web page")
    rabbitmq_image: ImageReference = setting("rabbitmq:management", "Image of RabbitMQ")
    rabbitmq_memory_mb: MemoryMiB = setting(768, "Memory limit, MiB")
    rabbitmq_cpus: Cpus = setting(2.0, "CPU limit, cores")
    rabbitmq_exchange_name: ExchangeName = setting("evolution", "Exchange on which Evolution API publishes its events")


class MinioSettings(Section):
    """MinIO."""

    minio_root_user: MinioUser = setting("whatsapp", "User of MinIO, for its console and for Evolution API")
    minio_root_password: MinioSecret | None = setting(
        None, "Password of that user, 8 characters or more", "examplePassword0123456789example"
    )
    minio_port: HostPort = setting(9000, "Host port of MinIO's S3 interface")
    minio_console_port: HostPort = setting(9001, "Host port of MinIO's console")
    s3_bucket: BucketName = setting("evolution", "Bucket for media; Evolution 2.2.3 makes its objects readable to whoever reaches MinIO")
    minio_image: ImageReference = setting("quay.io/minio/minio", "Image of MinIO")
    minio_memory_mb: MemoryMiB = setting(512, "Memory limit, MiB")
    minio_cpus: Cpus = setting(2.0, "CPU limit, cores")


class AudioConverterSettings(Section):
    """Audio converter."""

    audio_converter_port: HostPort = setting(4040, "Port of the converter inside the network")
    audio_converter_api_key: Secret | None = setting(
        None, "Key that the converter accepts and Evolution API sends", "exampleKey0123456789exampleKey012"
    )
    audio_converter_image: ImageReference = setting("atendai/evolution-audio-converter:latest", "Image of the audio converter")
    audio_converter_memory_mb: MemoryMiB = setting(512, "Memory limit, MiB")
    audio_converter_cpus: Cpus = setting(2.0, "CPU limit, cores")


class PgadminSettings(Section):
    """pgAdmin."""

    pgadmin_enabled: bool = setting(False, "Run pgAdmin")
    pgadmin_port: HostPort = setting(5050, "Host port of pgAdmin")
    pgadmin_default_email: Email = setting("admin@example.com", "Login of pgAdmin")
    pgadmin_default_password: Secret | None = setting(None, "Password of that login", "examplePassword0123456789example")
    pgadmin_image: ImageReference = setting("dpage/pgadmin4:latest", "Image of pgAdmin")
    pgadmin_memory_mb: MemoryMiB = setting(512, "Memory limit, MiB")
    pgadmin_cpus: Cpus = setting(1.0, "CPU limit, cores")


class BackupSettings(Section):
    """Backups."""

    backup_dir: Folder = setting("backups", "Folder of the backups: absolute, or below the project's folder")
    backup_keep: int = Field(default=7, ge=0, le=10_000, description="Backups that are kept of a stack; 0 keeps all")
    backup_keep_days: int = Field(default=0, ge=0, le=36_500, description="Days for which a backup is kept; 0 keeps it whatever its age")
    backup_key: Passphrase | None = setting(
        None,
        "Passphrase with which backups are encrypted; without it they are readable, and once used no restore works without it",
        "examplePassphrase0123456789example",
    )
