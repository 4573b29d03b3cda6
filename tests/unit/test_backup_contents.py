"""What a backup takes, and what it leaves out and names: it must always be one that can be restored."""

import io
import tarfile
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.backup import create, instances, objects, verify
from ops.backup.errors import ArchiveError
from ops.backup.manifest import BUCKETS
from ops.backup.telling import Telling
from ops.errors import OperatorError
from tests.unit.backup_samples import files_of_instances

NAMES = ("instances/one/creds.json", "instances/one/ünïcode kéy", "instances/" + "long/" * 60 + "key")


def with_links() -> bytes:
    """Files of instances with what no restore would unpack between and behind them."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for number, name in enumerate(NAMES):
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.mode, info.uid = 700, 1700000000.123456, 0o640, 1000
            info.pax_headers = {"SCHILY.xattr.user.a": "b"}
            tar.addfile(info, io.BytesIO(bytes([number]) * 700))
            for kind, link in ((tarfile.SYMTYPE, "/etc/passwd"), (tarfile.LNKTYPE, NAMES[0]), (tarfile.FIFOTYPE, "")):
                info = tarfile.TarInfo(f"instances/link {number}{kind.decode()}")
                info.type, info.linkname = kind, link
                tar.addfile(info)
    return file.getvalue()


def members(content: bytes) -> list[tuple[Any, ...]]:
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        return [
            (each.name, each.mtime, each.mode, each.uid, each.pax_headers["SCHILY.xattr.user.a"], found.read())
            for each in tar
            if each.isfile() and (found := tar.extractfile(each))
        ]


PACKED = with_links()


@settings(deadline=None)  # for a busy machine
@given(cuts=st.lists(st.integers(0, len(PACKED)), max_size=8))
def test_links_among_the_files_of_instances_are_left_out_and_named_and_all_else_is_as_it_was(cuts: list[int]) -> None:
    pieces = [PACKED[begin:end] for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(PACKED)], strict=True)]
    left_out: list[str] = []
    taken = b"".join(instances.only_plain(pieces, left_out))
    instances.check([taken])  # as a restore does
    assert members(taken) == members(PACKED)
    assert [each[0] for each in members(taken)] == list(NAMES)
    assert left_out == [
        f"instances/link {number}{kind} of Evolution's instances, which is no plain file" for number in range(3) for kind in "216"
    ]


def test_a_name_in_no_encoding_is_kept_and_can_be_told() -> None:
    odd = b"instances/\xff".decode("utf-8", "surrogateescape")
    link = tarfile.TarInfo(odd)
    link.type, link.linkname = tarfile.SYMTYPE, "x"
    left_out: list[str] = []
    packed = link.tobuf(tarfile.GNU_FORMAT) + files_of_instances(odd)
    with tarfile.open(fileobj=io.BytesIO(b"".join(instances.only_plain([packed], left_out)))) as tar:
        assert odd in tar.getnames()
    assert left_out == ["instances/? of Evolution's instances, which is no plain file"]


def test_files_of_instances_that_are_cut_off_are_no_whole_ones() -> None:
    with pytest.raises(tarfile.TarError):
        list(instances.only_plain([PACKED[:1100]], []))


def test_a_bucket_that_no_restore_could_make_is_left_out_and_named() -> None:
    minio, writer, left_out = Mock(), Mock(), list[str]()
    minio.buckets.return_value = ["My_Bucket", "media", "x:y"]
    minio.setting.return_value = None
    assert [each.name for each in objects.write_buckets(writer, minio, left_out)] == ["media"]
    assert [each.split(",")[0] for each in left_out] == ["bucket My_Bucket", "bucket x:y"]
    assert writer.content.call_args.args[0] == BUCKETS


def test_a_backup_that_does_not_pass_its_own_verification_is_said_to_be_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(verify, "opened", Mock(side_effect=ArchiveError("it holds what no backup has")))
    with pytest.raises(OperatorError, match="The backup was not made") as caught:
        create._verified(tmp_path / "a.tar", tmp_path / "b.tar", None, Telling("verifying"))
    assert "it holds what no backup has" in caught.value.cause


@pytest.mark.parametrize("failure", [ValueError("Expecting value"), KeyError("vhost"), TypeError("no list")])
def test_an_answer_that_makes_no_sense_ends_a_backup_with_a_message(monkeypatch: pytest.MonkeyPatch, failure: Exception) -> None:
    monkeypatch.setattr(create, "_write_contents", Mock(side_effect=failure))
    header = Mock()
    header.created.timestamp.return_value = 0
    with pytest.raises(OperatorError, match="The backup was not made") as caught:
        create._write_all(Mock(), io.BytesIO(), header, None)
    assert type(failure).__name__ in caught.value.cause


def test_of_many_things_that_are_left_out_the_first_are_named_and_the_rest_is_counted() -> None:
    told = create._short([f"link {number}" for number in range(250)])
    assert (told[0], told[-1], len(told)) == ("link 0", "and 150 more", 101)
