"""`rabbitmq`: through which Evolution API announces events."""

from pathlib import Path

from stack.context import Context
from stack.credentials import login_url
from stack.service import Service
from stack.services.rabbitmq_definitions import CONFIGURATION_PATH, DEFINITIONS_PATH, configuration, definitions
from stack.spec import File, Limits, Port, Probe, ServiceSpec
from stack.vocabulary import AMQP_PORT, RABBITMQ_UI_PORT, ServiceName, VolumeName

_RABBITMQ_USER_ID = "999:999"
"""`rabbitmq` in the official image. As root, without capabilities, its tools could not read the node's cookie."""

_ADOPT = "/usr/local/bin/adopt.sh"
_HOSTS_PATH = "/etc/rabbitmq/inetrc"
"""What Erlang knows of hosts beside the system: written by that script."""

_USERS_PATH = "/etc/rabbitmq/reconcile_users.erl"
_USERS_DONE = "/tmp/users-reconciled"  # noqa: S108 - in the container
"""What that file leaves when it is through."""


class Rabbitmq(Service):
    """RabbitMQ with its management page.

    Attributes:
        amqp_url: `amqp://user:password@rabbitmq:5672/%2F`, the virtual host "/", once it is ready.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(spec(context), context.host)
        user, password = context.settings.rabbitmq_default_user, context.credentials.rabbitmq_password
        self.amqp_url = self.endpoint(login_url("amqp", user, password, f"{ServiceName.RABBITMQ}:{AMQP_PORT}/%2F"))


def spec(context: Context) -> ServiceSpec:
    """The spec of RabbitMQ."""
    settings = context.settings
    user = settings.rabbitmq_default_user
    imported = context.credentials.rabbitmq_password.apply(lambda password: definitions(user, password))
    return ServiceSpec(
        name=ServiceName.RABBITMQ,
        image=context.images.of(ServiceName.RABBITMQ),
        entrypoint=(_ADOPT,),
        command=("rabbitmq-server",),
        user=_RABBITMQ_USER_ID,
        environment={
            "ERL_INETRC": _HOSTS_PATH,
            # Split at blanks, and nothing else, by the image's start script.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f'-eval file:eval("{_USERS_PATH}").',
        },
        files=(
            File(CONFIGURATION_PATH, configuration(settings.rabbitmq_memory_mb)),
            File(DEFINITIONS_PATH, imported),
            File(_USERS_PATH, (Path(__file__).parent / "rabbitmq_users.erl").read_text()),
            File(_ADOPT, (Path(__file__).parent / "rabbitmq_adopt.sh").read_text(), mode="0555"),
        ),
        volumes={"/var/lib/rabbitmq": VolumeName.RABBITMQ_DATA},
        ports=(Port(RABBITMQ_UI_PORT, settings.rabbitmq_ui_port),) if settings.publishes_everything else (),
        # The check starts an Erlang machine (0.7 s of CPU), so it is run only when the port is open, and at a calm interval.
        probe=Probe(
            ("CMD", "rabbitmq-diagnostics", "-q", "check_port_connectivity"),
            precondition=("bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{AMQP_PORT} && test -e {_USERS_DONE}"),
            limit=180,
            interval=60,
            timeout=20,
        ),
        limits=Limits(settings.rabbitmq_memory_mb, settings.rabbitmq_cpus),
        stop_grace_seconds=60,
    )
