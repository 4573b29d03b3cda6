"""What an archive says about itself: its header, its manifest, its list of objects."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from ops.backup.archive import FORMAT, VERSION

DEFINITIONS: Final = "rabbitmq-definitions.json"
MESSAGES: Final = "rabbitmq-messages.jsonl"
DUMPS: Final = {"db": "db.dump", "evolution_postgres": "evolution_postgres.dump"}
RDB: Final = "redis.rdb"
INSTANCES: Final = "evolution_instances.tar"
BUCKETS: Final = "minio-buckets.json"
INDEX: Final = "objects.jsonl"

BEFORE_OBJECTS: Final = (DEFINITIONS, MESSAGES, *DUMPS.values(), RDB, INSTANCES, BUCKETS)
"""The contents in their order. Queues come before the databases: what a consumer takes from one while the backup runs is then in both, and
is recognised as known when it comes again; the other way round it would be in neither. Objects come last: what a row names is there."""

BUCKET_NAME: Final = r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"
"""What a bucket can be called. One of a MinIO of long ago can have another name, under which none can be made any more."""

_Text = Annotated[str, Field(max_length=4096)]
_Moment = Annotated[AwareDatetime, Field(ge=datetime(1970, 1, 2, tzinfo=UTC), lt=datetime(2242, 1, 1, tzinfo=UTC))]
"""What the headers of a tar can say, and what is a time in every place's own."""
_Count = Annotated[int, Field(ge=0)]
_Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Header(_Part):
    """The first member: enough to say whose backup this is."""

    format: Literal["whatsapp-backup"] = FORMAT
    version: Literal[1] = VERSION
    project: _Text
    stack: _Text
    created: _Moment


class Content(_Part):
    """Length and checksum of one content."""

    size: _Count
    sha256: _Digest


class Database(_Part):
    """One database, at the moment of its dump.

    Attributes:
        version: of the server.
        owner: the role that owned the database.
        roles: all roles of the server, without its own (`pg_*`); owners and grants are restored where the target has them all.
        rows: by `schema.table`, counted in the snapshot of the dump.
        revision: of the application's schema, where it has one.
        left_out: other databases of the server.
    """

    version: _Text
    owner: _Text
    roles: list[_Text]
    rows: dict[_Text, _Count]
    revision: _Text | None = None
    left_out: list[_Text] = []

    @property
    def major(self) -> int:
        """The major version: what reads what."""
        return major(self.version)


class Queue(_Part):
    """A queue: how many messages of it the archive has, and in words what is missing."""

    vhost: _Text
    name: _Text
    messages: _Count
    left_out: _Text = ""


class Broker(_Part):
    """RabbitMQ."""

    version: _Text
    queues: list[Queue]


class Cache(_Part):
    """Redis. The keys are those of the dump itself, as the image's own tool counts them."""

    version: _Text


class Bucket(_Part):
    """A bucket: its objects, and the parts of its configuration as S3 gives them, by their name in the protocol."""

    name: Annotated[str, Field(pattern=BUCKET_NAME)]
    settings: dict[_Text, str]


class Buckets(_Part):
    """All buckets."""

    buckets: list[Bucket]


class Object(_Part):
    """A line of the list of objects. `md5` is what S3 calls the ETag of an object that came in one piece."""

    bucket: _Text
    key: Annotated[str, Field(min_length=1, max_length=1024)]
    size: _Count
    sha256: _Digest
    md5: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    headers: dict[_Text, _Text]


class Objects(_Part):
    """All objects of MinIO."""

    count: _Count
    bytes: _Count


class Manifest(_Part):
    """The last member: what has to be in the archive, and what was where it came from.

    Attributes:
        left_out: in words, what of instances and buckets is not in it; of databases and queues, they say themselves.
    """

    finished: datetime
    contents: dict[_Text, Content]
    databases: dict[_Text, Database]
    rabbitmq: Broker
    redis: Cache
    objects: Objects
    left_out: list[_Text] = []

    @property
    def all_left_out(self) -> list[str]:
        """What is not in the archive, in words."""
        return [
            *(f"of queue {each.name}, {each.left_out}" for each in self.rabbitmq.queues if each.left_out),
            *(f"database {each} of {name}" for name, database in self.databases.items() for each in database.left_out),
            *self.left_out,
        ]


def major(version: str) -> int:
    """The first number of a version."""
    number = version.partition(".")[0]
    return int(number) if number.isdigit() else 0
