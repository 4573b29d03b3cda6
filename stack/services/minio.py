"""`minio`: where Evolution API keeps media."""

from stack.context import Context
from stack.service import Service
from stack.spec import File, Limits, Port, Probe, ServiceSpec
from stack.vocabulary import MINIO_CONSOLE_PORT, MINIO_PORT, ServiceName, VolumeName

_PASSWORD_FILE = "/run/secrets/minio_root_password"  # noqa: S105 - a path


class Minio(Service):
    """MinIO for Evolution API.

    Attributes:
        hostname: its name on the network, once it is ready.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(spec(context), context.host)
        self.hostname = self.endpoint(ServiceName.MINIO)


def spec(context: Context) -> ServiceSpec:
    """The spec of MinIO."""
    settings = context.settings
    ports = (Port(MINIO_PORT, settings.minio_port), Port(MINIO_CONSOLE_PORT, settings.minio_console_port))
    return ServiceSpec(
        name=ServiceName.MINIO,
        image=context.images.of(ServiceName.MINIO),
        command=("server", "/data", "--console-address", f":{MINIO_CONSOLE_PORT}"),
        environment={
            "MINIO_ROOT_USER": settings.minio_root_user,
            "MINIO_ROOT_PASSWORD_FILE": _PASSWORD_FILE,
            "MC_CONFIG_DIR": "/tmp/.mc",  # noqa: S108 - in the container
        },
        files=(File(_PASSWORD_FILE, context.credentials.minio_password),),
        volumes={"/data": VolumeName.MINIO_DATA},
        ports=ports if settings.publishes_everything else (),
        # `mc ready` polls on its own every 5 s once it found the server away, so it is asked only when the port is open.
        probe=Probe(
            ("CMD", "mc", "ready", "local"),
            precondition=("bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{MINIO_PORT}"),
            limit=60,
        ),
        limits=Limits(settings.minio_memory_mb, settings.minio_cpus),
        stop_grace_seconds=30,
    )
