"""Whether each credential works, tried with what its user really has: Evolution API's own environment, against each service.

The application's own credentials are in what it says of its readiness.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from docker.errors import APIError

from ops.doctor.findings import Finding, bad, good
from stack.vocabulary import ServiceName

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from docker import DockerClient

    from ops.status import Status

_NAME = ServiceName.EVOLUTION_API
_MEND = "`make up` gives all users of a credential the same one"

_MC = """\
umask 077
folder=$(mktemp -d) || exit 1
printf %s "$DOCTOR_CONFIGURATION" > "$folder/config.json"
MC_CONFIG_DIR=$folder mc ls doctor 2>&1 >/dev/null
code=$?
rm -rf "$folder"
exit $code
"""
"""A folder of settings, and not a URL in a variable: in that, mc takes what follows a colon in a password for a session's token."""


@dataclass(frozen=True)
class Trial:
    """A log-in to try.

    Attributes:
        service: where: in a container of this service.
        line: a shell line that ends with 0 when the log-in works.
        secrets: what the line takes from its environment, so that no process list shows it; but for the audio converter's key, which its
            image's wget has to be told in an argument, in this as in its health check.
    """

    service: ServiceName
    line: str
    secrets: Mapping[str, str]


def credentials(client: DockerClient, seen: list[Status]) -> Iterator[Finding]:
    """Try what Evolution API has, in the containers of the services that it uses."""
    containers = {each.service: each.container for each in reversed(seen) if each.state == "running"}
    if _NAME not in containers:
        return
    assigned = client.api.inspect_container(containers[_NAME])["Config"]["Env"]
    for trial in trials(dict(each.partition("=")[::2] for each in assigned)):
        if trial.service not in containers:
            continue
        subject = containers[trial.service]
        try:
            run = client.api.exec_create(subject, ["sh", "-c", trial.line], environment=dict(trial.secrets))["Id"]
            said = client.api.exec_start(run).decode(errors="replace").strip()
            code = client.api.exec_inspect(run)["ExitCode"]
        except APIError as error:
            said, code = str(error.explanation or error), -1
        if code:
            yield bad(subject, f"refuses what {_NAME} uses: {said.splitlines()[-1][:200] if said else f'exit code {code}'}", _MEND)
        else:
            yield good(subject, f"takes what {_NAME} uses")


def trials(environment: Mapping[str, str]) -> Iterator[Trial]:
    """The log-ins that Evolution API does, from its environment."""
    database, queue = urlsplit(environment["DATABASE_CONNECTION_URI"]), urlsplit(environment["RABBITMQ_URI"])
    yield Trial(
        ServiceName.EVOLUTION_POSTGRES,
        'psql -h "$DOCTOR_HOST" -U "$DOCTOR_USER" -d "$DOCTOR_DATABASE" -tAqc "select 1" 2>&1 >/dev/null',
        {
            "PGPASSWORD": unquote(database.password or ""),
            "PGCONNECT_TIMEOUT": "3",
            "DOCTOR_HOST": database.hostname or "",
            "DOCTOR_USER": unquote(database.username or ""),
            "DOCTOR_DATABASE": database.path.lstrip("/"),
        },
    )
    yield Trial(
        ServiceName.REDIS,
        "redis-cli -h redis ping 2>&1 | grep -q PONG",
        {"REDISCLI_AUTH": unquote(urlsplit(environment["CACHE_REDIS_URI"]).password or "")},
    )
    yield Trial(
        ServiceName.RABBITMQ,
        # The password on stdin, for which there must be just these two words: with -q some versions don't read it.
        'printf \'%s\\n\' "$DOCTOR_PASSWORD" | rabbitmqctl authenticate_user "$DOCTOR_USER" 2>&1 >/dev/null',
        {"DOCTOR_USER": unquote(queue.username or ""), "DOCTOR_PASSWORD": unquote(queue.password or "")},
    )
    yield Trial(
        ServiceName.MINIO,
        _MC,
        {"DOCTOR_CONFIGURATION": _mc_configuration(environment)},
    )
    yield Trial(
        ServiceName.AUDIO_CONVERTER,
        # With the key and nothing to convert it answers 400, without the right one 401.
        'wget -S -O /dev/null --header "apikey: $DOCTOR_KEY" --post-data= "$DOCTOR_URL" 2>&1 | grep " 400 " >/dev/null || '
        "{ echo the key is refused; exit 1; }",
        {"DOCTOR_KEY": environment["API_AUDIO_CONVERTER_KEY"], "DOCTOR_URL": environment["API_AUDIO_CONVERTER"]},
    )


def _mc_configuration(environment: Mapping[str, str]) -> str:
    """The settings file of MinIO's client, with one server, `doctor`."""
    server = {
        "url": f"http://127.0.0.1:{environment['S3_PORT']}",
        "accessKey": environment["S3_ACCESS_KEY"],
        "secretKey": environment["S3_SECRET_KEY"],
        "api": "S3v4",
        "path": "auto",
    }
    return json.dumps({"version": "10", "aliases": {"doctor": server}})
