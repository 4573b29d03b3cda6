"""The application's settings: parsed once, from secret files and the environment, and never read elsewhere."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn, Self, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, HttpUrl, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

SECRETS_DIR = Path("/run/secrets")
"""Where the container's secrets are: one file for each, named like the setting in lower case."""


class Environment(StrEnum):
    """The stage that this process serves."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


class LogLevel(StrEnum):
    """The least important messages that are still logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class EventsVia(StrEnum):
    """The way on which Evolution API's events come to the application."""

    RABBITMQ = "rabbitmq"
    WEBHOOK = "webhook"


def _database_url(value: SecretStr) -> SecretStr:
    """Refuse what can't be an address of a Postgres database, without repeating it: it holds a password."""
    form = "postgresql://<user>:<password>@<host>:<port>/<database>, the user and the password percent-encoded"
    try:
        url = make_url(value.get_secret_value())
    except (ArgumentError, ValueError):
        raise ValueError(f"not a URL of the form {form}") from None
    if url.drivername != "postgresql" or not (url.username and url.host and url.database) or url.query:
        raise ValueError(f"not of the form {form}, with nothing after it")
    return value


def _rabbitmq_url(value: SecretStr) -> SecretStr:
    """Refuse what can't be an address of RabbitMQ, without repeating it: it holds a password."""
    form = "amqp://<user>:<password>@<host>:<port>/<vhost>, all percent-encoded; the vhost / is written %2F"
    try:
        url = urlsplit(value.get_secret_value())
        known = url.scheme in {"amqp", "amqps"} and url.username and url.password and url.hostname and url.port != 0
    except ValueError:
        known = False
    if not known:
        raise ValueError(f"not a URL of the form {form}")
    return value


def _time_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"no time zone is called {value!r}; an example of one is America/Sao_Paulo") from None
    return value


def _header_value(value: SecretStr) -> SecretStr:
    """Refuse what can't be sent in an HTTP header; checked here because a client would fail only at its first request."""
    text = value.get_secret_value()
    if not text:
        raise ValueError("empty")
    if not (text.isascii() and text.isprintable()):
        raise ValueError("has characters that no HTTP header can carry; use letters and digits")
    return value


def _lower(value: Any) -> Any:  # noqa: ANN401  # whatever the source gave
    return value.lower() if isinstance(value, str) else value


def _absent_if_empty(value: Any) -> Any:  # noqa: ANN401  # whatever the source gave
    return None if value == "" else value


OptionalKey = Annotated[Annotated[SecretStr, AfterValidator(_header_value)] | None, BeforeValidator(_absent_if_empty)]


class Settings(BaseSettings):
    """What the application is told from outside.

    A variable of the environment wins over a secret file; names are read in either case.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    environment: Annotated[Environment, BeforeValidator(_lower)] = Environment.PRODUCTION
    tz: Annotated[str, AfterValidator(_time_zone)] = "UTC"
    log_level: Annotated[LogLevel, BeforeValidator(_lower)] = LogLevel.INFO
    evolution_api_url: HttpUrl = HttpUrl("http://evolution-api:8080")
    evolution_api_key: Annotated[SecretStr, AfterValidator(_header_value)]
    database_url: Annotated[SecretStr, AfterValidator(_database_url)]
    app_api_key: OptionalKey = None
    """What callers of /messages and /instances show as a bearer token; absent: open to whoever reaches the port."""
    events_via: Annotated[EventsVia, BeforeValidator(_lower)] = EventsVia.RABBITMQ
    rabbitmq_url: Annotated[Annotated[SecretStr, AfterValidator(_rabbitmq_url)] | None, BeforeValidator(_absent_if_empty)] = None
    """Absent: no events are consumed from RabbitMQ."""
    rabbitmq_exchange: Annotated[str, Field(min_length=1, max_length=255)] = "evolution"
    webhook_url: HttpUrl = HttpUrl("http://app:8000/webhooks/evolution")
    """Where Evolution API reaches this application."""
    webhook_secret: OptionalKey = None
    """What Evolution API shows in X-Webhook-Secret; absent: every webhook is refused."""
    outbox_concurrency: Annotated[int, Field(ge=1, le=256)] = 16
    """How many messages one replica sends at the same time."""
    database_connections: Annotated[int, Field(ge=4, le=1000)] = 24
    """How many connections one replica has to its database at most."""
    outbox_give_up_hours: Annotated[float, Field(gt=0, le=8760)] = 24.0
    """How long a message that can't be sent is tried again."""

    @model_validator(mode="after")
    def _webhooks_have_a_secret(self) -> Self:
        if self.events_via is EventsVia.WEBHOOK and self.webhook_secret is None:
            raise ValueError("EVENTS_VIA=webhook needs WEBHOOK_SECRET")
        return self


class SettingsError(Exception):
    """The settings can't be used; the message names every problem."""


def load_settings(secrets_dir: Path = SECRETS_DIR) -> Settings:
    """Read the settings from the environment and from the files in `secrets_dir`, which may be absent.

    Raises:
        SettingsError: something is missing or wrong; all of it is named, no value that could be secret is.
    """
    try:
        return Settings(_secrets_dir=secrets_dir if secrets_dir.is_dir() else None)
    except ValidationError as error:
        problems = [_describe(problem["loc"], problem["type"], problem["msg"], secrets_dir) for problem in error.errors()]
    raise SettingsError("\n".join(["The application can't start with these settings:", *sorted(problems)]))


def load_settings_or_exit() -> Settings:
    """Read the settings for a process; when they can't be used, say why on stderr and end with exit code 1."""
    try:
        return load_settings()
    except SettingsError as error:
        exit_with(str(error))


def exit_with(message: str) -> NoReturn:
    """End the process with exit code 1 and a message for the person who started it."""
    sys.stderr.write(f"{message}\n")
    sys.exit(1)


def _describe(location: tuple[int | str, ...], kind: str, message: str, secrets_dir: Path) -> str:
    what = "missing" if kind == "missing" else message.removeprefix("Value error, ")
    if not location:  # a rule between several settings
        return f"  {what}. Each comes from the file {secrets_dir}/<its name in lower case> or the variable."
    field = str(location[0])
    sources = f"the variable {field.upper()}"
    if _is_secret(Settings.model_fields[field].annotation):
        sources = f"the file {secrets_dir / field} or {sources}"
    return f"  {field.upper()}: {what}. It comes from {sources}."


def _is_secret(annotation: Any) -> bool:  # noqa: ANN401  # a type, or what typing makes of several
    return annotation is SecretStr or any(_is_secret(part) for part in get_args(annotation))
