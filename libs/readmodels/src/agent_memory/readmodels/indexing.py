"""From events to search documents: how their vectors are come by, and how they are written.

Used by the indexer, event by event, and by a rebuild, which goes through the whole log beside the live index.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import msgspec
from redis.asyncio import Redis

from agent_memory.contracts.envelope import EventEnvelope
from agent_memory.contracts.errors import Conflict
from agent_memory.contracts.records import content_hash
from agent_memory.readmodels import generations, writes
from agent_memory.readmodels.documents import Kind, Revise, Write, memory_document
from agent_memory.readmodels.generations import Generation
from agent_memory.readmodels.holding import held
from agent_memory.readmodels.projecting import CONTENTS_TYPES, MEMORY_TYPES, TIMELINE_TYPES, newest, project, texts_of, write_of
from agent_memory.readmodels.retiring import too_old

REBUILD_CHUNK = 2_000
LOCK_MS = 30_000
PART = 100
"""Events that are written together, while the vectors of the next are come by: Redis takes as long to index as all the rest."""


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
    async def keep(self, model: str, vectors: Mapping[bytes, bytes]) -> dict[bytes, bytes]: ...


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


class Indexing:
    """Writes the documents of one index. Idempotent: every write is compare-and-set on the log position.

    `since`: from which time on (UTC milliseconds) events of the timeline are found; None: all of them.
    """

    def __init__(
        self,
        kind: Kind,
        redis: Redis,
        embedder: Embedder,
        vectors: Vectors,
        *,
        messages_too: bool = False,
        since: Callable[[], int | None] = lambda: None,
    ) -> None:
        self.kind = kind
        self.messages_too = messages_too
        self.since = since
        self._redis = redis
        self._embedder = embedder
        self._vectors = vectors

    @property
    def types(self) -> frozenset[str]:
        """The events that matter to this index."""
        if self.kind == "contents":
            return CONTENTS_TYPES
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
        meant = newest([project(envelope, self.kind, messages_too=self.messages_too) for envelope in batch])
        since = self.since()
        found = [one for one in meant if not too_old(one, since)]
        vectors, computed = await self._vectors_of([text for one in found for text in texts_of(one)])
        return [write_of(one, vectors) for one in found], computed

    async def _vectors_of(self, texts: Sequence[str]) -> tuple[dict[str, bytes], int]:
        if not texts:
            return {}, 0
        hashes = {text: content_hash(text) for text in texts}
        known = await self._vectors.find(self._embedder.model, list(hashes.values()))
        missing = [text for text, digest in hashes.items() if digest not in known]
        if missing:
            computed = await self._embedder.embed(missing)
            fresh = {hashes[text]: vector for text, vector in zip(missing, computed, strict=True)}
            known |= await self._vectors.keep(self._embedder.model, fresh)
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
                documents, embedded = documents + sum(map(_size, prepared)), embedded + computed
                yield RebuildStep(position=position, head=head, documents=documents, embedded=embedded)
            await generations.swap(self._redis, generation)
        await generations.drop_old(self._redis, self.kind)
        yield RebuildStep(position=head, head=head, documents=documents, embedded=embedded)


@asynccontextmanager
async def building(redis: Redis, kind: Kind, model: str, dimensions: int, algorithm: str) -> AsyncIterator[Generation]:
    """The next generation, for whoever builds it. Given up when the block fails; one whose builder died is swept away first."""
    async with held(redis, lock_key(kind), LOCK_MS) as mine:
        if not mine:
            raise Conflict(f"the {kind} index is being rebuilt already")
        abandoned = (await generations.registry(redis, kind)).building
        if abandoned is not None:
            await generations.abandon(redis, abandoned)
        generation = await generations.begin_build(redis, kind, model, dimensions, algorithm)
        try:
            yield generation
        except BaseException:
            await generations.abandon(redis, generation)
            raise


def lock_key(kind: Kind) -> str:
    """Held by the process that builds the next generation of an index."""
    return f"am:index:{kind}:builder"


def _size(write: Write) -> int:
    """Documents that it writes or removes."""
    return len(write.documents) if isinstance(write, Revise) else 1
