"""Connections to the log's database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from psycopg import AsyncConnection

CONNECT_TIMEOUT_SECONDS = 3


class Connections:
    """A few autocommit connections, made when needed and kept.

    A library's pool waits for Postgres to come back; a caller of this one is told at once that it is away (psycopg's
    OperationalError), because "503 now" is worth more to a client than "perhaps in a while".
    """

    def __init__(self, database_url: str, *, size: int = 4) -> None:
        self._url = database_url
        self._idle: list[AsyncConnection] = []
        self._slots = asyncio.Semaphore(size)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection]:
        """One connection for the time of the block. A broken one is not used again."""
        async with self._slots:
            connection = await self._take()
            try:
                yield connection
            finally:
                if connection.closed or connection.broken:
                    self._discard_idle()
                else:
                    self._idle.append(connection)

    async def close(self) -> None:
        """Closes what is idle."""
        while self._idle:
            await self._idle.pop().close()

    async def _take(self) -> AsyncConnection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed:
                return connection
        connection = await AsyncConnection.connect(
            self._url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_SECONDS, application_name="agent-memory"
        )
        connection.prepare_threshold = 0  # every statement here is one of a few and runs for ever: prepare it the first time
        return connection

    def _discard_idle(self) -> None:
        # one connection broke because the server went away, so the idle ones are dead too; the next use connects anew
        self._idle.clear()
