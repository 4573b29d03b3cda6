"""Encryption in age's format."""

import base64
import io
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.backup.encryption import CHUNK_BYTES, INTRODUCTION, Decrypted, Encrypted
from ops.backup.errors import ArchiveError, WrongKeyError
from tests.unit.backup_samples import KEY, encrypted

# Written by this program, and opened by rage (through pyrage 1.4): what was written once has to be readable for ever.
VECTOR = base64.b64decode(
    "YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IHNjcnlwdCBnWGxGOFVmQzBRbjNRSkgzNGhuRk9RIDE2ClRyeXkxZGVQb"
    "0RXdXp0a0NiN2Y2T3ZjTm5XWlc1MEdrQi85K3FlZ2RWRHMKLS0tIDV4R05DVXQ4cElGQVc4L0pMRFFLUW5DdmJRRl"
    "NsbFN1RXoxaVo4NkZrM0kKtflUaN/r1cZft/kzhuvbzTT6XeMcmBZuG6KIpMSaRYSXM3OhRO9sNjlg1S87sG8="
)
LENGTHS = (0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 3 * CHUNK_BYTES + 7)


@pytest.mark.parametrize("length", LENGTHS)
def test_what_was_encrypted_is_read_back_whatever_its_length(length: int) -> None:
    plain = os.urandom(length)
    found = Decrypted(io.BytesIO(encrypted(plain)), KEY)
    assert found.size == length
    assert found.read() == plain


@settings(deadline=None, max_examples=6)  # each stretches a key
@given(cuts=st.lists(st.integers(0, 200_000), max_size=6))
def test_in_which_pieces_it_is_written_makes_no_difference(cuts: list[int]) -> None:
    plain = bytes(range(250)) * 800
    file = io.BytesIO()
    with Encrypted(file, KEY) as target:
        for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(plain)], strict=True):
            target.write(plain[begin:end])
    assert Decrypted(file, KEY).read() == plain


@settings(deadline=None, max_examples=60)
@given(begin=st.integers(0, 200_000), size=st.integers(1, 150_000))
def test_any_place_can_be_read(begin: int, size: int) -> None:
    source = io.BufferedReader(Decrypted(io.BytesIO(_SEALED), KEY))
    source.seek(begin)
    assert source.read(size) == _PLAIN[begin : begin + size]


_PLAIN = os.urandom(3 * CHUNK_BYTES + 100)
_SEALED = encrypted(_PLAIN)


def test_files_that_were_written_before_can_still_be_read() -> None:
    assert Decrypted(io.BytesIO(VECTOR), "correct horse battery staple").read() == b"whatsapp-backup"
    assert VECTOR.startswith(INTRODUCTION)


def test_two_files_with_the_same_content_and_key_have_nothing_in_common() -> None:
    one, two = encrypted(_PLAIN), encrypted(_PLAIN)
    assert one[-100:] != two[-100:]


@pytest.mark.parametrize("change", ["swap", "drop the first", "drop the last", "double", "empty one more"])
def test_chunks_that_were_moved_left_out_or_added_are_refused(change: str) -> None:
    begin = len(_SEALED) - (3 * (CHUNK_BYTES + 16) + 116)
    chunks = [_SEALED[start : start + CHUNK_BYTES + 16] for start in range(begin, len(_SEALED), CHUNK_BYTES + 16)]
    if change == "swap":
        chunks[0], chunks[1] = chunks[1], chunks[0]
    elif change == "drop the first":
        del chunks[0]
    elif change == "drop the last":
        del chunks[-1]
    elif change == "double":
        chunks.insert(1, chunks[0])
    else:
        chunks.append(bytes(16))
    with pytest.raises(ArchiveError):
        Decrypted(io.BytesIO(_SEALED[:begin] + b"".join(chunks)), KEY).read()


def test_a_stream_that_was_left_unfinished_is_refused() -> None:
    file = io.BytesIO()
    unfinished = Encrypted(file, KEY)
    unfinished.write(_PLAIN)
    unfinished.abandon()
    with pytest.raises(ArchiveError):
        Decrypted(file, KEY).read()


def test_another_key_is_said_to_be_another_key() -> None:
    with pytest.raises(WrongKeyError, match="not the one"):
        Decrypted(io.BytesIO(_SEALED), KEY + " ")


def test_a_header_that_asks_for_more_memory_than_ours_ever_does_is_refused_before_it_gets_it() -> None:
    forged = _SEALED.replace(b" 4\n", b" 30\n", 1)
    with pytest.raises(ArchiveError, match="too much memory"):
        Decrypted(io.BytesIO(forged), KEY)
