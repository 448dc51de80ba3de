"""What a flush or a restart of Redis takes away between an effect and its account is done again, never written off."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from redis.asyncio import Redis

from agent_memory.contracts.codec import encode
from agent_memory.contracts.envelope import EventEnvelope
from agent_memory.contracts.events import JobDue
from agent_memory.contracts.records import Scope
from agent_memory.contracts.streams import EVENTS
from agent_memory.eventlog.connect import Connections
from agent_memory.eventlog.reader import LogReader
from agent_memory.eventlog.relay import REPUBLISHED, Relay
from agent_memory.eventlog.rows import Batch, NewEvent
from agent_memory.eventlog.store import EventStore
from agent_memory.readmodels.progress import Ledger
from agent_memory.runtime.broker import Entry, ensure_group
from agent_memory.runtime.projection import Projection, Runner
from support.controls import wait_until

NAME = "contents"
SHOWN = "shown"
Between = Callable[[], Awaitable[object]]


class Bench:
    """A projection that writes positions into a set, and something that happens right after it has."""

    def __init__(self, database_url: str, redis_url: str) -> None:
        self.connections = Connections(database_url)
        self.log = LogReader(self.connections)
        self.redis = Redis.from_url(redis_url, protocol=2)
        self.ledger = Ledger(self.redis, NAME)
        self.happens: list[Between] = []
        projection = Projection(name=NAME, types=frozenset({"JobDue"}), apply=self.apply, linger_seconds=0, eager_seconds=0)
        self.runner = Runner(projection, log=self.log, ledger=self.ledger, redis=self.redis)

    async def apply(self, batch: list[EventEnvelope]) -> None:
        await self.redis.sadd(SHOWN, *[event.position for event in batch])
        if self.happens:
            await self.happens.pop(0)()

    async def append(self, count: int) -> list[Entry]:
        data = [encode(JobDue(job="j", due_ms=number)) for number in range(count)]
        events = [
            NewEvent(stream="job/x/j", version=number + 1, type="JobDue", scope=Scope(), data=one)
            for number, one in enumerate(data)
        ]
        await EventStore(self.connections).append(Batch(events=events), 1)
        envelopes = await self.log.after(0, limit=count)
        return [Entry(b"%d-0" % one.position, {b"__data__": encode(one), b"type": b"JobDue"}) for one in envelopes]

    async def shown(self) -> set[int]:
        return {int(member) for member in await self.redis.smembers(SHOWN)}


@pytest.fixture
async def bench(database_url: str, redis_url: str) -> AsyncIterator[Bench]:
    bench = Bench(database_url, redis_url)
    yield bench
    await bench.connections.close()
    await bench.redis.aclose()


async def test_a_batch_from_the_bus_is_done_again_when_a_flush_took_its_effect(bench: Bench) -> None:
    bench.happens = [bench.redis.flushall]
    await bench.runner.handle(await bench.append(3))
    assert await bench.shown() == {1, 2, 3}
    assert (await bench.ledger.read()).counters == {"applied": 3, "skipped": 0, "dead_lettered": 0}


async def test_catching_up_does_again_what_a_flush_took(bench: Bench) -> None:
    await bench.append(5)
    bench.happens = [bench.redis.flushall, bench.redis.flushall]
    await bench.runner.catch_up(5)
    assert await bench.shown() == {1, 2, 3, 4, 5}
    assert await bench.ledger.checkpoint() == 5


async def test_a_mark_of_an_earlier_life_accounts_for_nothing(bench: Bench) -> None:
    before = await bench.ledger.mark()
    assert await bench.ledger.mark() == before
    await bench.redis.flushall()
    assert await bench.ledger.advance([(1, 4)], applied=4, mark=before) == -1
    assert await bench.ledger.advance([(1, 4)], applied=4, mark=before.split(b":")[0] + b":another-run") == -1
    assert await bench.ledger.checkpoint() == 0
    assert await bench.ledger.advance([(1, 4)], applied=4, mark=await bench.ledger.mark()) == 4


async def test_two_replicas_that_replay_at_a_time_skip_nothing(bench: Bench) -> None:
    await bench.append(3)
    asked = f"am:replay:{NAME}"
    await bench.redis.rpush(asked, 1, 2, 3)
    bench.happens = [bench.runner.replay_dead_letters]
    await bench.runner.replay_dead_letters()
    assert await bench.shown() == {1, 2, 3}
    assert await bench.redis.llen(asked) == 0


async def test_a_relay_that_takes_over_tells_how_far_the_bus_is(bench: Bench, database_url: str) -> None:
    await bench.redis.xadd(EVENTS, {"is": "there"}, id="7-0")
    told: list[tuple[int, int]] = []
    relay = Relay(database_url, bench.log, bench.redis, on_published=lambda *published: told.append(published))
    leading = asyncio.create_task(relay.run())
    await wait_until(lambda: relay.leading, "it leads")
    leading.cancel()
    await asyncio.gather(leading, return_exceptions=True)
    assert told == [(0, 7)]


async def test_a_bus_that_a_consumer_has_just_made_again_is_not_filled_with_all_of_history(bench: Bench, database_url: str) -> None:
    count = REPUBLISHED + 10
    data = [NewEvent(stream=f"job/x/{n}", version=1, type="JobDue", scope=Scope(), data=b"{}") for n in range(count)]
    await EventStore(bench.connections).append(Batch(events=data), 1)
    await ensure_group(bench.redis, EVENTS, NAME)
    assert await Relay(database_url, bench.log, bench.redis).last_published() == count - REPUBLISHED
