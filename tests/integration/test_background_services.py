"""The thin services as processes of their own: they follow the log, say how they are, and stop when told."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import aiohttp
import pytest
from redis.asyncio import Redis

from agent_memory.contracts import codec
from agent_memory.contracts.commands import Tick
from agent_memory.contracts.envelope import EventEnvelope
from agent_memory.contracts.events import JobDue, MemoryStored
from agent_memory.contracts.job_catalogue import JOBS
from agent_memory.contracts.records import MemoryRecord, Scope
from agent_memory.contracts.streams import (
    COMMANDS,
    DATA_FIELD,
    EVENTS,
    PROJECTIONS,
    heartbeat_key,
    job_stream,
    memory_stream,
    session_stream,
)
from agent_memory.eventlog.connect import Connections
from agent_memory.eventlog.rows import Batch, NewEvent
from agent_memory.eventlog.store import EventStore
from agent_memory.readmodels import duplicates, jobs, session_work
from agent_memory.readmodels.contents_reads import TableOfContents
from agent_memory.readmodels.progress import Ledger
from support.controls import wait_until
from support.forked import Forking
from support.logged import MadeUpLog

NOW = datetime(2026, 1, 30, tzinfo=UTC)
START_SECONDS = 60.0
DUE_MS = 1_769_731_200_000
THIN = [(projection, service) for projection, service in PROJECTIONS.items() if service != "indexer"]


def a_log() -> MadeUpLog:
    log = MadeUpLog()
    for minute in range(30):
        log.said(DUE_MS + minute * 60_000, f"session-{minute % 2}")
    for name in ("a", "b"):
        record = MemoryRecord(id=name, text="likes tea", created_at=NOW, updated_at=NOW, last_accessed=NOW)
        log.append(memory_stream("default", name), MemoryStored(record=record, sequence=1), Scope())
    log.append(job_stream("default", "compaction"), JobDue(job="compaction", due_ms=DUE_MS), Scope())
    return log


def row(envelope: EventEnvelope) -> NewEvent:
    return NewEvent(
        stream=envelope.stream, version=envelope.version, type=envelope.type, scope=envelope.scope, data=bytes(envelope.data)
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as client:
        yield client


@pytest.mark.parametrize(("projection", "service"), THIN)
async def test_a_service_follows_the_log_from_the_bus_and_where_the_bus_is_silent(
    projection: str, service: str, redis: Redis, redis_url: str, database_url: str, forked: Forking
) -> None:
    log, connections, port = a_log(), Connections(database_url), free_port()
    store = EventStore(connections)
    await store.append(Batch(events=[row(envelope) for envelope in log.envelopes[:20]]), 1)
    async with forked.service(service, DATABASE_URL=database_url, REDIS_URL=redis_url, METRICS_PORT=str(port)):
        ledger = Ledger(redis, projection)

        async def reached(position: int) -> bool:
            return await ledger.checkpoint() == position

        await wait_until(lambda: reached(20), "events from before its start are accounted for", START_SECONDS)
        await store.append(Batch(events=[row(envelope) for envelope in log.envelopes[20:]]), 2)
        for envelope in log.envelopes[20:]:
            fields = {DATA_FIELD: codec.encode(envelope), "type": envelope.type}
            await redis.xadd(EVENTS, fields, id=f"{envelope.position}-0")
        await wait_until(lambda: reached(len(log.envelopes)), "events from the bus are accounted for", START_SECONDS)
        assert await redis.hlen(heartbeat_key(service)) == 1
        async with aiohttp.request("GET", f"http://127.0.0.1:{port}/health") as answer:
            assert await answer.json() == {"status": "ok", "checks": {"redis": "ok", "postgres": "ok"}}
        async with aiohttp.request("GET", f"http://127.0.0.1:{port}/metrics") as answer:
            assert f'agent_memory_events_applied_total{{projection="{projection}"}}' in await answer.text()
        read, expected = SHOWN[service]

        async def shown() -> bool:
            return await read(redis) == expected

        await wait_until(shown, f"all projections of {service} show it", START_SECONDS)
        assert [consumer["pending"] for consumer in await redis.xinfo_consumers(EVENTS, projection)] == [0]
    assert await redis.xinfo_consumers(EVENTS, projection) == []
    assert await redis.hlen(heartbeat_key(service)) == 0
    await connections.close()


async def years(redis: Redis) -> object:
    return [(year.title, year.events, year.sessions) for year in await TableOfContents(redis).years(Scope())]


async def unread(redis: Redis) -> object:
    return [one.count for one in await session_work.states(redis, [(session_stream(Scope(), "session-0"), set())])]


async def equal_ones(redis: Redis) -> object:
    return await duplicates.duplicates(redis, Scope())


async def due_time(redis: Redis) -> object:
    return (await jobs.last_due(redis))["compaction"]


SHOWN: dict[str, tuple[Callable[[Redis], Awaitable[object]], object]] = {
    "rollup": (years, [("2026", 30, 2)]),
    "summarizer": (unread, [15]),
    "compactor": (equal_ones, [["a", "b"]]),
    "scheduler": (due_time, DUE_MS),
}


async def test_two_schedulers_put_the_same_ticks_on_the_bus(
    redis: Redis, redis_url: str, database_url: str, forked: Forking
) -> None:
    places = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
    async with forked.service("scheduler", **places), forked.service("scheduler", **places):

        async def both_sent() -> bool:
            return await redis.xlen(COMMANDS) >= 2 * len(JOBS)

        await wait_until(both_sent, "each scheduler has sent every job", START_SECONDS)
    sent = [codec.decode_command(fields[DATA_FIELD.encode()]) for _, fields in await redis.xrange(COMMANDS)]
    assert {envelope.command.job for envelope in sent if isinstance(envelope.command, Tick)} == {job.name for job in JOBS}
    # At the change of a minute the later one may mean the next tick; never may one tick have two ids.
    assert len({envelope.id for envelope in sent}) == len({envelope.command for envelope in sent})


async def test_a_service_without_its_servers_waits_says_so_and_stops_when_told(forked: Forking) -> None:
    port, nowhere = free_port(), free_port()
    places = {"DATABASE_URL": f"postgresql://127.0.0.1:{nowhere}/x", "REDIS_URL": f"redis://127.0.0.1:{nowhere}/0"}
    async with forked.service("rollup", METRICS_PORT=str(port), **places) as process:

        async def answers() -> bool:
            try:
                async with aiohttp.request("GET", f"http://127.0.0.1:{port}/health") as answer:
                    return answer.status == 503
            except aiohttp.ClientConnectionError:
                return False

        await wait_until(answers, "the service answers that it is not well", START_SECONDS)
        assert process.returncode is None
