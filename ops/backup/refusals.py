"""What RabbitMQ refuses over AMQP, told apart by what a backup does about it."""

from __future__ import annotations

from pamqp import commands

from ops.backup.inside import InsideError

_NOT_ALLOWED = 530
"""AMQP's code for a connection that is not let into its virtual host."""


class QueueRefusedError(InsideError):
    """The broker lets nobody look into this queue, as where one consumer has it for itself; its text says why."""


class VhostRefusedError(InsideError):
    """The broker lets this user not into this virtual host, as where it takes no more connections; its text says why."""


def unexpected(received: object) -> InsideError:
    """What it means that the broker said this, where it should have said something else."""
    if isinstance(received, commands.Channel.Close):
        return QueueRefusedError(f"{received.reply_text}")
    if isinstance(received, commands.Connection.Close):
        if received.reply_code == _NOT_ALLOWED:
            return VhostRefusedError(f"{received.reply_text}")
        return InsideError(f"RabbitMQ closed the connection: {received.reply_code} {received.reply_text}")
    return InsideError(f"RabbitMQ said {type(received).__name__} where something else was expected")
