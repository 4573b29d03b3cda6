"""The settings of a stack, read once from their layers into one frozen, validated object.

Layers, highest first: the stack's `.env` file, the stack's configuration, what the set-up found out about this machine, the defaults.
The shell's own environment does not count: a stray variable must not change an environment unseen.
"""

from collections.abc import Collection, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, SecretStr, ValidationError

from stack import settings_names
from stack.naming import host_in_urls, settings_file_name
from stack.settings_conflicts import CONNECTIONS_OF_OTHERS, conflicts
from stack.settings_events import RabbitmqEventSettings, WebhookEventSettings
from stack.settings_layers import Given, Place, Problem, read_env
from stack.settings_names import APP_VARIABLE_PREFIX
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
from stack.settings_words import in_words
from stack.vocabulary import VolumeName

MACHINE_FILE = Path(".state/machine.env")
"""Where the set-up writes what it found out about the machine (`IMAGES=local`), below the project."""

_READ_BEFORE_PULUMI: Final = frozenset({"ENVIRONMENT", "ENV_FILE", "IMAGES"})
"""What the set-up has to know before there is a Pulumi, which alone can decrypt the stack's configuration."""

_CONNECTIONS_BESIDE_SENDING: Final = 8
"""What an application container uses for requests, for events, and to listen."""


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
        app_variables: the application's own variables (`APP_ENV_*`), by their names without the prefix. Any of them may be a secret.
        encrypted: the settings that the stack's configuration keeps encrypted.
    """

    stack: str
    app_variables: dict[str, SecretStr]
    encrypted: frozenset[str]

    @property
    def project(self) -> str:
        """The Compose project name: label, and prefix of all names on the engine."""
        return self.project_name or f"whatsapp-{self.stack}"

    @property
    def volume_names(self) -> dict[VolumeName, str]:
        """What the volumes of the databases are called, behind the project's name."""
        return {VolumeName.POSTGRES_ADK_DATA: self.postgres_volume, VolumeName.POSTGRES_EVO_DATA: self.evolution_postgres_volume}

    @property
    def app_connections(self) -> int:
        """How many connections each application container has to its database at most: all together leave some to people and backups."""
        wanted = self.app_outbox_concurrency + _CONNECTIONS_BESIDE_SENDING
        return min(wanted, (self.postgres_max_connections - CONNECTIONS_OF_OTHERS) // self.app_replicas)

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

    def confidential_texts(self) -> frozenset[str]:
        """The texts that are encrypted in the stack's configuration, and are no secrets by their nature: they must not be shown either."""
        values = [getattr(self, name.lower()) for name in self.encrypted]
        return frozenset(value for value in values if value and isinstance(value, str) and not isinstance(value, Enum))

    def public_host(self) -> str:
        """The host under which this machine reaches published ports, as URLs have it."""
        return host_in_urls(self.bind_address)

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


def is_secret(name: str) -> bool:
    """Whether the setting's value must never be shown."""
    return SecretStr.__name__ in str(Settings.model_fields[name.lower()].annotation)


def load(
    project: Path,
    stack: str,
    configuration: Mapping[str, str],
    encrypted: Collection[str] = (),
    *,
    text: str | None = None,
    of_machine: bool = True,
) -> Settings:
    """Read and check the settings of `stack`.

    Args:
        project: the project's folder, with the settings files.
        stack: the stack's name.
        configuration: the stack's own configuration, by setting name.
        encrypted: the names that are encrypted in it.
        text: what its settings file is about to hold, in place of what it holds.
        of_machine: whether what the set-up has found out about this machine counts.

    Raises:
        SettingsError: something is wrong; all problems are named at once.
    """
    env_file = settings_file_name(stack, configuration)
    problems: list[Problem] = []
    place = Place(f"Pulumi.{stack}.yaml")
    configured = {name: Given(value, place, encrypted=name in encrypted) for name, value in configuration.items()}
    machine = read_env(project, str(MACHINE_FILE), problems) if of_machine else {}
    layers = [machine, configured, read_env(project, env_file, problems, text)]
    given = {name: value for layer in layers for name, value in layer.items()}
    problems += _misplaced(layers[-1], configured)
    known = {name: is_secret(name) for name in NAMES}
    problems += settings_names.problems(given, known)
    settings, refused = _validated(stack, given, problems)
    slips = {meant for name in given.keys() - NAMES if (meant := settings_names.meant(name, known))}
    problems += conflicts(settings, given, refused | slips)
    if not (project / env_file).exists():
        problems += _missing(env_file, configured, settings)
    if problems:
        raise SettingsError(stack, [problem.sentence for problem in sorted(problems, key=lambda problem: problem.place)])
    return settings


def _misplaced(env: Mapping[str, Given], configured: Mapping[str, Given]) -> Iterator[Problem]:
    """Settings that can't be where they are."""
    if "ENV_FILE" in env:
        place = env["ENV_FILE"].place
        mend = "run `pulumi config set ENV_FILE ...`"
        yield Problem(place, f"ENV_FILE ({place}) can't be set in the file that it names: {mend}.")
    for name, given in configured.items():
        if given.encrypted and name in _READ_BEFORE_PULUMI:
            yield Problem(
                given.place, f"{name} ({given.place}) is encrypted, and is needed before that can be read: set it without --secret."
            )


def _missing(env_file: str, configured: Mapping[str, Given], settings: Settings) -> Iterator[Problem]:
    """What it means that there is no settings file; nothing for a development stack, which needs none unless it names one."""
    mend = f"Copy .env.example to {env_file}, go through it, and run this again."
    if settings.environment is Environment.PRODUCTION:
        yield Problem(Place(env_file), f"{env_file} is missing: a production stack has settings of its own. {mend}")
    elif "ENV_FILE" in configured:
        yield Problem(Place(env_file), f"{env_file} is missing, and ENV_FILE ({configured['ENV_FILE'].place}) names it. {mend}")


def _validated(stack: str, given: Mapping[str, Given], problems: list[Problem]) -> tuple[Settings, frozenset[str]]:
    """The settings, with the default in place of every value that is refused, and the names of these.

    What is wrong with them is added to `problems`.
    """
    prefix = APP_VARIABLE_PREFIX
    values: dict[str, Any] = {name.lower(): each.value for name, each in given.items() if name in NAMES}
    for name in [name for name, value in values.items() if value == "" and _means_unset(name)]:
        del values[name]
    identity = {
        "stack": stack,
        "app_variables": {name.removeprefix(prefix): each.value for name, each in given.items() if name.startswith(prefix)},
        "encrypted": frozenset(name for name, each in given.items() if each.encrypted and name in NAMES),
    }
    refused = set()
    try:
        settings = Settings.model_validate({**values, **identity})
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False):
            field = str(detail["loc"][0])
            name, wrong = field.upper(), in_words(Settings.model_fields[field], detail)
            place = given[name].place
            shown = "" if is_secret(name) or given[name].encrypted else f" = {values[field]!r}"
            problems.append(Problem(place, f"{name}{shown} ({place}) {wrong}."))
            refused.add(name)
        kept = {field: value for field, value in values.items() if field.upper() not in refused}
        settings = Settings.model_validate({**kept, **identity})
    return settings, frozenset(refused)


def _means_unset(name: str) -> bool:
    """Whether an empty value of the optional setting `name` is the same as none. An empty secret is a mistake, and is said to be one."""
    return Settings.model_fields[name].default is None and not is_secret(name)
