"""The application's settings: parsed once, from secret files and the environment, and never read elsewhere."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, HttpUrl, SecretStr, ValidationError
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
        problems = [_describe(str(problem["loc"][0]), problem["type"], problem["msg"], secrets_dir) for problem in error.errors()]
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


def _describe(field: str, kind: str, message: str, secrets_dir: Path) -> str:
    sources = f"the variable {field.upper()}"
    if Settings.model_fields[field].is_required():
        sources = f"the file {secrets_dir / field} or {sources}"
    what = "missing" if kind == "missing" else message.removeprefix("Value error, ")
    return f"  {field.upper()}: {what}. It comes from {sources}."
