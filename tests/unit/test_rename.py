"""The names of a Postgres volume: what an `up` refuses, and how `rename` agrees. The renaming itself is for the real engine."""

import io
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import NotFound

from ops import engine as ops_engine
from ops import rename as subject
from ops.errors import OperatorError
from ops.session import Session
from stack.services import postgres_names
from stack.services.postgres_names import Cluster, Names
from stack.settings import Settings, load
from stack.vocabulary import ServiceName

DB = ServiceName.DB
APP = Names("app", "app")


class Engine:
    """Stands for the engine: one container of `db`, with the files of its volume."""

    def __init__(self, names: Names = APP, state: str = "running", **files: str) -> None:
        self.variables = [f"POSTGRES_USER={names.user}", f"POSTGRES_DB={names.database}"]
        self.state = state
        self.files = {name.replace("_", "."): text for name, text in files.items()}
        self.said = b""
        self.there = True
        self.volumes: set[str] = set()

    def containers(self, *, all: bool, filters: dict[str, list[str]]) -> list[dict[str, str]]:  # noqa: A002 - the SDK's word
        assert all, "a stopped database keeps data too"
        return [{"Id": "c"}] if self.there and "com.docker.compose.service=db" in filters["label"] else []

    def inspect_container(self, container: str) -> dict[str, Any]:
        mounts = [{"Name": "whatsapp-dev_postgres_adk_data"}]
        return {"Id": container, "Config": {"Env": self.variables}, "State": {"Status": self.state}, "Mounts": mounts}

    def inspect_volume(self, name: str) -> dict[str, str]:
        if name not in self.volumes:
            raise NotFound(name)
        return {"Name": name}

    def get_archive(self, _container: str, path: str) -> tuple[list[bytes], dict[str, Any]]:
        name = path.rpartition("/")[2]
        if name not in self.files:
            raise NotFound(path)
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            entry = tarfile.TarInfo(name)
            entry.size = len(self.files[name])
            tar.addfile(entry, io.BytesIO(self.files[name].encode()))
        return [buffer.getvalue()], {}

    def put_archive(self, _container: str, path: str, data: bytes) -> None:
        assert path == postgres_names.DATA
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            for member in tar:
                content = tar.extractfile(member)
                assert content is not None
                assert member.uid == 999, "the database could not remove it"
                self.files[member.name] = content.read().decode()

    def exec_create(self, *_: object, **__: object) -> dict[str, str]:
        return {"Id": "e"}

    def exec_start(self, _: str) -> bytes:
        return self.said


def settings(folder: Path, env: str = "") -> Settings:
    (folder / ".env").write_text(env)
    return load(folder, "dev", {})


def refused(engine: Engine, folder: Path, env: str) -> list[str]:
    return list(postgres_names.problems(engine, settings(folder, env)))  # type: ignore[arg-type]


def test_names_that_did_not_change_cost_no_look_into_the_volume(tmp_path: Path) -> None:
    engine = Engine()
    engine.get_archive = None  # type: ignore[assignment]
    assert refused(engine, tmp_path, "") == []


def test_a_stack_without_a_database_yet_is_not_refused(tmp_path: Path) -> None:
    engine = Engine()
    engine.there = False
    assert refused(engine, tmp_path, "POSTGRES_USER=wa\n") == []


@pytest.mark.parametrize("state", ["running", "exited", "restarting"])
def test_another_name_is_refused_with_the_ways_on_and_back(tmp_path: Path, state: str) -> None:
    (problem,) = refused(Engine(state=state, stack_names="app\napp\n"), tmp_path, "POSTGRES_USER=wa\nPOSTGRES_DB=wa\n")
    for part in ("POSTGRES_USER is wa now, and was app", "make rename SERVICE=db", "POSTGRES_USER=app POSTGRES_DB=app", "make wipe"):
        assert part in problem


def test_what_the_volume_says_counts_more_than_the_variables_of_a_container_that_never_ran(tmp_path: Path) -> None:
    engine = Engine(Names("wa", "wa"), stack_names="app\napp\n")
    assert refused(engine, tmp_path, "") == [], "the settings are back at the volume's names"
    (problem,) = refused(engine, tmp_path, "POSTGRES_USER=third\n")
    assert "POSTGRES_USER is third now, and was app" in problem


def test_a_volume_that_has_served_in_no_stack_is_left_to_the_start_of_the_database(tmp_path: Path) -> None:
    adopted = Engine(state="restarting")  # it ended for the settings' names, and said which ones its data has
    assert refused(adopted, tmp_path, "POSTGRES_USER=postgres\nPOSTGRES_DB=shop\n") == [], "the names that it asked for are refused"


def test_names_that_an_operator_agreed_to_are_let_through_and_no_others(tmp_path: Path) -> None:
    engine = Engine(stack_names="app\napp\n")
    postgres_names.agree(engine, Cluster("c", True, APP), Names("wa", "app"))  # type: ignore[arg-type]
    assert engine.files["stack.rename"] == "app\napp\nwa\napp\n"
    assert refused(engine, tmp_path, "POSTGRES_USER=wa\n") == []
    assert refused(engine, tmp_path, "POSTGRES_USER=other\n") != []


@pytest.fixture
def ups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    done: list[str] = []
    monkeypatch.setattr(subject, "open_session", lambda _: Session(tmp_path, "dev", Path("pulumi"), {}))
    monkeypatch.setattr(subject, "up", done.append)
    return done


def use(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops_engine, "connect", lambda *_: SimpleNamespace(api=engine))


def test_rename_agrees_first_and_then_brings_the_stack_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ups: list[str]) -> None:
    engine = Engine()
    use(engine, monkeypatch)
    settings(tmp_path, "POSTGRES_DB=wa\n")
    subject.rename("dev", "db", agreed=True)
    assert engine.files["stack.rename"] == "app\napp\napp\nwa\n"
    assert ups == ["dev"]


def test_rename_after_an_interrupted_restore_agrees_to_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ups: list[str]) -> None:
    engine = Engine()
    engine.volumes.add("whatsapp-dev_restore_unfinished")
    use(engine, monkeypatch)
    settings(tmp_path, "POSTGRES_DB=wa\n")
    with pytest.raises(OperatorError, match="restore of stack dev was interrupted"):
        subject.rename("dev", "db", agreed=True)
    assert (engine.files, ups) == ({}, [])


def test_rename_without_another_name_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ups: list[str]) -> None:
    use(Engine(), monkeypatch)
    settings(tmp_path)
    with pytest.raises(OperatorError, match=r"nothing to rename(.|\n)*into the settings first"):
        subject.rename("dev", "", agreed=True)
    assert ups == []


def test_rename_onto_a_name_that_is_taken_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ups: list[str]) -> None:
    engine = Engine()
    engine.said = b"database postgres\n"
    use(engine, monkeypatch)
    settings(tmp_path, "POSTGRES_DB=postgres\n")
    with pytest.raises(OperatorError, match="another database postgres already"):
        subject.rename("dev", "db", agreed=True)
    assert (engine.files, ups) == ({}, [])


def test_rename_of_what_is_no_database_names_the_databases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ups: list[str]) -> None:
    use(Engine(), monkeypatch)
    settings(tmp_path)
    with pytest.raises(OperatorError, match=r"redis is not a database(.|\n)*db, evolution_postgres"):
        subject.rename("dev", "redis", agreed=True)
    assert ups == []
