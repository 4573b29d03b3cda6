"""`evolution-api`: the WhatsApp gateway.

Its variables are those that Evolution API 2.2.3 reads, all of them that matter given explicitly: its image carries a `.env` of its own,
from which it would take whatever is left out. It reads no secret files.
"""

from pathlib import Path

import pulumi

from stack.context import Context
from stack.service import Service
from stack.services.audio_converter import AudioConverter
from stack.services.evolution_postgres import EvolutionPostgres
from stack.services.minio import Minio
from stack.services.rabbitmq import Rabbitmq
from stack.services.redis import Redis
from stack.settings import Settings
from stack.spec import File, Limits, Port, Probe, ServiceSpec
from stack.vocabulary import AMQP_PORT, EVOLUTION_PORT, MINIO_PORT, ServiceName, VolumeName

_FRAME_MAX = 131072
"""The client in 2.2.3 offers frames of 4096 bytes, which RabbitMQ from 4.1 on refuses; it takes this from the URL."""

_START = "/etc/evolution/keep-connected-to-rabbitmq.sh"
_DEAF = 4
"""How its probe ends without a connection to RabbitMQ: it makes one when it starts; when that is lost, it drops events without a word.

It is ended for it after a minute, and started again by the engine; the gate does not wait for so long."""

# `GET /` answers before the database does; this one needs the database and the key. wget is what the image has. The kernel knows all
# connections of the container (01 is an established one): Evolution API tells nobody that it has none to RabbitMQ.
_PROBE = f"""\
wget -q -O /dev/null --header "apikey: $AUTHENTICATION_API_KEY" http://127.0.0.1:{EVOLUTION_PORT}/instance/fetchInstances || exit 1
grep -qs ":{AMQP_PORT:04X} 01 " /proc/net/tcp /proc/net/tcp6 && exit 0
echo "it has no connection to RabbitMQ, and makes none but at its start"
exit {_DEAF}
"""


class EvolutionApi(Service):
    """Evolution API, or its simulator.

    Attributes:
        url: where the application reaches it, once it is ready.
    """

    def __init__(
        self,
        context: Context,
        database: EvolutionPostgres,
        redis: Redis,
        rabbitmq: Rabbitmq,
        minio: Minio,
        audio_converter: AudioConverter,
    ) -> None:
        settings, credentials = context.settings, context.credentials
        environment: dict[str, pulumi.Input[str]] = {
            **_general(settings),
            **_storing(settings),
            **_events(settings),
            "AUTHENTICATION_API_KEY": credentials.authentication_api_key,
            "DATABASE_CONNECTION_URI": pulumi.Output.concat(database.url, "?schema=public"),
            "CACHE_REDIS_URI": pulumi.Output.concat(redis.url, f"/{settings.evolution_redis_database}"),
            "RABBITMQ_URI": pulumi.Output.concat(rabbitmq.amqp_url, f"?frameMax={_FRAME_MAX}"),
            "S3_ENDPOINT": minio.hostname,
            "S3_SECRET_KEY": credentials.minio_password,
            "API_AUDIO_CONVERTER": audio_converter.url,
            "API_AUDIO_CONVERTER_KEY": credentials.audio_converter_key,
        }
        super().__init__(spec(context, environment, rabbitmq.container_id), context.host)
        self.url = self.endpoint(f"http://{ServiceName.EVOLUTION_API}:{EVOLUTION_PORT}")


def spec(context: Context, environment: dict[str, pulumi.Input[str]], rabbitmq_id: pulumi.Input[str]) -> ServiceSpec:
    """The spec of Evolution API."""
    settings = context.settings
    return ServiceSpec(
        name=ServiceName.EVOLUTION_API,
        image=context.images.of(ServiceName.EVOLUTION_API),
        # Its start is a line of bash, in the image and in the simulator's alike; bash reads this file before it.
        environment={**environment, "BASH_ENV": _START},
        files=(File(_START, (Path(__file__).parent / "evolution_start.sh").read_text()),),
        volumes={"/evolution/instances": VolumeName.EVOLUTION_INSTANCES},
        ports=(Port(EVOLUTION_PORT, settings.evolution_port),),
        # The first start migrates its database, and every start generates its client: 20 to 60 s.
        probe=Probe(("CMD-SHELL", _PROBE), restart_exit_code=_DEAF, limit=240),
        limits=Limits(settings.evolution_memory_mb, settings.evolution_cpus),
        stop_grace_seconds=15,
        needs=(
            ServiceName.EVOLUTION_POSTGRES,
            ServiceName.REDIS,
            ServiceName.RABBITMQ,
            ServiceName.MINIO,
            ServiceName.AUDIO_CONVERTER,
        ),
        # It never reconnects to RabbitMQ, and drops events without a word.
        restarts_with={ServiceName.RABBITMQ: rabbitmq_id},
    )


def _general(settings: Settings) -> dict[str, str]:
    return {
        "SERVER_TYPE": "http",
        "SERVER_PORT": str(EVOLUTION_PORT),
        "SERVER_URL": settings.evolution_server_url or f"http://{settings.public_host()}:{settings.evolution_port}",
        "LOG_LEVEL": settings.evolution_log_level,
        "LOG_COLOR": "false",
        "LANGUAGE": settings.language,
        "DEL_INSTANCE": _flag(settings.del_instance),
        "AUTHENTICATION_EXPOSE_IN_FETCH_INSTANCES": _flag(settings.authentication_expose_in_fetch_instances),
        "CONFIG_SESSION_PHONE_CLIENT": settings.config_session_phone_client,
        "CONFIG_SESSION_PHONE_NAME": settings.config_session_phone_name,
        "CONFIG_SESSION_PHONE_VERSION": settings.config_session_phone_version,
        "QRCODE_LIMIT": str(settings.qrcode_limit),
        "TELEMETRY_ENABLED": _flag(settings.telemetry_enabled),
    }


def _storing(settings: Settings) -> dict[str, str]:
    return {
        "DATABASE_PROVIDER": "postgresql",
        "DATABASE_CONNECTION_CLIENT_NAME": settings.evolution_client_name,
        "DATABASE_SAVE_DATA_INSTANCE": _flag(settings.database_save_data_instance),
        "DATABASE_SAVE_DATA_NEW_MESSAGE": _flag(settings.database_save_data_new_message),
        "DATABASE_SAVE_MESSAGE_UPDATE": _flag(settings.database_save_message_update),
        "DATABASE_SAVE_DATA_CONTACTS": _flag(settings.database_save_data_contacts),
        "DATABASE_SAVE_DATA_CHATS": _flag(settings.database_save_data_chats),
        "DATABASE_SAVE_DATA_LABELS": _flag(settings.database_save_data_labels),
        "DATABASE_SAVE_DATA_HISTORIC": _flag(settings.database_save_data_historic),
        "DATABASE_SAVE_IS_ON_WHATSAPP": _flag(settings.database_save_is_on_whatsapp),
        "DATABASE_SAVE_IS_ON_WHATSAPP_DAYS": str(settings.database_save_is_on_whatsapp_days),
        "DATABASE_DELETE_MESSAGE": _flag(settings.database_delete_message),
        "CACHE_REDIS_ENABLED": "true",
        "CACHE_REDIS_PREFIX_KEY": settings.cache_redis_prefix_key,
        "CACHE_REDIS_TTL": "604800",
        "CACHE_REDIS_SAVE_INSTANCES": "false",
        "CACHE_LOCAL_ENABLED": "false",
        "S3_ENABLED": "true",
        "S3_ACCESS_KEY": settings.minio_root_user,
        "S3_BUCKET": settings.s3_bucket,
        "S3_PORT": str(MINIO_PORT),
        "S3_USE_SSL": "false",
        "S3_REGION": "us-east-1",
    }


def _events(settings: Settings) -> dict[str, str]:
    return {
        "RABBITMQ_ENABLED": "true",
        "RABBITMQ_GLOBAL_ENABLED": "true",
        "RABBITMQ_EXCHANGE_NAME": settings.rabbitmq_exchange_name,
        "RABBITMQ_PREFIX_KEY": "evolution",
        **{f"RABBITMQ_EVENTS_{event}": _flag(on) for event, on in settings.rabbitmq_events.items()},
        "WEBHOOK_GLOBAL_ENABLED": _flag(settings.webhook_global_enabled),
        "WEBHOOK_GLOBAL_URL": settings.webhook_global_url,
        "WEBHOOK_GLOBAL_WEBHOOK_BY_EVENTS": _flag(settings.webhook_global_webhook_by_events),
        **{f"WEBHOOK_EVENTS_{event}": _flag(on) for event, on in settings.webhook_events.items()},
        "WEBSOCKET_ENABLED": "false",
        "SQS_ENABLED": "false",
    }


def _flag(value: bool) -> str:
    """Evolution takes nothing but `true` for true."""
    return "true" if value else "false"
