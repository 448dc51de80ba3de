"""A system in one process: ingest is called directly, and each projection catches up with the log when it is told to."""

from collections.abc import Sequence

from redis.asyncio import Redis

from agent_memory.cli.invariants.checks import check_all
from agent_memory.cli.invariants.results import Result
from agent_memory.cli.invariants.system import opened
from agent_memory.compactor.handlers import KeepDuplicates
from agent_memory.contracts.codec import decode_command, encode
from agent_memory.contracts.commands import AnyCommand
from agent_memory.contracts.envelope import CommandEnvelope
from agent_memory.contracts.records import Scope
from agent_memory.contracts.streams import (
    COMMANDS,
    CONTENTS,
    CONTENTS_INDEX,
    DATA_FIELD,
    DUPLICATES,
    ENRICHMENT,
    JOBS,
    MEMORY_INDEX,
    SESSION_WORK,
    TASKS,
    TIMELINE_INDEX,
)
from agent_memory.eventlog.connect import Connections
from agent_memory.eventlog.embeddings import EmbeddingStore
from agent_memory.eventlog.histories import HistoryReader
from agent_memory.eventlog.relay import Relay
from agent_memory.eventlog.store import EventStore
from agent_memory.indexer.handlers import IndexEvents
from agent_memory.ingest.handlers import Ingest
from agent_memory.readmodels import generations
from agent_memory.readmodels.contents import UTC_ALWAYS, Zoned
from agent_memory.readmodels.documents import Kind
from agent_memory.readmodels.indexing import Indexing
from agent_memory.readmodels.progress import Ledger
from agent_memory.readmodels.sessions import SessionReader
from agent_memory.rollup.domain import Delays
from agent_memory.rollup.handlers import TYPES as CONTENTS_TYPES
from agent_memory.rollup.handlers import KeepContents
from agent_memory.runtime.broker import Entry
from agent_memory.runtime.embed_hash import HashEmbedder
from agent_memory.runtime.projection import Apply, Projection, Runner
from agent_memory.runtime.tokens import TokenCounter
from agent_memory.scheduler.handlers import TYPES as JOBS_TYPES
from agent_memory.scheduler.handlers import KeepJobs
from agent_memory.summarizer.looking import MEMORY_TYPES, SESSION_TYPES, KeepEnrichment, KeepSessionWork
from agent_memory.summarizer.view_runs import TYPES as TASK_TYPES
from agent_memory.summarizer.view_runs import KeepTasks

ALGORITHM = "FLAT"
INDEXES: dict[str, Kind] = {MEMORY_INDEX: "memory", TIMELINE_INDEX: "timeline", CONTENTS_INDEX: "contents"}


class SmallSystem:
    """Ingest, every projection and their stores. `redis` and `connections` are open for tests that break things."""

    def __init__(
        self,
        database_url: str,
        redis_url: str,
        *,
        zones: Zoned = UTC_ALWAYS,
        sequence: int = 1_000,
        known: frozenset[str] | None = None,
    ) -> None:
        """`sequence`: after which its commands are numbered; `known`: the types of events that its projections have heard of."""
        self.database_url, self.redis_url, self.zones = database_url, redis_url, zones
        self.connections = Connections(database_url)
        self.log = HistoryReader(self.connections)
        self.redis = Redis.from_url(redis_url, protocol=2)
        self.sessions = SessionReader(self.redis, self.log)  # type: ignore[arg-type]
        self.embedder = HashEmbedder(8)
        self.vectors = EmbeddingStore(self.connections)
        self._ingest = Ingest(EventStore(self.connections), self.redis, Relay(database_url, self.log, self.redis))
        self.since: int | None = None
        """How far back the index of the timeline reaches, UTC milliseconds."""
        self._sequence = sequence
        self._known = known
        self.runners = self._runners()

    def indexing(self, kind: Kind) -> Indexing:
        """What keeps, and rebuilds, one index."""
        return Indexing(kind, self.redis, self.embedder, self.vectors, since=lambda: self.since)

    async def send(self, *commands: AnyCommand, scope: Scope | None = None) -> None:
        """Commands through ingest, each in a batch of its own; who replies is not heard."""
        for command in commands:
            self._sequence += 1
            envelope = CommandEnvelope(id=f"c{self._sequence}", scope=scope or Scope(), issued_ms=1, command=command)
            await self._ingest.handle([Entry(f"{self._sequence}-0".encode(), {b"__data__": encode(envelope)})])

    async def handle(self, entries: Sequence[Entry]) -> None:
        """Entries of the bus through ingest."""
        await self._ingest.handle(list(entries))

    async def deliver(self) -> list[CommandEnvelope]:
        """What services have put on the bus, through ingest in its order. Returns it."""
        sent = [decode_command(fields[DATA_FIELD.encode()]) for _, fields in await self.redis.xrange(COMMANDS)]
        await self.redis.delete(COMMANDS)
        for envelope in sent:
            self._sequence += 1
            await self._ingest.handle([Entry(f"{self._sequence}-0".encode(), {b"__data__": encode(envelope)})])
        return sent

    async def catch_up(self) -> None:
        """Every projection deals with all of the log."""
        for kind in INDEXES.values():
            await generations.ensure(self.redis, kind, self.embedder.model, self.embedder.dimensions, ALGORITHM)
        head = await self.log.head()
        for runner in self.runners:
            await runner.catch_up(head)

    async def examined(self, *, quick: bool = False) -> dict[int, Result]:
        """All invariants by number."""
        async with opened(self.database_url, self.redis_url, settle_seconds=0, zones=self.zones) as system:
            return {result.number: result for result in await check_all(system, quick=quick)}

    async def execute(self, statement: str, values: Sequence[object] = ()) -> None:
        """Straight into the log's database, as nobody should."""
        async with self.connections.connection() as connection:
            await connection.execute(statement, values)

    async def close(self) -> None:
        """Lets go of both servers."""
        await self.connections.close()
        await self.redis.aclose()

    def _runners(self) -> list[Runner]:
        kept: list[tuple[str, frozenset[str], Apply]] = [
            (CONTENTS, CONTENTS_TYPES, KeepContents(self.redis, zones=self.zones, delays=Delays()).apply),
            (DUPLICATES, frozenset({"MemoryStored", "MemoryEdited", "MemoryForgotten"}), KeepDuplicates(self.redis).apply),
            (JOBS, JOBS_TYPES, KeepJobs(self.redis).apply),
            (SESSION_WORK, SESSION_TYPES, KeepSessionWork(self.redis, self.log, TokenCounter(), 0.7).apply),
            (TASKS, TASK_TYPES, KeepTasks(self.redis).apply),
            (ENRICHMENT, MEMORY_TYPES, KeepEnrichment(self.redis).apply),
        ]
        for name, kind in INDEXES.items():
            indexing = self.indexing(kind)
            kept.append((name, indexing.types, IndexEvents(indexing, self.redis, self.embedder, ALGORITHM).apply))
        return [
            Runner(
                Projection(name=name, types=types, apply=apply),
                log=self.log,
                ledger=Ledger(self.redis, name),
                redis=self.redis,
                known=self._known,
            )
            for name, types, apply in kept
        ]
