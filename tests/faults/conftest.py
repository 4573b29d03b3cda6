"""One stack for all faults. Needs a Docker engine on this machine, root (or sudo without a password), and the set-up of `make test-faults`.

The tests that are not marked `slow` are one of each kind, in a third of the time. Where the machine or its user can't cause a fault, the
test is an expected failure that says why.
"""

import os
from collections.abc import Generator, Iterator

import pytest
from docker import DockerClient

from ops import engine
from tests.e2e import machine
from tests.e2e.data import Clients, Data
from tests.e2e.environment import Stack
from tests.e2e.project import Copy, only_copy
from tests.faults.root import UnableError
from tests.faults.scene import Scene
from tests.faults.table import FILE, Table
from tests.faults.volumes import SmallVolume, make_small_volumes, remove_small_volumes

PROJECT = "whatsapp-faults"
REPORT = "FAULTS_REPORT"
"""Set to 1, has a run of the whole suite that passes, with nothing left out, write docs/faults.md."""

_failed = pytest.StashKey[bool]()
_partial = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: a fault that takes long to show or to mend, or one like another that is not slow")
    if config.option.durations is None:
        config.option.durations = 0
        config.option.durations_min = 1.0


def pytest_deselected(items: list[pytest.Item]) -> None:
    for item in items[:1]:
        item.config.stash[_partial] = True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[_failed] = True
    if not report.passed:
        item.config.stash[_partial] = True
    return report


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call() -> Generator[None, object, object]:
    """Tell of a fault that can't be caused here as what it is."""
    try:
        return (yield)
    except UnableError as error:
        pytest.xfail(str(error))


@pytest.fixture(scope="session")
def docker_client() -> Iterator[DockerClient]:
    client = engine.connect()
    yield client
    client.close()


@pytest.fixture(scope="session")
def copy(docker_client: DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    """The project in a folder of its own; whatever is made from it on the engine is removed at the end."""
    with only_copy(PROJECT, tmp_path_factory.mktemp("faults") / "project", lambda: _remove(docker_client)) as made:
        yield made


def _remove(client: DockerClient) -> None:
    machine.remove_everything(client, PROJECT)
    remove_small_volumes(PROJECT)


@pytest.fixture(scope="session")
def table(request: pytest.FixtureRequest, docker_client: DockerClient) -> Iterator[Table]:
    """What the faults led to; written down after a run of them all, when asked for."""
    info = docker_client.info()
    made = Table(f"{info['NCPU']} cores with Docker Engine {info['ServerVersion']}")
    yield made
    if os.environ.get(REPORT) == "1" and not request.config.stash.get(_partial, False):
        FILE.write_text(made.text(), encoding="utf-8")


@pytest.fixture(scope="session")
def shared(copy: Copy, docker_client: DockerClient, table: Table, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    stack = Stack("faults", PROJECT, copy, docker_client)
    stack.settings["EVOLUTION"] = "simulator"
    volumes: dict[str, SmallVolume] | UnableError
    try:
        volumes = make_small_volumes(docker_client, PROJECT, tmp_path_factory.mktemp("volumes"))
    except UnableError as error:
        volumes = error
    stack.settle()
    scene = Scene(stack, Clients(stack, stack.credentials()), Data(), table, volumes)
    scene.data.write(scene.clients)
    return scene


@pytest.fixture
def scene(shared: Scene, request: pytest.FixtureRequest) -> Iterator[Scene]:
    """The stack, up and whole; a test that failed on it leaves no trouble to the next."""
    shared.stack.settle()
    yield shared
    if request.node.stash.get(_failed, False):
        shared.stack.settled = False
