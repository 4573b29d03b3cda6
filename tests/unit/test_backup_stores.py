"""What is particular about a store: Redis' dump, RabbitMQ's definitions and limits, the scripts that move volumes' content."""

import io
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.backup import definitions, objects, rabbitmq, redis, volumes

MARK = b"0123456789abcdef0123456789abcdef01234567"
DUMP = b"REDIS0010" + b"some keys" * 20 + b"\xff" + b"abcdef12"


@given(cuts=st.lists(st.integers(0, len(DUMP) + len(MARK)), max_size=8), marked=st.booleans())
def test_the_mark_behind_a_redis_dump_is_taken_off_and_nothing_else(cuts: list[int], marked: bool) -> None:
    sent = DUMP + (MARK if marked else b"")
    pieces = [sent[begin:end] for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(sent)], strict=True)]
    assert b"".join(redis.without_mark(pieces)) == DUMP


def test_a_dump_becomes_the_file_that_redis_log_begins_with() -> None:
    packed = b"".join(redis.log_files(len(DUMP), [DUMP], "999:998"))
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        found = {member.name: member for member in tar}
        assert found.keys() == {redis.LOG_FOLDER, redis.LOG_BASE, redis.LOG_MANIFEST}
        assert {(each.uid, each.gid) for each in found.values()} == {(999, 998)}
        base, text = tar.extractfile(redis.LOG_BASE), tar.extractfile(redis.LOG_MANIFEST)
        assert base is not None
        assert text is not None
        assert base.read() == DUMP
        assert text.read().decode().split() == ["file", "appendonly.aof.1.base.rdb", "seq", "1", "type", "b"]


def test_definitions_carry_neither_the_administrator_nor_what_belongs_to_one_broker() -> None:
    exported: dict[str, Any] = {
        "users": [{"name": "whatsapp", "password_hash": "x"}, {"name": "reader", "password_hash": "y"}],
        "permissions": [{"user": "whatsapp", "vhost": "/"}, {"user": "reader", "vhost": "/"}],
        "topic_permissions": [{"user": "whatsapp", "vhost": "/"}],
        "global_parameters": [{"name": "internal_cluster_id", "value": "z"}, {"name": "own", "value": 1}],
        "queues": [{"name": "q"}],
    }
    left = definitions.without_user(exported, "whatsapp")
    assert [each["name"] for each in left["users"]] == ["reader"]
    assert [each["user"] for each in left["permissions"]] == ["reader"]
    assert left["topic_permissions"] == []
    assert [each["name"] for each in left["global_parameters"]] == ["own"]
    assert left["queues"] == exported["queues"]


@pytest.mark.parametrize(
    ("queue", "version", "limit"),
    [
        ({"type": "quorum"}, "3.10.8", None),
        ({"type": "quorum"}, "4.1.0", 20),
        ({"type": "classic"}, "4.1.0", None),
        ({"type": "quorum", "arguments": {"x-delivery-limit": 5}}, "3.10.8", 5),
        ({"type": "quorum", "effective_policy_definition": {"delivery-limit": 7}}, "4.0.1", 7),
        ({"type": "quorum", "arguments": {"x-delivery-limit": -1}}, "4.0.1", None),
    ],
)
def test_how_often_a_queue_hands_out_a_message_is_known(queue: dict[str, Any], version: str, limit: int | None) -> None:
    assert rabbitmq._limit(queue, version) == limit


def test_an_s3_setting_that_says_nothing_is_not_set_again() -> None:
    space = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
    assert objects._says_nothing(f"<VersioningConfiguration {space}/>")
    assert not objects._says_nothing(f"<VersioningConfiguration {space}><Status>Enabled</Status></VersioningConfiguration>")
    assert not objects._says_nothing('{"Version":"2012-10-17"}')


def run(script: str, folder: Path) -> None:
    subprocess.run(["sh", "-c", volumes._EACH + script, "sh", str(folder)], check=True)


def tree(folder: Path) -> dict[str, str]:
    return {str(each.relative_to(folder)): each.read_text() for each in folder.rglob("*") if each.is_file()}


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """A volume with what volumes have: folders, hidden files, names with spaces."""
    for name in ("data/a", ".hidden", "..odd", "with space/b c", "-dash"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "dangling").symlink_to("nowhere")
    return tmp_path


def test_a_volumes_content_is_put_aside_and_back_whole(volume: Path) -> None:
    before = tree(volume)
    run(volumes._PUT_ASIDE, volume)
    assert [each.name for each in volume.iterdir()] == [".before-restore"]
    (volume / "new").write_text("of the restore")
    run(volumes._PUT_BACK, volume)
    assert tree(volume) == before
    assert (volume / "dangling").is_symlink()
    assert not (volume / ".before-restore").exists()


def test_what_was_put_aside_is_forgotten_and_the_new_content_stays(volume: Path) -> None:
    run(volumes._PUT_ASIDE, volume)
    (volume / "new").write_text("of the restore")
    run(volumes._FORGET, volume)
    assert tree(volume) == {"new": "of the restore"}


def test_after_an_interrupted_restore_the_old_content_is_kept_and_the_half_new_one_goes(volume: Path) -> None:
    before = tree(volume)
    run(volumes._PUT_ASIDE, volume)
    (volume / "half new").write_text("x")
    run(volumes._PUT_ASIDE, volume)
    assert tree(volume) == {f".before-restore/{name}": text for name, text in before.items()}


@pytest.mark.parametrize("moved", [["data"], ["data", ".hidden", "with space"]])
def test_putting_aside_that_was_killed_half_way_goes_on_or_goes_back(volume: Path, moved: list[str]) -> None:
    before = tree(volume)

    def half() -> None:
        (volume / ".before-restore.part").mkdir()
        for name in moved:
            (volume / name).rename(volume / ".before-restore.part" / name)

    half()
    run(volumes._PUT_BACK, volume)
    assert tree(volume) == before
    half()
    run(volumes._PUT_ASIDE, volume)
    assert tree(volume) == {f".before-restore/{name}": text for name, text in before.items()}


def test_putting_back_twice_is_putting_back_once(volume: Path) -> None:
    before = tree(volume)
    run(volumes._PUT_ASIDE, volume)
    run(volumes._PUT_BACK, volume)
    run(volumes._PUT_BACK, volume)
    assert tree(volume) == before
