"""Reading the log: by position, by time, by stream, and what commands led to."""

import base64
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import psycopg
from psycopg import AsyncConnection

from agent_memory.contracts.codec import decode_event, decode_outcome
from agent_memory.contracts.envelope import EventEnvelope
from agent_memory.contracts.errors import Invalid, Unavailable
from agent_memory.contracts.events import EventRecorded, MemoryEdited, MemoryStored
from agent_memory.contracts.queries import GetEvents, ListSessions, MemoryFilters, TagFilter
from agent_memory.contracts.records import MAX_TIMESTAMP_MS, MIN_TIMESTAMP_MS, Scope, TimelineEvent
from agent_memory.contracts.replies import ReplyEnvelope
from agent_memory.contracts.streams import memory_stream, session_stream
from agent_memory.contracts.upcasters import written_as
from agent_memory.eventlog.connect import Connections
from agent_memory.eventlog.rows import SessionRow, StoredEvent

STORED_COLUMNS = "stream, version, type, data::text, position, recorded_ms"
ENVELOPE_COLUMNS = "position, stream, version, type, tenant, namespace, user_id, recorded_ms, data::text, metadata::text"

LIVING = "alive AND (expires_ms IS NULL OR expires_ms > extract(epoch FROM clock_timestamp()) * 1000)"


class SessionPage(msgspec.Struct, frozen=True):
    """A page of session ids, and how many there are in all."""

    session_ids: list[str]
    total: int


class EventPage(msgspec.Struct, frozen=True):
    """A page of timeline events with their log positions; `next_cursor` is None on the last page."""

    events: list[tuple[int, TimelineEvent]]
    next_cursor: str | None


class LogReader:
    """The log as everybody but its writer sees it. Every method raises Unavailable when Postgres cannot be reached."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._connections.connection() as connection:
                yield connection
        except (psycopg.OperationalError, psycopg.InterfaceError, OSError) as error:
            raise Unavailable(f"the event log cannot be reached ({type(error).__name__}); try again") from error

    async def _rows(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        try:
            return await self._rows_once(query, values)
        except Unavailable:
            # A connection that lay idle while Postgres restarted is found dead only when it is used.
            return await self._rows_once(query, values)

    async def _rows_once(self, query: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        async with self._connection() as connection:
            return await (await connection.execute(query, values)).fetchall()

    async def head(self) -> int:
        """Position of the newest committed event; 0 when the log is empty."""
        return int((await self._rows("SELECT position FROM log_head"))[0][0])

    async def after(
        self,
        position: int,
        *,
        up_to: int | None = None,
        limit: int = 500,
        types: Collection[str] | None = None,
        without: Collection[str] = (),
    ) -> list[EventEnvelope]:
        """Events with a position beyond the given one, in order, at most `limit`. `types`: of these types alone, under whatever
        tags they were written; `without`: all but those of these tags.
        """
        rows = await self._rows(
            f"SELECT {ENVELOPE_COLUMNS} FROM events WHERE position > %s AND position <= %s"
            " AND (%s::text[] IS NULL OR type = ANY(%s::text[])) AND type <> ALL(%s::text[]) ORDER BY position LIMIT %s",
            (
                position,
                2**62 if up_to is None else up_to,
                *[sorted(written_as(types)) if types is not None else None] * 2,
                sorted(without),
                limit,
            ),
        )
        return [envelope(row) for row in rows]

    async def these(self, positions: Sequence[int]) -> list[EventEnvelope]:
        """The events at the given positions, in order."""
        rows = await self._rows(
            f"SELECT {ENVELOPE_COLUMNS} FROM events WHERE position = ANY(%s) ORDER BY position", (list(positions),)
        )
        return [envelope(row) for row in rows]

    async def at(self, position: int) -> EventEnvelope | None:
        """The event at a position."""
        rows = await self._rows(f"SELECT {ENVELOPE_COLUMNS} FROM events WHERE position = %s", (position,))
        return envelope(rows[0]) if rows else None

    async def stream(self, stream: str) -> list[StoredEvent]:
        """All events of a stream, oldest first."""
        rows = await self._rows(f"SELECT {STORED_COLUMNS} FROM events WHERE stream = %s ORDER BY version", (stream,))
        return [StoredEvent(row[0], row[1], row[2], row[3].encode(), row[4], row[5]) for row in rows]

    async def memory_record(self, tenant: str, memory_id: str) -> tuple[bytes, int] | None:
        """A long-term memory as JSON, with the position it is current at; None when there is none or it was forgotten."""
        rows = await self._rows(
            "SELECT type, data::text, position FROM events WHERE stream = %s ORDER BY version DESC LIMIT 1",
            (memory_stream(tenant, memory_id),),
        )
        if not rows:
            return None
        event = decode_event(rows[0][0], rows[0][1].encode())
        if not isinstance(event, MemoryStored | MemoryEdited):
            return None
        return msgspec.json.encode(event.record), rows[0][2]

    async def sessions(self, query: ListSessions) -> SessionPage:
        """Sessions with a working memory that has not expired, newest first."""
        where = f"tenant = %s AND {LIVING}"
        values: list[object] = [query.tenant]
        for column, wanted in (("namespace", query.namespace), ("user_id", query.user_id)):
            if wanted is not None:
                where += f" AND {column} = %s"
                values.append(wanted)
        total = await self._rows(f"SELECT count(*) FROM sessions WHERE {where}", values)
        page = await self._rows(
            f"SELECT session_id FROM sessions WHERE {where} ORDER BY first_position DESC, stream LIMIT %s OFFSET %s",
            [*values, query.limit, query.offset],
        )
        return SessionPage([row[0] for row in page], int(total[0][0]))

    async def find_sessions(self, tenant: str, session_id: str, *, namespace: str | None, user_id: str | None) -> list[SessionRow]:
        """Living sessions of that id; None leaves namespace or user open. At most two: enough to see that it is ambiguous."""
        rows = await self._rows(
            f"SELECT {_SESSION_COLUMNS} FROM sessions"
            f" WHERE tenant = %s AND session_id = %s AND {LIVING}"
            " AND (%s::text IS NULL OR namespace = %s) AND (%s::text IS NULL OR user_id = %s) LIMIT 2",
            (tenant, session_id, namespace, namespace, user_id, user_id),
        )
        return [_session_row(row) for row in rows]

    async def living_sessions(self, tenant: str, filters: MemoryFilters, *, limit: int) -> tuple[list[SessionRow], int]:
        """The newest living sessions that filters by session, namespace and user may let pass, and how many there are in all."""
        where = f"tenant = %s AND {LIVING}"
        values: list[object] = [tenant]
        for column in ("session_id", "namespace", "user_id"):
            for condition, operand in _conditions(getattr(filters, column)):
                where += f" AND {condition.format(column=column)}"
                values += operand
        total = await self._rows(f"SELECT count(*) FROM sessions WHERE {where}", values)
        rows = await self._rows(
            f"SELECT {_SESSION_COLUMNS} FROM sessions WHERE {where} ORDER BY first_position DESC, stream LIMIT %s", [*values, limit]
        )
        return [_session_row(row) for row in rows], int(total[0][0])

    async def timeline(self, query: GetEvents) -> EventPage:
        """Events of one scope by time, both ends included, in order of (timestamp_ms, event_id)."""
        where = "scope = %s AND event_id IS NOT NULL"
        values: list[object] = [query.scope.path]
        if query.from_ms is not None:
            where, values = f"{where} AND timestamp_ms >= %s", [*values, query.from_ms]
        if query.to_ms is not None:
            where, values = f"{where} AND timestamp_ms <= %s", [*values, query.to_ms]
        if query.session_id is not None:
            where, values = f"{where} AND stream = %s", [*values, session_stream(query.scope, query.session_id)]
        if query.cursor is not None:
            timestamp_ms, event_id = decode_cursor(query.cursor)
            where, values = f"{where} AND (timestamp_ms, event_id) > (%s, %s)", [*values, timestamp_ms, event_id]
        rows = await self._rows(
            f"SELECT position, type, data::text FROM events WHERE {where} ORDER BY timestamp_ms, event_id LIMIT %s",
            [*values, query.limit + 1],
        )
        events = [(row[0], event.event) for row in rows[: query.limit] if isinstance(event := _decode(row), EventRecorded)]
        more = len(rows) > query.limit
        return EventPage(events, encode_cursor(events[-1][1]) if more and events else None)

    async def outcome(self, tenant: str, command_id: str) -> ReplyEnvelope | None:
        """How a command was answered, if it took effect."""
        rows = await self._rows("SELECT position, outcome::text FROM commands WHERE id = %s AND tenant = %s", (command_id, tenant))
        if not rows:
            return None
        return ReplyEnvelope(command_id=command_id, position=rows[0][0], reply=decode_outcome(rows[0][1].encode()))


_SESSION_COLUMNS = "stream, tenant, namespace, user_id, session_id, version, alive, expires_ms"


def _session_row(row: tuple[Any, ...]) -> SessionRow:
    return SessionRow(
        stream=row[0],
        scope=Scope(tenant=row[1], namespace=row[2], user_id=row[3]),
        session_id=row[4],
        version=row[5],
        alive=row[6],
        expires_ms=row[7],
    )


def _conditions(given: TagFilter | None) -> list[tuple[str, list[Any]]]:
    """What a filter asks of a column, where an empty string stands for nothing. All of it must hold."""
    if given is None:
        return []
    asked: list[tuple[str, object]] = [
        ("{column} = %s", given.eq),
        ("{column} <> %s", given.ne),
        ("{column} = ANY(%s)", given.any),
        ("{column} = ANY(%s)", given.all),
        ("{column} <> ALL(%s)", given.not_in),
        ("starts_with({column}, %s)", given.startswith),
    ]
    conditions: list[tuple[str, list[Any]]] = [(condition, [operand]) for condition, operand in asked if operand is not None]
    if given.none is not None:
        conditions.append(("{column} = ''" if given.none else "{column} <> ''", []))
    return conditions


def _decode(row: tuple[Any, ...]) -> object:
    return decode_event(row[1], row[2].encode())


def envelope(row: tuple[Any, ...]) -> EventEnvelope:
    """A row of `ENVELOPE_COLUMNS` as it travels on the bus."""
    position, stream, version, type_, tenant, namespace, user_id, recorded_ms, data, metadata = row
    cause = msgspec.json.decode(metadata)
    return EventEnvelope(
        position=position,
        stream=stream,
        version=version,
        type=type_,
        scope=Scope(tenant=tenant, namespace=namespace, user_id=user_id),
        recorded_ms=recorded_ms,
        data=msgspec.Raw(data.encode()),
        correlation_id=cause.get("correlation_id", ""),
        causation_id=cause.get("causation_id", ""),
        traceparent=cause.get("traceparent", ""),
    )


STRANGE_CURSOR = "cursor is not one that a page of this listing gave out"


def encode_cursor(event: TimelineEvent) -> str:
    """An opaque mark after the given event."""
    return base64.urlsafe_b64encode(msgspec.json.encode((event.timestamp_ms, event.event_id))).decode()


def decode_cursor(cursor: str) -> tuple[int, str]:
    """What `encode_cursor` made. Raises Invalid for anything else."""
    try:
        mark: tuple[int, str] = msgspec.json.decode(base64.urlsafe_b64decode(cursor.encode()), type=tuple[int, str])
    except (ValueError, msgspec.MsgspecError) as error:
        raise Invalid(STRANGE_CURSOR, field="cursor") from error
    if not MIN_TIMESTAMP_MS <= mark[0] <= MAX_TIMESTAMP_MS or "\0" in mark[1]:
        raise Invalid(STRANGE_CURSOR, field="cursor")
    return mark
