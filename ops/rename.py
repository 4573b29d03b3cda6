"""`rename`: a database's user and name become those of the settings, and its data stays.

An `up` refuses other names than the volume has, for the data would not be found under them. This lets the database rename what it has
when it next starts, and brings the stack up. The consent is a file in the volume: a run that was killed is completed by the next `up`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from docker.errors import APIError

from ops import engine
from ops.backup import marker
from ops.console import ask, say
from ops.errors import OperatorError
from ops.session import open_session, stack_settings
from ops.up import up
from stack.services import postgres_names

if TYPE_CHECKING:
    from docker import DockerClient

    from stack.services.postgres_names import Cluster, Names
    from stack.settings import Settings
    from stack.vocabulary import ServiceName

_TAKEN = """\
select 'user ' || rolname from pg_roles where rolname = '{user}' and '{user}' <> '{old_user}'
union all
select 'database ' || datname from pg_database where datname = '{database}' and '{database}' <> '{old_database}'"""
"""What stands in the way. Names in the settings are plain: letters, digits and underscores."""


@dataclass(frozen=True)
class Step:
    """One database to be renamed."""

    service: ServiceName
    cluster: Cluster
    names: Names


def rename(stack: str, service: str, agreed: bool) -> None:
    """Rename a database's user and the database itself to what the settings say, or those of both databases.

    Args:
        stack: the stack's name.
        service: db or evolution_postgres; both when empty.
        agreed: don't ask.

    Raises:
        OperatorError: there is nothing to rename, the names are taken, the user did not agree, or the `up` failed.
    """
    session = open_session(stack)
    settings = stack_settings(session.folder, stack)
    client = engine.connect(session.variables)
    marker.guard(client, settings.project, stack)
    steps = _steps(client, settings, service)
    for step in steps:
        _check_free(client, step)
        say(f"{step.service}: {_told(step)}. Its data stays; it is restarted, and so is whoever uses it.")
    if not agreed:
        ask("Nothing was renamed.")
    for step in steps:
        postgres_names.agree(client.api, step.cluster, step.names)
    up(stack)


def _told(step: Step) -> str:
    old, new = step.cluster.names, step.names
    pairs = (("user", old.user, new.user), ("database", old.database, new.database))
    return ", ".join(f"{what} {before} becomes {after}" for what, before, after in pairs if before != after)


def _steps(client: DockerClient, settings: Settings, service: str) -> list[Step]:
    wanted = postgres_names.wanted(settings)
    if service not in {"", *wanted}:
        raise OperatorError(f"{service} is not a database.", mend=f"Databases: {', '.join(wanted)}")
    steps = []
    for name, names in wanted.items():
        cluster = postgres_names.look(client.api, settings.project, name)
        if cluster is not None and cluster.names != names and service in {"", name}:
            steps.append(Step(name, cluster, names))
    if not steps:
        raise OperatorError(
            "There is nothing to rename: no database has other names than the settings, or it has no container.",
            mend="Write the new names into the settings first. Without a container: set the old ones, run `make up`, then set the new.",
        )
    return steps


def _check_free(client: DockerClient, step: Step) -> None:
    """Make sure that nothing has the new names yet, as long as the database can be asked.

    Raises:
        OperatorError: something has.
    """
    if not step.cluster.running:
        return
    old, new = step.cluster.names, step.names
    question = _TAKEN.format(user=new.user, old_user=old.user, database=new.database, old_database=old.database)
    command = ["psql", "-U", old.user, "-d", old.database, "-tAqc", question]  # over the socket, where the image trusts its own
    try:
        run = client.api.exec_create(step.cluster.container, command, stderr=False)["Id"]
        taken = client.api.exec_start(run).decode(errors="replace").strip()
    except APIError:
        return  # between two starts, for the names that it was given are not those of its volume
    if taken:
        raise OperatorError(
            f"{step.service} has another {' and another '.join(taken.splitlines())} already; nothing was changed.",
            mend="Choose another name in the settings, or remove that one first if it isn't needed.",
        )
