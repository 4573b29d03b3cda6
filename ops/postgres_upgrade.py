"""`upgrade-postgres`: the data of a database, moved to another major version of Postgres.

The new version's own tools copy from the running old server into a new volume, which is compared with the old one, table by table. Only
then two settings name the new image and the new volume, and an `up` applies them. Whatever interrupts it before that leaves the stack as it
was; the old volume is never written to, and is kept.
"""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from docker.errors import APIError, ImageNotFound, NotFound

from ops import engine
from ops.console import ask, count, say
from ops.containers import of_stack
from ops.errors import OperatorError
from ops.pulumi import run_quietly
from ops.session import open_session, settings_file, stack_settings
from ops.tasks import with_setting
from ops.up import up
from stack.naming import Naming
from stack.services.postgres_names import PREFIXES, VOLUMES
from stack.services.postgres_versions import data_version, reference_version
from stack.vocabulary import ServiceName, VolumeName

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker import DockerClient
    from docker.models.containers import Container

    from ops.engine import SeenContainer
    from ops.session import Session

_USERS = {ServiceName.DB: ServiceName.APP, ServiceName.EVOLUTION_POSTGRES: ServiceName.EVOLUTION_API}
_READY_SECONDS = 120
_SECRET = "/run/secrets/postgres_password"  # noqa: S105 - a path

# The copy makes the databases as they were, so the image must not make one; the role that it makes is left out of the copy.
_COPY = r"""
set -eu
pg_dumpall -h "$OLD_HOST" -U "$POSTGRES_USER" > /tmp/copy.sql 2> /tmp/copy.err || { cat /tmp/copy.err; exit 1; }
grep -vE '^CREATE ROLE "?'"$POSTGRES_USER"'"?;$' /tmp/copy.sql > /tmp/copy.clean
psql -h 127.0.0.1 -U "$POSTGRES_USER" -d template1 --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --file /tmp/copy.clean > /dev/null
rm -f /tmp/copy.*
"""
_COUNT = """
SELECT string_agg(format('%s.%s=%s', n.nspname, c.relname,
    (xpath('/row/n/text()', query_to_xml(format('SELECT count(*) AS n FROM %I.%I', n.nspname, c.relname), false, true, '')))[1]), ','
    ORDER BY n.nspname, c.relname)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
"""
_DATABASES = "SELECT datname FROM pg_catalog.pg_database WHERE datallowconn AND datname NOT IN ('template1') ORDER BY 1"


def upgrade_postgres(stack: str, service: str, image: str, agreed: bool) -> None:
    """Move the data of a database to the major version of `image`.

    Args:
        stack: the stack, which is up.
        service: db or evolution_postgres.
        image: of a newer major version.
        agreed: don't ask.

    Raises:
        OperatorError: it can't be done, was not agreed to, or failed; the stack is as it was.
    """
    if service not in PREFIXES:
        raise OperatorError(f"'{service}' is no database.", mend=f"Databases: {', '.join(PREFIXES)}")
    name = ServiceName(service)
    session = open_session(stack)
    client = engine.connect(session.variables)
    settings = stack_settings(session.folder, stack)
    old = of_stack(client, stack, name)[0]
    have, wanted = _versions(client, old, image)
    naming = Naming(settings.project, stack)
    target = f"{VOLUMES[name]}_{wanted}"
    say(f"{name}: PostgreSQL {have} -> {wanted} ({image}); its data goes into the new volume {settings.project}_{target}.")
    say(f"Meanwhile {_USERS[name]} is stopped. The old volume is kept.")
    if not agreed:
        ask("Nothing was changed.")
    with _stopped(client, of_stack(client, stack, _USERS[name])):
        _move(client, old, image, naming, VOLUMES[name], target)
    _flip(session, name, image, target)
    up(stack)
    say(f"{name} is PostgreSQL {wanted} now. The old data is kept: `docker volume rm` removes it when nobody needs it any more.", "green")


def _versions(client: DockerClient, old: SeenContainer, image: str) -> tuple[int, int]:
    """The versions of the data and of the image, which is fetched when it isn't here."""
    try:
        client.images.get(image)
    except ImageNotFound:
        say(f"fetching {image}")
        try:
            client.images.pull(image)
        except APIError as error:
            raise OperatorError(f"{image} can't be had.", str(error.explanation or error), "Correct IMAGE.") from error
    have, wanted = data_version(client.api, old.id), reference_version(client.api, image)
    if have is None or old.state != "running":
        raise OperatorError(f"{old.service} must run to be upgraded.", mend="Bring the stack up with the image that it had.")
    if wanted is None or wanted <= have:
        raise OperatorError(
            f"{image} is {f'PostgreSQL {wanted}' if wanted else 'no Postgres'}, and the data is of PostgreSQL {have}.",
            mend="Name an image of a newer major version; a minor one is only a setting and `make up`.",
        )
    return have, wanted


@contextmanager
def _stopped(client: DockerClient, users: list[SeenContainer]) -> Iterator[None]:
    """The containers that write to the database, stopped for a while; they are started again when it fails."""
    for user in users:
        client.api.stop(user.id)
    try:
        yield
    except BaseException:
        engine.start_containers(client, [user for user in users if user.state == "running"])
        raise


def _move(client: DockerClient, old: SeenContainer, image: str, naming: Naming, volume: VolumeName, target: str) -> None:
    """Fill the new volume from the running old server, and compare."""
    begun = time.monotonic()
    details = client.api.inspect_container(old.id)
    helper_name = f"{naming.project}-{old.service}-upgrade"
    full_name = f"{naming.project}_{target}"
    _forget(client, helper_name, full_name)
    client.volumes.create(full_name, labels=naming.volume_labels(volume))
    variables = dict(each.partition("=")[::2] for each in details["Config"]["Env"])
    password = _do(client.containers.get(old.id), ["cat", _SECRET])
    helper = client.containers.run(
        image,
        name=helper_name,
        network=next(iter(details["NetworkSettings"]["Networks"])),
        environment={
            "POSTGRES_USER": variables["POSTGRES_USER"],
            "POSTGRES_DB": "postgres",
            "POSTGRES_PASSWORD": password,
            "PGPASSWORD": password,
            "OLD_HOST": str(old.service),
        },
        user=details["Config"]["User"],
        volumes={full_name: {"bind": "/var/lib/postgresql/data", "mode": "rw"}},
        detach=True,
    )
    try:
        _wait(helper)
        say("copying with the new version's own tools")
        _do(helper, ["sh", "-c", _COPY])
        tables = _compare(helper, str(old.service), variables["POSTGRES_USER"])
        helper.stop(timeout=60)
    except BaseException:
        _forget(client, helper_name, full_name)
        raise
    helper.remove()
    say(f"copied and compared: {count(tables, 'table')} alike, {time.monotonic() - begun:.1f} s")


def _forget(client: DockerClient, helper: str, volume: str) -> None:
    """Remove what an attempt left: never a volume that a container of the stack has."""
    with suppress(NotFound):
        client.containers.get(helper).remove(force=True)
    try:
        client.volumes.get(volume).remove()
    except NotFound:
        pass
    except APIError as error:
        raise OperatorError(
            f"The volume {volume} is in use.", str(error.explanation or error), "Is this database upgraded already?"
        ) from error


def _wait(helper: Container) -> None:
    limit = time.monotonic() + _READY_SECONDS
    while time.monotonic() < limit:
        helper.reload()
        if helper.status == "exited":
            break
        # Over TCP: the image's first start has a server of its own, on a socket only.
        if helper.exec_run(["sh", "-c", 'psql -h 127.0.0.1 -U "$POSTGRES_USER" -d template1 -c "select 1"']).exit_code == 0:
            return
        time.sleep(0.3)
    raise OperatorError("The new version did not start.", helper.logs(tail=10).decode(errors="replace"), "The stack is as it was.")


def _compare(helper: Container, old: str, user: str) -> int:
    """Compare databases, tables and numbers of rows; how many tables there are."""
    tables = 0

    def ask(host: str, database: str, statement: str) -> str:
        return _do(helper, ["psql", "-h", host, "-U", user, "-d", database, "--no-psqlrc", "-tAc", statement])

    databases = ask(old, "template1", _DATABASES)
    _demand(databases, ask("127.0.0.1", "template1", _DATABASES), "the databases")
    for database in databases.split():
        rows = ask(old, database, _COUNT)
        _demand(rows, ask("127.0.0.1", database, _COUNT), f"the tables of {database}")
        tables += len(rows.split(",")) if rows else 0
    return tables


def _demand(had: str, got: str, what: str) -> None:
    if had != got:
        raise OperatorError(f"The copy differs from the original in {what}.", f"had: {had}\ngot: {got}", "The stack is as it was.")


def _do(helper: Container, command: list[str]) -> str:
    ran: Any = helper.exec_run(command)
    said = ran.output.decode(errors="replace").strip()
    if ran.exit_code:
        raise OperatorError("The copy failed.", said[-2000:], "The stack is as it was; mend the cause and run it again.")
    return str(said)


def _flip(session: Session, service: ServiceName, image: str, volume: str) -> None:
    """Name the new image and the new volume, in one write; from here on `make up` is enough."""
    file = settings_file(session.folder, session.stack)
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    for setting, value in ((f"{PREFIXES[service]}_IMAGE", image), (f"{PREFIXES[service]}_VOLUME", volume)):
        text = with_setting(text, setting, value)
    new = file.with_name(f"{file.name}.new")
    new.write_text(text, encoding="utf-8")
    new.chmod(file.stat().st_mode & 0o777 if file.is_file() else 0o600)
    new.replace(file)
    say(f"{PREFIXES[service]}_IMAGE={image} and {PREFIXES[service]}_VOLUME={volume} are now in {file.name}")
    # PROTECT_VOLUMES guards against losing data; this volume is only let go of.
    run_quietly(session, ["state", "unprotect", "--all", "--yes"])
