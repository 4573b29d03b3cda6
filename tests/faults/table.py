"""The table of results: what each fault led to, as docs/faults.md shows it."""

from dataclasses import dataclass, field
from pathlib import Path

from stack.vocabulary import ServiceName

FILE = Path(__file__).resolve().parents[2] / "docs" / "faults.md"

_HEAD = """\
# Faults, and what becomes of them

Written by `make test-faults FAULTS_REPORT=1 FAULTS_RESTART_ENGINE='systemctl restart docker'`, here on {machine}. Each fault is caused in
a stack of its own (with the simulator, and one container of each service), and each row is asserted. **Told** is what the command says,
beside the service's last log lines; **seconds to it** are from the fault to the end of the command that tells it. **Lost** is by
comparison with what clients had written before into both databases, a durable queue, a bucket, Redis and Evolution API's folder.
**Repaired by** needs nothing else: no cleaning up by hand. What runs and fails its health check is told at the next one, within half a
minute, for RabbitMQ within a whole one.

| Service | Fault | Told | Seconds to it | Lost | Repaired by | Seconds |
|---|---|---|---:|---|---|---:|
"""

NOT_APPLICABLE = (
    ("redis, audio-converter", "port taken", "they publish no port"),
    ("app, audio-converter", "full volume", "they keep no data"),
    ("evolution-api", "full volume", "its data is in its database, in Redis and in MinIO; the simulator writes no files"),
    ("all but app and evolution-api", "bad variable at start", "each of their settings is checked before anything is created"),
    ("audio-converter", "unhealthy", "it keeps nothing that could be spoilt: it answers, it hangs, or it has ended"),
    (
        "db, evolution_postgres, redis, audio-converter",
        "out of memory at start",
        "the least limit that their setting allows is enough to start",
    ),
    ("app, evolution-api, rabbitmq, minio", "out of memory later", "they have it at their start; later the kernel ends them as in a crash"),
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
    """The rows of one run, and the machine that it ran on."""

    machine: str
    rows: list[Row] = field(default_factory=list)

    def text(self) -> str:
        services = [*ServiceName]

        def order(row: Row) -> int:
            return services.index(ServiceName(row.service)) if row.service in services else len(services)

        lines = [str(row) for row in sorted(self.rows, key=order)]
        rest = [f"- {service}: {fault}: {why}." for service, fault, why in NOT_APPLICABLE]
        return _HEAD.format(machine=self.machine) + "\n".join(lines) + "\n\nNot tried, for it does not apply:\n\n" + "\n".join(rest) + "\n"
