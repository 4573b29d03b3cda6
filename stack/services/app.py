"""`app`: the application."""

from collections.abc import Mapping
from pathlib import Path

import pulumi

from stack.context import Context
from stack.service import Service
from stack.services.db import Db
from stack.services.evolution_api import EvolutionApi
from stack.services.rabbitmq import Rabbitmq
from stack.spec import BindMount, File, Limits, Port, Probe, ServiceSpec
from stack.vocabulary import APP_PORT, ServiceName

_SOURCES = ("src", "scripts", "tasks", "alembic", "alembic.ini")
"""What a developer edits; mounted in development, and in the image otherwise."""

_INTERNAL_ALIAS = "app.internal"
"""A name with a dot: Evolution API 2.2.3 calls no global webhook on a host without one."""


_REFUSED = 3
"""How `src.healthcheck` ends when Evolution API or the database refuses the application's credentials."""


class App(Service):
    """The application's containers."""

    def __init__(self, context: Context, database: Db, rabbitmq: Rabbitmq, evolution: EvolutionApi) -> None:
        secrets = {
            "database_url": database.url,
            "rabbitmq_url": rabbitmq.amqp_url,
            "evolution_api_key": context.credentials.evolution_api_key,
            "webhook_secret": context.credentials.webhook_secret,
        }
        if context.credentials.app_api_key is not None:
            secrets["app_api_key"] = context.credentials.app_api_key
        super().__init__(spec(context, secrets, evolution.url), context.host)


def spec(context: Context, secrets: Mapping[str, pulumi.Input[str]], evolution_url: pulumi.Input[str]) -> ServiceSpec:
    """The spec of the application.

    Args:
        context: what the stack's services share.
        secrets: the application's secret settings, by their names.
        evolution_url: where it reaches Evolution API.
    """
    settings = context.settings
    return ServiceSpec(
        name=ServiceName.APP,
        image=context.images.of(ServiceName.APP),
        environment={
            **{name: pulumi.Output.secret(value.get_secret_value()) for name, value in settings.app_variables.items()},
            "ENVIRONMENT": settings.environment,
            "LOG_LEVEL": settings.app_log_level,
            "EVOLUTION_API_URL": evolution_url,
            "EVENTS_VIA": settings.app_events_via,
            "RABBITMQ_EXCHANGE": settings.rabbitmq_exchange_name,
            "OUTBOX_CONCURRENCY": str(settings.app_outbox_concurrency),
            "DATABASE_CONNECTIONS": str(settings.app_connections),
            "OUTBOX_GIVE_UP_HOURS": str(settings.app_outbox_give_up_hours),
        },
        files=tuple(File(f"/run/secrets/{name}", value) for name, value in secrets.items()),
        binds=_sources(context.folder) if settings.app_mount_source else (),
        ports=(Port(APP_PORT, settings.app_port),),
        aliases=(_INTERNAL_ALIAS,),
        probe=Probe(("CMD", "python", "-m", "src.healthcheck"), refused_exit_code=_REFUSED, limit=120),
        limits=Limits(settings.app_memory_mb, settings.app_cpus),
        stop_grace_seconds=20,
        replicas=settings.app_replicas,
        needs=(ServiceName.DB, ServiceName.RABBITMQ, ServiceName.EVOLUTION_API),
    )


def _sources(folder: Path) -> tuple[BindMount, ...]:
    # `alembic revision`, run in the container, writes the new migration.
    return tuple(BindMount(folder / name, f"/app/{name}", read_only=name != "alembic") for name in _SOURCES)
