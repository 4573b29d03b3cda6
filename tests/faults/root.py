"""What only root may do to the containers of this machine: signals to their processes, small disks for their data."""

import os
import shutil
import subprocess
from pathlib import Path


class UnableError(Exception):
    """This user, or this machine, can't cause the fault; the text says what is missing."""


def as_root(*command: str) -> str:
    """Run a command as root; what it said.

    Raises:
        UnableError: this user is not root, and sudo asks for a password or is not there; or there is no such program.
    """
    if shutil.which(command[0], path=_ENVIRONMENT["PATH"]) is None:
        raise UnableError(f"There is no program {command[0]} on this machine.")
    done = subprocess.run([*_sudo(), *command], check=False, capture_output=True, text=True, env=_ENVIRONMENT)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr or done.stdout}"
    return done.stdout.strip()


_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
"""With the system's own programs, which are not on everybody's PATH."""


def _sudo() -> list[str]:
    if os.geteuid() == 0:
        return []
    try:
        allowed = subprocess.run(["sudo", "-n", "true"], check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        allowed = False
    if not allowed:
        raise UnableError("This needs root, or sudo without a password.")
    return ["sudo", "-n"]


def send_signal(name: str, process: int, container: str) -> None:
    """Send a signal to a process of a container from outside: from inside, the first one is immune to most.

    Raises:
        UnableError: this user may not; or the engine runs on another machine, where the process is another one.
    """
    try:
        is_the_containers = container in Path(f"/proc/{process}/cgroup").read_text()
    except OSError:
        is_the_containers = False
    if not is_the_containers:
        raise UnableError("The engine runs its containers on another machine than these tests.")
    as_root("kill", f"-{name}", str(process))
