"""The archive: a plain tar with a strict order, that any tar program opens and only a whole one passes.

    header.json            what this is, which stack, when; readable without the rest
    NAME or NAME.000001 …  each store's content. What is longer than a part follows in numbered parts: `cat NAME.*` joins them
    objects/000000001 …    the objects of MinIO, named by their number: a key can be longer, or other, than a file's name may be
    objects.jsonl          their buckets, keys, sizes, checksums and headers, a line each
    manifest.json          versions, counts, sizes and SHA-256 of everything before it
    seal                   SHA-256 of every byte before it

Every byte of the file is given by this: the headers have only one form, the padding is zeros, and nothing follows the seal.
"""

from __future__ import annotations

import hashlib
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol

from ops.backup.errors import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from _typeshed import ReadableBuffer

FORMAT: Final = "whatsapp-backup"
VERSION: Final = 1

HEADER: Final = "header.json"
MANIFEST: Final = "manifest.json"
SEAL: Final = "seal"
OBJECTS: Final = "objects/"

BLOCK_BYTES: Final = 512
PART_BYTES: Final = 8 * 1024 * 1024
"""A tar says how long a member is before its first byte, and nobody knows how long a dump will be: so it is cut into parts."""

PIECE_BYTES: Final = 1024 * 1024
_SEAL_BYTES = 65
TAIL_BYTES: Final = BLOCK_BYTES + BLOCK_BYTES + 2 * BLOCK_BYTES
"""The seal's header, its content, and the two blocks of zeros that end a tar."""


class Output(Protocol):
    """Where an archive is written to."""

    def write(self, data: ReadableBuffer, /) -> int:
        """Take bytes."""


def member_header(name: str, size: int, when: int) -> bytes:
    """The tar header of a member: its only form.

    Args:
        name: at most 100 characters of ASCII.
        size: bytes of content.
        when: seconds since 1970.
    """
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = size, when, 0o600
    return info.tobuf(tarfile.GNU_FORMAT)


def padding(size: int) -> int:
    """Zeros that follow `size` bytes, up to a whole block."""
    return -size % BLOCK_BYTES


@dataclass(frozen=True)
class Sum:
    """What a content is known by: bytes, and SHA-256 in hexadecimal."""

    size: int
    sha256: str


class Writer:
    """Writes an archive, member after member.

    Attributes:
        sums: of each content that was written in parts, by name.
        written: bytes so far.
    """

    def __init__(self, target: Output, when: int) -> None:
        self._target = target
        self._when = when
        self._all = hashlib.sha256()
        self.sums: dict[str, Sum] = {}
        self.written = 0

    def content(self, name: str, pieces: Iterable[bytes | bytearray | memoryview]) -> Sum:
        """Write a content of unknown length, in parts where it is longer than one."""
        waiting, total, digest, number = bytearray(), 0, hashlib.sha256(), 0
        for piece in pieces:
            digest.update(piece)
            total += len(piece)
            waiting += piece
            while len(waiting) > PART_BYTES:
                number += 1
                self._member(f"{name}.{number:06}", memoryview(waiting)[:PART_BYTES])
                waiting = waiting[PART_BYTES:]
        self._member(f"{name}.{number + 1:06}" if number else name, waiting)
        self.sums[name] = Sum(total, digest.hexdigest())
        return self.sums[name]

    def sized(self, name: str, size: int, pieces: Iterable[bytes]) -> str:
        """Write a member whose length is known; its SHA-256.

        Raises:
            EOFError: the pieces give another length.
        """
        self._put(member_header(name, size, self._when))
        digest, left = hashlib.sha256(), size
        for piece in pieces:
            left -= len(piece)
            digest.update(piece)
            self._put(piece)
        if left:
            raise EOFError(f"{name} has {size - left} bytes, not {size} as announced")
        self._put(bytes(padding(size)))
        return digest.hexdigest()

    def finish(self, manifest: bytes) -> None:
        """Write manifest and seal; after it the archive is whole."""
        self._member(MANIFEST, manifest)
        self._target.write(tail(self._all.hexdigest(), self._when))
        self.written += TAIL_BYTES

    def _member(self, name: str, content: bytes | bytearray | memoryview) -> None:
        self._put(member_header(name, len(content), self._when))
        self._put(content)
        self._put(bytes(padding(len(content))))

    def _put(self, data: bytes | bytearray | memoryview) -> None:
        self._all.update(data)
        self._target.write(data)
        self.written += len(data)


def tail(digest: str, when: int) -> bytes:
    """The end of an archive whose bytes before have this SHA-256."""
    return member_header(SEAL, _SEAL_BYTES, when) + f"{digest}\n".encode().ljust(BLOCK_BYTES, b"\0") + bytes(2 * BLOCK_BYTES)


@dataclass(frozen=True)
class Member:
    """A member of an archive: its name, its length, and where its content begins."""

    name: str
    size: int
    begin: int


class Reader:
    """Reads an archive from its first byte to its last, and refuses whatever the writer would not have written.

    Whoever reads its members has to take the content of each; the end of `members` is the proof that nothing was changed.
    """

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._all = hashlib.sha256()
        self._left = 0
        self._padding = 0

    def members(self) -> Iterator[Member]:
        """The members in their order, without the seal.

        Raises:
            ArchiveError: this isn't an archive, or was damaged.
        """
        begin, when = 0, None
        while True:
            if self._left or self._padding:
                raise ArchiveError("it was not read to the end")
            before = self._all.copy()
            block = self._take(BLOCK_BYTES)
            name, size, stamp = _parsed(block, first=when is None)
            when = stamp if when is None else when
            if member_header(name, size, when) != block:
                raise ArchiveError(f"the header of {name!r} is not as this program writes it")
            if name == SEAL:
                self._check_end(before.hexdigest(), block, when)
                return
            begin += BLOCK_BYTES
            self._left, self._padding = size, padding(size)
            yield Member(name, size, begin)
            begin += size + padding(size)

    def pieces(self) -> Iterator[bytes]:
        """The content of the member that was named last."""
        while self._left:
            piece = self._take(min(self._left, PIECE_BYTES))
            self._left -= len(piece)
            yield piece
        if any(self._take(self._padding)):
            raise ArchiveError("there is something between its members, where only zeros belong")
        self._padding = 0

    def content(self, limit: int) -> bytes:
        """The whole content of the member that was named last, which must not be longer than `limit` bytes."""
        if self._left > limit:
            raise ArchiveError(f"it holds {self._left} bytes where at most {limit} belong")
        return b"".join(self.pieces())

    def _take(self, size: int) -> bytes:
        data = self._source.read(size)
        if len(data) < size:
            raise ArchiveError("it is cut off")
        self._all.update(data)
        return data

    def _check_end(self, digest: str, block: bytes, when: int) -> None:
        if block + self._take(TAIL_BYTES - BLOCK_BYTES) != tail(digest, when):
            raise ArchiveError("it is damaged: its content is not what it was sealed with")
        if self._source.read(1):
            raise ArchiveError("something was added behind its end")


def _parsed(block: bytes, *, first: bool) -> tuple[str, int, int]:
    """Name, size and time in a tar header."""
    try:
        info = tarfile.TarInfo.frombuf(block, "ascii", "strict")
    except (tarfile.TarError, UnicodeDecodeError, ValueError):
        reason = "it is not a backup that this program wrote" if first else "it is damaged: a member's header can't be read"
        raise ArchiveError(reason) from None
    if first and info.name != HEADER:
        raise ArchiveError(f"it is a tar file, but not a backup that this program wrote: it begins with {info.name!r}")
    if info.size < 0 or not 0 <= info.mtime < 1 << 33 or len(info.name) > tarfile.LENGTH_NAME or info.name.endswith("/"):
        raise ArchiveError("it is damaged: a member's header makes no sense")
    return info.name, info.size, int(info.mtime)
