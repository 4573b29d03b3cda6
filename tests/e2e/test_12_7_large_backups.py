"""A backup of much data goes through as a stream: it takes no more memory than a small one.

E2E_BACKUP_MIB=3000 has it try with that much.
"""

import asyncio
import io
import os
from pathlib import Path

import pytest
from minio.deleteobjects import DeleteObject

from tests.e2e import backups, moments
from tests.e2e.data import Clients, succeeded
from tests.e2e.environment import Stack, eventually
from tests.e2e.memory import MIB, Peak
from tests.e2e.project import PATIENCE, Ran

pytestmark = pytest.mark.backups

_MIB = int(os.environ.get("E2E_BACKUP_MIB", "300"))
_MOST_MIB = 256
_BUCKET, _QUEUE = "e2e-large", "e2e-large"
_ROW_BYTES = 64 * 1024

# From inside, for the management interface takes no message of that length: the longest that a backup looks at.
_PUBLISH = f"""
import asyncio, os
import aio_pika

async def publish():
    connection = await aio_pika.connect(host="rabbitmq", login="whatsapp", password=os.environ["PASSWORD"])
    channel = await connection.channel()
    message = aio_pika.Message(os.urandom({16 * MIB}), delivery_mode=2)
    await channel.default_exchange.publish(message, routing_key="{_QUEUE}")
    await connection.close()

asyncio.run(publish())
"""


def _fill(clients: Clients) -> None:
    """A third of it rows that can't be compressed, the rest objects, half of that in one; and a long message."""
    minio = clients.minio()
    minio.make_bucket(_BUCKET)
    block = os.urandom(4 * MIB)
    single = _MIB // 3
    minio.put_object(_BUCKET, "long", _Repeated(block, single * MIB), single * MIB, part_size=64 * MIB)
    for number in range(_MIB // 12):
        minio.put_object(_BUCKET, f"{number:06}", io.BytesIO(os.urandom(16) + block[16:]), len(block))
    asyncio.run(_fill_rows(clients, _MIB // 3 * MIB // _ROW_BYTES))
    succeeded(clients.rabbitmq("PUT", f"/queues/%2F/{_QUEUE}", durable=True))
    code, said = clients.stack.inside("app", "python", "-c", _PUBLISH, PASSWORD=clients.credentials["RABBITMQ_DEFAULT_PASS"])
    assert code == 0, said


class _Repeated(io.BytesIO):
    """A block over and over, up to a length."""

    def __init__(self, block: bytes, size: int) -> None:
        super().__init__()
        self._block, self._left = block, size

    def read(self, size: int | None = None) -> bytes:
        data = self._block[: min(self._left, len(self._block) if size is None else size)]
        self._left -= len(data)
        return data


async def _fill_rows(clients: Clients, count: int) -> None:
    connection = await clients.connect("POSTGRES")
    try:
        await connection.execute("CREATE TABLE large (n int PRIMARY KEY, data bytea NOT NULL)")
        for begin in range(0, count, 100):
            rows = [(number, os.urandom(_ROW_BYTES)) for number in range(begin, min(begin + 100, count))]
            await connection.copy_records_to_table("large", records=rows)
    finally:
        await connection.close()


def _forget_objects(clients: Clients) -> None:
    minio = clients.minio()
    doomed = (DeleteObject(each.object_name or "") for each in minio.list_objects(_BUCKET, recursive=True))
    assert list(minio.remove_objects(_BUCKET, doomed)) == []
    minio.remove_bucket(_BUCKET)


def _measured(stack: Stack, target: str, **variables: str) -> tuple[Ran, float]:
    run = stack.copy.start(["make", target, f"STACK={stack.name}", *(f"{name}={value}" for name, value in variables.items())])
    with Peak(run) as peak:
        ran = run.finish(PATIENCE * max(1, _MIB / 300))
    assert ran.code == 0, ran.told
    print(f"{target}: {peak.mib:.0f} MiB at most, {ran.seconds:.1f} s for {_MIB} MiB")  # noqa: T201 - pytest -s shows it
    return ran, peak.mib


def _assert_a_killed_one_ends_everywhere(clients: Clients, folder: Path) -> None:
    """Kill a backup in the midst of a long dump: nobody may go on with it in the database."""
    run = moments.begin(clients.stack, "backup", "backup of", DIR=str(folder / "killed"))
    eventually(60, lambda: "COPY public.large" in backups.at_work(clients), "the large table is being dumped")
    moments.kill(run)
    eventually(2, lambda: not backups.at_work(clients), "the dump ends with the backup that was killed")


def test_much_data_is_backed_up_and_restored_in_little_memory(stack: Stack, tmp_path: Path) -> None:
    clients = Clients(stack, stack.credentials())
    _fill(clients)
    _assert_a_killed_one_ends_everywhere(clients, tmp_path)
    file = tmp_path / "large.tar.age"
    backup, mib = _measured(stack, "backup", FILE=str(file), KEY=backups.KEY)
    assert file.stat().st_size > 0.9 * _MIB * MIB, "the data is not in it, so this shows nothing"
    assert mib < _MOST_MIB, f"the backup took {mib:.0f} MiB:\n{backup.told}"

    rows = clients.sql("POSTGRES", "SELECT count(*) || md5(string_agg(md5(data), '' ORDER BY n)) FROM large")
    clients.sql("POSTGRES", "DELETE FROM large WHERE n % 2 = 0")
    _forget_objects(clients)
    restored, mib = _measured(stack, "restore", FILE=str(file), KEY=backups.KEY, YES="1")
    assert mib < _MOST_MIB, f"the restore took {mib:.0f} MiB:\n{restored.told}"
    assert clients.sql("POSTGRES", "SELECT count(*) || md5(string_agg(md5(data), '' ORDER BY n)) FROM large") == rows
    sizes = {each.object_name: each.size for each in clients.minio().list_objects(_BUCKET)}
    assert (sizes.pop("long"), set(sizes.values())) == (_MIB // 3 * MIB, {4 * MIB}), "objects have other sizes"
    assert len(sizes) == _MIB // 12
