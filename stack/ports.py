"""The host ports of a stack: which container is to get which, who holds them, and what to say of one that is taken."""

import re
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from docker.models.containers import Container

from stack import host_ports
from stack.engine import Engine
from stack.naming import COMPOSE_NUMBER, COMPOSE_PROJECT, COMPOSE_SERVICE, STACK_LABEL
from stack.settings import Settings
from stack.vocabulary import SETTING_PREFIXES, ServiceName

_SECONDS_TO_LET_GO = 1.5
"""For which the engine may hold the ports of a container that has ended."""

_REFUSED = re.compile(
    r"(?:listen tcp[46]? |bind for |host port (?:for )?|exposing port tcp )"
    r"(?:\[[^\]]*\]|::1?|[^\s:\[]*):(\d+)\b.*already (?:in use|allocated)",
    re.IGNORECASE,
)
"""What engines from 20.10 on say when a container can't get a port of the host."""


@dataclass(frozen=True)
class Wanted:
    """A host port, the setting that names it, and the container that is to get it."""

    port: int
    setting: str
    service: ServiceName
    number: int


@dataclass(frozen=True)
class Clash:
    """A running container of the stack that holds a port which another is to get. It gets others itself, or goes: an `up` replaces it."""

    holder: Container
    wanted: Wanted

    @property
    def in_words(self) -> str:
        """Why the holder has to stop before anything else is done."""
        return f"{self.holder.name} is stopped: it holds port {self.wanted.port}, which {self.wanted.service} is to get"


@dataclass(frozen=True)
class Findings:
    """What is in the way of a stack's ports: a sentence for each that somebody else holds, and the stack's own containers."""

    problems: tuple[str, ...] = ()
    clashes: tuple[Clash, ...] = ()


def wanted(settings: Settings) -> list[Wanted]:
    """The host ports that the settings give to containers."""
    found: list[Wanted] = []
    for setting, port in settings.host_ports():
        earlier = sum(1 for each in found if each.setting == setting)  # replicas share a setting, and take the ports after it
        found.append(Wanted(port, setting, _service(setting), earlier + 1))
    return found


def look(engine: Engine, settings: Settings) -> Findings:
    """What is in the way of the ports that the settings give to containers."""
    if wrong := engine.address_problem(settings.bind_address):
        return Findings((wrong,))
    limit = time.monotonic() + _SECONDS_TO_LET_GO
    # A container that just ended, as in a crash loop, is off the list a moment before the engine lets go of its ports.
    while (found := _look(engine, settings)).problems and time.monotonic() < limit:
        time.sleep(_SECONDS_TO_LET_GO / 5)
    return found


def make_room(engine: Engine, clashes: Iterable[Clash]) -> None:
    """Stop the stack's own containers that are in the way.

    Raises:
        EngineError: the engine can't.
    """
    holders = {clash.holder.id: clash.holder for clash in clashes}
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(engine.stop, holders.values()))


def refused_port(message: str) -> int | None:
    """The host port that a container could not get, from what the engine said of its start; None when that is not why it failed."""
    told = _REFUSED.search(message)
    return int(told[1]) if told else None


def holder_in_words(engine: Engine, settings: Settings, port: int) -> str | None:
    """Who took a port that was free before the run, and what to do about it; None when the settings give it to nobody."""
    each = next((each for each in wanted(settings) if each.port == port), None)
    if each is None:
        return None
    problem = _problem(engine, host_ports.holders(engine.running(), settings.bind_address).get(port), each, settings.bind_address)
    return problem or f"{each.setting}: port {port} was held by somebody who has let go of it by now."


def _service(setting: str) -> ServiceName:
    """Whose a setting is: `EVOLUTION_POSTGRES_PORT` begins like Evolution API's own."""
    prefix = max((prefix for prefix in SETTING_PREFIXES.values() if setting.startswith(prefix)), key=len)
    return next(service for service, its in SETTING_PREFIXES.items() if its == prefix)


def _look(engine: Engine, settings: Settings) -> Findings:
    holders = host_ports.holders(engine.running(), settings.bind_address)
    problems, clashes = [], []
    for each in wanted(settings):
        holder = holders.get(each.port)
        if holder is None or not _is_ours(holder, settings):
            problems.append(_problem(engine, holder, each, settings.bind_address))
        elif (holder.labels.get(COMPOSE_SERVICE), holder.labels.get(COMPOSE_NUMBER)) != (each.service, str(each.number)):
            clashes.append(Clash(holder, each))
    return Findings(tuple(problem for problem in problems if problem), tuple(clashes))


def _is_ours(holder: Container, settings: Settings) -> bool:
    return bool(holder.labels.get(COMPOSE_PROJECT) == settings.project and holder.labels.get(STACK_LABEL) == settings.stack)


def _problem(engine: Engine, holder: Container | None, each: Wanted, address: str) -> str | None:
    """Who holds a port, and what to do about it; None when it is free."""
    setting, port = each.setting, each.port
    if holder is not None:
        return f"{setting}: port {port} is held by container {holder.name}: stop it, or give {setting} another port."
    if engine.is_local and not host_ports.is_free(address, port):
        which = host_ports.listener(port) or f"`ss -ltnp 'sport = :{port}'` shows which"
        return f"{setting}: port {port} is held by another program ({which}): end it, or give {setting} another port."
    return None
