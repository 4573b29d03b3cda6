"""`pgadmin`: a web page for both databases, on request."""

import json

import pulumi

from stack.context import Context
from stack.service import Service
from stack.services.postgres_names import wanted
from stack.settings import Settings
from stack.spec import File, Limits, Port, Probe, ServiceSpec
from stack.vocabulary import PGADMIN_PORT, POSTGRES_PORT, ServiceName

_PASSWORD_FILE = "/run/secrets/pgadmin_password"  # noqa: S105 - a path
_SERVERS_FILE = "/etc/pgadmin-servers.json"


class Pgadmin(Service):
    """pgAdmin. Its own settings live in its container: what it shows lives in the databases."""

    def __init__(self, context: Context, password: pulumi.Output[str]) -> None:
        super().__init__(spec(context, password), context.host)


def spec(context: Context, password: pulumi.Output[str]) -> ServiceSpec:
    """The spec of pgAdmin."""
    settings = context.settings
    return ServiceSpec(
        name=ServiceName.PGADMIN,
        image=context.images.of(ServiceName.PGADMIN),
        environment={
            "PGADMIN_DEFAULT_EMAIL": settings.pgadmin_default_email,
            "PGADMIN_DEFAULT_PASSWORD_FILE": _PASSWORD_FILE,
            "PGADMIN_SERVER_JSON_FILE": _SERVERS_FILE,
            # Without new privileges it could not listen on 80, its default.
            "PGADMIN_LISTEN_PORT": str(PGADMIN_PORT),
            "PGADMIN_DISABLE_POSTFIX": "true",
        },
        files=(File(_PASSWORD_FILE, password), File(_SERVERS_FILE, _servers(settings))),
        ports=(Port(PGADMIN_PORT, settings.pgadmin_port),) if settings.publishes_everything else (),
        # The first start makes its own database: 10 to 60 s. Not `/login`: it leaves a session file behind at every probe.
        probe=Probe(("CMD-SHELL", f"wget -q -O /dev/null http://127.0.0.1:{PGADMIN_PORT}/misc/ping"), limit=240),
        limits=Limits(settings.pgadmin_memory_mb, settings.pgadmin_cpus),
        # Images before 2026-05-28 give their Python this capability as a file attribute: without it, it could not even be started.
        capabilities=("NET_BIND_SERVICE",),
    )


def _servers(settings: Settings) -> str:
    """Both databases, in the form that pgAdmin imports when it starts for the first time; it asks for their passwords itself."""
    servers = {
        str(number): {
            "Name": str(service),
            "Group": "Servers",
            "Host": str(service),
            "Port": POSTGRES_PORT,
            "MaintenanceDB": names.database,
            "Username": names.user,
            "SSLMode": "prefer",
        }
        for number, (service, names) in enumerate(wanted(settings).items(), start=1)
    }
    return json.dumps({"Servers": servers}, indent=2)
