"""Small archives as a backup writes them, and the same with something wrong in them."""

import base64
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

from docker.errors import NotFound

from ops.backup import encryption, verify
from ops.backup.archive import HEADER, MANIFEST, OBJECTS, SEAL, Writer, tail
from ops.backup.encryption import Encrypted
from ops.backup.manifest import (
    BUCKETS,
    DEFINITIONS,
    DUMPS,
    INDEX,
    INSTANCES,
    MESSAGES,
    RDB,
    Broker,
    Cache,
    Content,
    Database,
    Header,
    Manifest,
    Object,
    Objects,
    Queue,
)

WHEN = datetime(2026, 11, 22, 15, 0, tzinfo=UTC)
STAMP = int(WHEN.timestamp())
KEY = "correct horse battery staple"
OBJECT_CONTENTS = (b"a picture" * 100, b"", b"a voice message" * 300)


def files_of_instances(*names: str) -> bytes:
    """A tar as the engine gives it, with a folder and files of these names."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        folder = tarfile.TarInfo("instances/")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 5
            tar.addfile(info, io.BytesIO(b"hello"))
    return file.getvalue()


def message(queue: str, body: bytes = b"aGk=", properties: bytes = b"\0\0", key: str = "") -> bytes:
    """A line of the messages."""
    packed = base64.b64encode(properties).decode()
    line = {"vhost": "/", "queue": queue, "exchange": "", "routing_key": key or queue, "properties": packed, "body": body.decode()}
    return json.dumps(line).encode() + b"\n"


def archive(
    instances: bytes | None = None, messages: tuple[bytes, ...] = (message("q"), message("q")), dump: bytes = b"PGDMP" * 50
) -> bytes:
    """A whole archive."""
    file = io.BytesIO()
    writer = Writer(file, STAMP)
    header = Header(project="whatsapp-dev", stack="dev", created=WHEN).model_dump_json().encode()
    writer.sized(HEADER, len(header), [header])
    writer.content(DEFINITIONS, [b"{}"])
    writer.content(MESSAGES, messages)
    for name in DUMPS.values():
        writer.content(name, [dump])
    writer.content(RDB, [b"REDIS0010"])
    writer.content(INSTANCES, [files_of_instances("instances/one/creds.json") if instances is None else instances])
    writer.content(BUCKETS, [b'{"buckets": []}'])
    lines = []
    for number, content in enumerate(OBJECT_CONTENTS, 1):
        sha256 = writer.sized(f"{OBJECTS}{number:09}", len(content), [content])
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        lines.append(Object(bucket="media", key=f"key {number}", size=len(content), sha256=sha256, md5=md5, headers={}))
    writer.content(INDEX, [line.model_dump_json().encode() + b"\n" for line in lines])
    writer.finish(manifest(writer, len(messages)).model_dump_json().encode())
    return file.getvalue()


def manifest(writer: Writer, messages: int) -> Manifest:
    database = Database(version="16.4", owner="app", roles=["app"], rows={"public.t": 3})
    return Manifest(
        finished=WHEN,
        contents={name: Content(size=each.size, sha256=each.sha256) for name, each in writer.sums.items()},
        databases=dict.fromkeys(DUMPS, database),
        rabbitmq=Broker(version="3.10.8", queues=[Queue(vhost="/", name="q", messages=messages)]),
        redis=Cache(version="7.0.15"),
        objects=Objects(count=len(OBJECT_CONTENTS), bytes=sum(map(len, OBJECT_CONTENTS))),
    )


def encrypted(plain: bytes, key: str = KEY) -> bytes:
    """The same, encrypted; its key costs next to nothing to try, for the sake of the tests."""
    file = io.BytesIO()
    with patch.object(encryption, "_WORK_FACTOR", 4), Encrypted(file, key) as target:
        target.write(plain)
    return file.getvalue()


@dataclass
class Part:
    """A member of a tar, to be changed."""

    info: tarfile.TarInfo
    content: bytes


def parts(plain: bytes) -> list[Part]:
    """The members of an archive, without its seal."""
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        found = [Part(info, content.read() if (content := tar.extractfile(info)) else b"") for info in tar]
    assert found.pop().info.name == SEAL
    return found


def sealed(members: list[Part]) -> bytes:
    """A tar of these members with a seal that fits it: what somebody would make who knows how."""
    file = io.BytesIO()
    for member in members:
        member.info.size = len(member.content)
        file.write(member.info.tobuf(tarfile.GNU_FORMAT))
        file.write(member.content + bytes(-len(member.content) % 512))
    return file.getvalue() + tail(hashlib.sha256(file.getvalue()).hexdigest(), int(members[0].info.mtime))


def with_fitting_manifest(members: list[Part]) -> list[Part]:
    """The members with the checksums in their manifest made to fit; parts of a content are those with its name in front."""
    text = json.loads(members[-1].content)
    assert members[-1].info.name == MANIFEST
    for name, sums in text["contents"].items():
        whole = b"".join(each.content for each in members if each.info.name == name)
        sums.update(size=len(whole), sha256=hashlib.sha256(whole).hexdigest())
    members[-1].content = json.dumps(text).encode()
    return members


def read(folder: Path, content: bytes, key: str | None = None) -> Iterator[str]:
    """Verify an archive, and give what it is known by."""
    file = folder / "archive"
    file.write_bytes(content)
    with verify.opened(file, key) as backup:
        yield backup.header.project
        yield from (line.key for line in backup.index())


class Volumes:
    """Stands for an engine that has nothing but volumes."""

    def __init__(self, *names: str) -> None:
        self.api = self
        self.names = set(names)

    def inspect_volume(self, name: str) -> dict[str, str]:
        if name not in self.names:
            raise NotFound(name)
        return {"Name": name}

    def create_volume(self, name: str, labels: dict[str, str]) -> None:
        assert labels
        self.names.add(name)

    def remove_volume(self, name: str) -> None:
        self.names.remove(name)
