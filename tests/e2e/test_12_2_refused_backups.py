"""Files that are no whole backup, or none for this stack: refused with one clear message, and nothing on the engine is touched."""

import gzip
import io
import json
import random
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ops.backup.archive import BLOCK_BYTES, HEADER, MANIFEST, OBJECTS, TAIL_BYTES
from ops.backup.encryption import CHUNK_BYTES
from ops.backup.manifest import DUMPS, MESSAGES
from tests.e2e import backups
from tests.e2e.backups import Kept
from tests.e2e.data import Clients
from tests.e2e.environment import Stack
from tests.e2e.project import Ran
from tests.unit.backup_samples import parts, sealed

pytestmark = pytest.mark.backups

_SECONDS = 10
"""The most that a refusal may take on a busy machine. It takes a third of a second on a quiet one."""

_SEED = random.randrange(1_000_000)  # noqa: S311 - nothing depends on its being hard to guess
_random = random.Random(_SEED)  # noqa: S311

Damage = Callable[[bytes], bytes]


def _refuse(stack: Stack, file: Path, *told: str, **variables: str) -> Ran:
    """Run a restore that must be refused, without anything having been done to the stack."""
    before = stack.picture()
    refused = backups.restore(stack, file, **variables)
    assert refused.code != 0, f"it was not refused:\n{refused.told}"
    refused.assert_tells(*told)
    assert "Traceback" not in refused.output, refused.told
    assert stack.picture() == before, f"something was done to the stack:\n{refused.told}"
    assert refused.seconds < _SECONDS, f"it took {refused.seconds:.1f} s:\n{refused.told}"
    return refused


def _flip(name: str, part: float = 0.5) -> Damage:
    """Change one byte of a member, so far into it."""

    def damage(whole: bytes) -> bytes:
        with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
            member = next(each for each in tar if each.name.startswith(name) and each.size)
        return _flipped(whole, member.offset_data + int(part * (member.size - 1)))

    return damage


def _flipped(whole: bytes, place: int) -> bytes:
    print(f"seed {_SEED}: the byte at {place} of {len(whole)} is changed")  # noqa: T201 - pytest shows it with a failure
    changed = bytearray(whole)
    changed[place] ^= 0x10
    return bytes(changed)


def _swap(whole: bytes) -> bytes:
    """Let two objects change their contents, as they lie in the file."""
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        one, two = (tar.getmember(f"{OBJECTS}{number:09}") for number in (1, 5))
    first, second = (whole[each.offset : each.offset_data + each.size + -each.size % BLOCK_BYTES] for each in (one, two))
    begin, end = one.offset + len(first), two.offset
    return whole[: one.offset] + second + whole[begin:end] + first + whole[end + len(second) :]


def _swap_and_seal(whole: bytes) -> bytes:
    """Let the dumps of the two databases change places, and seal it anew, as somebody would who knows how."""
    members = parts(whole)
    one, two = (next(each for each in members if each.info.name == name) for name in DUMPS.values())
    one.content, two.content = two.content, one.content
    return sealed(members)


_DAMAGED: dict[str, tuple[Damage, str]] = {
    "empty": (lambda _: b"", "cut off"),
    "without its last byte": (lambda whole: whole[:-1], "cut off"),
    "without its seal": (lambda whole: whole[:-TAIL_BYTES], "cut off"),
    "cut in the middle": (lambda whole: whole[: len(whole) // 2], "cut off"),
    "cut anywhere": (lambda whole: whole[: _random.randrange(BLOCK_BYTES, len(whole))], "cut off"),
    "another byte in the header": (_flip(HEADER), ""),
    "another byte in the messages": (_flip(MESSAGES), ""),
    "another byte in a dump": (_flip(DUMPS["db"]), ""),
    "another byte in an object": (_flip(OBJECTS), ""),
    "another byte in the manifest": (_flip(MANIFEST, 0.9), ""),
    "another byte anywhere": (lambda whole: _flipped(whole, _random.randrange(len(whole))), ""),
    "swapped members": (_swap, "is not where it belongs"),
    "swapped contents with a seal that fits": (_swap_and_seal, "is not what its manifest says"),
    "something behind its end": (lambda whole: whole + b"\0", "added behind its end"),
    "compressed": (gzip.compress, "not a backup that this program wrote"),
    "a text": (lambda _: b"-- PostgreSQL database dump\n" * 999, "not a backup that this program wrote"),
}


@pytest.mark.parametrize("kind", _DAMAGED)
def test_a_damaged_or_foreign_file_is_refused_before_anything_is_touched(stack: Stack, kept: Kept, tmp_path: Path, kind: str) -> None:
    damage, told = _DAMAGED[kind]
    file = tmp_path / "damaged.tar"
    file.write_bytes(damage(kept.file.read_bytes()))
    refused = _refuse(stack, file, f"{file} can't be used.", told, "Take another backup", "Nothing was changed.")
    assert refused.output.count("can't be used") == 1, f"it is not told once:\n{refused.told}"


def test_a_tar_file_of_somebody_elses_is_refused_by_what_it_begins_with(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "home.tar"
    with tarfile.open(file, "w", format=tarfile.GNU_FORMAT) as tar:
        tar.add(__file__, arcname="home/photo.jpg")
    _refuse(stack, file, "not a backup that this program wrote: it begins with 'home/photo.jpg'")
    checked = stack.make("verify-backup", FILE=str(file))
    assert checked.code != 0, checked.told
    checked.assert_tells(f"{file} can't be used.", "not a backup that this program wrote")


def test_what_is_no_file_is_refused(stack: Stack, tmp_path: Path) -> None:
    for file in (tmp_path, tmp_path / "missing.tar"):
        _refuse(stack, file, f"There is no file {file}", "make backups lists the backups")


def test_an_encrypted_backup_is_refused_without_its_key_and_with_another(stack: Stack, encrypted: Path) -> None:
    _refuse(stack, encrypted, "no key was given", "KEY=...")
    _refuse(stack, encrypted, "The key is not the one that it was encrypted with", "KEY=...", KEY=f"{backups.KEY}!")
    assert "PGDMP" not in encrypted.read_bytes().decode("latin-1"), "it is not encrypted"


@pytest.mark.parametrize("kind", ["header", "middle", "cut between two chunks", "cut anywhere"])
def test_a_damaged_encrypted_backup_is_refused_with_the_right_key(stack: Stack, encrypted: Path, tmp_path: Path, kind: str) -> None:
    whole = encrypted.read_bytes()
    begin = whole.index(b"\n---") + 4 + 44 + 1 + 16
    damaged = {
        "header": lambda: _flipped(whole, begin - 20),
        "middle": lambda: _flipped(whole, len(whole) // 2),
        "cut between two chunks": lambda: whole[: begin + 3 * (CHUNK_BYTES + 16)],
        "cut anywhere": lambda: whole[: _random.randrange(begin, len(whole))],
    }[kind]()
    file = tmp_path / "damaged.tar.age"
    file.write_bytes(damaged)
    _refuse(stack, file, f"{file} can't be used.", "Take another backup", KEY=backups.KEY)


def test_a_backup_that_does_not_fit_the_stack_is_refused_with_all_reasons_at_once(stack: Stack, kept: Kept, tmp_path: Path) -> None:
    members = parts(kept.file.read_bytes())
    manifest = json.loads(members[-1].content)
    for database in manifest["databases"].values():
        database["version"] = "99.1"
    manifest["databases"]["db"]["revision"] = "of_the_future"
    manifest["rabbitmq"]["version"] = "99.0"
    members[-1].content = json.dumps(manifest).encode()
    file = tmp_path / "newer.tar"
    file.write_bytes(sealed(members))
    _refuse(
        stack,
        file,
        "does not fit this stack; nothing was changed",
        "db is PostgreSQL 16",
        "set EVOLUTION_POSTGRES_IMAGE to postgres:99 or newer",
        "revision of_the_future, which this version of the application does not know",
        "set RABBITMQ_IMAGE",
    )


def test_after_all_these_refusals_the_stack_has_the_data_that_it_had(stack: Stack, kept: Kept) -> None:
    kept.assert_restored(Clients(stack, stack.credentials()))
    assert "nothing to change" in stack.up().output
