"""Free ports and taken ones. Everything listens on loopback unless a person says otherwise."""

import errno
import random
import socket
from collections import deque
from pathlib import Path

from agent_memory.embedded.errors import StackError

LOOPBACK = "127.0.0.1"
_LOWEST = 20_000
_TRIES = 200
_given: deque[int] = deque(maxlen=128)
"""Handed out lately. A port stays free until its owner listens, and two owners of one are not told apart by their health."""


def refusal(port: int, host: str = LOOPBACK) -> int:
    """0 when something could listen there now, else the kernel's error number."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            return error.errno or errno.EADDRNOTAVAIL
        return 0


def free_port(preferred: int = 0) -> int:
    """The preferred port when it is free, else a random free one.

    Not one that the kernel gives to outgoing connections: those are taken while a server restarts, and a client that
    tries again and again to reach one may end up connected to itself. Nor one that this process gave away a moment ago.
    """
    if preferred and refusal(preferred) == 0:
        _given.append(preferred)
        return preferred
    highest = min(_outgoing_from(), 32_768) - 1
    for _ in range(_TRIES if highest > _LOWEST else 0):
        port = random.randint(_LOWEST, highest)
        if port not in _given and refusal(port) == 0:
            _given.append(port)
            return port
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def free_ports(count: int) -> list[int]:
    """Different free ports."""
    found: set[int] = set()
    while len(found) < count:
        found.add(free_port())
    return list(found)


def require_free(port: int, variable: str, host: str = LOOPBACK) -> None:
    """Raises StackError naming the port and the variable that moves it."""
    match refusal(port, host):
        case 0:
            return
        case errno.EADDRINUSE:
            text, hint = f"port {port} is taken by another program", f"set {variable} to a free port, or stop what listens there"
        case errno.EACCES:
            text, hint = f"port {port} is not allowed for this user", f"set {variable} to a port above 1023"
        case _:
            name = "GRPC_HOST" if variable == "GRPC_PORT" else "HOST"
            text, hint = f"{name}={host} is not an address of this machine", "use 127.0.0.1, or 0.0.0.0 for every interface"
    raise StackError(text, hint=hint)


def _outgoing_from() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError):
        return 32_768
