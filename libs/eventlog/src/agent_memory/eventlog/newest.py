"""Streams of which the newest event is the state: one of them, or all whose names begin alike."""

from collections.abc import Sequence
from typing import Any

import msgspec

from agent_memory.contracts.codec import decode_event
from agent_memory.contracts.events import AnyEvent
from agent_memory.eventlog.reader import LogReader

_FOUND = "e.stream, e.type, e.data::text, e.position"


class State(msgspec.Struct, frozen=True, kw_only=True):
    """Where a stream stands: its newest event, and at which log position that is."""

    stream: str
    event: AnyEvent
    position: int


class NewestReader(LogReader):
    """Every method raises Unavailable when Postgres cannot be reached."""

    async def newest(self, stream: str) -> AnyEvent | None:
        """The newest event of a stream."""
        found = await self.newest_of([stream])
        return found[0].event if found else None

    async def newest_of(self, streams: Sequence[str]) -> list[State]:
        """Where each of the streams stands, those without events left out."""
        rows = await self._rows(
            f"SELECT {_FOUND} FROM unnest(%s::text[]) AS wanted(stream) CROSS JOIN LATERAL"
            ' (SELECT * FROM events WHERE stream = wanted.stream COLLATE "C" ORDER BY version DESC LIMIT 1) e',
            (list(streams),),
        )
        return [_state(row) for row in rows]

    async def newest_under(self, prefix: str) -> list[State]:
        """Where every stream stands whose name begins with `prefix`, which ends in a slash; in order of their names.

        The index is skipped through from name to name: what it costs grows with the streams, not with their lengths.
        """
        rows = await self._rows(
            'WITH RECURSIVE bound AS (SELECT %s::text COLLATE "C" AS low, %s::text COLLATE "C" AS high),'
            " named AS ("
            "  SELECT (SELECT stream FROM events, bound WHERE stream >= low AND stream < high ORDER BY stream LIMIT 1) AS stream"
            "  UNION ALL"
            "  SELECT (SELECT e.stream FROM events e, bound WHERE e.stream > named.stream AND e.stream < high"
            "   ORDER BY e.stream LIMIT 1) FROM named WHERE named.stream IS NOT NULL"
            f") SELECT {_FOUND} FROM named CROSS JOIN LATERAL"
            " (SELECT * FROM events WHERE events.stream = named.stream ORDER BY version DESC LIMIT 1) e"
            " WHERE named.stream IS NOT NULL ORDER BY e.stream",
            (prefix, prefix[:-1] + "0"),  # "0" is what follows "/" in the order of bytes
        )
        return [_state(row) for row in rows]


def _state(row: tuple[Any, ...]) -> State:
    stream, type_, data, position = row
    return State(stream=stream, event=decode_event(type_, data.encode()), position=position)
