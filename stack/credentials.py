"""The secrets of a stack: given in its settings, else generated and kept, encrypted, in its state."""

from typing import Final
from urllib.parse import quote

import pulumi
import pulumi_random as random
from pydantic import SecretStr

from stack.settings import Settings
from stack.settings_table import Environment
from stack.vocabulary import ServiceName

_GENERATED_LENGTH = 32
"""Characters from [A-Za-z0-9], so that a generated secret goes into a URL, a file and a shell as it is: 190 bits."""

ACCEPTED_BY: Final = {
    "postgres_password": ServiceName.DB,
    "evolution_postgres_password": ServiceName.EVOLUTION_POSTGRES,
    "redis_password": ServiceName.REDIS,
    "rabbitmq_default_pass": ServiceName.RABBITMQ,
    "minio_root_password": ServiceName.MINIO,
    "audio_converter_api_key": ServiceName.AUDIO_CONVERTER,
    "pgadmin_default_password": ServiceName.PGADMIN,
    "authentication_api_key": ServiceName.EVOLUTION_API,
    "app_api_key": ServiceName.APP,
    "webhook_secret": ServiceName.APP,
}
"""Every secret that is generated when its setting is not given, and the service that asks for it."""


def resource_name(secret: str) -> str:
    """What a generated secret is called in Pulumi."""
    return secret.replace("_", "-")


class Credentials(pulumi.ComponentResource):
    """Every secret of the stack, as secret outputs.

    Attributes:
        authentication_api_key: what Evolution API accepts.
        evolution_api_key: what the application sends. The two keys are one unless both are given.
        app_api_key: what callers of the application send; None where it is open to whoever reaches its port.
        webhook_secret: what a call of the application's webhook carries.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__("whatsapp:stack:Credentials", "credentials")
        self._settings = settings
        self.postgres_password = self._secret("postgres_password")
        self.evolution_postgres_password = self._secret("evolution_postgres_password")
        self.redis_password = self._secret("redis_password")
        self.rabbitmq_password = self._secret("rabbitmq_default_pass")
        self.minio_password = self._secret("minio_root_password")
        self.audio_converter_key = self._secret("audio_converter_api_key")
        self.pgadmin_password = self._secret("pgadmin_default_password") if settings.pgadmin_enabled else None
        accepted, sent = settings.authentication_api_key, settings.evolution_api_key
        self.authentication_api_key = self._secret("authentication_api_key", accepted or sent)
        self.evolution_api_key = pulumi.Output.secret(sent.get_secret_value()) if sent else self.authentication_api_key
        keyed = settings.app_api_key is not None or settings.environment is Environment.PRODUCTION
        self.app_api_key = self._secret("app_api_key") if keyed else None
        self.webhook_secret = self._secret("webhook_secret")
        self.register_outputs({})

    def _secret(self, name: str, given: SecretStr | None = None) -> pulumi.Output[str]:
        given = given or getattr(self._settings, name)
        if given is not None:
            return pulumi.Output.secret(given.get_secret_value())
        options = pulumi.ResourceOptions(parent=self)
        generated = random.RandomPassword(resource_name(name), length=_GENERATED_LENGTH, special=False, opts=options)
        # Pulumi's mocks know no result unless a test makes one up.
        return pulumi.Output.secret(generated.result.apply(lambda known: known or ""))


def login_url(scheme: str, user: str, password: pulumi.Output[str], rest: pulumi.Input[str]) -> pulumi.Output[str]:
    """`scheme://user:password@rest`, user and password percent-encoded."""
    encoded = password.apply(lambda plain: quote(plain, safe=""))
    return pulumi.Output.concat(scheme, "://", quote(user, safe=""), ":", encoded, "@", rest)
