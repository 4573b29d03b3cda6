"""The folder in which Evolution API keeps files of its instances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ops.backup.inside import InsideError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from docker import DockerClient

    from ops.backup.services import Place

FOLDER: Final = "/evolution/instances"
_PIECE_BYTES = 256 * 1024


def dump(client: DockerClient, place: Place) -> Iterator[bytes]:
    """The folder as a tar, as the engine gives it.

    Raises:
        InsideError: it can't be read.
    """
    from docker.errors import APIError  # noqa: PLC0415
    from requests.exceptions import RequestException  # noqa: PLC0415

    try:
        pieces, _ = client.api.get_archive(place.container, FOLDER, chunk_size=_PIECE_BYTES)
        yield from pieces
    except (APIError, RequestException) as error:
        raise InsideError(f"the files of Evolution's instances can't be read: {error}") from error


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
