"""A bundle on its way into a log: its lines, read and held to what they must be, in tables that only one connection sees."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
from psycopg import AsyncConnection

from agent_memory.contracts.bundles import (
    AnswerLine,
    ClaimLine,
    CommandLine,
    Content,
    EmbeddingLine,
    EventLine,
    Reader,
    SessionLine,
    lines_of,
    of_tenant,
)
from agent_memory.contracts.codec import decode_event
from agent_memory.contracts.errors import NeedsUpgrade
from agent_memory.contracts.events import EventRecorded
from agent_memory.contracts.records import Scope
from agent_memory.contracts.streams import memory_stream, owner_of, session_stream
from agent_memory.contracts.upcasters import UPCASTERS
from agent_memory.eventlog.store import NUL

CHUNK_ROWS = 5_000
TABLES: Mapping[str, str] = {
    "staged_events": """
        n bigint, cause text COLLATE "C", stream text COLLATE "C", version int, type text, namespace text, user_id text,
        scope text COLLATE "C", event_id text COLLATE "C", timestamp_ms bigint, data json, metadata json, recorded_ms bigint
    """,
    "staged_commands": 'id text COLLATE "C", outcome json, recorded_ms bigint, idempotency_key text COLLATE "C", fingerprint text',
    "staged_sessions": """
        stream text COLLATE "C", namespace text, user_id text, session_id text, version int, alive boolean, expires_ms bigint
    """,
    "staged_memories": 'stream text COLLATE "C", memory_id text COLLATE "C"',
    "staged_claims": 'memory_hash text COLLATE "C", memory_id text COLLATE "C"',
    "staged_embeddings": 'model text COLLATE "C", content_hash bytea, vector bytea',
    "staged_answers": "request_hash bytea, answer json, recorded_ms bigint",
}


class Cause(msgspec.Struct, frozen=True):
    """Of an event's provenance, what ties it to its command."""

    causation_id: str | None = None


_cause = msgspec.json.Decoder(Cause).decode


class Staging:
    """Takes the lines of one bundle in. Nothing of the log is touched; the tables go away with the connection."""

    def __init__(self, connection: AsyncConnection, tenant: str) -> None:
        self.reader = Reader()
        self._connection = connection
        self._tenant = tenant
        self._rows: dict[str, list[tuple[Any, ...]]] = {table: [] for table in TABLES}
        self._versions: dict[str, int] = {}
        self._events = 0

    async def fill(self, chunks: AsyncIterator[bytes]) -> None:
        """Reads all of the bundle. Raises Refused when it is not whole, or holds what cannot be in a log."""
        for table, columns in TABLES.items():
            await self._connection.execute(f"CREATE TEMPORARY TABLE {table} ({columns})")
        async for line in lines_of(chunks, self.reader):
            found = self.reader.line(line)
            if isinstance(found, Content):
                self._take(found)
                await self._write(least=CHUNK_ROWS)
        self.reader.finish()
        if missing := next((stream for stream in self._versions if stream.startswith("session/")), None):
            raise self.reader.refused(f"where session {owner_of(missing)[1]!r} stands is not said")
        await self._write(least=1)
        for table in TABLES:
            await self._connection.execute(f"ANALYZE {table}")

    def _take(self, line: Content) -> None:
        match line:
            case EventLine():
                self._take_event(line)
            case CommandLine():
                row = (line.id, self._json(line.outcome), line.recorded_ms, line.idempotency_key, line.fingerprint)
                self._rows["staged_commands"].append(row)
            case SessionLine():
                self._take_session(line)
            case ClaimLine():
                self._rows["staged_claims"].append((line.memory_hash, line.memory_id))
            case EmbeddingLine():
                self._rows["staged_embeddings"].append((line.model, line.content_hash, line.vector))
            case AnswerLine():
                self._rows["staged_answers"].append((line.request_hash, self._json(line.answer), line.recorded_ms))

    def _take_event(self, line: EventLine) -> None:
        stream = self._stream(line.stream)
        scope = Scope(tenant=self._tenant, namespace=line.namespace, user_id=line.user_id)
        if line.version != self._versions.get(stream, 0) + 1:
            raise self.reader.refused(f"{line.stream} goes on with version {line.version}, which is not the next")
        self._versions[stream] = line.version
        try:
            event, cause = decode_event(line.type, line.data), _cause(line.metadata).causation_id
        except (NeedsUpgrade, msgspec.MsgspecError) as error:
            raise self.reader.refused(f"an event {line.type} that is not known here: {error}") from None
        if line.type not in UPCASTERS and line.type != type(event).__name__:
            # Who reads the log chooses by the type of the row: nobody would take this one, and all would wait for it.
            raise self.reader.refused(f"an event {line.type} that is not known here: it holds {type(event).__name__}")
        said = event.event if isinstance(event, EventRecorded) else None
        home = session_stream(scope, said.session_id) if said else f"{stream.partition('/')[0]}/{scope.path}/"
        if stream != home if said else stream.startswith(("session/", "toc/")) and not stream.startswith(home):
            raise self.reader.refused(f"{line.stream} is not of namespace {line.namespace!r} and user {line.user_id!r}")
        if line.version == 1 and stream.startswith("memory/"):
            self._rows["staged_memories"].append((stream, owner_of(stream)[1]))
        self._events += 1
        metadata = self._json(line.metadata)
        about = (line.version, line.type, line.namespace, line.user_id)
        placed = (scope.path, said.event_id, said.timestamp_ms) if said else (None, None, None)
        row = (self._events, cause, stream, *about, *placed, self._json(line.data), metadata, line.recorded_ms)
        self._rows["staged_events"].append(row)

    def _take_session(self, line: SessionLine) -> None:
        stream = self._stream(line.stream)
        if not stream.startswith("session/") or self._versions.pop(stream, 0) != line.version:
            raise self.reader.refused(f"{line.stream} does not stand at version {line.version}")
        scope, session_id = owner_of(stream)
        row = (stream, scope.namespace, scope.user_id, session_id, line.version, line.alive, line.expires_ms)
        self._rows["staged_sessions"].append(row)

    def _stream(self, name: str) -> str:
        """The stream's name in the log; what its parts say must be written as we write it, or two names would be one."""
        try:
            stream = written = of_tenant(self._tenant, name)
            if name.startswith("session/"):
                written = session_stream(*owner_of(stream))
            elif name.startswith("memory/"):
                written = memory_stream(self._tenant, owner_of(stream)[1])
        except ValueError:
            stream, written = name, ""
        if stream != written:
            raise self.reader.refused(f"{name!r} is no stream that a bundle can hold")
        return stream

    def _json(self, raw: msgspec.Raw) -> str:
        found = bytes(raw)
        if b"\\u0000" in found and NUL.search(found):
            raise self.reader.refused("NUL characters cannot be stored")
        return found.decode()

    async def _write(self, *, least: int) -> None:
        for table, rows in self._rows.items():
            if len(rows) >= least:
                async with self._connection.cursor().copy(f"COPY {table} FROM STDIN") as copy:
                    for row in rows:
                        await copy.write_row(row)
                rows.clear()
