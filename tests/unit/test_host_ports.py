"""What holds the host's ports, and whether an address is this machine's: looked at on real sockets."""

import errno
import socket
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import docker
import pulumi
import pytest

from stack import context, host_ports, ports
from stack.engine import Engine
from stack.naming import Naming
from stack.settings import load

NOT_OURS = "192.0.2.200"
"""For documentation (RFC 5737): no machine has it."""


def container(project: str, *bindings: tuple[str, int]) -> Mock:
    """A running container that publishes ports."""
    published = {f"{port}/tcp": [{"HostIp": address, "HostPort": str(port)}] for address, port in bindings}
    found = Mock(ports=published, labels={"com.docker.compose.project": project})
    found.name = f"{project}-app-1"
    return found


def engine_with(monkeypatch: pytest.MonkeyPatch) -> Engine:
    """This machine's engine, as far as its containers go."""
    client = Mock()
    client.api.base_url = "http+docker://localhost"
    client.containers.list.return_value = []
    client.api.containers.return_value = []
    monkeypatch.setattr(docker, "from_env", lambda **_: client)
    return Engine()


@pytest.fixture(params=["127.0.0.1", "::1"])
def listening(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    """A program that listens on loopback."""
    address = str(request.param)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.create_server((address, 0), family=family) as server:
            yield address, server.getsockname()[1]
    except OSError as error:
        if error.errno not in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
            raise
        pytest.skip("this machine has no IPv6")


def test_a_port_on_which_something_listens_is_not_free_on_that_address_nor_on_all(listening: tuple[str, int]) -> None:
    address, port = listening
    everywhere = "::" if ":" in address else "0.0.0.0"  # noqa: S104
    assert not host_ports.is_free(address, port)
    assert not host_ports.is_free(everywhere, port)


def test_a_port_is_free_on_another_address_of_the_machine() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert host_ports.is_free("127.0.0.2", server.getsockname()[1])


def test_a_port_that_only_root_may_have_is_free_for_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "bind", Mock(side_effect=PermissionError(errno.EACCES, "Permission denied")))
    assert host_ports.is_free("127.0.0.1", 80)


@pytest.mark.parametrize(("address", "here"), [("127.0.0.1", True), ("0.0.0.0", True), (NOT_OURS, False), ("2001:db8::200", False)])  # noqa: S104
def test_an_address_is_this_machines_or_not(address: str, here: bool) -> None:
    assert host_ports.is_here(address) is here


@pytest.mark.parametrize(
    ("held", "wanted", "in_the_way"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "192.168.1.10", False),
        ("0.0.0.0", "192.168.1.10", True),  # noqa: S104
        ("127.0.0.1", "0.0.0.0", True),  # noqa: S104
        ("0.0.0.0", "fd00::1", False),  # noqa: S104
        ("::", "fd00::1", True),
        ("", "fd00::1", True),
    ],
)
def test_a_container_is_in_the_way_only_where_the_addresses_meet(held: str, wanted: str, in_the_way: bool) -> None:
    assert (8000 in host_ports.holders([container("other", (held, 8000))], wanted)) is in_the_way


def test_an_address_of_another_machine_is_no_held_port(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (problem,) = ports.look(engine_with(monkeypatch), load(tmp_path, "dev", {"BIND_ADDRESS": NOT_OURS})).problems
    assert problem.startswith(f"BIND_ADDRESS: {NOT_OURS} is no address of this machine: give one that `ip address` shows")


def test_an_address_of_another_machine_stops_an_up_before_it_changes_anything(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    engine = engine_with(monkeypatch)
    monkeypatch.setattr(context, "Engine", lambda: engine)
    settings = load(tmp_path, "dev", {"BIND_ADDRESS": NOT_OURS})
    with pytest.raises(pulumi.RunError, match=f"BIND_ADDRESS: {NOT_OURS} is no address of this machine.* Nothing was changed"):
        context._checked_engine(settings, Naming(settings.project, settings.stack), tmp_path)


def test_the_addresses_of_an_engine_elsewhere_are_its_own_business(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_with(monkeypatch)
    engine.is_local = False
    assert not engine.address_problem(NOT_OURS)
