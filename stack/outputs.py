"""What a stack tells: where to reach it, what its containers are called, and, as secrets, its credentials."""

from collections.abc import Sequence

import pulumi

from stack.context import Context
from stack.service import Service


def export(context: Context, services: Sequence[Service]) -> None:
    """Set the stack's outputs. `pulumi stack output --show-secrets` shows the credentials."""
    settings, credentials = context.settings, context.credentials
    host = settings.public_host()
    pulumi.export("app_url", f"http://{host}:{settings.app_port}")
    pulumi.export("evolution_api_url", f"http://{host}:{settings.evolution_port}")
    if settings.publishes_everything:
        pulumi.export("rabbitmq_ui_url", f"http://{host}:{settings.rabbitmq_ui_port}")
        pulumi.export("minio_console_url", f"http://{host}:{settings.minio_console_port}")
        if settings.pgadmin_enabled:
            pulumi.export("pgadmin_url", f"http://{host}:{settings.pgadmin_port}")
    pulumi.export("containers", [container.name for service in services for container in service.containers])
    secrets = {
        "POSTGRES_PASSWORD": credentials.postgres_password,
        "EVOLUTION_POSTGRES_PASSWORD": credentials.evolution_postgres_password,
        "REDIS_PASSWORD": credentials.redis_password,
        "RABBITMQ_DEFAULT_PASS": credentials.rabbitmq_password,
        "MINIO_ROOT_PASSWORD": credentials.minio_password,
        "AUTHENTICATION_API_KEY": credentials.authentication_api_key,
        "EVOLUTION_API_KEY": credentials.evolution_api_key,
        "AUDIO_CONVERTER_API_KEY": credentials.audio_converter_key,
        "WEBHOOK_SECRET": credentials.webhook_secret,
    }
    if credentials.app_api_key is not None:
        secrets["APP_API_KEY"] = credentials.app_api_key
    if credentials.pgadmin_password is not None:
        secrets["PGADMIN_DEFAULT_PASSWORD"] = credentials.pgadmin_password
    pulumi.export("credentials", pulumi.Output.secret(secrets))
