"""What the log says about the past of things, and about many memories at once."""

from collections.abc import Sequence

import msgspec

from agent_memory.contracts.codec import decode_event
from agent_memory.contracts.envelope import EventEnvelope
from agent_memory.contracts.events import MemoryEdited, MemoryStored
from agent_memory.contracts.records import Scope
from agent_memory.contracts.streams import memory_stream
from agent_memory.contracts.upcasters import written_as
from agent_memory.eventlog.reader import ENVELOPE_COLUMNS, LogReader, envelope
from agent_memory.eventlog.rows import KnownMemory

_NONE: tuple[frozenset[str], frozenset[str]] = frozenset(), frozenset()


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A session by its stream, and whose it is."""

    stream: str
    scope: Scope


class MemoryLog(LogReader):
    """The log as whoever asks about the past sees it. Every method raises Unavailable when Postgres cannot be reached."""

    async def history(self, stream: str) -> list[EventEnvelope]:
        """All events of a stream, oldest first, with their causes."""
        rows = await self._rows(f"SELECT {ENVELOPE_COLUMNS} FROM events WHERE stream = %s ORDER BY version", (stream,))
        return [envelope(row) for row in rows]

    async def memories(self, tenant: str, memory_ids: Sequence[str], *, causes: bool = False) -> dict[str, KnownMemory]:
        """Those of the memories that exist now, by id; with `causes`, also which commands made them so."""
        streams = [memory_stream(tenant, memory_id) for memory_id in dict.fromkeys(memory_ids)]
        newest = await self._rows(
            "SELECT newest.* FROM unnest(%s::text[]) AS wanted (stream), LATERAL ("
            " SELECT stream, version, type, data::text, position FROM events WHERE events.stream = wanted.stream"
            " ORDER BY version DESC LIMIT 1) AS newest",
            (streams,),
        )
        known = await self._causes(streams) if causes else {}
        found = {}
        for stream, version, kind, data, position in newest:
            event = decode_event(kind, data.encode())
            if isinstance(event, MemoryStored | MemoryEdited):
                stored_by, parted_by = known.get(stream, _NONE)
                found[event.record.id] = KnownMemory(
                    record=event.record, version=version, position=position, stored_by=stored_by, parted_by=parted_by
                )
        return found

    async def _causes(self, streams: Sequence[str]) -> dict[str, tuple[frozenset[str], frozenset[str]]]:
        stored = written_as({MemoryStored.__name__})
        rows = await self._rows(
            "SELECT stream, type, metadata ->> 'causation_id', data ->> 'reason' FROM events WHERE stream = ANY(%s) AND"
            " (type = ANY(%s) OR (type = ANY(%s) AND data ->> 'reason' = 'unmerged'))",
            (list(streams), sorted(stored), sorted(written_as({MemoryEdited.__name__}))),
        )
        found: dict[str, tuple[frozenset[str], frozenset[str]]] = {}
        for stream, kind, command, reason in rows:
            stored_by, parted_by = found.get(stream, _NONE)
            named = frozenset({command} if command else ())
            stored_by = stored_by | named if kind in stored else stored_by
            found[stream] = stored_by, parted_by | named if reason == "unmerged" else parted_by
        return found

    async def sessions_ever(self, tenant: str, session_id: str, *, namespace: str | None, user_id: str | None) -> list[Place]:
        """Sessions of that id, whether they still have a working memory or not; None leaves namespace or user open. At most two."""
        rows = await self._rows(
            "SELECT stream, tenant, namespace, user_id FROM sessions WHERE tenant = %s AND session_id = %s"
            " AND (%s::text IS NULL OR namespace = %s) AND (%s::text IS NULL OR user_id = %s) LIMIT 2",
            (tenant, session_id, namespace, namespace, user_id, user_id),
        )
        return [Place(stream=row[0], scope=Scope(tenant=row[1], namespace=row[2], user_id=row[3])) for row in rows]
