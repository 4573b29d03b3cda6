"""Opens an archive, and reads all of it before anything is done with it."""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Final, TypeVar

from pydantic import BaseModel, ValidationError

from ops.backup import definitions, instances, objects, rabbitmq
from ops.backup.archive import MANIFEST, OBJECTS, PIECE_BYTES, Member, Reader, padding
from ops.backup.encryption import ENDING, INTRODUCTION, Decrypted
from ops.backup.errors import ArchiveError, WrongKeyError
from ops.backup.manifest import (
    BEFORE_OBJECTS,
    BUCKETS,
    DEFINITIONS,
    DUMPS,
    INDEX,
    INSTANCES,
    MESSAGES,
    Buckets,
    Content,
    Header,
    Manifest,
    Object,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Parsed = TypeVar("Parsed", bound=BaseModel)

HEADER_LIMIT: Final = 64 * 1024
MANIFEST_LIMIT: Final = 16 * 1024 * 1024
SMALL_LIMIT: Final = 16 * 1024 * 1024
"""What definitions and bucket settings may have at most: they are read whole."""

_SMALL: Final[dict[str, Callable[[bytes], object]]] = {DEFINITIONS: definitions.parsed, BUCKETS: Buckets.model_validate_json}
"""Contents that are read whole, each with what reads it."""

_PART = re.compile(r"^(?P<name>[a-z_-]+\.[a-z]+)(?:\.(?P<number>\d{6}))?$")
_DIGEST_BYTES = 32


@dataclass
class Backup:
    """An archive that was verified from its first byte to its last.

    Attributes:
        size: bytes of the file.
        encrypted: whether it is.
    """

    header: Header
    manifest: Manifest
    size: int
    encrypted: bool
    _source: BinaryIO
    _second: BinaryIO
    _parts: dict[str, list[Member]]
    _objects: int

    def content(self, name: str, *, _source: BinaryIO | None = None) -> Iterator[bytes]:
        """A content, piece by piece, checked once more.

        Raises:
            ArchiveError: the file has changed since it was verified.
        """
        source, digest = _source or self._source, hashlib.sha256()
        for part in self._parts[name]:
            for piece in _read(source, part.begin, part.size):
                digest.update(piece)
                yield piece
        if digest.hexdigest() != self.manifest.contents[name].sha256:
            raise ArchiveError(f"{name} has changed since it was verified")

    def whole(self, name: str) -> bytes:
        """A small content."""
        return b"".join(self.content(name))

    def index(self) -> Iterator[Object]:
        """The list of objects."""
        return objects.lines(self.content(INDEX, _source=self._second))

    def objects(self) -> Iterator[tuple[Object, Iterator[bytes]]]:
        """All objects with their content."""
        begin = self._objects
        for line in self.index():
            yield line, _read(self._source, begin, line.size)
            begin += line.size + padding(line.size) + 512


@contextmanager
def opened(file: Path, key: str | None, tell: Callable[[int, int], None] | None = None) -> Iterator[Backup]:
    """Verify an archive and hold it open.

    Args:
        file: the archive.
        key: that it was encrypted with.
        tell: called now and then with the bytes read and the bytes of the file.

    Raises:
        ArchiveError: it is damaged, foreign, or can't be opened with this key.
    """
    with file.open("rb") as raw, file.open("rb") as other:
        size = raw.seek(0, io.SEEK_END)
        encrypted = is_encrypted(raw)
        if file.suffix == ENDING and not encrypted:
            raise ArchiveError(f"it is called {ENDING}, but is not encrypted: it was damaged, or another file was put in its place")
        source, second = plain(raw, key), plain(other, key)
        yield _verified(source, second, size, encrypted, lambda done: tell(done, size) if tell else None)


def is_encrypted(raw: BinaryIO) -> bool:
    """Whether an archive is encrypted, by its first bytes."""
    raw.seek(0)
    return raw.read(len(INTRODUCTION)) == INTRODUCTION


def plain(raw: BinaryIO, key: str | None) -> BinaryIO:
    """The tar in an archive.

    Raises:
        WrongKeyError: the archive is encrypted, and this is not its key.
    """
    if not is_encrypted(raw):
        raw.seek(0)
        return raw
    if not key:
        raise WrongKeyError("It is encrypted, and no key was given.")
    return io.BufferedReader(Decrypted(raw, key), PIECE_BYTES)


def read_header(source: BinaryIO) -> Header:
    """The first member of an archive: what it says it is."""
    reader = Reader(source)
    next(reader.members())
    return _parsed(Header, reader.content(HEADER_LIMIT), "its first part is not as this program writes it")


@dataclass
class _Seen:
    """What was found so far.

    Attributes:
        order: the names of the contents, in their order.
        digests: SHA-256 of each object, one after the other.
    """

    parts: dict[str, list[Member]] = field(default_factory=dict)
    sums: dict[str, Content] = field(default_factory=dict)
    digests: bytearray = field(default_factory=bytearray)
    first_object: int = 0


def _verified(source: BinaryIO, second: BinaryIO, size: int, encrypted: bool, tell: Callable[[int], None]) -> Backup:
    reader, seen = Reader(source), _Seen()
    members = reader.members()
    first = next(members)
    header = _parsed(Header, reader.content(HEADER_LIMIT), f"its first part ({first.name}) is not as this program writes it, or is newer")
    manifest, joined = None, _Joined()
    for member in members:
        tell(member.begin)
        if manifest is not None:
            raise ArchiveError(f"{member.name!r} follows its last part")
        if member.name == MANIFEST:
            joined.end(seen)
            manifest = _parsed(Manifest, reader.content(MANIFEST_LIMIT), "its manifest is not as this program writes it")
        elif member.name.startswith(OBJECTS):
            joined.end(seen)
            _take_object(member, reader, seen)
        else:
            joined.take(member, reader, seen, tell)
    if manifest is None:
        raise ArchiveError("it has no manifest")
    _compare(manifest, seen)
    backup = Backup(header, manifest, size, encrypted, source, second, seen.parts, seen.first_object)
    _check_meaning(backup, seen)
    return backup


class _Joined:
    """Puts the parts of a content together, one content at a time."""

    def __init__(self) -> None:
        self._name = ""
        self._digest = hashlib.sha256()

    def take(self, member: Member, reader: Reader, seen: _Seen, tell: Callable[[int], None]) -> None:
        found = _PART.match(member.name)
        if found is None or found["name"] not in (*BEFORE_OBJECTS, INDEX):
            raise ArchiveError(f"it holds {member.name!r}, which no backup has")
        name, number = found["name"], int(found["number"] or 0)
        if name != self._name:
            self.end(seen)
            if name in seen.parts or number > 1:
                raise ArchiveError(f"{member.name!r} is not where it belongs")
            self._name, self._digest = name, hashlib.sha256()
            seen.parts[name] = []
        elif number != len(seen.parts[name]) + 1 or seen.parts[name][0].name == name:
            raise ArchiveError(f"{member.name!r} is not where it belongs")
        seen.parts[name].append(member)
        done = 0
        for piece in reader.pieces():
            self._digest.update(piece)
            done += len(piece)
            tell(member.begin + done)

    def end(self, seen: _Seen) -> None:
        if self._name:
            size = sum(part.size for part in seen.parts[self._name])
            seen.sums[self._name] = Content(size=size, sha256=self._digest.hexdigest())
        self._name = ""


def _take_object(member: Member, reader: Reader, seen: _Seen) -> None:
    number = len(seen.digests) // _DIGEST_BYTES + 1
    if member.name != f"{OBJECTS}{number:09}" or INDEX in seen.sums:
        raise ArchiveError(f"{member.name!r} is not where it belongs")
    if number == 1:
        seen.first_object = member.begin
    digest = hashlib.sha256()
    for piece in reader.pieces():
        digest.update(piece)
    seen.digests += digest.digest()


def _compare(manifest: Manifest, seen: _Seen) -> None:
    expected = (*BEFORE_OBJECTS, INDEX)
    if tuple(seen.parts) != expected:
        missing = [name for name in expected if name not in seen.parts]
        raise ArchiveError(f"its parts are not those of a backup, in their order{': missing ' + ', '.join(missing) if missing else ''}")
    if manifest.databases.keys() != DUMPS.keys():
        raise ArchiveError("its manifest does not tell of both databases")
    if manifest.contents.keys() != seen.sums.keys():
        raise ArchiveError("its manifest does not list what is in it")
    wrong = [name for name, content in manifest.contents.items() if content != seen.sums[name]]
    if wrong:
        raise ArchiveError(f"{', '.join(wrong)} is not what its manifest says")


def _check_meaning(backup: Backup, seen: _Seen) -> None:
    """See that what will be read later can be read, and does nothing but what a backup does."""
    try:
        _check_objects(backup, seen.digests)
        for name, parse in _SMALL.items():
            if backup.manifest.contents[name].size > SMALL_LIMIT:
                raise ArchiveError(f"{name} is longer than it can be")
            parse(backup.whole(name))
        for name in DUMPS.values():
            if not next(backup.content(name), b"").startswith(b"PGDMP"):  # the custom format of pg_dump
                raise ArchiveError(f"{name} is no dump of a database")
        _check_messages(backup)
        instances.check(backup.content(INSTANCES))
    except (ValueError, RecursionError, tarfile.TarError) as error:
        raise ArchiveError(f"a part of it is not as this program writes it: {error}") from error


def _check_objects(backup: Backup, digests: bytearray) -> None:
    count = size = 0
    for line in backup.index():
        start = count * _DIGEST_BYTES
        if digests[start : start + _DIGEST_BYTES].hex() != line.sha256:
            raise ArchiveError(f"the object {line.key} is not what the list of objects says")
        count, size = count + 1, size + line.size
    if count * _DIGEST_BYTES != len(digests) or (count, size) != (backup.manifest.objects.count, backup.manifest.objects.bytes):
        raise ArchiveError("it does not have as many objects as its list says")


def _check_messages(backup: Backup) -> None:
    counted: dict[tuple[str, str], int] = {}
    for vhost, queue, _ in rabbitmq.messages(backup.content(MESSAGES)):
        counted[vhost, queue] = counted.get((vhost, queue), 0) + 1
    if counted != {(each.vhost, each.name): each.messages for each in backup.manifest.rabbitmq.queues if each.messages}:
        raise ArchiveError("it does not have as many messages as its manifest says")


def _read(source: BinaryIO, begin: int, size: int) -> Iterator[bytes]:
    source.seek(begin)
    while size:
        piece = source.read(min(size, PIECE_BYTES))
        if not piece:
            raise ArchiveError("it was cut off since it was verified")
        size -= len(piece)
        yield piece


def _parsed(kind: type[Parsed], text: bytes, what: str) -> Parsed:
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise ArchiveError(f"{what}: {error.errors(include_url=False, include_input=False)[0]['msg']}") from None
