"""The commands `backup`, `restore`, `backups` and `verify-backup`. Files and keys may come as variables of `make`: FILE, DIR, KEY."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable

# The modules that do the work are imported in the commands: other commands need not pay for them.
# ruff: noqa: PLC0415

_file = click.option("--file", envvar="FILE", default="", help="The archive.")
_folder = click.option("--dir", "folder", envvar="DIR", default="", help="Folder of the backups, in place of BACKUP_DIR.")
_key = click.option(
    "--key", envvar="KEY", default="", help="Key of the archive, or the path of a file that holds it, in place of BACKUP_KEY."
)


def register(commands: click.Group, stack: Callable[[Callable[..., None]], Callable[..., None]]) -> None:
    """Add the commands to a group; `stack` is its option that names the stack."""

    @commands.command()
    @stack
    @_file
    @_folder
    @_key
    def backup(stack: str, file: str, folder: str, key: str) -> None:
        """Write one archive of all data, while the stack serves."""
        from ops.backup.create import backup

        backup(stack, file, folder, key)

    @commands.command()
    @stack
    @_file
    @_key
    @click.option("--verify-only", is_flag=True, help="Only read the archive to its end.")
    def restore(stack: str, file: str, key: str, *, verify_only: bool) -> None:
        """Put a backup in the place of the stack's data, after a question (none with YES=1)."""
        from ops.backup.restore import restore, verify_backup

        if verify_only:
            verify_backup(stack, file, key)
        else:
            restore(stack, file, key, agreed=os.environ.get("YES") == "1")

    @commands.command(name="verify-backup")
    @stack
    @_file
    @_key
    def verify(stack: str, file: str, key: str) -> None:
        """Read an archive to its end, and say what is in it."""
        from ops.backup.restore import verify_backup

        verify_backup(stack, file, key)

    @commands.command()
    @stack
    @_folder
    @click.option("--json", "as_json", is_flag=True, help="For programs.")
    def backups(stack: str, folder: str, *, as_json: bool) -> None:
        """List the backups."""
        from ops.backup.listing import backups

        backups(stack, folder, as_json=as_json)
