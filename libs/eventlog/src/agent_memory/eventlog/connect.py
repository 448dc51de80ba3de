"""Connections to the log's database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from psycopg import AsyncConnection, errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo

CONNECT_TIMEOUT_SECONDS = 3
LONGEST_SECONDS = 10.0
IDLE_IN_TRANSACTION_MS = 15_000
"""A writer that froze within a transaction holds up every other: the server ends it."""
NOTICING = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 30_000}
"""A host that vanished says nothing any more: after half a minute of that the connection counts as lost, not after two hours."""
NOTICED = ("tcp_keepalives_idle=10", "tcp_keepalives_interval=5", "tcp_keepalives_count=3")
"""The same for the server: what a host held that vanished, locks and connections, is free after half a minute."""


class Connections:
    """A few autocommit connections, made when needed and kept. `longest`: seconds that a block may take, answers included.

    A library's pool waits for Postgres to come back; a caller of this one is told at once that it is away (psycopg's
    OperationalError), because "503 now" is worth more to a client than "perhaps in a while". A server that accepts connections
    and does not answer counts as away as well: then TimeoutError is raised, which is an OSError.
    """

    def __init__(self, database_url: str, *, size: int = 4, longest: float | None = LONGEST_SECONDS) -> None:
        self._url = database_url
        self._longest = longest
        self._idle: list[AsyncConnection] = []
        self._slots = asyncio.Semaphore(size)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection]:
        """One connection for the time of the block. A broken one is not used again."""
        try:
            async with asyncio.timeout(self._longest), self._slots:
                connection, given_up = await self._take(), False
                try:
                    yield connection
                except errors.ReadOnlySqlTransaction:
                    # A standby, since a failover or until it: the same address may lead to the primary now.
                    await connection.close()
                    raise
                except asyncio.CancelledError:
                    # Whoever gave up, perhaps that timeout, an answer may still be on its way: nobody must take it for his own.
                    # Of the others it says nothing: were they closed too, callers who give up would make the next wait longer.
                    given_up = True
                    await connection.close()
                    raise
                finally:
                    if not (connection.closed or connection.broken):
                        self._idle.append(connection)
                    elif not given_up:
                        # It broke because the server went away, so the idle ones are dead too; the next use connects anew.
                        await self.close()
        except TimeoutError:
            await self.close()  # a server that does not answer on one does not on the others
            raise

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
            noticing(self._url, f"idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_MS}"),
            autocommit=True,
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            application_name="agent-memory",
        )
        connection.prepare_threshold = 0  # every statement here is one of a few and runs for ever: prepare it the first time
        return connection


def noticing(database_url: str, *settings: str) -> str:
    """How to connect so that each side notices when the other vanished, with settings of the server for this connection. What the
    URL itself says stands beside them.
    """
    asked: dict[str, Any] = {**NOTICING, **conninfo_to_dict(database_url)}
    asked["options"] = " ".join([*(f"-c {one}" for one in (*NOTICED, *settings)), asked.get("options", "")]).strip()
    return make_conninfo(**asked)
