"""As much of S3 as a backup of MinIO needs: list, get, put, delete, and the settings of buckets."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_plus
from xml.etree import ElementTree as ET

from ops.backup import inside
from ops.backup.inside import InsideError
from ops.backup.web import Web, whole
from stack.vocabulary import MINIO_PORT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from http.client import HTTPResponse

    from docker import DockerClient

    from ops.backup.services import Place

_REGION = "us-east-1"
_EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
_SPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"
_OK = 300
_NOT_FOUND = 404
_SAID_BYTES = 2000
_BLANKS = " \t"
"""Around a header's value. A text in UTF-8 is read as latin-1 here, where the second byte of an "à" is a space too, but none of HTTP's."""


@dataclass(frozen=True)
class Login:
    """The administrator of a MinIO."""

    user: str
    password: str


@dataclass(frozen=True)
class Listed:
    """An object as a listing has it. `etag` is its MD5 where it came in one piece."""

    key: str
    size: int
    etag: str


def login_of(client: DockerClient, place: Place) -> Login:
    """What the container was told to take for its administrator, as its image reads it.

    Raises:
        InsideError: its password file can't be read.
    """
    variables = place.variables
    password = variables.get("MINIO_ROOT_PASSWORD") or inside.text(client, place.container, ("sh", "-c", 'cat "$MINIO_ROOT_PASSWORD_FILE"'))
    return Login(variables["MINIO_ROOT_USER"], password)


class S3:
    """A MinIO, asked through a tunnel into its container."""

    def __init__(self, client: DockerClient, place: Place) -> None:
        self._web = Web(client, place.container, MINIO_PORT)
        self._login = login_of(client, place)

    def close(self) -> None:
        """Hang up."""
        self._web.close()

    def buckets(self) -> list[str]:
        """Their names, in order."""
        tree = _tree(self._whole("GET", "/"))
        return sorted(each.text or "" for each in tree.iter(f"{_SPACE}Name"))

    def objects(self, bucket: str) -> Iterator[Listed]:
        """All objects of a bucket by key, each in its newest version."""
        token = ""
        while True:
            query = {"list-type": "2", "encoding-type": "url", "max-keys": "1000", **({"continuation-token": token} if token else {})}
            tree = _tree(self._whole("GET", f"/{bucket}", query))
            for each in tree.iter(f"{_SPACE}Contents"):
                key, size, etag = (each.findtext(f"{_SPACE}{name}") or "" for name in ("Key", "Size", "ETag"))
                yield Listed(unquote_plus(key), int(size), etag.strip('"'))
            token = tree.findtext(f"{_SPACE}NextContinuationToken") or ""
            if not token:
                return

    def setting(self, bucket: str, name: str) -> str | None:
        """A part of the bucket's configuration, as `policy`; None where it has none."""
        answer = self._ask("GET", f"/{bucket}", {name: ""})
        body = whole(answer)
        if answer.status == _NOT_FOUND:
            return None
        return _checked(answer, body).decode()

    def make_bucket(self, bucket: str) -> None:
        """Make a bucket."""
        self._whole("PUT", f"/{bucket}")

    def set_setting(self, bucket: str, name: str, value: str) -> None:
        """Set a part of the bucket's configuration."""
        body = value.encode()
        md5 = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        self._whole("PUT", f"/{bucket}", {name: ""}, {"content-md5": md5}, body)

    def get(self, bucket: str, key: str) -> HTTPResponse | None:
        """An object, its content still to be read; None when it is gone."""
        answer = self._ask("GET", f"/{bucket}/{quote(key)}")
        if answer.status == _NOT_FOUND:
            whole(answer)
            return None
        if answer.status >= _OK:
            _checked(answer, whole(answer))
        return answer

    def put(self, bucket: str, key: str, headers: Mapping[str, str], sha256: str, size: int, content: Iterable[bytes]) -> None:
        """Store an object. The server refuses it unless its content has this checksum."""
        answer = self._ask("PUT", f"/{bucket}/{quote(key)}", {}, {**headers, "content-length": str(size)}, content, sha256)
        _checked(answer, whole(answer))

    def _whole(
        self, method: str, path: str, query: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> bytes:
        answer = self._ask(method, path, query, headers, body, hashlib.sha256(body).hexdigest())
        return _checked(answer, whole(answer))

    def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | Iterable[bytes] = b"",
        sha256: str = _EMPTY_SHA256,
    ) -> HTTPResponse:
        asked = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted((query or {}).items()))
        signed = _signed(self._login, method, path, asked, {**(headers or {}), "host": "localhost"}, sha256)
        return self._web.ask(method, f"{path}?{asked}" if asked else path, signed, body or None)


def _signed(login: Login, method: str, path: str, query: str, headers: Mapping[str, str], sha256: str) -> dict[str, str]:
    """The headers of a request with its signature, version 4: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html."""
    now = datetime.now(UTC)
    stamp, day = f"{now:%Y%m%dT%H%M%SZ}", f"{now:%Y%m%d}"
    sent = {name.lower(): value.strip(_BLANKS) for name, value in headers.items()} | {"x-amz-date": stamp, "x-amz-content-sha256": sha256}
    names = ";".join(sorted(sent))
    canonical = "\n".join([method, path, query, *(f"{name}:{sent[name]}" for name in sorted(sent)), "", names, sha256])
    scope = f"{day}/{_REGION}/s3/aws4_request"
    signing = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode("latin-1")).hexdigest()])
    key = f"AWS4{login.password}".encode()
    for part in (day, _REGION, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, signing.encode(), "sha256").hex()
    credential = f"{login.user}/{scope}"
    return {**sent, "authorization": f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"}


def _checked(answer: HTTPResponse, body: bytes) -> bytes:
    if answer.status >= _OK:
        raise InsideError(f"MinIO answers {answer.status}: {body[:_SAID_BYTES].decode(errors='replace')}")
    return body


def _tree(body: bytes) -> ET.Element:
    try:
        return ET.fromstring(body)  # noqa: S314 - from our own server
    except ET.ParseError as error:
        raise InsideError(f"MinIO's answer can't be read: {error}") from error
