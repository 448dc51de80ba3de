"""How much of what the log holds, for whoever compares it with a view."""

from agent_memory.contracts.events import EventRecorded, MemoryForgotten
from agent_memory.contracts.upcasters import written_as
from agent_memory.eventlog.reader import LogReader


class CountReader(LogReader):
    """Goes through an index or a type: for jobs, not for requests. Every method raises Unavailable when Postgres is away."""

    async def memories(self) -> int:
        """Long-term memories that exist now, of all tenants."""
        rows = await self._rows(
            "SELECT count(*) FROM (SELECT DISTINCT ON (stream) type FROM events"
            " WHERE stream >= 'memory/' COLLATE \"C\" AND stream < 'memory0' COLLATE \"C\" ORDER BY stream, version DESC) newest"
            " WHERE type <> ALL(%s)",
            (sorted(written_as({MemoryForgotten.__name__})),),
        )
        return int(rows[0][0])

    async def events(self, since_ms: int | None = None) -> int:
        """Events of the timeline, of all tenants; those that happened from a time on, when one is given."""
        query = "SELECT count(*) FROM events WHERE event_id IS NOT NULL AND timestamp_ms >= coalesce(%s, timestamp_ms)"
        return int((await self._rows(query, (since_ms,)))[0][0])

    async def nodes_and_grips(self) -> int:
        """Nodes of the table of contents that something is written about, and the grips that they rest on, of all tenants."""
        rows = await self._rows(
            "SELECT coalesce(sum(1 + (SELECT count(DISTINCT grip ->> 'grip_id') FROM"
            " json_array_elements(coalesce(data -> 'revision' -> 'grips', '[]')) AS grip)), 0)"
            " FROM (SELECT DISTINCT ON (stream) data FROM events"
            " WHERE stream >= 'toc/' COLLATE \"C\" AND stream < 'toc0' COLLATE \"C\" ORDER BY stream, version DESC) newest"
            " WHERE NOT coalesce((data -> 'revision' ->> 'gone')::boolean, false)"
        )
        return int(rows[0][0])

    async def faint_texts(self, since_ms: int | None = None) -> list[str]:
        """Texts of those events, as above, that have no printable ASCII sign: empty, blank, or in another script."""
        rows = await self._rows(
            "SELECT coalesce(data -> 'event' ->> 'text', '') FROM events WHERE event_id IS NOT NULL AND type = ANY(%s)"
            " AND coalesce(data -> 'event' ->> 'text', '') !~ '[!-~]' AND timestamp_ms >= coalesce(%s, timestamp_ms)",
            (sorted(written_as({EventRecorded.__name__})), since_ms),
        )
        return [text for (text,) in rows]
