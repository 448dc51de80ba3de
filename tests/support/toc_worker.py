"""What the summarizer does for the table of contents, as a replica in a test and as a process that can be killed.

`python -m support.toc_worker DATABASE_URL REDIS_URL MODEL_URL [dying]` writes until it is told to stop. `dying`: it kills itself
when it has its answers and has not sent anything yet.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
from redis.asyncio import Redis

from agent_memory.contracts.codec import decode_event
from agent_memory.contracts.commands import RecordEvents
from agent_memory.contracts.envelope import CommandEnvelope
from agent_memory.contracts.events import NodeRevised
from agent_memory.contracts.records import EventType, Scope, TimelineEvent
from agent_memory.contracts.replies import ReplyEnvelope
from agent_memory.contracts.streams import PROJECTIONS
from agent_memory.contracts.toc import Revision, TocNode
from agent_memory.eventlog.completions import CompletionStore
from agent_memory.eventlog.connect import Connections
from agent_memory.eventlog.embeddings import EmbeddingStore
from agent_memory.eventlog.histories import HistoryReader
from agent_memory.eventlog.said import SaidReader
from agent_memory.readmodels import due
from agent_memory.readmodels.contents import UTC_ALWAYS, Zoned
from agent_memory.readmodels.contents_reads import TableOfContents
from agent_memory.readmodels.progress import Ledger
from agent_memory.runtime.commanding import Commanding
from agent_memory.runtime.embed_hash import HashEmbedder
from agent_memory.runtime.embed_vectors import Embedder
from agent_memory.runtime.llm import create_completer
from agent_memory.runtime.llm_journal import Journal
from agent_memory.runtime.settings import Settings
from agent_memory.summarizer.revising import LEASE_MS, Revising
from agent_memory.summarizer.revisions import Revisions
from agent_memory.summarizer.vectors import KnownVectors
from support.controls import wait_until
from support.small_system import SmallSystem
from support.view_worker import pump

NOON = 1_769_774_400_000
MINUTE = 60_000
FOREVER_MS = 2**45
TEXTS = (
    "We move the booking database from MySQL to Postgres before the summer season begins.",
    "The migration needs a rehearsal on a staging server with a copy of all bookings.",
    "The rehearsal found 37 double bookings of the same seat on two sailings.",
)
EVENING = "A quiet evening with nothing but rain and a book about lighthouses in Norway."
_BULLET = {"text": "37 double bookings", "quotes": [{"event": 3, "quote": "37 double bookings"}], "from_bullets": [1]}
ANSWER = msgspec.json.encode(
    {"title": "Booking rehearsal", "summary": "It found faults.", "bullets": [_BULLET], "keywords": ["rehearsal"]}
).decode()
"""Of use for a segment and for a period."""
TOLD = tuple((text, minute) for minute, text in enumerate(TEXTS))


class TocWorker:
    """One replica. Without `model_url` there is no model."""

    def __init__(
        self,
        database_url: str,
        redis_url: str,
        model_url: str = "",
        *,
        zones: Zoned = UTC_ALWAYS,
        embedder: Embedder | None = None,
        lease_ms: int = LEASE_MS,
        dying: bool = False,
    ) -> None:
        self.connections = Connections(database_url)
        self.redis = Redis.from_url(redis_url, protocol=2)
        self.log = HistoryReader(self.connections)
        self.embedder = embedder or HashEmbedder(8)
        model = create_completer(Settings(openai_api_base=model_url, generation_model="stub")) if model_url else None
        self.journal = None if model is None else Journal(model, CompletionStore(self.connections))
        vectors, toc = KnownVectors(self.embedder, EmbeddingStore(self.connections)), TableOfContents(self.redis, zones)
        self.revisions = Revisions(self.redis, toc, SaidReader(self.connections), self.journal, vectors, models_at_once=2)
        commands = (Dying if dying else Commanding)(self.redis, self.log, "toc")
        self.revising = Revising(self.redis, self.revisions, commands, self.log.head, at_once=8, lease_ms=lease_ms)

    async def hasten(self) -> None:
        """What waits is due now."""
        await due.hasten(self.redis, "segments", 1, until_ms=FOREVER_MS)
        await due.hasten(self.redis, "periods", 1, until_ms=FOREVER_MS)

    async def write(self) -> None:
        """Have everything seen to that waits, until nothing does."""

        async def nothing_waits() -> bool:
            await self.hasten()
            await self.revising.look()
            return not sum((await due.waiting(self.redis)).values())

        await wait_until(nothing_waits, "everything that changed is written about", 30)

    async def close(self) -> None:
        """Let go of everything."""
        if self.journal is not None:
            await self.journal.close()
        await self.embedder.close()
        await self.connections.close()
        await self.redis.aclose()


class Dying(Commanding):
    """Dies before anything is sent."""

    async def send(self, envelopes: Sequence[CommandEnvelope]) -> dict[str, ReplyEnvelope]:
        """Never comes back, when there was anything."""
        if envelopes:
            os.kill(os.getpid(), signal.SIGKILL)
        return {}


class Desk:
    """A system whose commands are heard, and replicas that write about it."""

    def __init__(self, system: SmallSystem, stack: AsyncExitStack) -> None:
        self.system = system
        self.toc = TableOfContents(system.redis, system.zones)
        self._stack = stack
        self._enough = asyncio.Event()
        self._pumping = asyncio.create_task(pump(system, self._enough))

    def replica(self, model_url: str = "", *, embedder: Embedder | None = None, lease_ms: int = LEASE_MS) -> TocWorker:
        """A worker; closed at the end."""
        where = (self.system.database_url, self.system.redis_url, model_url)
        worker = TocWorker(*where, zones=self.system.zones, embedder=embedder, lease_ms=lease_ms)
        self._stack.push_async_callback(worker.close)
        return worker

    async def stop(self) -> None:
        """Hear no command any more, and show nothing by itself."""
        self._enough.set()
        await self._pumping

    async def say(
        self, *told: tuple[str, int], session: str = "talk", scope: Scope | None = None, kind: EventType = "user_message"
    ) -> None:
        """Messages by text and minute after noon."""
        events = [
            TimelineEvent(
                event_id=f"{session}-{minute}",
                session_id=session,
                timestamp_ms=NOON + minute * MINUTE,
                text=text,
                event_type=kind,
            )
            for text, minute in told
        ]
        await self.system.send(RecordEvents(events=events), scope=scope)
        await self.system.catch_up()

    async def path(self, scope: Scope | None = None) -> list[TocNode]:
        """From the newest year down to the first segment."""
        owner = scope or Scope()
        found = [(await self.toc.years(owner))[0]]
        while found[-1].level != "segment":
            found.append((await self.toc.children(owner, found[-1].node_id, offset=0, limit=1))[0][0])
        return found

    async def recorded(self) -> list[NodeRevised]:
        """All that was ever written, in its order."""
        rows = await self.system.log.after(0, types=["NodeRevised"])
        return [event for row in rows if isinstance(event := decode_event(row.type, row.data), NodeRevised)]

    async def broken(self) -> dict[int, list[str]]:
        """Examples of each promise that is broken, when every view has got to the head."""

        async def all_shown() -> bool:
            head = await self.system.log.head()
            return all([await Ledger(self.system.redis, name).checkpoint() == head for name in PROJECTIONS])

        await wait_until(all_shown, "every view shows all of the log")
        return {number: result.examples for number, result in (await self.system.examined()).items() if not result.ok}

    async def assert_kept(self) -> None:
        """Every promise of the system holds."""
        assert await self.broken() == {}

    async def written(self, level: str = "segment") -> list[Revision]:
        """The revisions of one level."""
        return [one.revision for one in await self.recorded() if one.revision.level == level]


@asynccontextmanager
async def a_desk(database_url: str, redis_url: str, *, zones: Zoned = UTC_ALWAYS) -> AsyncIterator[Desk]:
    """A desk and its system while the block runs."""
    system = SmallSystem(database_url, redis_url, zones=zones)
    await system.catch_up()
    async with AsyncExitStack() as stack:
        desk = Desk(system, stack)
        yield desk
        await desk.stop()
    await system.close()


async def main(database_url: str, redis_url: str, model_url: str, dying: str = "") -> None:
    """Write about what is due."""
    await TocWorker(database_url, redis_url, model_url, dying=bool(dying)).revising.run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
