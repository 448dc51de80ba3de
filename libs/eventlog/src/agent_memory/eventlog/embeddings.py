"""Vectors by (model, content hash): computed once, kept with the log, so that a rebuild costs no model call."""

from collections.abc import Mapping, Sequence

import psycopg

from agent_memory.contracts.errors import Unavailable
from agent_memory.eventlog.connect import Connections


class EmbeddingStore:
    """Raises Unavailable when Postgres cannot be reached."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def find(self, model: str, hashes: Sequence[bytes]) -> dict[bytes, bytes]:
        """The vectors that are known, float32 little-endian."""
        try:
            async with self._connections.connection() as connection:
                cursor = connection.cursor(binary=True)
                await cursor.execute(
                    "SELECT content_hash, vector FROM embeddings WHERE model = %s AND content_hash = ANY(%s)", (model, list(hashes))
                )
                return {bytes(row[0]): bytes(row[1]) for row in await cursor.fetchall()}
        except (psycopg.OperationalError, OSError) as error:
            raise Unavailable(f"stored embeddings cannot be read ({type(error).__name__})") from error

    async def keep(self, model: str, vectors: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
        """Remembers vectors, and returns those that are known from now on: who was first is believed.

        Two who compute the vector of one text at a time get two that differ in their last digits. Sorted, so that two keepers
        never lock each other out.
        """
        rows = [(model, digest, vectors[digest]) for digest in sorted(vectors)]
        try:
            async with self._connections.connection() as connection, connection.transaction():
                cursor = connection.cursor()
                await cursor.executemany(
                    "INSERT INTO embeddings (model, content_hash, vector) VALUES (%s, %b, %b) ON CONFLICT DO NOTHING", rows
                )
        except (psycopg.OperationalError, OSError) as error:
            raise Unavailable(f"embeddings cannot be stored ({type(error).__name__})") from error
        if cursor.rowcount == len(rows):
            return dict(vectors)
        return {**vectors, **await self.find(model, list(vectors))}
