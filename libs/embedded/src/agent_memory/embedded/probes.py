"""Asking a process whether it works, over loopback or a Unix socket."""

import socket
from urllib.parse import urlsplit

SECONDS = 2.0


def is_healthy(health: str, seconds: float = SECONDS) -> bool:
    """Whether `health` (an http URL, or `unix:SOCKET`, asked for /health) answers 200."""
    try:
        with _connected(health, seconds) as connection:
            path = "/health" if health.startswith("unix:") else urlsplit(health).path
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            status = connection.makefile("rb").readline(1024).split()
    except OSError:
        return False
    return status[1:2] == [b"200"]


def _connected(health: str, seconds: float) -> socket.socket:
    if health.startswith("unix:"):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(seconds)
        try:
            connection.connect(health.removeprefix("unix:"))
        except OSError:
            connection.close()
            raise
        return connection
    address = urlsplit(health)
    return socket.create_connection((address.hostname or "127.0.0.1", address.port or 80), timeout=seconds)
