"""MinIO: all objects through S3, as any client sees them, and the settings of their buckets."""

from __future__ import annotations

import hashlib
import re
import tempfile
from typing import TYPE_CHECKING

from ops.backup.archive import OBJECTS
from ops.backup.inside import InsideError
from ops.backup.manifest import BUCKET_NAME, BUCKETS, INDEX, Bucket, Buckets, Object, Objects
from ops.backup.web import pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from http.client import HTTPResponse

    from ops.backup.archive import Writer
    from ops.backup.s3 import S3, Listed

_SETTINGS = ("policy", "versioning", "lifecycle", "tagging")
"""What a bucket has beside objects, in the order in which it is set."""

_KEPT_HEADERS = ("content-type", "content-encoding", "content-disposition", "content-language", "cache-control", "expires")
_OWN_HEADERS = "x-amz-meta-"
_LINE_BYTES = 64 * 1024


def write_buckets(writer: Writer, s3: S3, left_out: list[str]) -> list[Bucket]:
    """Write the settings of all buckets; the buckets.

    Args:
        writer: of the archive.
        s3: MinIO.
        left_out: what is told of buckets that no restore could make is added here.
    """
    names = s3.buckets()
    found = [
        Bucket(name=name, settings={each: value for each in _SETTINGS if (value := s3.setting(name, each)) is not None})
        for name in names
        if re.match(BUCKET_NAME, name)
    ]
    left_out += [f"bucket {name}, for MinIO makes none of such a name any more" for name in names if not re.match(BUCKET_NAME, name)]
    writer.content(BUCKETS, [Buckets(buckets=found).model_dump_json(indent=1).encode() + b"\n"])
    return found


def write_objects(writer: Writer, s3: S3, buckets: Iterable[Bucket], tell: Callable[[int, int], None]) -> Objects:
    """Write all objects, then their list.

    Args:
        writer: of the archive.
        s3: MinIO.
        buckets: whose objects are wanted.
        tell: called after each object with the number of objects and of bytes so far.
    """
    count = size = 0
    with tempfile.TemporaryFile() as index:
        for bucket in buckets:
            for listed in s3.objects(bucket.name):
                answer = s3.get(bucket.name, listed.key)
                if answer is None:
                    continue  # removed since it was listed
                count += 1
                line = _write_object(writer, count, bucket.name, listed, answer)
                size += line.size
                index.write(line.model_dump_json().encode() + b"\n")
                tell(count, size)
        index.seek(0)
        writer.content(INDEX, iter(lambda: index.read(_LINE_BYTES), b""))
    return Objects(count=count, bytes=size)


def _write_object(writer: Writer, number: int, bucket: str, listed: Listed, answer: HTTPResponse) -> Object:
    size, md5 = int(answer.headers["content-length"]), hashlib.md5(usedforsecurity=False)

    def content() -> Iterator[bytes]:
        for piece in pieces(answer):
            md5.update(piece)
            yield piece

    try:
        sha256 = writer.sized(f"{OBJECTS}{number:09}", size, content())
    except EOFError as error:
        raise InsideError(f"the object {listed.key} in bucket {bucket} broke off: {error}") from error
    headers = {name.lower(): value for name, value in answer.headers.items() if _is_kept(name.lower())}
    return Object(bucket=bucket, key=listed.key, size=size, sha256=sha256, md5=md5.hexdigest(), headers=headers)


def _is_kept(header: str) -> bool:
    return header in _KEPT_HEADERS or header.startswith(_OWN_HEADERS)


def lines(content: Iterable[bytes]) -> Iterator[Object]:
    """The list of objects, line by line.

    Raises:
        ValueError: a line is not one that `write_objects` writes.
    """
    rest = b""
    for piece in content:
        *whole, rest = (rest + piece).split(b"\n")
        if len(rest) > _LINE_BYTES:
            raise ValueError("a line has no end")
        yield from map(Object.model_validate_json, whole)
    if rest:
        raise ValueError("its last line has no end")


def restore_buckets(s3: S3, text: bytes) -> None:
    """Make the buckets, without the settings that would change what is written into them."""
    for bucket in Buckets.model_validate_json(text).buckets:
        s3.make_bucket(bucket.name)


def restore_settings(s3: S3, text: bytes) -> None:
    """Set what the buckets had beside objects."""
    for bucket in Buckets.model_validate_json(text).buckets:
        for name, value in bucket.settings.items():
            if not _says_nothing(value):
                s3.set_setting(bucket.name, name, value)


def _says_nothing(value: str) -> bool:
    """Whether a setting is the empty answer of a bucket without it, as versioning has it: `<VersioningConfiguration .../>`."""
    return value.lstrip().startswith("<") and "<Status>" not in value and "<VersioningConfiguration" in value


def check(s3: S3, buckets: Iterable[Bucket], expected: Iterable[Object]) -> int:
    """Compare what MinIO has with the list of an archive; the number of objects.

    Raises:
        InsideError: something is missing, is other than in the archive, or is there beside it.
    """
    there = ((bucket.name, each) for bucket in buckets for each in s3.objects(bucket.name))
    count = 0
    for wanted in expected:
        bucket, found = next(there, (None, None))
        if found is None or (bucket, found.key) != (wanted.bucket, wanted.key):
            raise InsideError(f"the object {wanted.key} is not in bucket {wanted.bucket} after the restore")
        if found.size != wanted.size or (found.etag != wanted.md5 and _read_sha256(s3, wanted) != wanted.sha256):
            raise InsideError(f"the object {wanted.key} in bucket {wanted.bucket} is not what the archive has")
        count += 1
    if (left := next(there, None)) is not None:
        raise InsideError(f"bucket {left[0]} has an object that the archive has not: {left[1].key}")
    return count


def _read_sha256(s3: S3, wanted: Object) -> str:
    answer = s3.get(wanted.bucket, wanted.key)
    digest = hashlib.sha256()
    for piece in pieces(answer) if answer is not None else ():
        digest.update(piece)
    return digest.hexdigest()
