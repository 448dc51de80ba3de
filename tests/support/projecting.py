"""A log, a bus, and projections on them that note what they were given."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from redis.asyncio import Redis

from agent_memory.contracts.codec import encode
from agent_memory.contracts.envelope import EventEnvelope
from agent_memory.contracts.errors import Unavailable
from agent_memory.contracts.events import JobDue
from agent_memory.contracts.records import Scope
from agent_memory.contracts.streams import EVENTS
from agent_memory.eventlog.connect import Connections
from agent_memory.eventlog.reader import LogReader
from agent_memory.eventlog.relay import Relay
from agent_memory.eventlog.rows import Batch, NewEvent
from agent_memory.eventlog.store import EventStore
from agent_memory.readmodels.progress import Ledger
from agent_memory.runtime.broker import make_broker, subscribe
from agent_memory.runtime.projection import Projection, Runner
from agent_memory.runtime.settings import Settings
from support.controls import wait_until

NAME = "contents"


class Bench:
    """`applied`: the positions, in the order they were applied in; `begun`: those that somebody began with, which takes until the
    `gate` is open; `fails`: what applying one of them raises.
    """

    def __init__(self, database_url: str, redis_url: str) -> None:
        self.database_url, self.redis_url = database_url, redis_url
        self.connections = Connections(database_url, size=8)
        self.reader = LogReader(self.connections)
        self.store = EventStore(self.connections)
        self.redis = Redis.from_url(redis_url, protocol=2)
        self.ledger = Ledger(self.redis, NAME)
        self.version = 0
        self.applied: list[int] = []
        self.begun: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.fails: dict[int, Exception] = {}
        self.away = False

    async def append(self, count: int, kind: str = "JobDue") -> int:
        """Events of one stream, whose data are those of a `JobDue` whatever they are called. Returns the first position."""
        events = []
        for _ in range(count):
            self.version += 1
            data = encode(JobDue(job="j", due_ms=self.version))
            events.append(NewEvent(stream="job/x/j", version=self.version, type=kind, scope=Scope(), data=data))
        return await self.store.append(Batch(events=events), 1)

    async def apply(self, batch: list[EventEnvelope]) -> None:
        """Notes the positions, or raises what was asked for."""
        if self.away:
            raise Unavailable("the provider is away")
        self.begun += [event.position for event in batch]
        await self.gate.wait()
        for event in batch:
            if event.position in self.fails:
                raise self.fails[event.position]
        self.applied += [event.position for event in batch]

    def runner(self, types: frozenset[str] = frozenset({"JobDue"}), known: frozenset[str] | None = None) -> Runner:
        """A projection of some types; `known`: all that its version can read."""
        projection = Projection(name=NAME, types=types, apply=self.apply, linger_seconds=0, eager_seconds=0)
        return Runner(projection, log=self.reader, ledger=self.ledger, redis=self.redis, known=known)

    @asynccontextmanager
    async def relaying(self) -> AsyncIterator[Relay]:
        """A relay at work."""
        relay = Relay(self.database_url, self.reader, self.redis)
        task = asyncio.create_task(relay.run())
        try:
            yield relay
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    @asynccontextmanager
    async def consuming(self, runner: Runner, name: str = "one", *, claim_after_ms: int = 300) -> AsyncIterator[None]:
        """A replica at work, under a name of its own."""
        broker = make_broker(Settings(redis_url=self.redis_url))
        subscribe(broker, EVENTS, NAME, name, runner.handle, batch=10, claim_after_ms=claim_after_ms)
        sweep = asyncio.create_task(runner.sweep())
        await broker.start()
        try:
            yield
        finally:
            await broker.stop()
            sweep.cancel()
            with suppress(asyncio.CancelledError):
                await sweep

    async def reached(self, position: int) -> None:
        """Waits until all up to a position is passed."""

        async def there() -> bool:
            return await self.ledger.checkpoint() >= position

        await wait_until(there, f"checkpoint {position}", timeout=60)

    async def close(self) -> None:
        """Gives all connections back."""
        await self.connections.close()
        await self.redis.aclose()
