"""What the two Postgres databases have in common."""

from dataclasses import dataclass
from pathlib import Path

import pulumi

from stack.context import Context
from stack.credentials import login_url
from stack.service import Service
from stack.services.postgres_names import WRITE_DOWN
from stack.services.postgres_versions import layout_of
from stack.spec import File, Limits, Port, Probe, ServiceSpec
from stack.vocabulary import POSTGRES_PORT, ServiceName, VolumeName

_PASSWORD_FILE = "/run/secrets/postgres_password"  # noqa: S105 - a path
_RECONCILE = "/usr/local/bin/reconcile-credentials.sh"
_POSTGRES_USER_ID = "999:999"
"""`postgres` in Debian-based images; as that user the server needs no capability at all."""


@dataclass(frozen=True)
class Database:
    """One database: where it keeps its data, and who uses it.

    Attributes:
        user: the role that owns the database.
        parameters: further ones of the server, name=value, separated by blanks.
        password: of that role.
        database: its name.
    """

    service: ServiceName
    volume: VolumeName
    user: str
    password: pulumi.Output[str]
    database: str
    host_port: int
    max_connections: int
    parameters: str
    limits: Limits


class Postgres(Service):
    """A Postgres server with one database.

    Attributes:
        url: `postgresql://user:password@service:5432/name`, once the database is ready.
    """

    def __init__(self, database: Database, context: Context) -> None:
        super().__init__(spec(database, context), context.host)
        rest = f"{database.service}:{POSTGRES_PORT}/{database.database}"
        self.url = self.endpoint(login_url("postgresql", database.user, database.password, rest))


def spec(database: Database, context: Context) -> ServiceSpec:
    """The spec of a Postgres server with one database."""
    # Asked as a client asks: over TCP, on the container's own address, where the password really counts (on 127.0.0.1 it doesn't).
    probe = (
        f'PGPASSWORD="$(cat {_PASSWORD_FILE})" PGCONNECT_TIMEOUT=3 '
        f"psql -h {database.service} -U {database.user} -d {database.database} -tAqc 'select 1' >/dev/null"
    )
    parameters = (f"max_connections={database.max_connections}", *database.parameters.split())
    layout = layout_of(context.settings, database.service)
    return ServiceSpec(
        name=database.service,
        image=context.images.of(database.service),
        entrypoint=(_RECONCILE,),
        command=("postgres", *(part for each in parameters for part in ("-c", each))),
        user=_POSTGRES_USER_ID,
        environment={
            "PGDATA": layout.data,
            "POSTGRES_USER": database.user,
            "POSTGRES_DB": database.database,
            "POSTGRES_PASSWORD_FILE": _PASSWORD_FILE,
        },
        files=(
            File(_PASSWORD_FILE, database.password),
            File("/docker-entrypoint-initdb.d/90-names.sh", WRITE_DOWN),
            File(_RECONCILE, (Path(__file__).parent / "postgres_reconcile.sh").read_text(), mode="0555"),
        ),
        volumes={layout.mount: database.volume},
        ports=(Port(POSTGRES_PORT, database.host_port),) if context.settings.publishes_everything else (),
        probe=Probe(("CMD-SHELL", probe), limit=120, timeout=5),
        limits=database.limits,
        stop_grace_seconds=60,
    )
