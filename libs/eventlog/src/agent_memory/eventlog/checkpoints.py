"""Checkpoints kept in Postgres, for readers whose data is there too."""

from agent_memory.eventlog.connect import Connections


class Checkpoints:
    """Named positions. A position never goes back."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def read(self, name: str) -> int:
        """The position up to which the reader of that name has done its work; 0 at first."""
        async with self._connections.connection() as connection:
            row = await (await connection.execute("SELECT position FROM checkpoints WHERE name = %s", (name,))).fetchone()
        return int(row[0]) if row else 0

    async def advance(self, name: str, position: int) -> None:
        """Moves forward; an older position changes nothing."""
        async with self._connections.connection() as connection:
            await connection.execute(
                "INSERT INTO checkpoints (name, position) VALUES (%s, %s) ON CONFLICT (name) DO UPDATE"
                " SET position = excluded.position, recorded_at = now() WHERE checkpoints.position < excluded.position",
                (name, position),
            )
