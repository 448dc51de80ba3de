"""A bundle into the log: all of it in one transaction, or nothing. Doing it again changes nothing.

Events get the next positions of this log, in the order of the bundle. A stream that is here already must be the beginning of that
of the bundle, or the other way round; what is new of it is added. Only what was written about the table of contents may differ:
then that of this log stays.
"""

from collections.abc import AsyncIterator
from typing import Any

import psycopg
from psycopg import AsyncConnection, errors

from agent_memory.contracts.bundles import Restored, without_tenant
from agent_memory.contracts.errors import Conflict, Refused, Unavailable
from agent_memory.eventlog.bundle_staging import Staging

SHOWN = 5

BEFORE = "SELECT s.stream, greatest(s.version, c.version) FROM staged_sessions s JOIN sessions c USING (stream)"
DIFFERENT = """
    CREATE TEMPORARY TABLE different AS
    SELECT s.stream, min(s.version) AS version FROM staged_events s JOIN events e ON e.stream = s.stream AND e.version = s.version
    WHERE e.type <> s.type OR e.recorded_ms <> s.recorded_ms OR e.data::text <> s.data::text GROUP BY s.stream
"""
HELD_ELSEWHERE = """
    INSERT INTO different SELECT s.stream, min(s.version) FROM staged_events s
    JOIN events e ON e.scope = s.scope AND e.event_id = s.event_id AND e.stream <> s.stream
    WHERE s.event_id IS NOT NULL AND s.stream NOT IN (SELECT stream FROM different) GROUP BY s.stream
"""
CONFLICTS = "SELECT stream, version, count(*) OVER () FROM different WHERE NOT starts_with(stream, 'toc/') ORDER BY stream LIMIT %s"
KEPT = "DELETE FROM staged_events s USING different d WHERE s.stream = d.stream"
KNOWN = "DELETE FROM staged_events s USING events e WHERE e.stream = s.stream AND e.version = s.version"
ELSEWHERE = """
    SELECT s.event_id, s.stream, count(*) OVER () FROM staged_events s
    JOIN events e ON e.scope = s.scope AND e.event_id = s.event_id WHERE s.event_id IS NOT NULL LIMIT %s
"""
DONE_BEFORE = "DELETE FROM staged_commands c WHERE NOT EXISTS (SELECT FROM staged_events s WHERE s.cause = c.id)"
TAKEN = "SELECT s.id, s.id, count(*) OVER () FROM staged_commands s JOIN commands c USING (id) LIMIT %s"
# A key that stands for another request here goes on doing so.
FREE_KEYS = """
    UPDATE staged_commands s SET idempotency_key = NULL FROM commands c
    WHERE c.tenant = %(tenant)s AND c.idempotency_key = s.idempotency_key
"""
PLACES = """
    CREATE TEMPORARY TABLE places AS SELECT n, cause, stream, row_number() OVER (ORDER BY n) AS place FROM staged_events
"""
PREPARE = ("ANALYZE staged_events", "ANALYZE staged_commands", PLACES, "ANALYZE places")
MOVE_HEAD = "UPDATE log_head SET position = position + (SELECT count(*) FROM places) RETURNING position"
EVENTS = """
    INSERT INTO events (position, stream, version, type, tenant, namespace, user_id, scope, event_id, timestamp_ms, data, metadata,
                        recorded_ms)
    SELECT %(base)s + p.place, s.stream, s.version, s.type, %(tenant)s, s.namespace, s.user_id, s.scope, s.event_id, s.timestamp_ms,
           s.data, s.metadata, s.recorded_ms
    FROM staged_events s JOIN places p USING (n) ORDER BY p.place
"""
COMMANDS = """
    INSERT INTO commands (id, tenant, idempotency_key, fingerprint, position, outcome, recorded_ms)
    SELECT c.id, %(tenant)s, c.idempotency_key, c.fingerprint, %(base)s + p.place, c.outcome, c.recorded_ms
    FROM staged_commands c JOIN (SELECT cause, max(place) AS place FROM places GROUP BY cause) p ON p.cause = c.id
"""
SESSIONS = """
    INSERT INTO sessions (stream, tenant, namespace, user_id, session_id, first_position, version, alive, expires_ms)
    SELECT s.stream, %(tenant)s, s.namespace, s.user_id, s.session_id, %(base)s + p.place, s.version, s.alive, s.expires_ms
    FROM staged_sessions s JOIN (SELECT stream, min(place) AS place FROM places GROUP BY stream) p USING (stream)
    ON CONFLICT (stream) DO UPDATE SET version = excluded.version, alive = excluded.alive, expires_ms = excluded.expires_ms
"""
RELEASED = """
    DELETE FROM claims c USING staged_memories m WHERE c.tenant = %(tenant)s AND c.memory_id = m.memory_id
    AND EXISTS (SELECT FROM places p WHERE p.stream = m.stream)
"""
CLAIMS = """
    INSERT INTO claims (tenant, memory_hash, memory_id) SELECT %(tenant)s, memory_hash, memory_id FROM staged_claims s
    WHERE EXISTS (SELECT FROM staged_memories m JOIN places p USING (stream) WHERE m.memory_id = s.memory_id) ON CONFLICT DO NOTHING
"""
# Sorted, so that two who keep vectors never lock each other out.
EMBEDDINGS = """
    INSERT INTO embeddings (model, content_hash, vector) SELECT model, content_hash, vector FROM staged_embeddings
    ORDER BY model, content_hash ON CONFLICT DO NOTHING
"""
ANSWERS = """
    INSERT INTO completions (request_hash, answer, recorded_ms) SELECT request_hash, answer, recorded_ms FROM staged_answers
    ORDER BY request_hash ON CONFLICT DO NOTHING
"""
SHARED = "SELECT EXISTS (SELECT FROM staged_embeddings) OR EXISTS (SELECT FROM staged_answers)"
OTHERS = "SELECT EXISTS (SELECT FROM events WHERE tenant <> %s AND NOT starts_with(stream, 'job/'))"
TOUCHED = "SELECT count(DISTINCT stream) FROM places WHERE starts_with(stream, %s)"


async def restored(
    database_url: str, tenant: str, chunks: AsyncIterator[bytes], *, dry_run: bool = False, keep: bool = False
) -> tuple[Restored, dict[str, int]]:
    """Reads a bundle to its end and writes it into the log of a tenant. With `dry_run` it only says what it would do.

    `keep`: what went on otherwise here is left as it is, where else the bundle is refused.

    Beside what was done it returns the sessions that were here before, with their versions: what is shown of them may be old now.
    Whoever appends waits while it is being written. Raises Refused for a bundle that is not whole, Conflict when the log goes on
    otherwise than the bundle, Unavailable.
    """
    try:
        connection = await AsyncConnection.connect(
            database_url, autocommit=True, connect_timeout=3, application_name="agent-memory import"
        )
        async with connection:
            staging = Staging(connection, tenant)
            await staging.fill(chunks)
            return await _Import(connection, tenant, dry_run=dry_run, keep=keep).write()
    except errors.UniqueViolation as error:
        raise Conflict(f"nothing was imported: something of it is recorded already ({error.diag.constraint_name})") from error
    except (errors.DataError, errors.IntegrityError, errors.ProgramLimitExceeded) as error:
        raise Refused(f"nothing was imported: {error.diag.message_primary or error}") from error
    except (psycopg.OperationalError, psycopg.InterfaceError, OSError) as error:
        raise Unavailable(f"the event log cannot be written ({type(error).__name__}); try again") from error


class _Import:
    """A bundle that was read, and where it goes."""

    def __init__(self, connection: AsyncConnection, tenant: str, *, dry_run: bool, keep: bool) -> None:
        self._connection = connection
        self._tenant = tenant
        self._keep = keep
        self._dry_run = dry_run

    async def write(self) -> tuple[Restored, dict[str, int]]:
        """The transaction. Vectors come first: they need no place, and nobody waits for them."""
        async with self._connection.transaction(force_rollback=self._dry_run):
            await self._check_alone()
            vectors = await self._changed(EMBEDDINGS)
            answers = await self._changed(ANSWERS)
            if not self._dry_run:
                await self._rows("SELECT position FROM log_head FOR UPDATE")
            before = await self._rows(BEFORE)
            left, kept, known = await self._left_out()
            for statement in PREPARE:
                await self._changed(statement)
            created = (await self._rows("SELECT count(*) FROM places"))[0][0]
            if self._dry_run or not created:
                position = (await self._rows("SELECT position FROM log_head"))[0][0]
            else:
                position = await self._append(created)
            done = Restored(
                created=created,
                known=known,
                kept=kept,
                left=left,
                sessions=(await self._rows(TOUCHED, ("session/",)))[0][0],
                memories=(await self._rows(TOUCHED, ("memory/",)))[0][0],
                embeddings=vectors,
                answers=answers,
                position=position,
                dry_run=self._dry_run,
            )
            return done, dict(before)

    async def _check_alone(self) -> None:
        """Vectors and answers are kept for all tenants by the hash of what was asked: one may not say them to the others."""
        if (await self._rows(SHARED))[0][0] and (await self._rows(OTHERS, (self._tenant,)))[0][0]:
            raise Refused(
                "nothing was imported: the log holds other tenants too, who would share its vectors and answers of models: "
                "import a bundle without them"
            )

    async def _left_out(self) -> tuple[list[str], int, int]:
        """Takes away what is not to be written: streams that go on otherwise here (some names, how many), and known events."""
        await self._changed(DIFFERENT)
        if self._keep:
            await self._changed(HELD_ELSEWHERE)
        found = await self._rows(CONFLICTS, (SHOWN,))
        left = [without_tenant(stream) for stream, _, _ in found]
        if found and not self._keep:
            named = ", ".join(f"{without_tenant(stream)} (from version {version})" for stream, version, _ in found)
            raise _conflict(f"{found[0][2]} streams go on otherwise here: {named}")
        kept = (await self._rows("SELECT count(*) FROM different"))[0][0]
        await self._changed(KEPT)
        known = await self._changed(KNOWN)
        if found := await self._rows(ELSEWHERE, (SHOWN,)):
            named = ", ".join(f"{event_id} of {without_tenant(stream)}" for event_id, stream, _ in found)
            raise _conflict(f"{found[0][2]} events are recorded in another session here: {named}")
        await self._changed(DONE_BEFORE)
        if found := await self._rows(TAKEN, (SHOWN,)):
            raise _conflict(f"{found[0][2]} commands have taken effect here otherwise: {', '.join(row[0] for row in found)}")
        await self._changed(FREE_KEYS)
        return left, kept, known

    async def _append(self, created: int) -> int:
        position: int = (await self._rows(MOVE_HEAD))[0][0]
        for statement in (EVENTS, COMMANDS, SESSIONS, RELEASED, CLAIMS):
            await self._changed(statement, base=position - created)
        return position

    async def _changed(self, statement: str, **more: object) -> int:
        wanted = {name: value for name, value in {"tenant": self._tenant, **more}.items() if f"%({name})s" in statement}
        return (await self._connection.execute(statement, wanted or None)).rowcount

    async def _rows(self, query: str, values: tuple[object, ...] | None = None) -> list[tuple[Any, ...]]:
        return await (await self._connection.execute(query, values)).fetchall()


def _conflict(why: str) -> Conflict:
    return Conflict(f"nothing was imported: {why}")
