"""What was said, by event id."""

from collections.abc import Sequence

import psycopg

from agent_memory.contracts.codec import decode_event
from agent_memory.contracts.errors import Unavailable
from agent_memory.contracts.events import EventRecorded, NodeRevised
from agent_memory.contracts.records import Scope, TimelineEvent
from agent_memory.contracts.streams import node_stream
from agent_memory.contracts.toc import Revision
from agent_memory.eventlog.connect import Connections


class SaidReader:
    """Timeline events and what was written about them. Every method raises Unavailable when Postgres cannot be reached."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def events(self, scope: Scope, event_ids: Sequence[str]) -> dict[str, TimelineEvent]:
        """Those of the events that the scope has, by id."""
        rows = await self._rows(
            "SELECT type, data::text FROM events WHERE scope = %s AND event_id = ANY(%s)", (scope.path, list(event_ids))
        )
        found = [decode_event(type_, data.encode()) for type_, data in rows]
        return {one.event.event_id: one.event for one in found if isinstance(one, EventRecorded)}

    async def revision(self, scope: Scope, node_id: str, number: int) -> Revision | None:
        """The revision of a node with that number, from 1; None when there is none."""
        rows = await self._rows(
            "SELECT type, data::text FROM events WHERE stream = %s AND version = %s", (node_stream(scope, node_id), number)
        )
        event = decode_event(rows[0][0], rows[0][1].encode()) if rows else None
        return event.revision if isinstance(event, NodeRevised) else None

    async def _rows(self, query: str, values: Sequence[object]) -> list[tuple[str, str]]:
        try:
            async with self._connections.connection() as connection:
                return await (await connection.execute(query, values)).fetchall()
        except (psycopg.OperationalError, psycopg.InterfaceError, OSError) as error:
            raise Unavailable(f"the event log cannot be reached ({type(error).__name__}); try again") from error
