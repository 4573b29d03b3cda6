"""The commands of backup and restore, for `ops.__main__` to add. Files and keys may come as variables of `make`: FILE, DIR, KEY."""

from __future__ import annotations

import json
import os
import sys
from contextlib import nullcontext, redirect_stdout
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from ops.backup.stopping import end_in_peace

if TYPE_CHECKING:
    from collections.abc import Callable

    from ops.backup.describing import Facts

# As there: a command imports what it needs when it runs.
# ruff: noqa: PLC0415

_stack = click.option("--stack", default=lambda: os.environ.get("STACK", "dev"), help="The stack: dev, prod, or one of your own.")
_file = click.option("--file", envvar="FILE", default="", help="The archive.")
_folder = click.option("--dir", "folder", envvar="DIR", default="", help="Folder of the backups, in place of BACKUP_DIR.")
_key = click.option("--key", envvar="KEY", default="", help="The key, or the path of a file that holds it, in place of BACKUP_KEY.")
_json = click.option("--json", "as_json", is_flag=True, help="For scripts.")


@click.command()
@_stack
@_file
@_folder
@_key
@_json
def backup(stack: str, file: str, folder: str, key: str, as_json: bool) -> None:
    """Write one archive of all data, while the stack serves."""
    from ops.backup.create import backup

    end_in_peace()
    _tell(lambda: backup(stack, file, folder, key), as_json)


@click.command()
@_stack
@_file
@_key
@click.option("--verify-only", is_flag=True, help="Only read the archive to its end.")
def restore(stack: str, file: str, key: str, verify_only: bool) -> None:
    """Put a backup in the place of the stack's data, after a question (none with YES=1)."""
    from ops.backup.restore import restore, verify_backup

    end_in_peace()
    if verify_only:
        verify_backup(stack, file, key)
    else:
        restore(stack, file, key, agreed=os.environ.get("YES") == "1")


@click.command(name="verify-backup")
@_stack
@_file
@_key
@_json
def verify_backup(stack: str, file: str, key: str, as_json: bool) -> None:
    """Read an archive to its end, and say what is in it."""
    from ops.backup.restore import verify_backup

    _tell(lambda: verify_backup(stack, file, key), as_json)


def _tell(work: Callable[[], Facts], as_json: bool) -> None:
    """Do something with a backup; for scripts, what is known of it is all that goes to stdout, at the end, and progress to stderr."""
    with redirect_stdout(sys.stderr) if as_json else nullcontext():
        known = work()
    if as_json:
        click.echo(json.dumps(asdict(known), indent=2))


@click.command()
@_stack
@_folder
@_json
def backups(stack: str, folder: str, as_json: bool) -> None:
    """List the backups."""
    from ops.backup.listing import backups

    backups(stack, folder, as_json=as_json)


BACKUPS = (backup, restore, backups, verify_backup)
"""All of them."""
