"""Copies what a running Postgres has into a new volume, by a newer version's own tools, and compares the two.

The old server is only read. Until the copy is whole and alike, it is a volume that nothing uses: an attempt that was cut short is removed
by the next one, and its container by any `up`, which knows it by the stack's labels.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from docker.errors import APIError, NotFound

from ops.backup import databases, inside, volumes
from ops.backup.inside import InsideError
from ops.backup.stopping import held_back
from ops.backup.telling import amount
from ops.console import say
from ops.errors import OperatorError
from stack.naming import COMPOSE_PROJECT, COMPOSE_SERVICE, STACK_LABEL
from stack.services.postgres_names import NAMES, file_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from docker import DockerClient

    from ops.engine import SeenContainer
    from stack.services.postgres_versions import Layout

_HELPER = "upgrade"
_READY_SECONDS = 120
_STOP_SECONDS = 60
_POLL_SECONDS = 0.2
_TOLD_LINES = 20
_SHARED_MEMORY = "256m"
"""Of the helper: indexes are built by several processes, which share more than Docker's 64 MiB."""
_AS_IT_WAS = "The stack is as it was; mend the cause and run it again."

# The copy makes the databases as they were, so the image must not make one; the role that it makes is left out of the copy, once: what
# comes after may be a line of somebody's data.
_COPY = r"""
set -euo pipefail
new=(-h 127.0.0.1 -U "$POSTGRES_USER")
made="^CREATE ROLE \"?$POSTGRES_USER\"?;\$"
pg_dumpall -h "$OLD_HOST" -U "$POSTGRES_USER" | sed -E "1,/$made/{/$made/d}" \
  | psql "${new[@]}" -d template1 --no-psqlrc --quiet --set=ON_ERROR_STOP=1 > /dev/null
vacuumdb "${new[@]}" --all --analyze-only --quiet
"""
_READY = 'psql -h 127.0.0.1 -U "$POSTGRES_USER" -d template1 -c "SELECT 1"'
"""Over TCP: the image's first start has a server of its own, on a socket only."""

_MOST_LOG_BYTES = 1 << 30
"""What a server keeps of its log unless told otherwise; while a small database is copied, about its size."""

_DATABASES = "SELECT datname FROM pg_catalog.pg_database WHERE datname <> 'template0' ORDER BY 1"
_ROLES = """
SELECT concat_ws(' ', rolname, rolsuper, rolcanlogin, rolcreatedb, rolcreaterole, md5(rolpassword)) FROM pg_catalog.pg_authid
WHERE rolname !~ '^pg_' ORDER BY 1
"""
_CONTENT = """
SELECT format('table %I.%I: %s rows', n.nspname, c.relname,
    (xpath('/row/n/text()', query_to_xml(format('SELECT count(*) AS n FROM %I.%I', n.nspname, c.relname), false, true, '')))[1])
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE (c.relkind IN ('r', 'p') OR c.relkind = 'm' AND c.relispopulated) AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
UNION ALL SELECT format('sequence %I.%I: %s', schemaname, sequencename, last_value) FROM pg_catalog.pg_sequences
UNION ALL SELECT format('extension %I', extname) FROM pg_catalog.pg_extension
UNION ALL SELECT format('large objects: %s', count(*)) FROM pg_catalog.pg_largeobject_metadata
ORDER BY 1
"""
_CONNECTED = """
SELECT format('%s, user %s on %s (process %s)', coalesce(nullif(application_name, ''), 'a client'), usename, datname, pid)
FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY 1
"""
_SECONDS_OF_A_CHECK = 1.0
"""Longer than the connection of a health check is there."""
_BY_HAND = "SELECT name FROM pg_catalog.pg_file_settings WHERE sourcefile LIKE '%postgresql.auto.conf' ORDER BY 1"


@dataclass(frozen=True)
class Copy:
    """A copy to be made.

    Attributes:
        client: of the engine.
        old: the running old server.
        image: of the new version.
        layout: where that one keeps its data.
        volume: full name of the volume to fill.
        labels: of that volume.
    """

    client: DockerClient
    old: SeenContainer
    image: str
    layout: Layout
    volume: str
    labels: Mapping[str, str]

    def clear(self) -> None:
        """Remove what an attempt left.

        Raises:
            OperatorError: there is such a volume, but it has served as a database of a stack, or does so now.
        """
        labels = [f"{COMPOSE_PROJECT}={self.old.project}", f"{COMPOSE_SERVICE}={_HELPER}"]
        for left in self.client.api.containers(all=True, filters={"label": labels}):
            self._remove(left["Id"])
        try:
            self.client.api.inspect_volume(self.volume)
        except NotFound:
            return
        helper = self._create()
        served = file_in(self.client.api, helper, f"{self.layout.data}/{NAMES}") is not None
        self._remove(helper)
        if served:
            raise OperatorError(
                f"The volume {self.volume} has been in use and would be overwritten; nothing was changed.",
                mend=f"If nobody needs what is in it: `docker volume rm {self.volume}`, then run this again.",
            )
        try:
            self.client.api.remove_volume(self.volume)
        except APIError as error:
            raise OperatorError(f"The volume {self.volume} is in use.", str(error.explanation or error), "End what uses it.") from error

    def check_room(self) -> None:
        """See that the disk takes the data twice; nothing is changed.

        Raises:
            OperatorError: it does not, or that can't be told.
        """
        try:
            size = databases.size_of_all(self.client, self.old.id)
            free = volumes.free_bytes(self.client, self.old.id, inside.variables(self.client, self.old.id)["PGDATA"])
        except InsideError as error:
            raise OperatorError(
                f"It can't be told whether there is room for a copy of {self.old.service}.", str(error), _AS_IT_WAS
            ) from error
        if free < (needed := size + min(size, _MOST_LOG_BYTES)):
            raise OperatorError(
                f"There is no room for a copy of {self.old.service}; nothing was changed.",
                f"The engine's disk has {amount(free)} free, and the copy may need {amount(needed)} beside the old data.",
                "Make room, then run it again.",
            )

    def make(self) -> int:
        """Fill the volume from the running old server, and compare; how many tables there are.

        Raises:
            OperatorError: that failed, and nothing is left of it.
        """
        try:
            self.client.volumes.create(self.volume, labels=dict(self.labels))
            helper = self._create()
            self.client.api.start(helper)
            self._wait(helper)
            self._refuse_others(helper)
            say("copying with the new version's own tools")
            inside.text(self.client, helper, ("bash", "-c", _COPY))
            tables = self._compare(helper)
            self._refuse_others(helper)
            self._tell_what_stays(helper)
            self.client.api.stop(helper, timeout=_STOP_SECONDS)
        except BaseException as error:
            with held_back("removing the unfinished copy"):
                self.clear()
            if isinstance(error, InsideError):
                raise OperatorError("The copy failed.", str(error), _AS_IT_WAS) from error
            raise
        self._remove(helper)
        return tables

    def _remove(self, container: str) -> None:
        with suppress(NotFound):
            self.client.api.remove_container(container, force=True, v=True)

    def _create(self) -> str:
        """A server of the new version on the volume. It has the stack's labels, by which an `up` or a `wipe` removes one that was left."""
        details = self.client.api.inspect_container(self.old.id)
        variables = inside.variables(self.client, self.old.id)
        password = inside.text(self.client, self.old.id, ("cat", variables["POSTGRES_PASSWORD_FILE"]))
        api = self.client.api
        made = api.create_container(
            self.image,
            name=f"{self.old.project}-{self.old.service}-upgrade",
            user=details["Config"]["User"],
            environment={
                "PGDATA": self.layout.data,
                "POSTGRES_USER": variables["POSTGRES_USER"],
                "POSTGRES_DB": "postgres",
                "POSTGRES_PASSWORD": password,
                "PGPASSWORD": password,
                "OLD_HOST": self.old.service,
            },
            labels={COMPOSE_PROJECT: self.old.project, COMPOSE_SERVICE: _HELPER, STACK_LABEL: self.old.stack or ""},
            host_config=api.create_host_config(
                binds=[f"{self.volume}:{self.layout.mount}"],
                network_mode=next(iter(details["NetworkSettings"]["Networks"])),
                cap_drop=["ALL"],
                security_opt=["no-new-privileges:true"],
                shm_size=_SHARED_MEMORY,
            ),
        )
        return str(made["Id"])

    def _wait(self, helper: str) -> None:
        limit = time.monotonic() + _READY_SECONDS
        while time.monotonic() < limit:
            if self.client.api.inspect_container(helper)["State"]["Status"] == "exited":
                break
            with suppress(InsideError, APIError):
                inside.text(self.client, helper, ("sh", "-c", _READY))
                return
            time.sleep(_POLL_SECONDS)
        said = self.client.api.logs(helper, tail=10).decode(errors="replace")
        raise OperatorError("The new version did not start.", said, _AS_IT_WAS)

    def _refuse_others(self, helper: str) -> None:
        """See that nobody else is connected to the old server: what they write after the copy was read would not be in it."""
        connected = self._ask(helper, self.old.service, "template1", _CONNECTED)
        if connected:
            time.sleep(_SECONDS_OF_A_CHECK)
            connected = [each for each in self._ask(helper, self.old.service, "template1", _CONNECTED) if each in connected]
        if connected:
            raise OperatorError(
                f"Others are connected to {self.old.service}, and what they write may be missing in the copy: {'; '.join(connected)}.",
                "The stack is as it was.",
                "End these connections (pgAdmin, a psql that is open), then run it again.",
            )

    def _compare(self, helper: str) -> int:
        """Compare what both servers have; how many tables there are."""
        databases = self._alike(helper, "the databases", "template1", _DATABASES)
        self._alike(helper, "the roles", "template1", _ROLES)
        found = [line for each in databases for line in self._alike(helper, f"the content of {each}", each, _CONTENT)]
        return sum(1 for line in found if line.startswith("table "))

    def _alike(self, helper: str, what: str, database: str, question: str) -> list[str]:
        """What both servers answer, in lines."""
        had, got = (self._ask(helper, host, database, question) for host in (self.old.service, "127.0.0.1"))
        if had != got:
            differing = [f"had: {line}" for line in had if line not in got] + [f"got: {line}" for line in got if line not in had]
            raise OperatorError(f"The copy differs from the original in {what}.", "\n".join(differing[:_TOLD_LINES]), _AS_IT_WAS)
        return had

    def _ask(self, helper: str, host: str, database: str, question: str) -> list[str]:
        command = ("sh", "-c", 'exec psql -U "$POSTGRES_USER" --no-psqlrc -h "$@"', "psql", host, "-d", database, "-qAtc", question)
        return inside.text(self.client, helper, command).splitlines()

    def _tell_what_stays(self, helper: str) -> None:
        """Name what a copy of the data does not have: the configuration of the cluster itself."""
        if names := self._ask(helper, self.old.service, "template1", _BY_HAND):
            say(f"not carried over, for they are the old server's own (ALTER SYSTEM): {', '.join(names)}", "yellow")
