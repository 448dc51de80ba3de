"""Both doors from their start to their end: being told to stop, leaving, finishing what is in hand."""

import asyncio
from contextlib import AbstractContextManager, suppress
from socket import socket
from types import FrameType

import structlog
import uvicorn
import uvicorn.server
from litestar.types import ASGIApp

from agent_memory.gateway.edges.grpc.server import Door
from agent_memory.runtime.settings import Settings
from agent_memory.runtime.signals import told_by

GRACE_SECONDS = 10
"""How long what is in hand may take once nothing more is accepted: as long as a command may wait for its reply."""

CLOSE = (b"connection", b"close")

log = structlog.get_logger(__name__)


class Server(uvicorn.Server):
    """Answers HTTP until a signal, and stops in two steps; then the process ends by itself, with success.

    First it is leaving, for DRAIN_SECONDS: it answers all that comes, but says that it is not ready, and closes each connection
    with its answer, so that whoever sends requests here learns in time to send them elsewhere. A second signal ends this step.
    Then nothing more is accepted, and what is in hand is finished. The door `beside` it does the same; `leaving` is set from the
    signal on.
    """

    def __init__(self, app: ASGIApp, settings: Settings, beside: Door | None, leaving: asyncio.Event) -> None:
        config = uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            http="httptools",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        super().__init__(config)
        self._beside = beside
        self._leaving = leaving
        self._hurry = asyncio.Event()
        self._drain_seconds = settings.drain_seconds

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal came."""
        if self._leaving.is_set():
            self._hurry.set()
        else:
            self._leaving.set()
            # Of answers from now on, and of all that uvicorn makes of its configuration once a second.
            self.server_state.default_headers.append(CLOSE)
            self.config.encoded_headers.append(CLOSE)
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Leave, then let what is in flight finish, at both doors."""
        await self._leave()
        async with asyncio.TaskGroup() as stopping:
            stopping.create_task(super().shutdown(sockets))
            if self._beside is not None:
                stopping.create_task(self._beside.stop(GRACE_SECONDS))

    async def _leave(self) -> None:
        log.info("stopping", drain_seconds=self._drain_seconds)
        if self._beside is not None:
            await self._beside.leave()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._drain_seconds):
                await self._hurry.wait()

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]  # theirs is a generator's
        """Replaces uvicorn's own, which raises the signal once more when it is done."""
        return told_by(uvicorn.server.HANDLED_SIGNALS, self.handle_exit)
