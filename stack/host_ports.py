"""What holds the ports of this machine."""

import errno
import socket
from collections.abc import Iterable
from ipaddress import ip_address

from docker.models.containers import Container


def holders(running: Iterable[Container], address: str) -> dict[int, Container]:
    """The running containers by the host ports that they hold, as far as they are in the way of `address`."""
    found = {}
    for container in running:
        for bindings in (container.ports or {}).values():
            for binding in bindings or []:
                if _overlap(binding["HostIp"], address):
                    found[int(binding["HostPort"])] = container
    return found


def listener(port: int) -> str:
    """The process that listens on a port of this machine; nothing when it is another user's, whose sockets are not shown to us."""
    import psutil  # noqa: PLC0415 - only where something is wrong

    try:
        sockets = [each for each in psutil.net_connections("tcp") if each.status == psutil.CONN_LISTEN]
        owners = sorted({each.pid for each in sockets if getattr(each.laddr, "port", None) == port and each.pid is not None})
        return ", ".join(f"{psutil.Process(pid).name()}, process {pid}" for pid in owners)
    except psutil.Error:
        return ""


def is_free(address: str, port: int) -> bool:
    """Whether nothing listens on a port of this machine."""
    return _bind(address, port) != errno.EADDRINUSE


def is_here(address: str) -> bool:
    """Whether an address is one of this machine."""
    return _bind(address, 0) not in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


def _overlap(one: str, other: str) -> bool:
    """Whether one port can't be held on both addresses. Nothing at all, as the engine has it in places, stands for all addresses."""
    if not one or not other:
        return True
    first, second = ip_address(one), ip_address(other)
    return first.version == second.version and (first == second or first.is_unspecified or second.is_unspecified)


def _bind(address: str, port: int) -> int:
    """The number of the error with which a port can't be had; 0 when it can. One that this user may not have, the engine may."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as wanted:
            wanted.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            wanted.bind((address, port))
            wanted.listen(1)
    except OSError as error:
        return error.errno or 0
    return 0
