"""Answers of models by the hash of the request: asked once, kept before anything is made of them."""

import time

import psycopg

from agent_memory.contracts.errors import Unavailable
from agent_memory.eventlog.connect import Connections


class CompletionStore:
    """Raises Unavailable when Postgres cannot be reached."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def find(self, request_hash: bytes) -> bytes | None:
        """The answer as it was kept, JSON; None when the request was never answered."""
        try:
            async with self._connections.connection() as connection:
                cursor = await connection.execute("SELECT answer::text FROM completions WHERE request_hash = %b", (request_hash,))
                row = await cursor.fetchone()
        except (psycopg.OperationalError, psycopg.InterfaceError, OSError) as error:
            raise Unavailable(f"answers of models cannot be read ({type(error).__name__})") from error
        return row[0].encode() if row else None

    async def keep(self, request_hash: bytes, answer: bytes) -> bytes:
        """Remember an answer. Returns the one that stands: the first that was kept."""
        try:
            async with self._connections.connection() as connection:
                await connection.execute(
                    "INSERT INTO completions (request_hash, answer, recorded_ms) VALUES (%b, %s, %s) ON CONFLICT DO NOTHING",
                    (request_hash, answer.decode(), time.time_ns() // 1_000_000),
                )
        except (psycopg.OperationalError, psycopg.InterfaceError, OSError) as error:
            raise Unavailable(f"the answer of a model cannot be kept ({type(error).__name__})") from error
        return await self.find(request_hash) or answer
