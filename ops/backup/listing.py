"""`backups`: what is in the folder of backups."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime

from ops.backup.plan import options
from ops.backup.shelf import Entry, Shelf
from ops.backup.telling import amount
from ops.console import columns, say


def backups(stack: str, folder: str = "", *, as_json: bool = False) -> None:
    """List the backups in a folder, newest first: those of every stack.

    Args:
        stack: whose settings name the folder.
        folder: in place of that one.
        as_json: as an array, for programs.
    """
    place = options(stack, folder).folder
    entries = Shelf(place).entries()
    if as_json:
        say(json.dumps([{name: value for name, value in asdict(each).items() if name != "modified"} for each in entries], indent=2))
        return
    if not entries:
        say(f"No backups in {place}. Make one: make backup STACK={stack}")
        return
    for line in columns([("NAME", "WHEN", "STACK", "SIZE", "ENCRYPTED", "VERIFIED"), *map(_row, entries)]):
        say(line)


def _row(entry: Entry) -> tuple[str, ...]:
    unknown = "encrypted elsewhere" if entry.encrypted else "not a backup"
    return (
        entry.name,
        _when(entry.created) or unknown,
        entry.stack or "-",
        amount(entry.size),
        "yes" if entry.encrypted else "no",
        _when(entry.verified) or "never here",
    )


def _when(text: str) -> str:
    return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M}" if text else ""
