"""What was said around some words, in the session that they are of."""

import msgspec

from agent_memory.contracts.codec import decode_event
from agent_memory.contracts.events import EventRecorded
from agent_memory.contracts.records import Scope, TimelineEvent
from agent_memory.contracts.streams import session_stream
from agent_memory.eventlog.reader import LogReader

MOST_WITHIN = 1_000
"""Most events that are read between the first and the last."""

_FOUND = 'type, data::text AS data, timestamp_ms, event_id FROM events WHERE stream = %s COLLATE "C" AND event_id IS NOT NULL'


class Around(msgspec.Struct, frozen=True, kw_only=True):
    """Events of one session in order of (timestamp_ms, event_id): from the first to the last asked for, and beside them."""

    before: tuple[TimelineEvent, ...] = ()
    within: tuple[TimelineEvent, ...] = ()
    after: tuple[TimelineEvent, ...] = ()


class NeighbourReader(LogReader):
    """Every method raises Unavailable when Postgres cannot be reached."""

    async def around(self, scope: Scope, session_id: str, first: str, last: str, *, before: int, after: int) -> Around:
        """The session's events from `first` to `last` (event ids), at most so many before and after them.

        Nothing when one of the two is not of the session.
        """
        stream = session_stream(scope, session_id)
        rows = await self._rows(
            "WITH low AS (SELECT timestamp_ms AS at, event_id AS id FROM events"
            "  WHERE scope = %s AND event_id = %s AND stream = %s),"
            " high AS (SELECT timestamp_ms AS at, event_id AS id FROM events"
            "  WHERE scope = %s AND event_id = %s AND stream = %s)"
            " SELECT 0, e.* FROM low, high, LATERAL"
            f" (SELECT {_FOUND} AND (timestamp_ms, event_id) < (low.at, low.id)"
            "  ORDER BY timestamp_ms DESC, event_id DESC LIMIT %s) e"
            " UNION ALL SELECT 1, e.* FROM low, high, LATERAL"
            f" (SELECT {_FOUND} AND (timestamp_ms, event_id) >= (low.at, low.id) AND (timestamp_ms, event_id) <= (high.at, high.id)"
            "  ORDER BY timestamp_ms, event_id LIMIT %s) e"
            " UNION ALL SELECT 2, e.* FROM low, high, LATERAL"
            f" (SELECT {_FOUND} AND (timestamp_ms, event_id) > (high.at, high.id) ORDER BY timestamp_ms, event_id LIMIT %s) e"
            " ORDER BY 1, 4, 5",
            (*(scope.path, first, stream), *(scope.path, last, stream), stream, before, stream, MOST_WITHIN, stream, after),
        )
        parts: tuple[list[TimelineEvent], ...] = ([], [], [])
        for part, type_, data, *_ in rows:
            event = decode_event(type_, data.encode())
            if isinstance(event, EventRecorded):
                parts[part].append(event.event)
        return Around(before=tuple(parts[0]), within=tuple(parts[1]), after=tuple(parts[2]))
