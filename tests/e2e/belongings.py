"""A user's data of every kind that a backup has to bring back, in every store; and damage to all of it."""

import asyncio
import hashlib
import io
import json
import os
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from minio import Minio
from minio.commonconfig import ENABLED, Tags
from minio.error import S3Error
from minio.versioningconfig import VersioningConfig

from tests.e2e import broker
from tests.e2e.data import Clients

_DATABASES = ("POSTGRES", "EVOLUTION_POSTGRES")
_MAKE_ROWS = """
CREATE SCHEMA "e2e Übung";
SET search_path = "e2e Übung";
CREATE TYPE mood AS ENUM ('glad', 'sad');
CREATE TABLE kept (id serial PRIMARY KEY, mood mood NOT NULL, said text UNIQUE, data bytea, more jsonb, at timestamptz DEFAULT now());
INSERT INTO kept (mood, said, data, more)
    SELECT CASE WHEN n % 2 = 0 THEN 'glad'::mood ELSE 'sad'::mood END, n || E' line\nbreak, \\t, ''quote'' and 😀',
        decode(md5(n::text), 'hex'), jsonb_build_object('n', n, 'nothing', NULL)
    FROM generate_series(1, 3000) n;
CREATE INDEX kept_at ON kept (at) WHERE mood = 'glad';
CREATE VIEW glad AS SELECT id, said FROM kept WHERE mood = 'glad';
CREATE TABLE part (n int) PARTITION BY RANGE (n);
CREATE TABLE part_low PARTITION OF part FOR VALUES FROM (0) TO (100);
INSERT INTO part SELECT generate_series(0, 99);
SELECT lo_from_bytea(4712, decode(repeat('00ff', 5000), 'hex'));
"""
_ROWS = {
    "rows": """SELECT count(*) || ' ' || md5(string_agg(kept::text, E'\\n' ORDER BY id)) FROM "e2e Übung".kept""",
    "view": """SELECT count(*) || pg_get_viewdef('"e2e Übung".glad'::regclass) FROM "e2e Übung".glad""",
    "partition": """SELECT sum(n)::text FROM "e2e Übung".part_low""",
    "sequence": """SELECT last_value::text FROM "e2e Übung".kept_id_seq""",
    "large object": "SELECT md5(lo_get(4712))",
    "indexes": "SELECT string_agg(indexdef, '; ' ORDER BY indexdef) FROM pg_indexes WHERE schemaname LIKE 'e2e%'",
    "tables": """SELECT string_agg(schemaname || '.' || tablename, ' ' ORDER BY schemaname, tablename) FROM pg_tables
        WHERE schemaname !~ '^(pg_|information)'""",
}
_DAMAGE_ROWS = """
DROP VIEW "e2e Übung".glad;
DELETE FROM "e2e Übung".kept WHERE id % 3 = 0;
UPDATE "e2e Übung".kept SET said = 'changed ' || id;
DROP TABLE "e2e Übung".part;
SELECT lo_unlink(4712);
CREATE TABLE stranger (n int);
"""

_BUCKET = "e2e-kept"
_POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": ["*"]}, "Action": ["s3:GetObject"], "Resource": [f"arn:aws:s3:::{_BUCKET}/*"]}],
}
_PART_BYTES = 5 * 1024 * 1024
_OBJECTS: dict[str, tuple[bytes, str, dict[str, str]]] = {
    "plain.txt": (
        b"hello",
        "text/plain; charset=utf-8",
        {"x-amz-meta-who": "Ana", "Content-Disposition": 'attachment; filename="a b.txt"'},
    ),
    "with space/ünïcödé +%&=?#.bin": (os.urandom(70_000), "application/octet-stream", {"x-amz-meta-number": "17"}),
    "empty": (b"", "image/png", {"Cache-Control": "max-age=60"}),
    "a/" + "long/" * 60 + "key": (b"deep", "application/json", {}),
    "in parts": (os.urandom(_PART_BYTES + 1), "audio/ogg", {"x-amz-meta-seconds": "9"}),
}

_REDIS_WRITES = (
    "SET e2e:text 'it''s \"quoted\"'",
    "SET e2e:expires soon EX 3600",
    "HSET e2e:hash field value other 2",
    "RPUSH e2e:list c a b",
    "SADD e2e:set x y z",
    "ZADD e2e:sorted 1.5 low 7 high",
    "XADD e2e:stream 1-1 field value",
    "-n 1 SET e2e:elsewhere 'in database 1'",
)
_REDIS_READS = (
    "KEYS e2e:*",
    "GET e2e:text",
    "GET e2e:expires",
    "EXPIRETIME e2e:expires",
    "HGETALL e2e:hash",
    "LRANGE e2e:list 0 -1",
    "SMEMBERS e2e:set",
    "ZRANGE e2e:sorted 0 -1 WITHSCORES",
    "XRANGE e2e:stream - +",
    "-n 1 GET e2e:elsewhere",
)
_END = "-- end of answer --"
_UNORDERED = ("KEYS", "SMEMBERS", "HGETALL")

_FOLDER = "/evolution/instances"
_MAKE_FILES = f"""
set -e; cd {_FOLDER}; mkdir -p 'e2e one/keys'; umask 077
printf '{{"noiseKey": 1}}' > 'e2e one/creds.json'
head -c 300000 /dev/urandom > 'e2e one/keys/ünïcode key'
: > e2e-empty; chmod 640 e2e-empty
"""
_FILES = f"cd {_FOLDER} && find e2e* -exec stat -c '%n %A %u:%g %Y' {{}} + | sort && find e2e* -type f -exec sha256sum {{}} + | sort"
_DAMAGE_FILES = f"cd {_FOLDER} && rm -r 'e2e one/keys' && echo changed > 'e2e one/creds.json' && echo new > e2e-stranger"


@dataclass
class Belongings:
    """Data in every store, as it was when it was written.

    Attributes:
        found: what each store told of it then; of messages, what was published.
    """

    found: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def write(cls, clients: Clients) -> "Belongings":
        """Write everything."""
        for database in _DATABASES:
            _execute(clients, database, _MAKE_ROWS)
        messages = dict(broker.make(clients))
        _make_objects(clients.minio())
        _redis(clients, *_REDIS_WRITES)
        _shell(clients, _MAKE_FILES)
        return cls({**_read(clients), **messages})

    @classmethod
    def see(cls, clients: Clients) -> "Belongings":
        """What is there now."""
        return cls({**_read(clients), **dict(broker.read_messages(clients))})

    def assert_there(self, clients: Clients) -> None:
        """See that every store has it as it was, and nothing beside it."""
        there = Belongings.see(clients).found
        wrong = [f"  {name}: {_difference(had, there.get(name))}" for name, had in self.found.items() if there.get(name) != had]
        assert not wrong, "the data is not as it was:\n" + "\n".join(wrong)


def damage(clients: Clients) -> None:
    """Change, remove or add something everywhere."""
    for database in _DATABASES:
        _execute(clients, database, _DAMAGE_ROWS)
    broker.damage(clients)
    minio = clients.minio()
    minio.put_object(_BUCKET, "plain.txt", io.BytesIO(b"changed"), 7)
    minio.put_object(_BUCKET, "stranger", io.BytesIO(b"new"), 3)
    minio.remove_object(_BUCKET, "empty")
    minio.delete_bucket_policy(_BUCKET)
    minio.make_bucket("e2e-stranger")
    _redis(clients, "FLUSHALL", "SET e2e:stranger new")
    _shell(clients, _DAMAGE_FILES)


def _read(clients: Clients) -> dict[str, Any]:
    """What every store tells, but for messages: to look at those can change their order."""
    found: dict[str, Any] = {}
    for database in _DATABASES:
        for name, statement in _ROWS.items():
            try:
                found[f"{database} {name}"] = clients.sql(database, statement)
            except asyncpg.PostgresError as error:
                found[f"{database} {name}"] = str(error)
    found.update(broker.read_definitions(clients))
    found["MinIO buckets"] = sorted(bucket.name for bucket in clients.minio().list_buckets())
    found.update(_read_objects(clients.minio()))
    for command, said in _redis(clients, *_REDIS_READS).items():
        found[f"Redis {command}"] = sorted(said) if command.startswith(_UNORDERED) else said
    found["instances"] = clients.stack.inside("evolution-api", "sh", "-c", _FILES)[1]
    return found


def _make_objects(minio: Minio) -> None:
    minio.make_bucket(_BUCKET)
    minio.set_bucket_versioning(_BUCKET, VersioningConfig(ENABLED))
    minio.set_bucket_policy(_BUCKET, json.dumps(_POLICY))
    tags = Tags.new_bucket_tags()
    tags["project"] = "e2e + more"
    minio.set_bucket_tags(_BUCKET, tags)
    minio.put_object(_BUCKET, "plain.txt", io.BytesIO(b"an older version"), 16)
    minio.put_object(_BUCKET, "removed", io.BytesIO(b"gone"), 4)
    minio.remove_object(_BUCKET, "removed")
    for key, (content, kind, metadata) in _OBJECTS.items():
        minio.put_object(_BUCKET, key, io.BytesIO(content), len(content), content_type=kind, metadata=dict(metadata), part_size=_PART_BYTES)


def _read_objects(minio: Minio) -> dict[str, Any]:
    if not minio.bucket_exists(_BUCKET):
        return {"MinIO objects": "no bucket"}
    found: dict[str, Any] = {"MinIO objects": sorted(each.object_name or "" for each in minio.list_objects(_BUCKET, recursive=True))}
    for key in found["MinIO objects"]:
        with minio.get_object(_BUCKET, key) as answer:
            kept = {name.lower(): value for name, value in answer.headers.items() if name.lower() in _HEADERS or "-meta-" in name.lower()}
            found[f"MinIO {key}"] = (hashlib.sha256(answer.read()).hexdigest(), kept)
    found["MinIO versioning"] = minio.get_bucket_versioning(_BUCKET).status
    tags = minio.get_bucket_tags(_BUCKET)
    found["MinIO tags"] = dict(tags) if tags else None
    try:
        found["MinIO policy"] = json.loads(minio.get_bucket_policy(_BUCKET))
    except S3Error as error:
        found["MinIO policy"] = str(error.code)
    return found


_HEADERS = ("content-type", "content-length", "content-disposition", "cache-control")


def _redis(clients: Clients, *commands: str) -> dict[str, list[str]]:
    """What redis-cli says to each command, in lines."""
    script = "\n".join(f"redis-cli {command} || exit 1; echo {_END}" for command in commands)
    code, said = clients.stack.inside("redis", "sh", "-c", script, REDISCLI_AUTH=clients.credentials["REDIS_PASSWORD"])
    assert code == 0, said
    answers = said.split(_END)[:-1]
    return {command: answer.strip().splitlines() for command, answer in zip(commands, answers, strict=True)}


def _shell(clients: Clients, script: str) -> None:
    code, said = clients.stack.inside("evolution-api", "sh", "-c", script)
    assert code == 0, said


def _execute(clients: Clients, database: str, script: str) -> None:
    async def run() -> None:
        connection = await clients.connect(database)
        try:
            await connection.execute(script)
        finally:
            await connection.close()

    asyncio.run(run())


def _difference(had: object, there: object) -> str:
    if isinstance(had, list) and isinstance(there, list):
        missing, added = [each for each in had if each not in there], [each for each in there if each not in had]
        return f"missing {_short(missing)}, added {_short(added)}, {len(there)} instead of {len(had)}"
    return f"{_short(there)} instead of {_short(had)}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 400 else f"{text[:400]}..."
