"""What all services of a stack share: where they run, their images and their secrets."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pulumi
from pulumi.runtime import settings as runtime
from pulumi.runtime.config import CONFIG, get_config_env, is_config_secret
from pulumi.runtime.mocks import MockMonitor

from stack import foreign, ports
from stack.credentials import Credentials
from stack.engine import Engine, EngineError
from stack.images import Images
from stack.naming import Naming
from stack.network import app_network
from stack.service import Host
from stack.services import postgres_names, postgres_versions
from stack.settings import Settings, SettingsError, load
from stack.vocabulary import VolumeName
from stack.volumes import data_volumes

_ELSEWHERE = (
    "APP_MOUNT_SOURCE: the engine is on another machine, which has not this folder: set APP_MOUNT_SOURCE=false, and the application runs "
    "from its image."
)


@dataclass(frozen=True)
class Context:
    """What a service's file builds its spec from, and the host that realises it.

    Attributes:
        settings: of the stack.
        credentials: all secrets.
        images: by service.
        host: where services are realised.
        folder: the project's folder on the host.
    """

    settings: Settings
    credentials: Credentials
    images: Images
    host: Host
    folder: Path


def stack_settings(folder: Path) -> Settings:
    """The settings of the stack that Pulumi is working on.

    Raises:
        pulumi.RunError: something is wrong with them; all problems are named.
    """
    prefix = f"{pulumi.get_project()}:"
    given = {**get_config_env(), **CONFIG.get()}  # the engine's own executor copies the first into the second; under mocks nobody does
    configuration = {key.removeprefix(prefix): str(value) for key, value in given.items() if key.startswith(prefix)}
    encrypted = {name for name in configuration if is_config_secret(f"{prefix}{name}")}
    try:
        # Mocks record what the program declares, the same on every machine.
        return load(folder, pulumi.get_stack(), configuration, encrypted, of_machine=not _is_mocked())
    except SettingsError as error:
        raise pulumi.RunError(str(error)) from error


def prepare(settings: Settings, folder: Path) -> Context:
    """Declare what the services share, after a look whether the engine can take them.

    Raises:
        pulumi.RunError: no engine answers, somebody else's containers have the project's name, host ports are taken, or data would be
            left behind; nothing was changed.
    """
    naming = Naming(settings.project, settings.stack, settings.volume_names)
    engine = None if _is_rehearsal() else _checked_engine(settings, naming, folder)
    network, volumes = app_network(naming), data_volumes(naming, settings.protect_volumes)
    return Context(
        settings=settings,
        credentials=Credentials(settings),
        images=Images(settings, folder),
        host=Host(
            naming, folder, network, volumes, settings.bind_address, settings.tz, engine, settings.confidential_texts(), _cores(engine)
        ),
        folder=folder,
    )


def _is_rehearsal() -> bool:
    """A preview, or the mocks of a test: there is nothing to wait for, and the engine must not be touched."""
    return pulumi.runtime.is_dry_run() or _is_mocked()


def _is_mocked() -> bool:
    return isinstance(runtime.get_monitor(), MockMonitor)


def _cores(engine: Engine | None) -> float:
    """How many cores the engine has. A preview asks it too, where there is one; what it shows would differ from what the `up` does."""
    if _is_mocked():
        return math.inf
    try:
        return (engine or Engine()).cores
    except EngineError:
        return math.inf


def _checked_engine(settings: Settings, naming: Naming, folder: Path) -> Engine:
    try:
        engine = Engine()
    except EngineError as error:
        raise pulumi.RunError(str(error)) from error
    if names := foreign.containers(engine.api, settings.project, settings.stack):
        raise pulumi.RunError("\n".join(foreign.refusal(settings.project, names)))
    if others := foreign.users_of(engine.api, map(naming.volume, VolumeName), settings.stack):
        raise _refused("Others write to this stack's data; nothing was changed", others)
    if settings.app_mount_source and not engine.is_local:
        raise _refused("The sources can't be mounted; nothing was changed", [_ELSEWHERE])
    if wrong := engine.address_problem(settings.bind_address):
        raise pulumi.RunError(f"{wrong} Nothing was changed.")
    if renamed := foreign.renaming(engine.api, settings.project, settings.stack, folder):
        raise _refused("Data would be left behind; nothing was changed", [renamed])
    found = ports.look(engine, settings)
    if found.problems:
        raise _refused("Host ports are taken; nothing was changed", found.problems)
    if left := [*postgres_versions.problems(engine.api, settings), *postgres_names.problems(engine.api, settings)]:
        raise _refused("Data would be left behind; nothing was changed", left)
    _make_room(engine, found.clashes)
    return engine


def _refused(what: str, problems: Sequence[str]) -> pulumi.RunError:
    return pulumi.RunError("\n".join([f"{what}:", *(f"  - {problem}" for problem in problems)]))


def _make_room(engine: Engine, clashes: Sequence[ports.Clash]) -> None:
    """Stop those of the stack's containers whose ports others are to get: the new ones may be made before the old ones go."""
    for clash in clashes:
        pulumi.log.info(clash.in_words)
    try:
        ports.make_room(engine, clashes)
    except EngineError as error:
        raise pulumi.RunError(f"A container of the stack could not be stopped: {error}") from error
