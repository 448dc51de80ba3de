"""The log as background work reads it: some versions of a stream, what was said before them, how much there is."""

from collections.abc import Sequence

from agent_memory.contracts.upcasters import written_as
from agent_memory.eventlog.reader import STORED_COLUMNS, LogReader
from agent_memory.eventlog.rows import StoredEvent


class HistoryReader(LogReader):
    """Every method raises Unavailable when Postgres cannot be reached."""

    async def version(self, stream: str) -> int:
        """The newest version of a stream; 0 when it has no events."""
        rows = await self._rows("SELECT coalesce(max(version), 0) FROM events WHERE stream = %s", (stream,))
        return int(rows[0][0])

    async def versions(self, stream: str, versions: Sequence[int]) -> list[StoredEvent]:
        """The events of a stream at the given versions, oldest first."""
        rows = await self._rows(
            f"SELECT {STORED_COLUMNS} FROM events WHERE stream = %s AND version = ANY(%s) ORDER BY version",
            (stream, list(versions)),
        )
        return [_stored(row) for row in rows]

    async def before(self, stream: str, version: int, *, type_: str, limit: int) -> list[StoredEvent]:
        """The last events of one type before a version, oldest first."""
        rows = await self._rows(
            f"SELECT {STORED_COLUMNS} FROM events WHERE stream = %s AND version < %s AND type = ANY(%s)"
            " ORDER BY version DESC LIMIT %s",
            (stream, version, sorted(written_as({type_})), limit),
        )
        return [_stored(row) for row in reversed(rows)]

    async def sizes(self, streams: Sequence[str], types: Sequence[str]) -> dict[str, int]:
        """Bytes of all that was recorded in streams by events of these types."""
        rows = await self._rows(
            "SELECT stream, sum(octet_length(data::text)) FROM events WHERE stream = ANY(%s) AND type = ANY(%s) GROUP BY stream",
            (list(streams), sorted(written_as(types))),
        )
        return {row[0]: int(row[1]) for row in rows}

    async def recorded_as(self, stream: str, scope_path: str, event_ids: Sequence[str]) -> set[str]:
        """Which of the event ids are of events in this stream."""
        rows = await self._rows(
            "SELECT event_id FROM events WHERE scope = %s AND event_id = ANY(%s) AND stream = %s",
            (scope_path, list(event_ids), stream),
        )
        return {row[0] for row in rows}


def _stored(row: tuple[str, int, str, str, int, int]) -> StoredEvent:
    return StoredEvent(row[0], row[1], row[2], row[3].encode(), row[4], row[5])
