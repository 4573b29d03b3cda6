"""How packages of Debian and its relatives are installed: for the bootstrap and for the set-up. Standard library only."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LOCKS = tuple(Path(name) for name in ("/var/lib/apt/lists/lock", "/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock"))
"""What apt and dpkg hold while they work. apt itself waits for the second at most, and not unless told to."""


def is_possible() -> bool:
    """Whether this user can install packages here."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def environment() -> dict[str, str]:
    """What the commands need: nobody is there to answer questions."""
    return {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}


def commands(packages: list[str]) -> list[list[str]]:
    """The commands that install packages, also after a run that was killed in the midst of it."""
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"]
    return [["dpkg", "--configure", "-a"], ["apt-get", "update", "-qq"], [*install, *packages]]


def wait_for_others(tell: Callable[[str], None]) -> None:
    """Wait while another program installs packages: a machine that has just started updates itself, and a killed run's may still work.

    Args:
        tell: says to the user that it waits.
    """
    told = False
    for file in filter(Path.exists, LOCKS):
        with file.open("r+") as lock:
            try:
                fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not told:
                    tell("packages: waiting for another program that installs packages")
                    told = True
                fcntl.lockf(lock, fcntl.LOCK_EX)
