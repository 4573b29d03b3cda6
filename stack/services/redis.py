"""`redis`: where Evolution API keeps WhatsApp's session keys."""

from pathlib import Path

import pulumi

from stack.context import Context
from stack.credentials import login_url
from stack.service import Service
from stack.spec import File, Limits, Probe, ServiceSpec
from stack.vocabulary import REDIS_DATA_SHARE, REDIS_PORT, ServiceName, VolumeName

_CONFIGURATION_FILE = "/run/secrets/redis.conf"
_PASSWORD_FILE = "/run/secrets/redis_password"  # noqa: S105 - a path
_ADOPT = "/usr/local/bin/adopt.sh"
_REDIS_USER_ID = "999:999"

# Not a cache: losing or evicting a key breaks a paired session. So every write is logged, and a full memory refuses instead of evicting.
# The only replica that ever asks is a backup, and it need not wait five seconds for others to come.
_CONFIGURATION = """\
appendonly yes
appendfsync everysec
maxmemory {mebibytes}mb
maxmemory-policy noeviction
repl-diskless-sync-delay 0
"""


class Redis(Service):
    """Redis for Evolution API.

    Attributes:
        url: `redis://:password@redis:6379`, without a database number, once it is ready.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(spec(context), context.host)
        self.url = self.endpoint(login_url("redis", "", context.credentials.redis_password, f"{ServiceName.REDIS}:{REDIS_PORT}"))


def spec(context: Context) -> ServiceSpec:
    """The spec of Redis."""
    settings, password = context.settings, context.credentials.redis_password
    # redis-cli exits with 0 when it is refused, hence the grep.
    probe = f'REDISCLI_AUTH="$(cat {_PASSWORD_FILE})" redis-cli ping | grep -q PONG'
    configuration = _CONFIGURATION.format(mebibytes=int(settings.redis_memory_mb * REDIS_DATA_SHARE))
    return ServiceSpec(
        name=ServiceName.REDIS,
        image=context.images.of(ServiceName.REDIS),
        entrypoint=(_ADOPT,),
        command=("redis-server", _CONFIGURATION_FILE),
        user=_REDIS_USER_ID,
        files=(
            File(_CONFIGURATION_FILE, pulumi.Output.concat(configuration, 'requirepass "', password, '"\n')),
            File(_PASSWORD_FILE, password),
            File(_ADOPT, (Path(__file__).parent / "redis_adopt.sh").read_text(), mode="0555"),
        ),
        volumes={"/data": VolumeName.REDIS_DATA},
        probe=Probe(("CMD-SHELL", probe), limit=60, timeout=5),
        limits=Limits(settings.redis_memory_mb, settings.redis_cpus),
        stop_grace_seconds=30,
    )
