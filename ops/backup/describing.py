"""What is in a backup, for people and for programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ops.backup.manifest import RDB
from ops.backup.telling import amount
from ops.console import count

if TYPE_CHECKING:
    from pathlib import Path

    from ops.backup.verify import Backup


@dataclass(frozen=True)
class Facts:
    """What a program wants to know of a backup that was found whole.

    Attributes:
        file: its whole path.
        created: when it was begun, in ISO 8601.
        stack: whose it is.
        project: Compose project name of that stack.
        size: bytes of the file.
        encrypted: whether it is.
        left_out: in words, what is not in it.
    """

    file: str
    created: str
    stack: str
    project: str
    size: int
    encrypted: bool
    left_out: list[str]


def facts(backup: Backup, file: Path) -> Facts:
    """What a program wants to know of a backup.

    Args:
        backup: verified.
        file: what it is called, or will be.
    """
    return Facts(
        file=str(file),
        created=backup.header.created.isoformat(),
        stack=backup.header.stack,
        project=backup.header.project,
        size=backup.size,
        encrypted=backup.encrypted,
        left_out=backup.manifest.all_left_out,
    )


def described(backup: Backup) -> list[str]:
    """What is in a backup, in lines for people."""
    header, manifest = backup.header, backup.manifest
    rows = {name: sum(each.rows.values()) for name, each in manifest.databases.items()}
    return [
        f"backup of {header.project} (stack {header.stack}), {header.created:%Y-%m-%d %H:%M:%S %Z}",
        *(
            f"{name}: PostgreSQL {each.version}, {count(len(each.rows), 'table')}, {count(rows[name], 'row')}"
            for name, each in manifest.databases.items()
        ),
        f"rabbitmq {manifest.rabbitmq.version}: {count(sum(each.messages for each in manifest.rabbitmq.queues), 'message')}",
        f"redis {manifest.redis.version}: {amount(manifest.contents[RDB].size)}",
        f"minio: {count(manifest.objects.count, 'object')}, {amount(manifest.objects.bytes)}",
        *(f"not in it: {each}" for each in manifest.all_left_out),
    ]
