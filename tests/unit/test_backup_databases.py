"""The databases of a restore: whatever the user's own are called, none of them is taken for one of a restore's."""

import re
from unittest.mock import Mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.backup import databases
from ops.backup.databases import Target
from ops.backup.services import Place

CUT_AT = 63
"""Bytes of a name that PostgreSQL keeps; the rest it drops, and goes on."""

OTHERS = ("app_restoring", "app_before_restore", "postgres")


class Server:
    """As much of a server as a restore changes: databases by name, each with what is in it."""

    def __init__(self, *names: str) -> None:
        self.there = {name: name for name in names}

    def do(self, statement: str) -> list[str]:
        for each in re.split("; (?=ALTER|COMMIT)", statement):
            names = [found.replace('""', '"').encode()[:CUT_AT].decode(errors="ignore") for found in re.findall(r'"((?:[^"]|"")*)"', each)]
            if each.startswith("CREATE DATABASE"):
                assert names[0] not in self.there, f"{names[0]} is there already"
                self.there[names[0]] = "new"
            elif each.startswith("DROP DATABASE"):
                self.there.pop(names[0], None)
            elif each.startswith("ALTER DATABASE"):
                assert names[1] not in self.there, f"{names[1]} is there already"
                self.there[names[1]] = self.there.pop(names[0])
        wanted = re.search(r"datname = '(.*)'$", statement)
        return ["1"] if wanted and wanted[1].replace("''", "'") in self.there else []


def restore_into(name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Target, Server]:
    """A target whose server keeps what is put there."""
    server = Server(name, *OTHERS)
    monkeypatch.setattr(Target, "_do", lambda _, statement: server.do(statement))
    return Target(Mock(), Place("db", {"POSTGRES_DB": name})), server


names = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=CUT_AT).filter(
    lambda name: len(name.encode()) <= CUT_AT and name not in OTHERS
)


@settings(deadline=None)  # for a busy machine
@given(name=names | st.sampled_from(["a" * 62, "a" * 63, "ü" * 31, "app"]))
def test_a_database_of_any_name_is_exchanged_and_nothing_else_is_touched(name: str) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        target, server = restore_into(name, monkeypatch)
        target.empty()
        assert server.there[name] == "new", "the old data has its name still"
        target.commit()
        assert server.there == {name: "new"} | {other: other for other in OTHERS}


@settings(deadline=None)  # for a busy machine
@given(name=names | st.sampled_from(["a" * 62, "a" * 63, "ü" * 31, "app"]))
def test_a_database_of_any_name_comes_back_when_a_restore_fails(name: str) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        target, server = restore_into(name, monkeypatch)
        target.empty()
        target.swap_back()
        assert server.there == {each: each for each in (name, *OTHERS)}


class Session:
    """Stands for a psql that knows which databases there are."""

    def __init__(self, *_: object) -> None:
        pass

    def ask(self, statement: str) -> list[str]:
        if "pg_catalog.pg_database" in statement:
            return ["app_before_restore", Target(Mock(), Place("db", {"POSTGRES_DB": "app"})).staged]
        return ["16.4"]


def test_a_users_own_copy_is_named_as_left_out_and_what_a_restore_left_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "_Session", Session)
    held = databases.snapshot(Mock(), Place("db", {"POSTGRES_DB": "app"}))
    assert held.database.left_out == ["app_before_restore"]
