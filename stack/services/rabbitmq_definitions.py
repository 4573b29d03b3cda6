"""What RabbitMQ is told at every boot: the definitions document and the configuration fragment. Pure functions, no engine.

RabbitMQ's own variables count only while its database is new; a definitions document is imported at every boot, so that a changed password
takes effect with the next start and nothing else is lost. Import only adds and changes; `rabbitmq_users.erl` then removes the users that
the settings had before.
Every key is known to 3.10 (Debian's) and to 4.x (`rabbitmq:management`): https://www.rabbitmq.com/docs/definitions and `/docs/configure`.
"""

import base64
import hashlib
import json
from typing import Final

CONFIGURATION_PATH: Final = "/etc/rabbitmq/conf.d/90-stack.conf"
DEFINITIONS_PATH: Final = "/etc/rabbitmq/definitions.json"
OF_THE_SETTINGS: Final = "of-the-settings"
"""Tag of a user that the settings name. It gives no right; it tells such a user, later, from those that people made by hand."""

# Evolution publishes every enabled event to durable queues of its own, evolution.<event>. Often nobody reads them, and they would grow
# until the broker blocks every publisher: beyond this many messages the oldest one goes.
EVOLUTION_QUEUES: Final = r"^evolution\."
EVOLUTION_QUEUE_MESSAGES: Final = 10_000

# Above this part of the container's memory the broker takes no more messages: Erlang's collector needs the rest, it copies what it keeps.
MEMORY_WATERMARK: Final = 0.6
_SALT_BYTES: Final = 4  # RabbitMQ's: it takes the first four bytes of the hash for the salt


def password_hash(password: str, salt: bytes) -> str:
    """The hash that RabbitMQ stores for a password: base64 of the salt and of the SHA-256 of salt and password.

    Args:
        password: the password in clear.
        salt: exactly four bytes.

    Raises:
        ValueError: the salt has another length; RabbitMQ would take the wrong bytes for it and refuse every log-in.

    See https://www.rabbitmq.com/docs/passwords#computing-password-hash.
    """
    if len(salt) != _SALT_BYTES:
        raise ValueError(f"RabbitMQ's salt has {_SALT_BYTES} bytes, not {len(salt)}")
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def definitions(user: str, password: str) -> str:
    """The definitions document: one administrator, the virtual host "/", and the bound on Evolution's own queues.

    The same arguments give the same text, so that a preview shows a change only when there is one: the salt is made from them.

    Args:
        user: name of the administrator.
        password: the administrator's password in clear; only its hash is in the document.

    Returns:
        JSON for `DEFINITIONS_PATH`.
    """
    salt = hashlib.sha256(f"rabbitmq\0{user}\0{password}".encode()).digest()[:_SALT_BYTES]
    document = {
        "users": [
            {
                "name": user,
                "password_hash": password_hash(password, salt),
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": ["administrator", OF_THE_SETTINGS],
            }
        ],
        "vhosts": [{"name": "/"}],
        "permissions": [{"user": user, "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}],
        "policies": [
            {
                "vhost": "/",
                "name": "evolution-queues",
                "pattern": EVOLUTION_QUEUES,
                "apply-to": "queues",
                "priority": 0,
                "definition": {"max-length": EVOLUTION_QUEUE_MESSAGES, "overflow": "drop-head"},
            }
        ],
    }
    return json.dumps(document, indent=2) + "\n"


def configuration(memory_mib: int) -> str:
    """The configuration fragment that imports the definitions and knows the container's memory.

    RabbitMQ counts the machine's memory, not the container's, hence an absolute watermark (observed with 3.10 under cgroup 1).

    Args:
        memory_mib: the container's memory limit in MiB.

    Returns:
        Text for `CONFIGURATION_PATH`.

    Raises:
        ValueError: the limit leaves no memory for messages.
    """
    watermark = int(memory_mib * MEMORY_WATERMARK)
    if watermark < 1:
        raise ValueError(f"RabbitMQ needs a memory limit, and {memory_mib} MiB is none")
    return "\n".join(
        (
            "definitions.import_backend = local_filesystem",
            f"definitions.local.path = {DEFINITIONS_PATH}",
            "loopback_users = none",
            f"vm_memory_high_watermark.absolute = {watermark}MiB",
            "log.console = true",
            "log.console.level = info",
            "",
        )
    )
