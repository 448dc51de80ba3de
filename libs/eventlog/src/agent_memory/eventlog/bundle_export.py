"""The log of a scope as a bundle, from one moment of it: what is recorded meanwhile is not in it, in part or whole."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from typing import Any

import msgspec
import psycopg
from psycopg import AsyncConnection

from agent_memory.contracts.bundles import (
    FORMAT,
    KINDS,
    VERSION,
    ClaimLine,
    CommandLine,
    Content,
    EventLine,
    Manifest,
    SessionLine,
    Writer,
    part_of,
    without_tenant,
)
from agent_memory.contracts.codec import decode_json, encode
from agent_memory.contracts.errors import Refused, Unavailable
from agent_memory.contracts.records import escape
from agent_memory.contracts.replies import Acknowledged
from agent_memory.eventlog.bundle_extras import Texts, answers, embeddings

CHUNK_ROWS = 2_000
PIECE_BYTES = 65_536
ESCAPED_ID = "replace(replace(replace(replace(c.memory_id, '%%', '%%25'), '/', '%%2F'), '{', '%%7B'), '}', '%%7D')"

# A memory belongs to whom its newest event says, with all its past; everything else to whom its events say.
OWNED = """
    owned AS MATERIALIZED (
        SELECT stream FROM (
            SELECT DISTINCT ON (stream) stream, namespace, user_id FROM events
            WHERE stream >= %(memories)s COLLATE "C" AND stream < %(memories_end)s COLLATE "C" ORDER BY stream, version DESC
        ) newest WHERE (%(namespace)s::text IS NULL OR namespace = %(namespace)s)
        AND (%(user_id)s::text IS NULL OR user_id = %(user_id)s)
    )
"""
INSIDE = """
    split_part(e.stream, '/', 1) = ANY(%(kinds)s) AND CASE
        WHEN %(namespace)s::text IS NULL AND %(user_id)s::text IS NULL THEN true
        WHEN starts_with(e.stream, 'memory/') THEN e.stream IN (SELECT stream FROM owned)
        ELSE (%(namespace)s::text IS NULL OR e.namespace = %(namespace)s) AND (%(user_id)s::text IS NULL OR e.user_id = %(user_id)s)
    END
"""
ROWS = f"""
    WITH {OWNED}
    SELECT e.inside, e.cause, e.stream, e.version, e.type, e.namespace, e.user_id, e.recorded_ms,
           CASE WHEN e.inside THEN e.data::text END, e.metadata::text
    FROM (SELECT e.*, e.metadata ->> 'causation_id' AS cause, {INSIDE} AS inside FROM events e WHERE e.tenant = %(tenant)s) e
    ORDER BY e.position
"""
COUNTS = f"""
    WITH {OWNED},
    exported AS MATERIALIZED (SELECT e.metadata ->> 'causation_id' AS cause FROM events e WHERE e.tenant = %(tenant)s AND {INSIDE})
    SELECT (SELECT count(*) FROM exported),
           (SELECT count(*) FROM (SELECT DISTINCT cause FROM exported) d JOIN commands c ON c.id = d.cause)
"""
COMMANDS = "SELECT id, outcome::text, recorded_ms, idempotency_key, fingerprint FROM commands WHERE id = ANY(%s)"
SESSIONS = """
    SELECT stream, version, alive, expires_ms FROM sessions WHERE tenant = %(tenant)s
    AND (%(namespace)s::text IS NULL OR namespace = %(namespace)s) AND (%(user_id)s::text IS NULL OR user_id = %(user_id)s)
    ORDER BY stream
"""
CLAIMS = f"""
    WITH {OWNED}
    SELECT c.memory_hash, c.memory_id FROM claims c WHERE c.tenant = %(tenant)s
    AND %(memories)s || {ESCAPED_ID} IN (SELECT stream FROM owned) ORDER BY c.memory_hash
"""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be exported. None: every namespace, every user. `embeddings`: with vectors of that model; `answers`: with the
    journal of what models answered, which belongs to the whole log.
    """

    tenant: str
    namespace: str | None = None
    user_id: str | None = None
    embeddings: str | None = None
    answers: bool = False

    @property
    def values(self) -> dict[str, object]:
        """For the queries."""
        memories = f"memory/{escape(self.tenant)}/"
        return {
            "tenant": self.tenant,
            "namespace": self.namespace,
            "user_id": self.user_id,
            "kinds": sorted(KINDS),
            "memories": memories,
            "memories_end": memories[:-1] + "0",  # "0" is what follows "/" in the order of bytes
        }


class Group(msgspec.Struct):
    """Events that follow each other and come from one command. `partly`: some of its events are outside of what is exported."""

    cause: str | None
    rows: list[tuple[Any, ...]] = []
    partly: bool = False


async def exported(database_url: str, wanted: Wanted, texts: Texts) -> AsyncGenerator[bytes, None]:
    """The bundle in pieces of some 64 KB; `texts` says which vectors belong to an event.

    Raises Unavailable, and Refused for what cannot be told apart from that of other tenants.

    It reads on a connection of its own, which is let go of when the iterator is closed.
    """
    try:
        connection = await AsyncConnection.connect(
            database_url, autocommit=True, connect_timeout=3, application_name="agent-memory export"
        )
        async with connection, connection.transaction():
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            async for piece in _pieces(_Export(connection, wanted, texts).lines()):
                yield piece
    except (psycopg.OperationalError, psycopg.InterfaceError, OSError) as error:
        raise Unavailable(f"the event log cannot be read ({type(error).__name__}); try again") from error


async def _pieces(lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    held, size = [], 0
    async for line in lines:
        held.append(line)
        size += len(line)
        if size >= PIECE_BYTES:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


class _Export:
    """One export, on a connection that sees one moment."""

    def __init__(self, connection: AsyncConnection, wanted: Wanted, texts: Texts) -> None:
        self._connection = connection
        self._wanted = wanted
        self._texts = texts
        self._writer = Writer()

    async def lines(self) -> AsyncIterator[bytes]:
        """All of the bundle."""
        if self._wanted.answers:
            await self._check_alone()
        yield self._writer.line(await self._manifest())
        async for groups in _batched(self._groups()):
            for line in await self._told(groups):
                yield self._writer.line(line)
        async for line in self._others():
            yield self._writer.line(line)
        yield self._writer.seal()

    async def _check_alone(self) -> None:
        wanted = self._wanted
        if wanted.namespace is not None or wanted.user_id is not None:
            raise Refused("answers of models belong to no namespace and no user: export everything to have them")
        query = "SELECT EXISTS (SELECT FROM events WHERE tenant <> %(tenant)s AND NOT starts_with(stream, 'job/'))"
        if (await self._rows(query))[0][0]:
            raise Refused("the log holds other tenants too, and answers of models cannot be told apart: export without them")

    async def _manifest(self) -> Manifest:
        wanted = self._wanted
        events, commands = (await self._rows(COUNTS))[0]
        sessions = (await self._rows(f"SELECT count(*) FROM ({SESSIONS}) found"))[0][0]
        claims = (await self._rows(f"SELECT count(*) FROM ({CLAIMS}) found"))[0][0]
        return Manifest(
            format=FORMAT,
            version=VERSION,
            counts={"claims": claims, "commands": commands, "events": events, "sessions": sessions},
            namespace=wanted.namespace,
            user_id=wanted.user_id,
            embeddings=wanted.embeddings,
            answers=wanted.answers,
        )

    async def _groups(self) -> AsyncIterator[Group]:
        """Events of the tenant in the order of the log, gathered by command. Those of a command follow each other."""
        group = Group(cause=None)
        async for inside, cause, *row in self._stream("bundle_events", ROWS):
            if cause is None or cause != group.cause:
                if group.rows:
                    yield group
                group = Group(cause=cause)
            if inside:
                group.rows.append(tuple(row))
            else:
                group.partly = True
        if group.rows:
            yield group

    async def _told(self, groups: Sequence[Group]) -> Iterable[Content]:
        causes = [group.cause for group in groups if group.cause is not None]
        rows = await (await self._connection.execute(COMMANDS, (causes,))).fetchall()
        commands = {row[0]: row for row in rows}
        return [line for group in groups for line in self._lines_of(group, commands.get(group.cause))]

    def _lines_of(self, group: Group, command: tuple[Any, ...] | None) -> Iterable[Content]:
        cause = group.cause
        if command is not None and cause is not None:
            _, outcome, recorded_ms, key, fingerprint = command
            if group.partly:
                # Its answer, and its key, speak of all that it did.
                cause = part_of(cause, self._wanted.namespace, self._wanted.user_id)
                outcome, key, fingerprint = encode(Acknowledged()).decode(), None, ""
            yield CommandLine(
                id=cause, outcome=_raw(outcome), recorded_ms=recorded_ms, idempotency_key=key, fingerprint=fingerprint
            )
        for stream, version, type_, namespace, user_id, recorded_ms, data, metadata in group.rows:
            yield EventLine(
                stream=without_tenant(stream),
                version=version,
                type=type_,
                namespace=namespace,
                user_id=user_id,
                recorded_ms=recorded_ms,
                data=_raw(data),
                metadata=_raw(metadata if cause == group.cause else _caused(metadata, cause)),
            )

    async def _others(self) -> AsyncIterator[Content]:
        async for stream, version, alive, expires_ms in self._stream("bundle_sessions", SESSIONS):
            yield SessionLine(stream=without_tenant(stream), version=version, alive=alive, expires_ms=expires_ms)
        async for memory_hash, memory_id in self._stream("bundle_claims", CLAIMS):
            yield ClaimLine(memory_hash=memory_hash, memory_id=memory_id)
        if self._wanted.embeddings is not None:
            rows = self._stream("bundle_texts", ROWS)
            async for vector in embeddings(self._connection, self._wanted.embeddings, self._texts, rows):
                yield vector
        if self._wanted.answers:
            async for answer in answers(self._connection):
                yield answer

    async def _rows(self, query: str) -> list[tuple[Any, ...]]:
        return await (await self._connection.execute(query, self._wanted.values)).fetchall()

    async def _stream(self, name: str, query: str) -> AsyncIterator[tuple[Any, ...]]:
        async with self._connection.cursor(name=name) as cursor:
            cursor.itersize = CHUNK_ROWS
            await cursor.execute(query, self._wanted.values)
            async for row in cursor:
                yield row


async def _batched(groups: AsyncIterator[Group]) -> AsyncIterator[list[Group]]:
    """Groups of some two thousand events together, so that their commands are looked up at once."""
    held: list[Group] = []
    size = 0
    async for group in groups:
        held.append(group)
        size += len(group.rows)
        if size >= CHUNK_ROWS:
            yield held
            held, size = [], 0
    if held:
        yield held


def _raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


def _caused(metadata: str, cause: str | None) -> str:
    return encode({**decode_json(metadata.encode()), "causation_id": cause}).decode()
