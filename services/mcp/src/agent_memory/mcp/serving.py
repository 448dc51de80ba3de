"""The HTTP server around an application, from its socket to its end."""

import socket
from contextlib import AbstractContextManager

import uvicorn
import uvicorn.server
from starlette.types import ASGIApp

from agent_memory.runtime.settings import SettingsError
from agent_memory.runtime.signals import told_by

GRACE_SECONDS = 3
WAITING = 2_048


class Server(uvicorn.Server):
    """Stops on a signal by finishing what is in flight, and leaves the process to end by itself, with success."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]  # theirs is a generator's
        """Replaces uvicorn's own, which raises the signal once more when it is done."""
        return told_by(uvicorn.server.HANDLED_SIGNALS, self.handle_exit)


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
