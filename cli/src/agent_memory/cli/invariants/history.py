"""The log as it is read for a recount: stream by stream, so that no more than one stream is in memory at a time."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec

from agent_memory.cli.invariants.system import System
from agent_memory.contracts.codec import decode_event
from agent_memory.contracts.envelope import EventEnvelope
from agent_memory.contracts.events import AnyEvent
from agent_memory.contracts.records import Scope, escape

CHUNK = 2_000
_ROWS = """
    SELECT stream, version, type, tenant, namespace, user_id, scope, event_id, position, recorded_ms, data::text FROM events
"""
_SAMPLE = "SELECT DISTINCT stream FROM events WHERE position = ANY(%s)"
_TOUCHED = "SELECT DISTINCT stream, tenant, namespace, user_id FROM events WHERE position > %s"


class Row(msgspec.Struct, frozen=True):
    """One event of a stream, with the columns that name whose it is."""

    envelope: EventEnvelope
    event: AnyEvent
    scope_column: str | None
    event_id: str | None


class History(msgspec.Struct, frozen=True):
    """All events of one stream, oldest first."""

    stream: str
    rows: list[Row]


class Moved(msgspec.Struct, frozen=True):
    """What changed after a position: differences there only mean that a view is newer, or not there yet."""

    streams: frozenset[str]
    scopes: frozenset[str]
    tenants: frozenset[str]


async def histories(system: System, streams: Sequence[str] | None = None) -> AsyncIterator[History]:
    """Every stream of the log, or the given ones, in order of their names."""
    where, values = ("WHERE stream = ANY(%s)", (list(streams),)) if streams is not None else ("", None)
    rows: list[Row] = []
    async with system.log.cursor(name="recount") as cursor:
        cursor.itersize = CHUNK
        await cursor.execute(f"{_ROWS} {where} ORDER BY stream, version", values)
        async for columns in cursor:
            row = _row(columns)
            if rows and rows[0].envelope.stream != row.envelope.stream:
                yield History(rows[0].envelope.stream, rows)
                rows = []
            rows.append(row)
    if rows:
        yield History(rows[0].envelope.stream, rows)


async def sampled(system: System, positions: Sequence[int]) -> list[str]:
    """The streams that hold these positions."""
    return [row[0] for row in await (await system.log.execute(_SAMPLE, (list(positions),))).fetchall()]


async def moved_since(system: System, position: int) -> Moved:
    """What has changed after a position, up to this very moment."""
    rows = await (await system.now.execute(_TOUCHED, (position,))).fetchall()
    return Moved(
        streams=frozenset(row[0] for row in rows),
        scopes=frozenset(Scope(tenant=row[1], namespace=row[2], user_id=row[3]).path for row in rows),
        tenants=frozenset(escape(row[1]) for row in rows),
    )


def _row(columns: tuple[Any, ...]) -> Row:
    stream, version, type_, tenant, namespace, user_id, scope_column, event_id, position, recorded_ms, data = columns
    raw = msgspec.Raw(data.encode())
    envelope = EventEnvelope(
        position=position,
        stream=stream,
        version=version,
        type=type_,
        scope=Scope(tenant=tenant, namespace=namespace, user_id=user_id),
        recorded_ms=recorded_ms,
        data=raw,
    )
    return Row(envelope, decode_event(type_, raw), scope_column, event_id)
