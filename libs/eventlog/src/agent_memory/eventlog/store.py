"""Appending to the log and loading what decisions need. The only code that writes events.

Positions come from the one row of `log_head`, updated in the appending transaction: its row lock makes appending
transactions queue until commit, so positions are handed out in commit order, without gaps, whoever writes. Readers need
no fence of their own, and the bus can tell a missing entry by arithmetic.
"""

import re
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

import msgspec
import psycopg
from psycopg import AsyncConnection, errors

from agent_memory.contracts.codec import encode
from agent_memory.contracts.records import Scope
from agent_memory.eventlog.connect import Connections
from agent_memory.eventlog.rows import (
    Batch,
    CommandOutcome,
    Duplicate,
    LogUnavailable,
    NewEvent,
    SessionRow,
    Snapshot,
    StoredEvent,
    Unwritable,
)

# One statement, one round trip, and Postgres reads the batch as JSON: taking rows apart into parameters costs a Python
# process several times what it costs Postgres to parse them. `data` and `metadata`, nine tenths of the bytes, stand beside the
# records, joined by a character that JSON cannot hold, so that they are parsed once and not three times. Every part reads `head`
# first, so the row lock comes before any other lock and two appenders cannot wait for each other.
SEPARATOR = b"\x1e"
APPEND = """
    WITH head AS (UPDATE log_head SET position = position + %(count)b RETURNING position - %(count)b AS base),
    recorded AS (
        INSERT INTO events (position, stream, version, type, tenant, namespace, user_id, scope, event_id, timestamp_ms, data,
                            metadata, recorded_ms)
        SELECT base + r.n, r.stream, r.version, r.type, r.tenant, r.namespace, r.user_id, r.scope, r.event_id, r.timestamp_ms,
               r.data::json, r.metadata::json, %(recorded_ms)b
        FROM head, ROWS FROM (
            json_to_recordset(%(events)s::json) AS (stream text, version int, type text, tenant text, namespace text,
                                                    user_id text, scope text, event_id text, timestamp_ms bigint),
            string_to_table(%(data)s, E'\\x1e'),
            string_to_table(%(metadata)s, E'\\x1e')
        ) WITH ORDINALITY
             AS r(stream, version, type, tenant, namespace, user_id, scope, event_id, timestamp_ms, data, metadata, n)
    ),
    commanded AS (
        INSERT INTO commands (id, tenant, idempotency_key, fingerprint, position, outcome, recorded_ms)
        SELECT r.id, r.tenant, r.idempotency_key, r.fingerprint, base + r.position, r.outcome, %(recorded_ms)b
        FROM head, json_to_recordset(%(commands)s::json) AS r(id text, tenant text, idempotency_key text, fingerprint text,
             position int, outcome json)
    ),
    moved AS (
        INSERT INTO sessions (stream, tenant, namespace, user_id, session_id, first_position, version, alive, expires_ms)
        SELECT r.stream, r.tenant, r.namespace, r.user_id, r.session_id, base + r.first_event, r.version, r.alive, r.expires_ms
        FROM head, json_to_recordset(%(sessions)s::json) AS r(stream text, tenant text, namespace text, user_id text,
             session_id text, first_event int, version int, alive boolean, expires_ms bigint)
        ON CONFLICT (stream) DO UPDATE SET version = excluded.version, alive = excluded.alive, expires_ms = excluded.expires_ms
    )
    SELECT base FROM head
"""
_CLAIMS = "json_to_recordset(%(claims)s::json) AS c(kind text, tenant text, memory_hash text, memory_id text, held_by text)"
_SAME = "claims.tenant = c.tenant AND claims.memory_hash = c.memory_hash"
APPEND_WITH_CLAIMS = (
    APPEND.removesuffix("    SELECT base FROM head\n").rstrip()
    + f""",
    claimed AS (
        INSERT INTO claims (tenant, memory_hash, memory_id)
        SELECT c.tenant, c.memory_hash, c.memory_id FROM head, {_CLAIMS} WHERE c.kind = 'insert'
    ),
    offered AS (
        INSERT INTO claims (tenant, memory_hash, memory_id)
        SELECT c.tenant, c.memory_hash, c.memory_id FROM head, {_CLAIMS} WHERE c.kind = 'offer'
        ON CONFLICT DO NOTHING
    ),
    handed_over AS (
        UPDATE claims SET memory_id = c.memory_id FROM head, {_CLAIMS}
        WHERE c.kind = 'move' AND {_SAME} AND claims.memory_id = c.held_by
    ),
    released AS (
        DELETE FROM claims USING head, {_CLAIMS} WHERE c.kind = 'delete' AND {_SAME} AND claims.memory_id = c.memory_id
    ),
    dropped AS (
        DELETE FROM claims USING head, {_CLAIMS}
        WHERE c.kind = 'drop' AND claims.tenant = c.tenant AND claims.memory_id = c.memory_id
        AND NOT EXISTS (SELECT FROM {_CLAIMS.replace(" AS c(", " AS m(")} WHERE m.kind = 'move' AND m.tenant = claims.tenant
                        AND m.memory_hash = claims.memory_hash)
    )
    SELECT base FROM head
"""
)
"""Apart, because most batches change no claims, and a longer statement costs each of them."""
NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
UPSERT_SNAPSHOT = """
    INSERT INTO snapshots (stream, version, state) VALUES (%s, %s, %s)
    ON CONFLICT (stream) DO UPDATE SET version = excluded.version, state = excluded.state
"""
LATEST = """
    SELECT e.stream, e.version, e.type, e.data::text, e.position, e.recorded_ms FROM unnest(%s::text[]) AS wanted(stream)
    CROSS JOIN LATERAL (
        SELECT * FROM events WHERE events.stream = wanted.stream ORDER BY version DESC LIMIT 1
    ) AS e
"""


class EventStore:
    """The log as its writer sees it. `connections` lead to a migrated database."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def append(self, batch: Batch, recorded_ms: int) -> int:
        """Writes the batch in one transaction and returns the position of its first event (or the head when it has none).

        Raises Duplicate (nothing written), Unwritable (nothing written) or LogUnavailable.
        """
        if batch.snapshots:
            async with self.exclusive() as writing:
                return await writing.append(batch, recorded_ms)
        async with self._translated(), self._connections.connection() as connection:
            return await Writing(connection).append(batch, recorded_ms)

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator["Writing"]:
        """A transaction in which nobody else appends until it ends, so what it loads cannot be out of date."""
        async with self._translated(), self._connections.connection() as connection, connection.transaction():
            await connection.execute("SELECT position FROM log_head FOR UPDATE")
            yield Writing(connection)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator["Writing"]:
        """A connection for loading, without a transaction. Raises LogUnavailable."""
        async with self._translated(), self._connections.connection() as connection:
            yield Writing(connection)

    @asynccontextmanager
    async def _translated(self) -> AsyncIterator[None]:
        try:
            yield
        except errors.UniqueViolation as error:
            raise Duplicate(error.diag.constraint_name or "unknown") from error
        except errors.ReadOnlySqlTransaction as error:
            # The connection leads to a standby, as during a failover: nothing is wrong with the batch.
            raise LogUnavailable(f"Postgres takes no writes: {error.diag.message_primary or error}") from error
        except (errors.IdleInTransactionSessionTimeout, errors.TransactionTimeout) as error:
            # The process or its machine stood still within a transaction, and the server ended it.
            raise LogUnavailable(f"Postgres: {type(error).__name__}: {error}") from error
        except (errors.UndefinedTable, errors.UndefinedColumn, errors.InsufficientPrivilege) as error:
            # Not migrated yet, or a right is missing: nothing is wrong with the batch, and the next would fare no better.
            raise LogUnavailable(f"Postgres is not as this version needs it: {error.diag.message_primary or error}") from error
        except (errors.DataError, errors.IntegrityError, errors.ProgramLimitExceeded) as error:
            raise Unwritable(str(error.diag.message_primary or error)) from error
        except (psycopg.OperationalError, psycopg.InterfaceError, OSError) as error:
            raise LogUnavailable(f"Postgres: {type(error).__name__}: {error}") from error


class Writing:
    """What can be done on one connection of the log."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def append(self, batch: Batch, recorded_ms: int) -> int:
        """Writes the batch; returns the position of its first event."""
        cursor = await self._connection.execute(APPEND_WITH_CLAIMS if batch.claims else APPEND, parameters(batch, recorded_ms))
        row = await cursor.fetchone()
        assert row is not None, "log_head has lost its row"
        if batch.snapshots:
            rows = [(snapshot.stream, snapshot.version, snapshot.state) for snapshot in batch.snapshots]
            await self._connection.cursor().executemany(UPSERT_SNAPSHOT, rows)
        return int(row[0]) + 1

    async def sessions(self, streams: Sequence[str]) -> dict[str, SessionRow]:
        """Where the given sessions stand; those that never were are missing."""
        cursor = await self._connection.execute(
            "SELECT stream, tenant, namespace, user_id, session_id, version, alive, expires_ms FROM sessions"
            " WHERE stream = ANY(%s)",
            (list(streams),),
        )
        return {row[0]: _session(row) for row in await cursor.fetchall()}

    async def snapshots(self, streams: Sequence[str]) -> dict[str, Snapshot]:
        """The newest snapshot of each of the given streams that has one."""
        cursor = await self._connection.execute(
            "SELECT stream, version, state FROM snapshots WHERE stream = ANY(%s)", (list(streams),)
        )
        return {row[0]: Snapshot(stream=row[0], version=row[1], state=bytes(row[2])) for row in await cursor.fetchall()}

    async def stream(self, stream: str, after_version: int = 0) -> list[StoredEvent]:
        """The events of a stream beyond a version, oldest first."""
        cursor = await self._connection.execute(
            "SELECT stream, version, type, data::text, position, recorded_ms FROM events"
            " WHERE stream = %s AND version > %s ORDER BY version",
            (stream, after_version),
        )
        return [_stored(row) for row in await cursor.fetchall()]

    async def latest(self, streams: Sequence[str]) -> dict[str, StoredEvent]:
        """The newest event of each of the given streams; enough where events carry the full record."""
        cursor = await self._connection.execute(LATEST, (list(streams),))
        return {row[0]: _stored(row) for row in await cursor.fetchall()}

    async def taken(self, ids: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """Of the given (scope path, event id) those that are recorded, with the stream that holds them."""
        pairs = list(ids)
        cursor = await self._connection.execute(
            "SELECT e.scope, e.event_id, e.stream FROM unnest(%s::text[], %s::text[]) AS wanted(scope, event_id)"
            " JOIN events e ON e.scope = wanted.scope AND e.event_id = wanted.event_id",
            ([scope for scope, _ in pairs], [event_id for _, event_id in pairs]),
        )
        return {(row[0], row[1]): row[2] for row in await cursor.fetchall()}

    async def said(self, ids: Iterable[tuple[str, str]]) -> dict[tuple[str, str], tuple[str, str]]:
        """Of the given (scope path, event id) those that are recorded, with their stream and text."""
        pairs = list(ids)
        cursor = await self._connection.execute(
            "SELECT e.scope, e.event_id, e.stream, e.data->'event'->>'text'"
            " FROM unnest(%s::text[], %s::text[]) AS wanted(scope, event_id)"
            " JOIN events e ON e.scope = wanted.scope AND e.event_id = wanted.event_id",
            ([scope for scope, _ in pairs], [event_id for _, event_id in pairs]),
        )
        return {(row[0], row[1]): (row[2], row[3] or "") for row in await cursor.fetchall()}

    async def claims(self, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """Of the given (tenant, memory hash) those that a memory stands for, with its id."""
        pairs = list(wanted)
        cursor = await self._connection.execute(
            "SELECT c.tenant, c.memory_hash, c.memory_id FROM unnest(%s::text[], %s::text[]) AS wanted(tenant, memory_hash)"
            " JOIN claims c ON c.tenant = wanted.tenant AND c.memory_hash = wanted.memory_hash",
            ([tenant for tenant, _ in pairs], [memory_hash for _, memory_hash in pairs]),
        )
        return {(row[0], row[1]): row[2] for row in await cursor.fetchall()}

    async def outcomes(self, ids: Sequence[str], keys: Sequence[tuple[str, str]]) -> list[CommandOutcome]:
        """What is recorded of commands with these ids or these (tenant, idempotency key)."""
        cursor = await self._connection.execute(
            "SELECT id, tenant, outcome::text, idempotency_key, fingerprint, position FROM commands WHERE id = ANY(%s)"
            " UNION SELECT c.id, c.tenant, c.outcome::text, c.idempotency_key, c.fingerprint, c.position"
            " FROM unnest(%s::text[], %s::text[]) AS wanted(tenant, key)"
            " JOIN commands c ON c.tenant = wanted.tenant AND c.idempotency_key = wanted.key",
            (list(ids), [tenant for tenant, _ in keys], [key for _, key in keys]),
        )
        return [
            CommandOutcome(
                id=row[0], tenant=row[1], outcome=row[2].encode(), idempotency_key=row[3], fingerprint=row[4], position=row[5]
            )
            for row in await cursor.fetchall()
        ]


def parameters(batch: Batch, recorded_ms: int) -> dict[str, object]:
    """What `APPEND` is executed with. Raises Unwritable for a NUL character."""
    return {
        "count": len(batch.events),
        "recorded_ms": recorded_ms,
        "events": encode([_event(event) for event in batch.events]).decode(),
        "data": _joined([event.data for event in batch.events]),
        "metadata": _joined([event.metadata for event in batch.events]),
        "commands": encode([_command(command) for command in batch.commands]).decode(),
        "sessions": encode([_session_row(session) for session in batch.sessions]).decode(),
        **({"claims": encode(batch.claims).decode()} if batch.claims else {}),
    }


def _joined(documents: Sequence[bytes]) -> str:
    """Documents one after the other. What is not JSON makes rows that Postgres refuses: it is not, or there are too many."""
    joined = SEPARATOR.join(documents)
    if b"\\u0000" in joined and NUL.search(joined):
        raise Unwritable("NUL characters cannot be stored")
    return joined.decode()


def _event(event: NewEvent) -> dict[str, object]:
    scope = event.scope
    return {
        "stream": event.stream,
        "version": event.version,
        "type": event.type,
        "tenant": scope.tenant,
        "namespace": scope.namespace,
        "user_id": scope.user_id,
        "scope": None if event.event_id is None else scope.path,
        "event_id": event.event_id,
        "timestamp_ms": event.timestamp_ms,
    }


def _command(command: CommandOutcome) -> dict[str, object]:
    return {
        "id": command.id,
        "tenant": command.tenant,
        "idempotency_key": command.idempotency_key or None,
        "fingerprint": command.fingerprint,
        "position": command.position,
        "outcome": msgspec.Raw(command.outcome),
    }


def _session_row(session: SessionRow) -> dict[str, object]:
    return {
        "stream": session.stream,
        "tenant": session.scope.tenant,
        "namespace": session.scope.namespace,
        "user_id": session.scope.user_id,
        "session_id": session.session_id,
        "first_event": session.first_event,
        "version": session.version,
        "alive": session.alive,
        "expires_ms": session.expires_ms,
    }


def _session(row: tuple[object, ...]) -> SessionRow:
    stream, tenant, namespace, user_id, session_id, version, alive, expires_ms = row
    return SessionRow(
        stream=str(stream),
        scope=Scope(tenant=str(tenant), namespace=str(namespace), user_id=str(user_id)),
        session_id=str(session_id),
        version=version,  # type: ignore[arg-type]
        alive=alive,  # type: ignore[arg-type]
        expires_ms=expires_ms,  # type: ignore[arg-type]
    )


def _stored(row: tuple[object, ...]) -> StoredEvent:
    stream, version, type_, data, position, recorded_ms = row
    return StoredEvent(str(stream), version, str(type_), str(data).encode(), position, recorded_ms)  # type: ignore[arg-type]
