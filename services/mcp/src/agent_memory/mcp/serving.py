"""The HTTP server around an application, from its socket to its end."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
import uvicorn.server
from starlette.types import ASGIApp

from agent_memory.runtime.settings import SettingsError

GRACE_SECONDS = 3
WAITING = 2_048


class Server(uvicorn.Server):
    """Stops on a signal by finishing what is in flight, and leaves the process to end by itself, with success."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Replaces uvicorn's own, which raises the signal once more when it is done."""
        loop = asyncio.get_running_loop()
        for number in uvicorn.server.HANDLED_SIGNALS:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in uvicorn.server.HANDLED_SIGNALS:
                loop.remove_signal_handler(number)


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises SettingsError naming what moves it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=WAITING)
    except OSError as error:
        why = f"{host}:{port} cannot be listened on: {error.strerror or error}"
        raise SettingsError(f"{why}; MCP_PORT (--port) and MCP_HOST (--host) say where else") from None


def server_of(app: ASGIApp) -> Server:
    """What answers until SIGTERM, SIGINT or its own `should_exit`, once it is told to `serve` on a socket that listens."""
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return Server(config)
