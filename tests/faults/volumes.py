"""Data volumes that can be filled: each is a small file system in a file of its own, made before the stack finds it by its name."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from docker import DockerClient

from stack.vocabulary import ServiceName, VolumeName
from tests.faults.root import UnableError, as_root

_SERVICES = {
    ServiceName.DB: (VolumeName.POSTGRES_ADK_DATA, "999:999", 320),
    ServiceName.EVOLUTION_POSTGRES: (VolumeName.POSTGRES_EVO_DATA, "999:999", 320),
    ServiceName.REDIS: (VolumeName.REDIS_DATA, "999:999", 1024),
    ServiceName.RABBITMQ: (VolumeName.RABBITMQ_DATA, "999:999", 768),
    ServiceName.MINIO: (VolumeName.MINIO_DATA, "0:0", 1536),
}
"""Volume, owner and MiB; the files are sparse, and take only what is written."""


@dataclass(frozen=True)
class SmallVolume:
    """A file system with the data of a service.

    Attributes:
        device: the loop device that it is on.
        folder: where it is mounted for these tests, beside where the engine mounts it.
    """

    device: str
    folder: Path

    def fill(self) -> None:
        """Leave not a single block free."""
        fill = self.folder / "fill"
        # The blocks are reserved, not written: it takes no time, and no room on this machine.
        free = as_root("df", "--output=avail", "-k", str(self.folder)).split()[-1]
        as_root("sh", "-c", f"fallocate -l {free}K {fill}; dd if=/dev/zero of={fill}.rest bs=1k 2>/dev/null; true")

    def make_room(self) -> None:
        as_root("rm", "-f", str(self.folder / "fill"), str(self.folder / "fill.rest"))


def make_small_volumes(client: DockerClient, project: str, folder: Path) -> dict[str, SmallVolume]:
    """Make them, and have the engine know them under the names that the stack looks for.

    Raises:
        UnableError: this user may not, or the machine has no mkfs.ext4 or no loop devices.
    """
    return {service: _make(client, f"{project}_{volume}", folder, owner, size) for service, (volume, owner, size) in _SERVICES.items()}


def _make(client: DockerClient, name: str, folder: Path, owner: str, mebibytes: int) -> SmallVolume:
    file, mounted = folder / f"{name}.ext4", folder / name
    mounted.mkdir()
    with file.open("wb") as made:
        made.truncate(mebibytes * 2**20)
    # No reserve for root, whose share would not be full, and no lost+found, which is not what a database wants to find.
    as_root("mkfs.ext4", "-q", "-m", "0", "-E", f"root_owner={owner}", str(file))
    as_root("debugfs", "-w", "-R", "rmdir lost+found", str(file))
    try:
        device = as_root("losetup", "--find", "--show", str(file))
        as_root("mount", device, str(mounted))
    except AssertionError as error:
        raise UnableError(f"This machine has no loop devices for small volumes: {error}") from None
    client.api.create_volume(name, driver="local", driver_opts={"type": "ext4", "device": device})
    return SmallVolume(device, mounted)


def remove_small_volumes(project: str) -> None:
    """Let go of the devices, of this run and of one that was killed."""
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        if f"/{project}_" in backing.read_text():
            device = f"/dev/{backing.parts[3]}"
            with contextlib.suppress(AssertionError):
                as_root("umount", "--all-targets", device)
            as_root("losetup", "--detach", device)
