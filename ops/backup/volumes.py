"""The room that volumes have; and moves what one holds out of the way, and back, by renames: no copy, no time, no further room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ops.backup import inside
from ops.backup.inside import InsideError
from stack.naming import COMPOSE_PROJECT, COMPOSE_SERVICE, STACK_LABEL

if TYPE_CHECKING:
    from docker import DockerClient

_HELPER = "restore"
_PATIENCE_SECONDS = 3600
"""For a move or a removal of everything in a volume."""

# Only what every image has: a POSIX shell, mv, rm, mkdir. Each script can be killed at any point and run again.
_EACH = """
set -eu
cd "$1"
old=.before-restore new=.discarded-by-restore
move() {  # move FOLDER: everything but our own folders into FOLDER
  mkdir -p "$1"
  for each in * .[!.]* ..?*; do
    case $each in "$old" | "$old.part" | "$new") continue ;; esac
    if [ -e "$each" ] || [ -L "$each" ]; then mv "./$each" "$1/"; fi
  done
}
"""

# Where an interrupted restore put the old content aside already, what is there now is that restore's, and goes.
_PUT_ASIDE = """
rm -rf "$new"
if [ -d "$old" ]; then move "$new"; else move "$old.part"; mv "$old.part" "$old"; fi
rm -rf "$new"
"""
_PUT_BACK = """
if [ -d "$old" ]; then
  rm -rf "$new"
  move "$new"
  mv "$old" "$old.part"
fi
if [ -d "$old.part" ]; then
  cd "$old.part"
  for each in * .[!.]* ..?*; do
    if [ -e "$each" ] || [ -L "$each" ]; then mv "./$each" ..; fi
  done
  cd ..
  rmdir "$old.part"
fi
rm -rf "$new"
"""
_FORGET = """
if [ -d "$old" ]; then rm -rf "$new"; mv "$old" "$new"; fi
rm -rf "$new"
"""


def free_bytes(client: DockerClient, container: str, folder: str) -> int:
    """Room on the disk that a folder of the container is on.

    Raises:
        InsideError: that can't be told.
    """
    said = inside.text(client, container, ("df", "-Pk", folder))
    return int(said.splitlines()[-1].split()[3]) * 1024


def end_helpers(client: DockerClient, project: str) -> None:
    """End the helpers that a killed restore left at work."""
    labels = [f"{COMPOSE_PROJECT}={project}", f"{COMPOSE_SERVICE}={_HELPER}"]
    for left in client.api.containers(all=True, filters={"label": labels}):
        client.api.remove_container(left["Id"], force=True)


def put_aside(client: DockerClient, container: str, folder: str) -> None:
    """Leave the volume of a stopped container empty, with what it held kept in a folder of its own.

    Args:
        client: of the engine.
        container: whose volume it is; it must not run.
        folder: where the volume is mounted.

    Raises:
        InsideError: that failed.
    """
    _run(client, container, folder, _PUT_ASIDE)


def put_back(client: DockerClient, container: str, folder: str) -> None:
    """Undo `put_aside`; what was written since is removed."""
    _run(client, container, folder, _PUT_BACK)


def forget(client: DockerClient, container: str, folder: str) -> None:
    """Remove what was put aside."""
    _run(client, container, folder, _FORGET)


def _run(client: DockerClient, container: str, folder: str, script: str) -> None:
    """Run a script on a container's volume, in a helper of the same image and user.

    It carries the stack's labels, so that an `up` or a `wipe` removes one that was left by a kill.
    """
    from docker.errors import APIError  # noqa: PLC0415

    details: dict[str, Any] = client.api.inspect_container(container)
    volume = next(each["Name"] for each in details["Mounts"] if each["Destination"] == folder)
    labels = {label: details["Config"]["Labels"][label] for label in (COMPOSE_PROJECT, STACK_LABEL)}
    try:
        made = client.api.create_container(
            details["Image"],
            command=["-c", _EACH + script, "sh", folder],
            entrypoint=["sh"],
            user=details["Config"]["User"] or "",
            labels={**labels, COMPOSE_SERVICE: _HELPER},
            host_config=client.api.create_host_config(
                binds=[f"{volume}:{folder}"], network_mode="none", cap_drop=["ALL"], security_opt=["no-new-privileges:true"]
            ),
        )["Id"]
        try:
            client.api.start(made)
            code = client.api.wait(made, timeout=_PATIENCE_SECONDS)["StatusCode"]
            said = client.api.logs(made, tail=5).decode(errors="replace").strip()
        finally:
            client.api.remove_container(made, force=True)
    except APIError as error:
        raise InsideError(f"the volume {volume} can't be worked on: {error.explanation or error}") from error
    if code:
        raise InsideError(f"the volume {volume} can't be worked on (exit code {code}): {said}")
