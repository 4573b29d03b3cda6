"""The folder in which Evolution API keeps files of its instances."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from ops.backup.archive import padding
from ops.backup.inside import InsideError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from docker import DockerClient

    from ops.backup.services import Place

FOLDER: Final = "/evolution/instances"
_TOP = "instances"
_PIECE_BYTES = 256 * 1024
_SHOWN_CHARACTERS = 1000


def dump(client: DockerClient, place: Place, left_out: list[str]) -> Iterator[bytes]:
    """The folder as a tar, as the engine gives it, but for what is neither a file nor a folder.

    Args:
        client: of the engine.
        place: Evolution API's container.
        left_out: what is told of such things is added here.

    Raises:
        InsideError: it can't be read.
    """
    from docker.errors import APIError  # noqa: PLC0415
    from requests.exceptions import RequestException  # noqa: PLC0415

    try:
        pieces, _ = client.api.get_archive(place.container, FOLDER, chunk_size=_PIECE_BYTES)
        yield from only_plain(pieces, left_out)
    except (APIError, RequestException, tarfile.TarError) as error:
        raise InsideError(f"the files of Evolution's instances can't be read: {error}") from error


def only_plain(pieces: Iterable[bytes], left_out: list[str]) -> Iterator[bytes]:
    """A tar without its links and devices: what a restore unpacks must not lead anywhere.

    Raises:
        tarfile.TarError: it is none, or is cut off.
    """
    for tar, member in _members(pieces):
        if not _is_plain(member):
            left_out.append(f"{_shown(member.name)} of Evolution's instances, which is no plain file")
            continue
        yield member.tobuf(tarfile.PAX_FORMAT, "utf-8")
        content = tar.extractfile(member)
        while content is not None and (piece := content.read(_PIECE_BYTES)):
            yield piece
        yield bytes(padding(member.size))
    yield bytes(2 * tarfile.BLOCKSIZE)


def check(pieces: Iterable[bytes]) -> None:
    """See that a tar has nothing but files and folders, below their own folder.

    Raises:
        ValueError: it has something else.
        tarfile.TarError: it is none, or is cut off.
    """
    for _, member in _members(pieces):
        if not _is_plain(member):
            raise ValueError(f"the files of Evolution's instances have {member.name!r}, which is no file or folder of theirs")


def _members(pieces: Iterable[bytes]) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """The members of a tar one by one, each with the tar, from which its content can be read before the next; up to the last piece."""
    source = iter(pieces)
    with tarfile.open(fileobj=cast("BinaryIO", _Stream(source)), mode="r|", bufsize=_PIECE_BYTES, encoding="utf-8") as tar:
        for member in tar:
            tar.members = []  # type: ignore[attr-defined]  # or it would keep them all
            yield tar, member
    for _ in source:
        pass  # or the engine's connection would be left in the midst of an answer


def _shown(name: str) -> str:
    """A file's name as text: it may have any bytes, and any length."""
    return name[:_SHOWN_CHARACTERS].encode(errors="replace").decode()


def _is_plain(member: tarfile.TarInfo) -> bool:
    parts = member.name.split("/")
    return (member.isfile() or member.isdir()) and parts[0] == _TOP and ".." not in parts


class _Stream(io.RawIOBase):
    """Pieces as a file to read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces, self._rest = pieces, b""

    def read(self, size: int = -1) -> bytes:
        while len(self._rest) < size or size < 0:
            piece = next(self._pieces, None)
            if piece is None:
                break
            self._rest += piece
        data, self._rest = (self._rest, b"") if size < 0 else (self._rest[:size], self._rest[size:])
        return data


def unpack(client: DockerClient, container: str, folder: str, content: Iterable[bytes]) -> None:
    """Unpack a tar into a folder of a container, which need not run.

    Raises:
        InsideError: it can't be written.
    """
    from docker.errors import APIError  # noqa: PLC0415

    try:
        client.api.put_archive(container, folder, content)
    except APIError as error:
        raise InsideError(f"{folder} can't be written: {error.explanation or error}") from error
