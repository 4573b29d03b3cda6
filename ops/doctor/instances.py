"""Whether Evolution API loads all the instances that its database holds: those of another client name it passes over without a word."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from ops.doctor.findings import Finding, warning
from stack.engine import run_probe
from stack.vocabulary import ServiceName

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from docker import DockerClient

    from ops.status import Status

_SECONDS = 8
_ASK = """\
ask() { psql -h "$DOCTOR_HOST" -U "$DOCTOR_USER" -d "$DOCTOR_DATABASE" -tAqc "$1" 2>/dev/null; }
ask 'SELECT DISTINCT "clientName" FROM "Instance"' || ask 'SELECT DISTINCT client_name FROM public_simulator.instance'
"""
"""The simulator's tables are its own."""


def instances(client: DockerClient, seen: list[Status]) -> Iterator[Finding]:
    """Ask Evolution's database whose instances it has. A database that can't be asked is told of elsewhere."""
    containers = {each.service: each.container for each in reversed(seen) if each.state == "running"}
    if not {ServiceName.EVOLUTION_API, ServiceName.EVOLUTION_POSTGRES} <= containers.keys():
        return
    assigned = client.api.inspect_container(containers[ServiceName.EVOLUTION_API])["Config"]["Env"]
    environment = dict(each.partition("=")[::2] for each in assigned)
    asked = run_probe(client.api, containers[ServiceName.EVOLUTION_POSTGRES], ("CMD-SHELL", _ASK), _SECONDS, login(environment))
    if asked.exit_code == 0:
        yield from strangers(asked.output.splitlines(), environment.get("DATABASE_CONNECTION_CLIENT_NAME", ""))


def login(environment: Mapping[str, str]) -> dict[str, str]:
    """What psql takes of Evolution's way to its database, for a line of the shell that names no secret."""
    database = urlsplit(environment["DATABASE_CONNECTION_URI"])
    return {
        "PGPASSWORD": unquote(database.password or ""),
        "DOCTOR_HOST": database.hostname or "",
        "DOCTOR_USER": unquote(database.username or ""),
        "DOCTOR_DATABASE": database.path.lstrip("/"),
    }


def strangers(names: list[str], own: str) -> Iterator[Finding]:
    """A warning for each client name in the database that isn't Evolution's own."""
    for name in names:
        if name not in {"", own}:
            yield warning(
                ServiceName.EVOLUTION_API,
                f"its database has WhatsApp instances of the client name {name}, and it loads those of {own} alone",
                f"EVOLUTION_CLIENT_NAME={name} in the settings, then `make up`, if they are yours, as after a move from another project",
            )
