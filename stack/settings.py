"""The settings of a stack, read once from their layers into one frozen, validated object.

Layers, highest first: the stack's `.env` file, the stack's configuration, what the set-up found out about this machine, the defaults.
The shell's own environment does not count: a stray variable must not change an environment unseen.
"""

import difflib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from dotenv.parser import parse_stream
from pydantic import BaseModel, SecretStr, ValidationError

from stack.naming import settings_file_name
from stack.settings_events import RabbitmqEventSettings, WebhookEventSettings
from stack.settings_table import (
    AppSettings,
    AudioConverterSettings,
    BackupSettings,
    DbSettings,
    Environment,
    EvolutionDbSettings,
    EvolutionKind,
    EvolutionSettings,
    ImageSource,
    MinioSettings,
    PgadminSettings,
    PrivacySettings,
    Publication,
    RabbitmqSettings,
    RedisSettings,
    StackSettings,
)
from stack.vocabulary import VolumeName

MACHINE_FILE = Path(".state/machine.env")
"""Where the set-up writes what it found out about the machine (`IMAGES=local`), below the project."""

APP_VARIABLE_PREFIX = "APP_ENV_"
"""`APP_ENV_NAME=value` gives the application a variable NAME of its own."""

# Variables of the images, as people know them from compose files, that this program makes itself; and what to set instead.
_MADE_HERE = {
    "API_AUDIO_CONVERTER": "AUDIO_CONVERTER_PORT",
    "API_AUDIO_CONVERTER_KEY": "AUDIO_CONVERTER_API_KEY",
    "CACHE_REDIS_URI": "REDIS_PASSWORD",
    "DATABASE_CONNECTION_URI": "EVOLUTION_POSTGRES_USER, EVOLUTION_POSTGRES_PASSWORD and EVOLUTION_POSTGRES_DB",
    "DATABASE_URL": "POSTGRES_USER, POSTGRES_PASSWORD and POSTGRES_DB",
    "RABBITMQ_URI": "RABBITMQ_DEFAULT_USER and RABBITMQ_DEFAULT_PASS",
    "RABBITMQ_URL": "RABBITMQ_DEFAULT_USER and RABBITMQ_DEFAULT_PASS",
    "S3_ACCESS_KEY": "MINIO_ROOT_USER",
    "S3_SECRET_KEY": "MINIO_ROOT_PASSWORD",
    "SERVER_URL": "EVOLUTION_SERVER_URL",
}


class SettingsError(Exception):
    """Everything that is wrong with a stack's settings.

    Attributes:
        problems: one sentence each: the setting, where it comes from, what is wrong and how to mend it.
    """

    def __init__(self, stack: str, problems: list[str]) -> None:
        self.problems = problems
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        lines = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"The settings of stack '{stack}' have {count}; nothing was changed:\n{lines}")


@dataclass(frozen=True)
class Given:
    """A value as a layer gives it, and where it stands."""

    value: str
    origin: str


class Settings(
    StackSettings,
    AppSettings,
    DbSettings,
    EvolutionSettings,
    PrivacySettings,
    EvolutionDbSettings,
    RedisSettings,
    RabbitmqSettings,
    MinioSettings,
    AudioConverterSettings,
    PgadminSettings,
    BackupSettings,
    RabbitmqEventSettings,
    WebhookEventSettings,
):
    """All settings of one stack. Frozen; every value was checked.

    Attributes:
        stack: name of the Pulumi stack.
        app_variables: the application's own variables (`APP_ENV_*`), by their names without the prefix.
    """

    stack: str
    app_variables: dict[str, str]

    @property
    def project(self) -> str:
        """The Compose project name: label, and prefix of all names on the engine."""
        return self.project_name or f"whatsapp-{self.stack}"

    @property
    def volume_names(self) -> dict[VolumeName, str]:
        """What the volumes of the databases are called, behind the project's name."""
        return {VolumeName.POSTGRES_ADK_DATA: self.postgres_volume, VolumeName.POSTGRES_EVO_DATA: self.evolution_postgres_volume}

    @property
    def publishes_everything(self) -> bool:
        """Whether databases and web pages have ports on the host, not only app and evolution-api."""
        return self.publish is Publication.ALL

    @property
    def simulates_evolution(self) -> bool:
        """Whether the simulator runs in place of Evolution API."""
        local = self.images is ImageSource.LOCAL and self.is_default("evolution_image")
        return local or self.evolution is EvolutionKind.SIMULATOR

    def is_default(self, name: str) -> bool:
        """Whether a setting has the value that it has when nobody gives it one."""
        return bool(getattr(self, name) == type(self).model_fields[name].default)

    def public_host(self) -> str:
        """The host under which this machine reaches published ports, as URLs have it."""
        address = ip_address(self.bind_address)
        if address.is_unspecified or self.bind_address in {"127.0.0.1", "::1"}:
            return "localhost"
        return f"[{address}]" if address.version == 6 else str(address)

    def host_ports(self) -> list[tuple[str, int]]:
        """Every published host port with the setting that names it."""
        ports = [("APP_PORT", self.app_port + replica) for replica in range(self.app_replicas)]
        ports.append(("EVOLUTION_PORT", self.evolution_port))
        if self.publishes_everything:
            names = ["POSTGRES_PORT", "EVOLUTION_POSTGRES_PORT", "RABBITMQ_UI_PORT", "MINIO_PORT", "MINIO_CONSOLE_PORT"]
            ports += [(name, getattr(self, name.lower())) for name in names]
            if self.pgadmin_enabled:
                ports.append(("PGADMIN_PORT", self.pgadmin_port))
        return ports


SECTIONS: tuple[type[BaseModel], ...] = Settings.__bases__
"""The sections of the table, in the order in which people read them; a section's docstring is its title."""

NAMES = frozenset(field.upper() for section in SECTIONS for field in section.model_fields)
"""The names of all settings."""


def load(project: Path, stack: str, configuration: Mapping[str, str]) -> Settings:
    """Read and check the settings of `stack`.

    Args:
        project: the project's folder, with the settings files.
        stack: the stack's name.
        configuration: the stack's own configuration, by setting name.

    Raises:
        SettingsError: something is wrong; all problems are named at once.
    """
    env_file = settings_file_name(stack, configuration)
    problems: list[str] = []
    configured = {name: Given(value, f"Pulumi.{stack}.yaml") for name, value in configuration.items()}
    layers = [_read_env(project, str(MACHINE_FILE), problems), configured, _read_env(project, env_file, problems)]
    given = {name: value for layer in layers for name, value in layer.items()}
    if "ENV_FILE" in layers[-1]:
        origin = layers[-1]["ENV_FILE"].origin
        problems.append(f"ENV_FILE ({origin}) can't be set in the file that it names: run `pulumi config set ENV_FILE ...`.")
    problems += _unknown(given)
    settings = _validated(stack, given, problems)
    problems += _conflicts(settings, given)
    if settings.environment is Environment.PRODUCTION and not (project / env_file).is_file():
        problems.append(
            f"{env_file} is missing: a production stack has settings of its own. "
            f"Copy .env.example to {env_file}, go through it, and run this again."
        )
    if problems:
        raise SettingsError(stack, problems)
    return settings


def _read_env(project: Path, file: str, problems: list[str]) -> dict[str, Given]:
    """The values of a settings file; none when there is no such file."""
    try:
        text = (project / file).read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{file} can't be read ({error}): make it a readable text file in UTF-8.")
        return {}
    values: dict[str, Given] = {}
    for binding in parse_stream(io.StringIO(text)):
        origin = f"{file}, line {binding.original.line + _leading_blank_lines(binding.original.string)}"
        if binding.error or (binding.key is not None and binding.value is None):
            line = binding.original.string.strip().partition("=")[0]
            problems.append(f"{origin}: '{line}' is not NAME=value: write a name, an equals sign and a value (quotes closed).")
        elif binding.key is not None and binding.value is not None:
            if binding.key in values:
                problems.append(f"{binding.key} ({origin}) is given before, at {values[binding.key].origin}: keep one of the two.")
            values[binding.key] = Given(binding.value, origin)
    return values


def _leading_blank_lines(text: str) -> int:
    """The parser counts blank lines in front of a binding to it."""
    return len(text) - len(text.lstrip("\n"))


def _unknown(given: Mapping[str, Given]) -> Iterator[str]:
    for name in sorted(given.keys() - NAMES):
        if name.startswith(APP_VARIABLE_PREFIX) and name != APP_VARIABLE_PREFIX:
            continue
        where = f"{name} ({given[name].origin})"
        near = difflib.get_close_matches(name.upper(), NAMES, n=1)
        if name in _MADE_HERE:
            yield f"{where} is made by this program: set {_MADE_HERE[name]} instead."
        elif near:
            yield f"{where} is not a setting: did you mean {near[0]}?"
        else:
            own = f"a variable for the application's own use is written {APP_VARIABLE_PREFIX}{name}"
            yield f"{where} is not a setting: .env.example lists all; {own}."


def _validated(stack: str, given: Mapping[str, Given], problems: list[str]) -> Settings:
    """The settings, with the default in place of every value that is refused; what was refused is added to `problems`."""
    prefix = APP_VARIABLE_PREFIX
    app_variables = {name.removeprefix(prefix): each.value for name, each in given.items() if name.startswith(prefix)}
    values: dict[str, Any] = {name.lower(): each.value for name, each in given.items() if name in NAMES}
    for name in [name for name, value in values.items() if value == "" and _means_unset(name)]:
        del values[name]
    identity = {"stack": stack, "app_variables": app_variables}
    try:
        return Settings.model_validate({**values, **identity})
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False):
            name = str(detail["loc"][0])
            origin = given[name.upper()].origin
            shown = "" if is_secret(name) else f" = {values[name]!r}"
            message = detail["msg"].removeprefix("Value error, ")
            own = detail["type"] == "value_error"
            message = message if own else f"is refused: {message[0].lower()}{message[1:]}"
            problems.append(f"{name.upper()}{shown} ({origin}) {message}.")
            values.pop(name, None)
        return Settings.model_validate({**values, **identity})


def _means_unset(name: str) -> bool:
    """Whether an empty value of the optional setting `name` is the same as none. An empty secret is a mistake, and is said to be one."""
    return Settings.model_fields[name].default is None and not is_secret(name)


def is_secret(name: str) -> bool:
    """Whether the setting's value must never be shown."""
    return SecretStr.__name__ in str(Settings.model_fields[name.lower()].annotation)


def _conflicts(settings: Settings, given: Mapping[str, Given]) -> Iterator[str]:
    """What is wrong between settings that are each fine."""

    def where(name: str) -> str:
        return f"{name} ({given[name].origin})" if name in given else f"{name} (default)"

    seen: dict[int, str] = {}
    for name, port in settings.host_ports():
        if port in seen and seen[port] != name:
            yield f"{where(seen[port])} and {where(name)} both take host port {port}: give one of them another."
        seen.setdefault(port, name)
    if settings.app_port + settings.app_replicas - 1 > 65535:
        yield f"{where('APP_PORT')} leaves no room for {settings.app_replicas} replicas: each takes a port of its own, up to 65535."
    names = {volume: settings.volume_names.get(volume, str(volume)) for volume in VolumeName}
    for setting, name in (("POSTGRES_VOLUME", settings.postgres_volume), ("EVOLUTION_POSTGRES_VOLUME", settings.evolution_postgres_volume)):
        if list(names.values()).count(name) > 1:
            yield f"{where(setting)} is {name}, a volume with other data: two services on one volume destroy it. Give it a name of its own."
    if settings.webhook_global_enabled and not settings.webhook_global_url:
        example = "http://app.internal:8000/webhooks/evolution"
        yield f"{where('WEBHOOK_GLOBAL_ENABLED')} needs WEBHOOK_GLOBAL_URL: give the URL to call, as in {example}."
