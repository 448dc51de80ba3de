"""From events to search documents: what an event means for an index, and how its vectors are come by.

Used by the indexer, event by event, and by a rebuild, which goes through the whole log beside the live index.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import msgspec
from redis.asyncio import Redis

from agent_memory.contracts.codec import decode_event
from agent_memory.contracts.envelope import EventEnvelope
from agent_memory.contracts.errors import Conflict
from agent_memory.contracts.events import EventRecorded, MemoryEdited, MemoryForgotten, MemoryStored
from agent_memory.contracts.records import MemoryRecord, Scope, TimelineEvent, content_hash, is_message, message_of
from agent_memory.readmodels import generations, writes
from agent_memory.readmodels.documents import (
    CONTEXT_EVENTS,
    Delete,
    Kind,
    Upsert,
    Write,
    context,
    has_words,
    memory_amendment,
    memory_document,
    memory_scope,
    searchable,
    timeline_document,
)
from agent_memory.readmodels.generations import Generation

MEMORY_TYPES = frozenset({"MemoryStored", "MemoryEdited", "MemoryForgotten"})
TIMELINE_TYPES = frozenset({"EventRecorded"})
REBUILD_CHUNK = 2_000
LOCK_MS = 30_000
PART = 100
"""Events that are written together, while the vectors of the next are come by: Redis takes as long to index as all the rest."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A document that is to be written once the vector of `text` is known."""

    text: str
    scope: Scope
    version: int
    memory: MemoryRecord | None = None
    event: TimelineEvent | None = None
    before: tuple[tuple[str, str], ...] = ()
    """Ids and stems of the events before it, given where nobody writes the document: see `in_session`."""
    amends: bool = False
    """The text is what it was before: when the document is there, its vector is too."""

    def document(self, vector: bytes) -> Upsert:
        """The document with its vector."""
        if self.memory is not None:
            return memory_document(self.memory, self.scope.tenant, self.version, vector)
        assert self.event is not None
        document = timeline_document(self.event, self.scope, self.version, vector)
        return msgspec.structs.replace(document, fields=document.fields | context(self.before))


class Embedder(Protocol):
    """Turns texts into vectors: float32, little-endian."""

    @property
    def model(self) -> str: ...
    @property
    def dimensions(self) -> int: ...
    async def embed(self, texts: Sequence[str]) -> list[bytes]: ...


class Vectors(Protocol):
    """Vectors that were computed before, by model and content hash."""

    async def find(self, model: str, hashes: Sequence[bytes]) -> dict[bytes, bytes]: ...
    async def keep(self, model: str, vectors: Mapping[bytes, bytes]) -> None: ...


class Log(Protocol):
    """What a rebuild reads."""

    async def head(self) -> int: ...
    async def after(
        self, position: int, *, up_to: int | None = None, limit: int = 500, types: Sequence[str] | None = None
    ) -> list[EventEnvelope]: ...


class RebuildStep(msgspec.Struct, frozen=True, kw_only=True):
    """How far a rebuild is: log positions done of all, documents written, texts that had no stored vector."""

    position: int
    head: int
    documents: int
    embedded: int


def project(envelope: EventEnvelope, kind: Kind, *, messages_too: bool = False) -> Wanted | Delete | None:
    """What an event means for an index. With `messages_too`, messages are found among the memories as well."""
    event = decode_event(envelope.type, envelope.data)
    scope, version = envelope.scope, envelope.position
    match event:
        case MemoryStored(record=record) if kind == "memory":
            return Wanted(text=record.text, scope=scope, version=version, memory=record)
        case MemoryEdited(record=record, changed=changed) if kind == "memory":
            return Wanted(text=record.text, scope=scope, version=version, memory=record, amends="text" not in changed)
        case MemoryForgotten(memory_id=memory_id) if kind == "memory":
            return Delete(kind="memory", scope_path=memory_scope(scope.tenant), id=memory_id, version=version)
        case EventRecorded(event=recorded) if kind == "timeline" and has_words(recorded.text):
            return Wanted(text=recorded.text, scope=scope, version=version, event=recorded)
        case EventRecorded(event=recorded) if kind == "memory" and messages_too and is_message(recorded):
            record = message_memory(recorded, scope)
            return Wanted(text=record.text, scope=scope, version=version, memory=record)
        case _:
            return None


def message_memory(event: TimelineEvent, scope: Scope) -> MemoryRecord:
    """A message as a memory of type "message", linked to the event it is."""
    message = message_of(event)
    return MemoryRecord(
        id=event.event_id,
        text=f"{message.role}: {message.content}",
        session_id=event.session_id,
        user_id=scope.user_id or None,
        namespace=scope.namespace or None,
        last_accessed=message.created_at,
        created_at=message.created_at,
        updated_at=message.created_at,
        memory_type="message",
        extraction_strategy="message",
        extracted_from=[event.event_id],
    )


def is_copy(record: MemoryRecord) -> bool:
    """Whether a record is a message that is found among the memories, and no memory of its own."""
    return record.extraction_strategy == "message" and record.extracted_from == [record.id]


def newest(found: Sequence[Wanted | Delete | None]) -> list[Wanted | Delete]:
    """Of several writes to one document the last: the others would be overwritten at once."""
    last: dict[tuple[str, str], Wanted | Delete] = {}
    for one in found:
        if one is None:
            continue
        place = _place(one)
        if isinstance(one, Wanted) and one.amends and isinstance(known := last.get(place), Wanted) and not known.amends:
            one = msgspec.structs.replace(one, amends=False)  # what it amends was not written yet
        last[place] = one
    return list(last.values())


def in_session(events: Sequence[Wanted]) -> list[Wanted]:
    """The events of one session in their order, each with those before it: what writing them one by one comes to."""
    placed = sorted(events, key=lambda one: (one.event.timestamp_ms if one.event else 0, one.version))
    told = [(one.event.event_id if one.event else "", str(searchable(one.text)["stems"])) for one in placed]
    return [msgspec.structs.replace(one, before=tuple(told[max(0, at - CONTEXT_EVENTS) : at])) for at, one in enumerate(placed)]


class Indexing:
    """Writes the documents of one index. Idempotent: every write is compare-and-set on the log position."""

    def __init__(self, kind: Kind, redis: Redis, embedder: Embedder, vectors: Vectors, *, messages_too: bool = False) -> None:
        self.kind = kind
        self.messages_too = messages_too
        self._redis = redis
        self._embedder = embedder
        self._vectors = vectors

    @property
    def types(self) -> frozenset[str]:
        """The events that matter to this index."""
        if self.kind == "timeline":
            return TIMELINE_TYPES
        return MEMORY_TYPES | TIMELINE_TYPES if self.messages_too else MEMORY_TYPES

    async def apply(self, batch: Sequence[EventEnvelope]) -> None:
        """Brings all active generations up to date with the events. Raises Unavailable while a part is down."""
        prepared: list[Write] = []
        for start in range(0, len(batch), PART):
            prepared = await self._written_beside(prepared, batch[start : start + PART])
        await self._write(prepared)

    async def _written_beside(self, prepared: Sequence[Write], following: Sequence[EventEnvelope]) -> list[Write]:
        """Writes what is prepared while it prepares what follows."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._write(prepared))
                preparing = group.create_task(self.prepare(following))
        except BaseExceptionGroup as errors:
            # Callers know the errors of one step, not groups of them.
            raise errors.exceptions[0] from None
        return preparing.result()[0]

    async def _write(self, prepared: Sequence[Write]) -> None:
        if prepared:
            known = await generations.registry(self._redis, self.kind)
            await self._put(known.active, prepared)

    async def _put(self, into: Sequence[Generation], prepared: Sequence[Write]) -> int:
        """Returns how many vectors had to be computed: what cannot be amended is written whole."""
        applied = await writes.apply(self._redis, into, prepared, model=self._embedder.model)
        vectors, computed = await self._vectors_of([one.record.text for one in applied.unmet])
        whole = [memory_document(one.record, one.tenant, one.version, vectors[one.record.text]) for one in applied.unmet]
        await writes.apply(self._redis, into, whole, model=self._embedder.model)
        return computed

    async def prepare(self, batch: Sequence[EventEnvelope]) -> tuple[list[Write], int]:
        """The writes that the events mean, and how many vectors had to be computed for them."""
        found = newest([project(envelope, self.kind, messages_too=self.messages_too) for envelope in batch])
        whole = [one.text for one in found if isinstance(one, Wanted) and not one.amends]
        vectors, computed = await self._vectors_of(whole)
        return [one if isinstance(one, Delete) else _write_of(one, vectors) for one in found], computed

    async def _vectors_of(self, texts: Sequence[str]) -> tuple[dict[str, bytes], int]:
        if not texts:
            return {}, 0
        hashes = {text: content_hash(text) for text in texts}
        known = await self._vectors.find(self._embedder.model, list(hashes.values()))
        missing = [text for text, digest in hashes.items() if digest not in known]
        if missing:
            computed = await self._embedder.embed(missing)
            fresh = {hashes[text]: vector for text, vector in zip(missing, computed, strict=True)}
            await self._vectors.keep(self._embedder.model, fresh)
            known |= fresh
        return {text: known[digest] for text, digest in hashes.items()}, len(missing)

    async def rebuild(self, log: Log, algorithm: str) -> AsyncIterator[RebuildStep]:
        """Builds the next generation from the log beside the live one and swaps; yields its progress, the last step after the swap.

        Readers never fail, writes that come meanwhile go to both. Raises Conflict when another rebuild is running.
        """
        async with building(self._redis, self.kind, self._embedder.model, self._embedder.dimensions, algorithm) as generation:
            head = await log.head()
            position = documents = embedded = 0
            while position < head:
                batch = await log.after(position, up_to=head, limit=REBUILD_CHUNK, types=sorted(self.types))
                prepared, computed = await self.prepare(batch)
                computed += await self._put([generation], prepared)
                position = batch[-1].position if len(batch) == REBUILD_CHUNK else head
                documents, embedded = documents + len(prepared), embedded + computed
                await self._redis.set(lock_key(self.kind), generation.number, px=LOCK_MS)
                yield RebuildStep(position=position, head=head, documents=documents, embedded=embedded)
            await generations.swap(self._redis, generation)
        await generations.drop_old(self._redis, self.kind)
        yield RebuildStep(position=head, head=head, documents=documents, embedded=embedded)


@asynccontextmanager
async def building(redis: Redis, kind: Kind, model: str, dimensions: int, algorithm: str) -> AsyncIterator[Generation]:
    """The next generation, for whoever builds it. Given up when the block fails; one whose builder died is swept away first."""
    if not await redis.set(lock_key(kind), "0", nx=True, px=LOCK_MS):
        raise Conflict(f"the {kind} index is being rebuilt already")
    try:
        abandoned = (await generations.registry(redis, kind)).building
        if abandoned is not None:
            await generations.abandon(redis, abandoned)
        generation = await generations.begin_build(redis, kind, model, dimensions, algorithm)
        try:
            yield generation
        except BaseException:
            await generations.abandon(redis, generation)
            raise
    finally:
        await redis.delete(lock_key(kind))


def lock_key(kind: Kind) -> str:
    """Held, and renewed, by the process that builds the next generation of an index."""
    return f"am:index:{kind}:builder"


def _write_of(wanted: Wanted, vectors: Mapping[str, bytes]) -> Write:
    if wanted.amends and wanted.memory is not None:
        return memory_amendment(wanted.memory, wanted.scope.tenant, wanted.version)
    return wanted.document(vectors[wanted.text])


def _place(write: Wanted | Delete) -> tuple[str, str]:
    if isinstance(write, Delete):
        return write.scope_path, write.id
    if write.memory is not None:
        return memory_scope(write.scope.tenant), write.memory.id
    assert write.event is not None
    return write.scope.path, write.event.event_id
