"""Whether each credential works, tried with what its user really has: Evolution API's own environment, against each service.

The application's own credentials are in what it says of its readiness.
"""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from ops.doctor.findings import Finding, bad, good
from ops.doctor.instances import login
from stack.engine import NO_ANSWER, ProbeResult, run_probe
from stack.vocabulary import ServiceName

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from docker import DockerClient

    from ops.status import Status

_NAME = ServiceName.EVOLUTION_API
_SECONDS = 8
"""After which a service that does not answer a log-in hangs; RabbitMQ's takes one or two."""
_TELLING = re.compile("error|fail|refuse|denied", re.IGNORECASE)
"""What a line has that tells why; the last line may be no more than how to call the program."""
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
    wanted = trials(dict(each.partition("=")[::2] for each in assigned))
    tried = [trial for trial in wanted if trial.service in containers]

    def attempt(trial: Trial) -> Finding:
        return verdict(
            containers[trial.service], run_probe(client.api, containers[trial.service], ("CMD-SHELL", trial.line), _SECONDS, trial.secrets)
        )

    with ThreadPoolExecutor(max_workers=max(len(tried), 1)) as pool:
        yield from pool.map(attempt, tried)


def verdict(container: str, result: ProbeResult) -> Finding:
    """What the end of a trial means."""
    lines = result.output.splitlines() or [f"exit code {result.exit_code}"]
    said = next((line for line in lines if _TELLING.search(line)), lines[-1])[:200]
    if result.exit_code == NO_ANSWER:
        return bad(container, f"can't be asked with what {_NAME} uses: {said}", "see what is said of its health")
    if result.exit_code:
        return bad(container, f"refuses what {_NAME} uses: {said}", _MEND)
    return good(container, f"takes what {_NAME} uses")


def trials(environment: Mapping[str, str]) -> Iterator[Trial]:
    """The log-ins that Evolution API does, from its environment."""
    queue = urlsplit(environment["RABBITMQ_URI"])
    yield Trial(
        ServiceName.EVOLUTION_POSTGRES,
        'psql -h "$DOCTOR_HOST" -U "$DOCTOR_USER" -d "$DOCTOR_DATABASE" -tAqc "select 1" 2>&1 >/dev/null',
        login(environment),
    )
    yield Trial(
        ServiceName.REDIS,
        "redis-cli -h redis ping 2>&1 | tee /dev/stderr | grep -q PONG",
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
