"""Keeps the search indexes there, of the right model, and up to date."""

import asyncio

import structlog
from redis.asyncio import Redis

from agent_memory.contracts.envelope import EventEnvelope
from agent_memory.contracts.errors import Conflict
from agent_memory.indexer.domain import needs_rebuild
from agent_memory.readmodels import generations, retiring
from agent_memory.readmodels.indexing import Embedder, Indexing, Log
from agent_memory.runtime import telemetry

log = structlog.get_logger("indexer")

LOOK_SECONDS = 5.0


class IndexEvents:
    """Projection of one index. Idempotent: documents are compare-and-set on the position of the event they come from."""

    def __init__(self, indexing: Indexing, redis: Redis, embedder: Embedder, algorithm: str) -> None:
        self._indexing = indexing
        self._redis = redis
        self._embedder = embedder
        self._algorithm = algorithm

    async def apply(self, batch: list[EventEnvelope]) -> None:
        """Writes the documents that the events mean; makes the index first when a flush took it."""
        telemetry.BATCH.labels(f"index {self._indexing.kind}").observe(len(batch))
        known = await generations.registry(self._redis, self._indexing.kind)
        if known.live is None:
            await self.ensure()
        await self._indexing.apply(batch)
        telemetry.INDEXED.labels(self._indexing.kind).inc(len(batch))

    async def ensure(self) -> generations.Generation:
        """The live generation, made when there is none."""
        kind = self._indexing.kind
        return await generations.ensure(self._redis, kind, self._embedder.model, self._embedder.dimensions, self._algorithm)

    async def watch(self, source: Log) -> None:
        """Sees to it that the index exists and fits the settings: a change of model builds the next generation and swaps."""
        while True:
            live = await self.ensure()
            if live.kind == "timeline":
                await self._reach_back()
            if needs_rebuild(live, self._embedder.model, self._embedder.dimensions, self._algorithm):
                await self.rebuild(source, live)
            await asyncio.sleep(LOOK_SECONDS)

    async def _reach_back(self) -> None:
        since = self._indexing.since()
        if await retiring.tell(self._redis, since):
            gone = await retiring.retire(self._redis, since)
            log.info("events of the timeline are found from here on", since_ms=since, retired=gone)

    async def rebuild(self, source: Log, live: generations.Generation) -> None:
        """Builds the next generation from the log and swaps; nothing happens while another replica does so."""
        log.info("index is built anew", index=live.kind, was=live.model, model=self._embedder.model)
        try:
            async for step in self._indexing.rebuild(source, self._algorithm):
                log.info("rebuilding", index=live.kind, position=step.position, head=step.head, documents=step.documents)
        except Conflict:
            log.info("another replica rebuilds", index=live.kind)
