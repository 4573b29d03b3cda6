"""What is wrong between settings that are each fine, and with what follows from them."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stack.naming import is_project_name
from stack.settings_layers import Given, Place, Problem
from stack.vocabulary import VolumeName

if TYPE_CHECKING:
    from stack.settings import Settings

_LAST_PORT = 65535
CONNECTIONS_OF_OTHERS = 10
"""Connections to the application's database that its containers leave to psql, pgAdmin, backups and the server itself."""
_FEWEST_CONNECTIONS = 4
"""With which an application container works: it listens on one."""


@dataclass(frozen=True)
class Conflict:
    """Settings that don't go together.

    Attributes:
        names: of these settings. When one of them is refused by itself, what follows from it says nothing new.
        sentence: what is wrong, with its mend.
    """

    names: tuple[str, ...]
    sentence: str


def conflicts(settings: "Settings", given: Mapping[str, Given], refused: Collection[str]) -> Iterator[Problem]:
    """Look for conflicts.

    Args:
        settings: with the default in place of every value that was refused.
        given: the values that were given, by name.
        refused: the names of the values that were refused.
    """
    for each in (
        *_ports(settings, given),
        *_volumes(settings, given),
        *_webhook(settings, given),
        *_project(settings),
        *_connections(settings, given),
    ):
        if not set(refused).intersection(each.names):
            places = [given[name].place for name in each.names if name in given]
            yield Problem(max(places, default=Place("")), each.sentence)


def _where(name: str, given: Mapping[str, Given]) -> str:
    return f"{name} ({given[name].place if name in given else 'default'})"


def _ports(settings: "Settings", given: Mapping[str, Given]) -> Iterator[Conflict]:
    """Two settings with one host port; a replica of the application takes one too."""
    first, last = settings.app_port, settings.app_port + settings.app_replicas - 1
    replicas = f"the {settings.app_replicas} replicas of {_where('APP_REPLICAS', given)} take {first} to {last}"
    seen: dict[int, str] = {}
    for name, port in settings.host_ports():
        other = seen.setdefault(port, name)
        if other == name:
            continue
        why = f", for {replicas}" if "APP_PORT" in {other, name} and port != first else ""
        sentence = f"{_where(other, given)} and {_where(name, given)} both take host port {port}{why}: give one of them another."
        yield Conflict((other, name), sentence)
    if last > _LAST_PORT:
        sentence = f"{_where('APP_PORT', given)} leaves no room, for {replicas}, and the last port is {_LAST_PORT}: begin lower."
        yield Conflict(("APP_PORT",), sentence)


def _volumes(settings: "Settings", given: Mapping[str, Given]) -> Iterator[Conflict]:
    """A database on a volume that has other data."""
    danger = "two services on one volume destroy it. Give each a volume of its own"
    chosen = {"POSTGRES_VOLUME": settings.postgres_volume, "EVOLUTION_POSTGRES_VOLUME": settings.evolution_postgres_volume}
    if len(set(chosen.values())) < len(chosen):
        both = " and ".join(_where(name, given) for name in chosen)
        yield Conflict(tuple(chosen), f"{both} are both {settings.postgres_volume}: {danger}.")
    others = set(VolumeName) - set(settings.volume_names)
    for name, volume in chosen.items():
        if volume in others:
            yield Conflict((name,), f"{_where(name, given)} is {volume}, a volume with other data: {danger}.")


def _webhook(settings: "Settings", given: Mapping[str, Given]) -> Iterator[Conflict]:
    if settings.webhook_global_enabled and not settings.webhook_global_url:
        example = "http://app.internal:8000/webhooks/evolution"
        sentence = f"{_where('WEBHOOK_GLOBAL_ENABLED', given)} needs WEBHOOK_GLOBAL_URL: give the URL to call, as in {example}."
        yield Conflict(("WEBHOOK_GLOBAL_ENABLED", "WEBHOOK_GLOBAL_URL"), sentence)


def _connections(settings: "Settings", given: Mapping[str, Given]) -> Iterator[Conflict]:
    """More application containers than their database takes connections for."""
    if settings.app_connections < _FEWEST_CONNECTIONS:
        needed = CONNECTIONS_OF_OTHERS + settings.app_replicas * _FEWEST_CONNECTIONS
        names = ("APP_REPLICAS", "POSTGRES_MAX_CONNECTIONS")
        both = f"{_where(names[0], given)} is {settings.app_replicas} and {_where(names[1], given)} is {settings.postgres_max_connections}"
        yield Conflict(names, f"{both}, too few for so many: raise {names[1]} to {needed} or more, or run fewer replicas.")


def _project(settings: "Settings") -> Iterator[Conflict]:
    """A stack's name of which no project's name can be made."""
    if not is_project_name(settings.project):
        sentence = (
            f"The stack's name, '{settings.stack}', would make '{settings.project}' the name of its Compose project, which can't be: "
            "choose a name of lower-case letters and digits, with single _ or - between them, or set PROJECT_NAME."
        )
        yield Conflict(("PROJECT_NAME",), sentence)
