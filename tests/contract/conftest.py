"""One suite for Evolution API's contract: against the simulator, which it starts, or against what EVOLUTION_CONTRACT_URL names.

EVOLUTION_CONTRACT_URL, EVOLUTION_CONTRACT_KEY
    A real Evolution API 2.2.3 and its AUTHENTICATION_API_KEY. Instances are made on it, never connected, and deleted again; their names
    begin with "contract-" and eight hexadecimal digits.
EVOLUTION_CONTRACT_LISTENER
    `host:port` of this machine at which that API reaches this suite, for webhooks. Without it a free port of 127.0.0.1 is tried.
EVOLUTION_CONTRACT_PAIRED
    The name of an instance with a phone. It gets messages from itself; it is neither changed nor logged out.
"""

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.app.images import ensure_images
from tests.contract.comparison import MARK, NEVER, Need, Table, needs_of
from tests.contract.listener import Listener, listening
from tests.contract.target import Api, Paired, Target, new_name

_URL = "EVOLUTION_CONTRACT_URL"
_KEY = "EVOLUTION_CONTRACT_KEY"
_LISTENER = "EVOLUTION_CONTRACT_LISTENER"
_PAIRED = "EVOLUTION_CONTRACT_PAIRED"

_HERE = Path(__file__).parent
_table = Table()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{MARK}(*what): what a case of the contract needs beside a URL and a key")
    config.pluginmanager.import_plugin("tests.app.simulator_fixtures")
    config.pluginmanager.import_plugin("tests.contract.simulator")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents:
            _table.know(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _table.note(report)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not len(_table):
        return
    url = os.environ.get(_URL)
    if url:
        terminalreporter.section(f"Evolution API's contract, compared with {url}")
        lines = _table.lines_of_a_real_run()
    else:
        terminalreporter.section("Evolution API's contract, on the simulator")
        terminalreporter.write_line(f"{_table.compared_everywhere()} of {len(_table)} cases are compared with every real API; the others:")
        lines = _table.lines_of_a_simulated_run()
    for line in lines:
        terminalreporter.write_line(line)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out, with the reason and before any fixture, what a real API can't be compared in."""
    if os.environ.get(_URL):
        for need in needs_of(item):
            if need in NEVER or (need is Need.PHONE and not os.environ.get(_PAIRED)):
                pytest.skip(need.value)


@pytest.fixture(scope="session", autouse=True)
def _images() -> None:
    """What the simulator's services are made from, where no stack has built it yet."""
    if not os.environ.get(_URL):
        ensure_images()


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest) -> Target:
    url = os.environ.get(_URL)
    if not url:
        simulated: Target = request.getfixturevalue("simulated")
        return simulated
    key = os.environ.get(_KEY)
    if not key:
        pytest.fail(f"{_URL} is set and {_KEY} is not: give the API's AUTHENTICATION_API_KEY.")
    real = Target(url.rstrip("/"), key)
    Api(real).remove_leftovers(spared=os.environ.get(_PAIRED))
    return real


@pytest.fixture
def api(target: Target) -> Iterator[Api]:
    """For a case that makes instances of its own."""
    api = Api(target)
    yield api
    api.clean_up()


@pytest.fixture(scope="session")
def _for_all(target: Target) -> Iterator[Api]:
    api = Api(target)
    yield api
    api.clean_up()


@pytest.fixture(scope="session")
def closed(_for_all: Api) -> str:
    """The name of an instance that was never connected, and that no case changes."""
    return _for_all.created_name()


@pytest.fixture(scope="session")
def listener(target: Target, _for_all: Api, closed: str) -> Iterator[Listener]:
    """Where webhooks arrive; a case without one that the API reaches isn't compared."""
    with listening(os.environ.get(_LISTENER)) as listener:
        if not target.simulator and not _reaches(_for_all, closed, listener):
            pytest.skip(f"{Need.LISTENER.value}; it did not reach {listener.url}")
        yield listener


def _reaches(api: Api, instance: str, listener: Listener) -> bool:
    """Whether the API gets to the listener: it fetches the picture of a sticker before it sees that no phone is there.

    A webhook to nowhere would tell as well, but 2.2.3 tries that for minutes.
    """
    api.post(f"/message/sendSticker/{instance}", {"number": "5511999990001", "sticker": f"{listener.url}/sticker.png"})
    return bool(listener.pages)


@pytest.fixture(scope="session")
def paired(target: Target, request: pytest.FixtureRequest) -> Paired:
    """An instance with a phone: a simulated one, or the one that EVOLUTION_CONTRACT_PAIRED names."""
    if target.simulator:
        made: Paired = request.getfixturevalue("simulated_pair")
        return made
    api, name = Api(target), os.environ[_PAIRED]
    row: dict[str, Any] = api.row(name)
    assert row["connectionStatus"] == "open", f"the instance {name} of {_PAIRED} has no connection: {row['connectionStatus']}"
    return Paired(api, name, row["ownerJid"].partition("@")[0].partition(":")[0], row["ownerJid"])


@pytest.fixture
def name() -> str:
    """A name that no instance has."""
    return new_name()
