"""The table of results: what each fault led to, as docs/faults.md shows it."""

from dataclasses import dataclass, field
from pathlib import Path

from stack.vocabulary import ServiceName

FILE = Path(__file__).resolve().parents[2] / "docs" / "faults.md"

_HEAD = """\
# Faults, and what becomes of them

Written by `make test-faults FAULTS_REPORT=1`: each fault is caused in a stack of its own (with the simulator, and one container of each
service), and each row is asserted. **Told** is what the command says, with the service's last log lines; **seconds to it** is from
the start of the command that tells it. **Lost** is by comparison of what clients had written before in both databases, a durable queue, a
bucket, Redis and Evolution API's folder. **Repaired by** needs nothing else: no cleaning up by hand.

| Service | Fault | Told | Seconds to it | Lost | Repaired by | Seconds |
|---|---|---|---:|---|---|---:|
"""

NOT_APPLICABLE = (
    ("redis, audio-converter", "port taken", "they publish no port"),
    ("app, audio-converter", "full volume", "they keep no data"),
    ("evolution-api", "full volume", "its data is in its database, in Redis and in MinIO; the simulator writes no files"),
    ("redis, rabbitmq, minio, audio-converter", "bad variable at start", "each of their settings is checked before anything is created"),
    ("rabbitmq", "hang", "its health check is so calm, for it is costly, that the engine finds out only after four minutes"),
)
"""What is not tried, and why."""


@dataclass(frozen=True)
class Row:
    service: str
    fault: str
    told: str
    seconds_told: float
    repaired_by: str
    seconds_repair: float
    lost: str = "nothing"

    def __str__(self) -> str:
        told = self.told.replace("|", "\\|")
        numbers = f"{self.seconds_told:.1f}", f"{self.seconds_repair:.1f}"
        return f"| {self.service} | {self.fault} | {told} | {numbers[0]} | {self.lost} | {self.repaired_by} | {numbers[1]} |"


@dataclass
class Table:
    """The rows of one run."""

    rows: list[Row] = field(default_factory=list)

    def text(self) -> str:
        services = [*ServiceName]

        def order(row: Row) -> int:
            return services.index(ServiceName(row.service)) if row.service in services else len(services)

        lines = [str(row) for row in sorted(self.rows, key=order)]
        rest = [f"- {service}: {fault}: {why}." for service, fault, why in NOT_APPLICABLE]
        return _HEAD + "\n".join(lines) + "\n\nNot tried, for it does not apply:\n\n" + "\n".join(rest) + "\n"
