"""What only root may do to the containers of this machine: signals to their processes, small disks for their data."""

import os
import subprocess


def as_root(*command: str) -> str:
    """Run a command as root; what it said.

    Raises:
        PermissionError: this user is not root, and sudo asks for a password or is not there.
    """
    done = subprocess.run([*_sudo(), *command], check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr or done.stdout}"
    return done.stdout.strip()


def _sudo() -> list[str]:
    if os.geteuid() == 0:
        return []
    try:
        allowed = subprocess.run(["sudo", "-n", "true"], check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        allowed = False
    if not allowed:
        raise PermissionError("These tests need root, or sudo without a password.")
    return ["sudo", "-n"]
