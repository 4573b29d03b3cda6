"""Redis: the dump that a replica would get, and a restore as the base of the append-only log."""

from __future__ import annotations

import re
import tarfile
from typing import TYPE_CHECKING, Final

from ops.backup import inside
from ops.backup.archive import padding
from ops.backup.inside import InsideError
from ops.backup.manifest import Cache

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from docker import DockerClient

    from ops.backup.services import Place

_LOGIN = 'REDISCLI_AUTH="$(cat /run/secrets/redis_password)"; export REDISCLI_AUTH; '
_KEYS = re.compile(r"(\d+) keys read")
_EXPIRING = re.compile(r"(\d+) expires")
_MARK_BYTES = 40
_MARK = re.compile(rb"[0-9a-f]{40}")
_KEYSPACE = re.compile(r"keys=(\d+)")

# Redis 7 with a log reads nothing but the log, so the dump becomes the file that the log begins with.
LOG_FOLDER: Final = "appendonlydir"
LOG_BASE: Final = f"{LOG_FOLDER}/appendonly.aof.1.base.rdb"
LOG_MANIFEST: Final = f"{LOG_FOLDER}/appendonly.aof.manifest"
LOG_MANIFEST_TEXT: Final = b"file appendonly.aof.1.base.rdb seq 1 type b\n"


def describe(client: DockerClient, place: Place) -> Cache:
    """What runs there."""
    found = re.search(r"redis_version:(\S+)", _ask(client, place, "INFO server"))
    return Cache(version=found[1] if found else "unknown")


def dump(client: DockerClient, place: Place) -> Iterator[bytes]:
    """The dump of one moment, as the server sends it to a replica."""
    return without_mark(inside.output(client, place.container, ("sh", "-c", _LOGIN + "exec redis-cli --rdb -")))


def without_mark(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """A dump without the mark by which a server that doesn't know the length beforehand announces the end.

    redis-cli can't take it off again from what went to a pipe, and with it behind the dump no server would load the log. No dump ends in
    such characters by itself: it has a byte of 255 nine bytes before its end.
    """
    held = b""
    for piece in pieces:
        held += piece
        yield held[:-_MARK_BYTES]
        held = held[-_MARK_BYTES:]
    if not _MARK.fullmatch(held):
        yield held


def keys_in(client: DockerClient, place: Place, content: Iterable[bytes]) -> range:
    """How many keys a dump leaves, as this server's own tool reads it: from those that never expire, up to all.

    Raises:
        InsideError: the tool refuses it, for it is broken or from a newer Redis.
    """
    try:
        said = inside.feed(client, place.container, ("redis-check-rdb", "/dev/stdin"), content)
    except InsideError as error:
        raise InsideError(f"this Redis can't read the archive's dump: {str(error)[-600:]}") from error
    keys, expiring = _KEYS.search(said), _EXPIRING.search(said)
    if not keys or not expiring:
        raise InsideError(f"this Redis can't read the archive's dump: {said[-600:]}")
    return range(int(keys[1]) - int(expiring[1]), int(keys[1]) + 1)


def keys_there(client: DockerClient, place: Place) -> int:
    """How many keys the server has, in all its databases."""
    return sum(int(each) for each in _KEYSPACE.findall(_ask(client, place, "INFO keyspace")))


def _ask(client: DockerClient, place: Place, question: str) -> str:
    return inside.text(client, place.container, ("sh", "-c", f"{_LOGIN}exec redis-cli {question}"))


def log_files(size: int, content: Iterable[bytes], user: str) -> Iterator[bytes]:
    """A tar with the append-only log that begins with a dump, to be unpacked into the server's empty folder.

    Args:
        size: bytes of the dump.
        content: the dump.
        user: `uid:gid` of the server.
    """
    uid, _, gid = user.partition(":")

    def header(name: str, size: int, mode: int, kind: bytes = tarfile.REGTYPE) -> bytes:
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.type = size, mode, kind
        info.uid, info.gid = int(uid or 0), int(gid or 0)
        return info.tobuf(tarfile.GNU_FORMAT)

    yield header(LOG_FOLDER, 0, 0o700, tarfile.DIRTYPE)
    yield header(LOG_BASE, size, 0o600)
    yield from content
    yield bytes(padding(size))
    yield header(LOG_MANIFEST, len(LOG_MANIFEST_TEXT), 0o600)
    yield LOG_MANIFEST_TEXT + bytes(padding(len(LOG_MANIFEST_TEXT)))
    yield bytes(tarfile.BLOCKSIZE * 2)
