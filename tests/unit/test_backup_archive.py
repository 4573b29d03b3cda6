"""The archive: what was written is read back, any tar program opens it, and whatever is wrong with it is refused."""

import gzip
import io
import json
import os
import subprocess
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ops.backup import verify
from ops.backup.archive import BLOCK_BYTES, PART_BYTES, Reader, Writer, member_header
from ops.backup.encryption import CHUNK_BYTES
from ops.backup.errors import ArchiveError, WrongKeyError
from ops.backup.manifest import BUCKETS, DEFINITIONS, DUMPS, INDEX, INSTANCES, MESSAGES
from tests.unit.backup_samples import (
    KEY,
    OBJECT_CONTENTS,
    STAMP,
    Part,
    archive,
    encrypted,
    files_of_instances,
    message,
    parts,
    read,
    sealed,
    with_fitting_manifest,
)

PLAIN = archive()
SEALED = encrypted(PLAIN)

# The folder is one for all examples: each overwrites the file of the one before.
many = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])


def refused(folder: Path, content: bytes, key: str | None = None) -> str:
    """What is said of an archive that must be refused."""
    with pytest.raises(ArchiveError) as caught:
        list(read(folder, content, key))
    return str(caught.value)


@pytest.mark.parametrize(("content", "key"), [(PLAIN, None), (SEALED, KEY)])
def test_a_whole_archive_passes_and_gives_back_what_was_written(tmp_path: Path, content: bytes, key: str | None) -> None:
    file = tmp_path / "archive"
    file.write_bytes(content)
    with verify.opened(file, key) as backup:
        assert backup.header.stack == "dev"
        assert b"".join(backup.content(MESSAGES)) == message("q") * 2
        assert [b"".join(pieces) for _, pieces in backup.objects()] == list(OBJECT_CONTENTS)
        assert [line.key for line in backup.index()] == ["key 1", "key 2", "key 3"]


def test_any_tar_program_opens_an_archive_and_cat_joins_the_parts_of_a_long_dump(tmp_path: Path) -> None:
    dump = os.urandom(2 * PART_BYTES + 5)
    (tmp_path / "archive.tar").write_bytes(archive(dump=dump))
    subprocess.run(["tar", "--extract", "--file", "archive.tar"], cwd=tmp_path, check=True)
    joined = subprocess.run(f"cat {DUMPS['db']}.*", shell=True, cwd=tmp_path, check=True, capture_output=True)  # noqa: S602
    assert joined.stdout == dump
    assert json.loads((tmp_path / "manifest.json").read_text())["objects"]["count"] == len(OBJECT_CONTENTS)


def test_reading_and_writing_take_the_same_memory_whatever_the_length() -> None:
    size, piece = 200 * 1024 * 1024, bytes(1024 * 1024)

    class Nowhere:
        def write(self, data: bytes) -> int:
            return len(data)

    tracemalloc.start()
    try:
        writer = Writer(Nowhere(), STAMP)  # type: ignore[arg-type]  # takes what is given here
        writer.content("a.dump", (piece for _ in range(size // len(piece))))
        writer.sized("objects/000000001", size, (piece for _ in range(size // len(piece))))
        assert tracemalloc.get_traced_memory()[1] < 8 * PART_BYTES
    finally:
        tracemalloc.stop()


@many
@given(place=st.integers(0, len(PLAIN) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_anywhere_is_refused(tmp_path: Path, place: int, bit: int) -> None:
    damaged = bytearray(PLAIN)
    damaged[place] ^= 1 << bit
    refused(tmp_path, bytes(damaged))


@many
@given(place=st.integers(0, len(SEALED) - 1), bit=st.integers(0, 7))
@example(place=SEALED.index(b"\n---") + 4 + 43, bit=0)  # the last character of the header's checksum, of which two bits are spare
@example(place=SEALED.index(b"\n---") + 4 + 43, bit=1)
def test_a_flipped_bit_anywhere_in_an_encrypted_archive_is_refused(tmp_path: Path, place: int, bit: int) -> None:
    damaged = bytearray(SEALED)
    damaged[place] ^= 1 << bit
    refused(tmp_path, bytes(damaged), KEY)


@many
@given(length=st.integers(0, len(PLAIN) - 1))
def test_an_archive_that_was_cut_off_anywhere_is_refused(tmp_path: Path, length: int) -> None:
    refused(tmp_path, PLAIN[:length])


@many
@given(length=st.integers(0, len(SEALED) - 1))
@example(length=SEALED.index(b"\n---") + 4 + 44 + 1 + 16)
def test_an_encrypted_archive_that_was_cut_off_anywhere_is_refused(tmp_path: Path, length: int) -> None:
    refused(tmp_path, SEALED[:length], KEY)


@pytest.mark.parametrize("chunks", [1, 2])
def test_an_encrypted_archive_that_was_cut_off_between_two_chunks_is_refused(tmp_path: Path, chunks: int) -> None:
    whole = encrypted(archive(dump=bytes(2 * CHUNK_BYTES)))
    begin = whole.index(b"\n---") + 4 + 44 + 1 + 16
    assert "damaged or cut off" in refused(tmp_path, whole[: begin + chunks * (CHUNK_BYTES + 16)], KEY)


@many
@given(
    blocks=st.lists(st.integers(0, len(PLAIN) // BLOCK_BYTES - 1), min_size=2, max_size=2, unique=True),
    how=st.sampled_from(["swap", "copy", "drop", "double"]),
)
def test_blocks_that_were_swapped_copied_dropped_or_doubled_are_refused(tmp_path: Path, blocks: list[int], how: str) -> None:
    pieces = [PLAIN[start : start + BLOCK_BYTES] for start in range(0, len(PLAIN), BLOCK_BYTES)]
    one, two = blocks
    if how == "swap":
        pieces[one], pieces[two] = pieces[two], pieces[one]
    elif how == "copy":
        pieces[one] = pieces[two]
    elif how == "drop":
        del pieces[one]
    else:
        pieces.insert(two, pieces[one])
    damaged = b"".join(pieces)
    if damaged != PLAIN:  # blocks can be equal
        refused(tmp_path, damaged)


@many
@given(added=st.binary(min_size=1, max_size=2000))
def test_whatever_is_added_behind_the_end_is_refused(tmp_path: Path, added: bytes) -> None:
    assert "behind its end" in refused(tmp_path, PLAIN + added)


@many
@given(content=st.binary(max_size=3000))
def test_a_file_of_anything_else_is_refused(tmp_path: Path, content: bytes) -> None:
    refused(tmp_path, content)


def _tar(name: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(name))
    return file.getvalue()


def _zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("header.json", "{}")
    return file.getvalue()


FOREIGN = {
    "an empty file": (b"", "cut off"),
    "zeros": (bytes(100_000), "not a backup that this program wrote"),
    "a compressed tar": (gzip.compress(PLAIN), "not a backup that this program wrote"),
    "a zip file": (_zip().ljust(4096, b"\0"), "not a backup that this program wrote"),
    "another tar": (_tar("etc/passwd"), "it begins with 'etc/passwd'"),
    "a tar that begins alike": (_tar("header.json"), "not as this program"),
    "an encrypted file of age's with another kind of key": (
        b"age-encryption.org/v1\n-> X25519 abc\nabc\n--- abc\n" + bytes(999),
        "does not write",
    ),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_foreign_file_is_refused_and_said_to_be_one(tmp_path: Path, kind: str) -> None:
    content, said = FOREIGN[kind]
    assert said in refused(tmp_path, content, KEY)


def _header(members: list[Part], **changed: object) -> None:
    members[0].content = json.dumps({**json.loads(members[0].content), **changed}).encode()


def _manifest(members: list[Part], change: Callable[[dict[str, dict[str, object]]], object]) -> None:
    text = json.loads(members[-1].content)
    change(text)
    members[-1].content = json.dumps(text).encode()


def _by_name(members: list[Part], name: str) -> Part:
    return next(each for each in members if each.info.name == name)


def _swap_contents(members: list[Part]) -> None:
    one, two = _by_name(members, "objects/000000001"), _by_name(members, "objects/000000003")
    one.content, two.content = two.content, one.content


def _swap_places(members: list[Part]) -> None:
    one, two = (members.index(_by_name(members, name)) for name in DUMPS.values())
    members[one], members[two] = members[two], members[one]


def _add(name: str, place: int = 3, kind: bytes = tarfile.REGTYPE) -> Callable[[list[Part]], None]:
    def change(members: list[Part]) -> None:
        info = tarfile.TarInfo(name)
        info.mtime, info.mode, info.type, info.linkname = STAMP, 0o600, kind, "/etc/passwd" if kind == tarfile.SYMTYPE else ""
        members.insert(place, Part(info, b""))

    return change


def _drop_manifest(members: list[Part]) -> None:
    members.pop()


def _rename(old: str, new: str) -> Callable[[list[Part]], None]:
    def change(members: list[Part]) -> None:
        _by_name(members, old).info.name = new

    return change


FORGED: dict[str, tuple[Callable[[list[Part]], None], str]] = {
    "swapped contents": (_swap_contents, "is not what the list of objects says"),
    "swapped members": (_swap_places, "in their order"),
    "a further member": (_add("more.txt"), "which no backup has"),
    "a member that leads out of its folder": (_add("../../etc/cron.d/evil"), "which no backup has"),
    "an absolute member": (_add("/etc/cron.d/evil"), "which no backup has"),
    "an object that leads out of its folder": (_rename("objects/000000002", "objects/../../evil"), "not where it belongs"),
    "a link": (_add("db.dump", kind=tarfile.SYMTYPE), "not as this program writes it"),
    "a device": (_add("db.dump", kind=tarfile.CHRTYPE), "not as this program writes it"),
    "a member twice": (_add("db.dump"), "not where it belongs"),
    "a member less": (lambda members: members.remove(_by_name(members, "redis.rdb")), "missing redis.rdb"),
    "an object less": (lambda members: members.remove(_by_name(members, "objects/000000003")), "objects"),
    "a part in the place of a content": (_rename("db.dump", "db.dump.000002"), "not where it belongs"),
    "parts out of order": (_add("db.dump.000003", place=4), "not where it belongs"),
    "a newer format": (lambda members: _header(members, version=2), "newer"),
    "another program's header": (lambda members: _header(members, format="other"), "not as this program writes it"),
    "unknown fields": (lambda members: _header(members, more=1), "not as this program writes it"),
    "no manifest": (_drop_manifest, "no manifest"),
    "other counts": (lambda members: _manifest(members, lambda text: text["objects"].update(count=1)), "as many objects"),
    "negative counts": (lambda members: _manifest(members, lambda text: text["objects"].update(count=-1)), "not as this program"),
    "one database less": (lambda members: _manifest(members, lambda text: text["databases"].pop("db")), "tell of both databases"),
    "a database more": (
        lambda members: _manifest(members, lambda text: text["databases"].update(other=text["databases"]["db"])),
        "tell of both databases",
    ),
    "a time that no clock shows": (
        lambda members: _header(members, created="9999-12-31T23:00:00-05:00"),
        "not as this program writes it",
    ),
    "a time of nowhere": (lambda members: _header(members, created="2026-11-22T15:00:00"), "not as this program writes it"),
    "other permissions": (lambda members: setattr(members[1].info, "mode", 0o777), "not as this program writes it"),
    "another owner": (lambda members: setattr(members[1].info, "uid", 5), "not as this program writes it"),
}


@pytest.mark.parametrize("kind", FORGED)
def test_an_archive_that_somebody_put_together_with_a_fitting_seal_is_refused(tmp_path: Path, kind: str) -> None:
    change, said = FORGED[kind]
    members = parts(PLAIN)
    assert sealed(members) == PLAIN, "the test does not seal as the program does, so it proves nothing"
    change(members)
    assert said in refused(tmp_path, sealed(members))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (INSTANCES, files_of_instances("instances/../../etc/cron.d/evil")),
        (INSTANCES, files_of_instances("/etc/cron.d/evil")),
        (INSTANCES, files_of_instances("elsewhere/file")),
        (INSTANCES, b"no tar"),
        (MESSAGES, message("q")),
        (MESSAGES, message("q") + message("other")),
        (MESSAGES, message("q") + b"{}\n"),
        (MESSAGES, message("q") + message("q", b"not base64!")),
        (MESSAGES, message("q") + message("q").rstrip(b"\n")),
        (MESSAGES, message("q") + message("q", properties=b"\xff\xfc")),
        (MESSAGES, message("q") + message("q", key="k" * 256)),
        (MESSAGES, message("q") + b"[" * 100_000 + b"\n"),
        (DEFINITIONS, b"not json"),
        (DEFINITIONS, b"[]"),
        (DEFINITIONS, b'{"users": {"name": "a"}}'),
        (DEFINITIONS, b'{"queues": [{"name": "without a vhost"}]}'),
        (DUMPS["db"], b""),
        (DUMPS["evolution_postgres"], b"-- PostgreSQL database dump" * 99),
        (BUCKETS, b"not json"),
        (BUCKETS, b'{"buckets": [{"name": "../x", "settings": {}}]}'),
        (INDEX, b""),
        (INDEX, b"{}\n"),
    ],
)
def test_contents_that_mean_something_else_are_refused_even_where_all_checksums_fit(tmp_path: Path, name: str, content: bytes) -> None:
    members = parts(PLAIN)
    _by_name(members, name).content = content
    refused(tmp_path, sealed(with_fitting_manifest(members)))


def test_a_length_that_is_only_claimed_costs_no_memory(tmp_path: Path) -> None:
    huge = member_header("header.json", 7 << 40, STAMP)
    tracemalloc.start()
    try:
        assert "at most" in refused(tmp_path, huge + bytes(1000))
        assert tracemalloc.get_traced_memory()[1] < 8 * PART_BYTES
    finally:
        tracemalloc.stop()


def test_an_encrypted_archive_is_not_opened_without_its_key_and_the_key_is_named_as_the_reason(tmp_path: Path) -> None:
    file = tmp_path / "archive"
    file.write_bytes(SEALED)
    for key, said in ((None, "no key was given"), ("another key", "not the one that it was encrypted with")):
        with pytest.raises(WrongKeyError, match=said), verify.opened(file, key):
            pass


def test_a_file_that_is_called_encrypted_and_is_not_is_refused_with_and_without_a_key(tmp_path: Path) -> None:
    file = tmp_path / "archive.tar.age"
    file.write_bytes(PLAIN)
    for key in (KEY, None):
        with pytest.raises(ArchiveError, match="is not encrypted"), verify.opened(file, key):
            pass


def test_nothing_of_an_encrypted_archive_can_be_read_without_its_key() -> None:
    assert b"whatsapp" not in SEALED
    assert b"PGDMP" not in SEALED


def test_a_file_that_changed_after_it_was_verified_is_noticed_when_it_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "archive"
    file.write_bytes(PLAIN)
    with verify.opened(file, None) as backup:
        place = PLAIN.index(b"PGDMP")
        with file.open("r+b") as other:
            other.seek(place)
            other.write(b"x")
        with pytest.raises(ArchiveError, match="has changed"):
            list(backup.content(DUMPS["db"]))


def test_a_reader_that_skips_a_member_is_told() -> None:
    reader = Reader(io.BytesIO(PLAIN))
    with pytest.raises(ArchiveError, match="not read to the end"):
        list(reader.members())
