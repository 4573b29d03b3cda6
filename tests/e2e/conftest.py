"""The shared environment of these tests: one copy of the project, and a stack in it that most tests use in turn.

The files are numbered because they run in that order: what needs the stack as it came up stands before what damages it.
Needs a Docker engine, and the set-up that `make test-e2e` does.
"""

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from docker import DockerClient

from ops import engine
from tests.e2e import backups, machine
from tests.e2e.environment import Stack
from tests.e2e.project import Copy, end_processes, only_copy

PROJECT = "whatsapp-e2e"
SECOND = "whatsapp-e2e-second"
PRODUCTION = "whatsapp-e2e-prod"
OLD_PROJECT = "whatsapp-e2e-old"
"""A Compose project that was there before."""

_failed = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    """Show how long each test took, unless asked for otherwise."""
    config.addinivalue_line("markers", "backups: a backup or a restore of a whole stack; not with every change, for they take ten minutes")
    if config.option.durations is None:
        config.option.durations = 0
        config.option.durations_min = 1.0


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember a failure until the test's fixtures end."""
    report = yield
    if report.failed:
        item.stash[_failed] = True
    return report


@pytest.fixture(scope="session")
def docker_client() -> Iterator[DockerClient]:
    client = engine.connect()
    yield client
    client.close()


@pytest.fixture(scope="session")
def copy(docker_client: DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    """The project in a folder of its own; whatever is made from it on the engine is removed at the end."""
    with only_copy(PROJECT, tmp_path_factory.mktemp("e2e") / "project", lambda: _remove_from_engine(docker_client)) as made:
        yield made


def _remove_from_engine(client: DockerClient) -> None:
    for project in (PROJECT, SECOND, PRODUCTION, OLD_PROJECT):
        machine.remove_everything(client, project)


@pytest.fixture(scope="session")
def shared(copy: Copy, docker_client: DockerClient) -> Stack:
    """The stack that most tests use, in whatever state it is: before its first `up` there is none of it on the engine."""
    stack = Stack("e2e", PROJECT, copy, docker_client)
    stack.settings["EVOLUTION"] = "simulator"  # a machine that has the real one would wait for it to ask WhatsApp for codes
    stack.write()
    return stack


@pytest.fixture
def stack(shared: Stack, request: pytest.FixtureRequest) -> Iterator[Stack]:
    """The shared stack, up and as it should be; a test that failed on it leaves no trouble to the next."""
    shared.settle()
    yield shared
    if request.node.stash.get(_failed, False):
        shared.settled = False


@pytest.fixture(scope="session")
def kept(shared: Stack) -> backups.Kept:
    """A backup of the shared stack, with data of every kind in it, made while somebody wrote."""
    shared.settle()
    return backups.make(shared)


@pytest.fixture(scope="session")
def encrypted(kept: backups.Kept, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of the same data that is encrypted with `backups.KEY`, in a folder of its own."""
    kept.stack.settle()
    folder = tmp_path_factory.mktemp("encrypted")
    (folder / "key").write_text(f"{backups.KEY}\n")
    file = folder / "elsewhere" / "of-another-machine.tar.age"
    ran = kept.stack.make("backup", FILE=str(file), KEY=str(folder / "key"))
    assert ran.code == 0, ran.told
    assert "not encrypted" not in ran.output, ran.told
    return file


@pytest.fixture(scope="module")
def second(copy: Copy, docker_client: DockerClient) -> Iterator[Stack]:
    """Another development stack beside the shared one, of which there is nothing yet."""
    other = Stack("e2e-second", SECOND, copy, docker_client)
    other.settings["EVOLUTION"] = "simulator"
    other.write()
    yield other
    end_processes(copy)
    other.remove()


@pytest.fixture(scope="module")
def production(copy: Copy, docker_client: DockerClient) -> Iterator[Stack]:
    """The production stack, of which there is nothing yet, not even settings. It has the project name of these tests, not its own."""
    stack = Stack("prod", PRODUCTION, copy, docker_client)
    stack.settings |= {"EVOLUTION": "simulator", "PROJECT_NAME": PRODUCTION}
    yield stack
    stack.remove()
