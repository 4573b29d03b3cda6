"""Encryption of a stream with a passphrase, in the format of age (https://age-encryption.org/v1), so that its own tool opens the file too.

    age --decrypt backup.tar.age | tar --list

A file is a header, which holds the file's key encrypted with the passphrase (scrypt), and chunks of 64 KiB, each sealed with
ChaCha20-Poly1305 under its number and whether it is the last: a chunk that was changed, moved, left out or added is refused.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import os
import re
from typing import TYPE_CHECKING, BinaryIO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from ops.backup.errors import ArchiveError, WrongKeyError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

    from ops.backup.archive import Output

INTRODUCTION: Final = b"age-encryption.org/v1\n"
"""The first bytes of every file in this format."""

ENDING: Final = ".age"
"""How the name of an encrypted file ends."""

CHUNK_BYTES: Final = 64 * 1024
_TAG_BYTES = 16
_SEALED_BYTES = CHUNK_BYTES + _TAG_BYTES
_NONCE_BYTES = 16
_HEADER_LIMIT = 1024
_WORK_FACTOR = 16
"""Scrypt's cost as a power of two: 64 MiB and a fifth of a second for each try. age's own 18 would take 256 MiB."""
_MOST_WORK = 17
"""What a file may ask for at most: a forged header must not cost memory without bounds."""

_HEADER = re.compile(
    rb"age-encryption\.org/v1\n-> scrypt ([A-Za-z0-9+/]{22}) ([1-9][0-9]?)\n([A-Za-z0-9+/]{43})\n---(?: ([A-Za-z0-9+/]{43})\n)",
)


class Encrypted(io.RawIOBase):
    """A stream to write to, encrypted into another. Nothing can be read back before `close`, which seals the last chunk."""

    def __init__(self, target: Output, passphrase: str) -> None:
        super().__init__()
        salt, file_key = os.urandom(16), os.urandom(16)
        wrapped = ChaCha20Poly1305(_stretched(passphrase, salt, _WORK_FACTOR)).encrypt(bytes(12), file_key, None)
        head = INTRODUCTION + b"-> scrypt %s %d\n%s\n---" % (_encode(salt), _WORK_FACTOR, _encode(wrapped))
        nonce = os.urandom(_NONCE_BYTES)
        target.write(head + b" " + _encode(_mac(file_key, head)) + b"\n" + nonce)
        self._target = target
        self._cipher = ChaCha20Poly1305(_derived(file_key, nonce, b"payload"))
        self._waiting = bytearray()
        self._number = 0

    def writable(self) -> bool:
        """It is for writing."""
        return True

    def write(self, data: ReadableBuffer) -> int:
        """Take plain bytes."""
        view = memoryview(data)
        self._waiting += view
        start = 0
        while len(self._waiting) - start > CHUNK_BYTES:  # a whole chunk waits for more: it may be the last
            self._seal(bytes(self._waiting[start : start + CHUNK_BYTES]), last=False)
            start += CHUNK_BYTES
        del self._waiting[:start]
        return view.nbytes

    def close(self) -> None:
        """Seal the last chunk. The stream below stays open."""
        if not self.closed:
            self._seal(bytes(self._waiting), last=True)
        super().close()

    def abandon(self) -> None:
        """Leave the file unfinished: nobody will be able to read its end."""
        super().close()

    def _seal(self, chunk: bytes, *, last: bool) -> None:
        self._target.write(self._cipher.encrypt(_chunk_nonce(self._number, last=last), chunk, None))
        self._number += 1


class Decrypted(io.RawIOBase):
    """The plain bytes of an encrypted file, which can be read from any place.

    Raises:
        WrongKeyError: the passphrase doesn't open it.
        ArchiveError: what is read was damaged.
    """

    def __init__(self, source: BinaryIO, passphrase: str) -> None:
        super().__init__()
        file_key, begin = _opened(source, passphrase)
        source.seek(begin)
        nonce = source.read(_NONCE_BYTES)
        self._source, self._begin = source, begin + _NONCE_BYTES
        sealed = source.seek(0, os.SEEK_END) - self._begin
        self._chunks = -(-sealed // _SEALED_BYTES)
        self.size = sealed - self._chunks * _TAG_BYTES
        """Bytes of plain content."""
        if sealed - (self._chunks - 1) * _SEALED_BYTES < _TAG_BYTES or len(nonce) < _NONCE_BYTES:
            raise ArchiveError("it is cut off: its last chunk is missing")
        self._cipher = ChaCha20Poly1305(_derived(file_key, nonce, b"payload"))
        self._place = 0
        self._held = -1
        self._chunk = b""

    def readable(self) -> bool:
        """It is for reading."""
        return True

    def seekable(self) -> bool:
        """Any place can be read."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place, counted from the beginning, from here or from the end."""
        self._place = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self.size}[whence] + offset
        return self._place

    def tell(self) -> int:
        """The place of the next byte."""
        return self._place

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read up to the end of the chunk at this place."""
        view = memoryview(buffer).cast("B")
        if self._place >= self.size:
            return 0
        number, offset = divmod(self._place, CHUNK_BYTES)
        if number != self._held:
            self._open(number)
        piece = self._chunk[offset : offset + len(view)]
        view[: len(piece)] = piece
        self._place += len(piece)
        return len(piece)

    def _open(self, number: int) -> None:
        self._source.seek(self._begin + number * _SEALED_BYTES)
        sealed = self._source.read(_SEALED_BYTES)
        last = number == self._chunks - 1
        try:
            self._chunk = self._cipher.decrypt(_chunk_nonce(number, last=last), sealed, None)
        except InvalidTag:
            raise ArchiveError(f"it is damaged or cut off: chunk {number + 1} of {self._chunks} is not what was written") from None
        self._held = number


def _opened(source: BinaryIO, passphrase: str) -> tuple[bytes, int]:
    """The file's key, and where its header ends."""
    source.seek(0)
    found = _HEADER.match(source.read(_HEADER_LIMIT))
    if found is None:
        raise ArchiveError("it is encrypted in a way that this program does not write: its header is damaged, or from elsewhere")
    salt, work, wrapped, mac = found.groups()
    if int(work) > _MOST_WORK:
        raise ArchiveError("it is encrypted in a way that this program does not write: its passphrase costs too much memory to try")
    try:
        file_key = ChaCha20Poly1305(_stretched(passphrase, _decode(salt), int(work))).decrypt(bytes(12), _decode(wrapped), None)
    except InvalidTag:
        raise WrongKeyError("The key is not the one that it was encrypted with.") from None
    # Compared as text: its last character has bits that decoding ignores.
    if not hmac.compare_digest(_encode(_mac(file_key, found[0][: found.start(4) - 1])), mac):
        raise ArchiveError("its header is damaged")
    return file_key, found.end()


def _stretched(passphrase: str, salt: bytes, work: int) -> bytes:
    cost = 1 << work
    return hashlib.scrypt(
        passphrase.encode(), salt=b"age-encryption.org/v1/scrypt" + salt, n=cost, r=8, p=1, dklen=32, maxmem=(cost + 1024) * 1024
    )


def _derived(key: bytes, salt: bytes, purpose: bytes) -> bytes:
    """HKDF-SHA-256 (RFC 5869) for 32 bytes."""
    return hmac.digest(hmac.digest(salt or bytes(32), key, "sha256"), purpose + b"\x01", "sha256")


def _mac(file_key: bytes, head: bytes) -> bytes:
    return hmac.digest(_derived(file_key, b"", b"header"), head, "sha256")


def _chunk_nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


def _encode(data: bytes) -> bytes:
    return base64.b64encode(data).rstrip(b"=")


def _decode(text: bytes) -> bytes:
    return base64.b64decode(text + b"=" * (-len(text) % 4))
