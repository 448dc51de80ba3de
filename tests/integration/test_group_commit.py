"""Group commit: what arrives while a batch is being written becomes the next batch; nothing taken in is left undone."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from agent_memory.contracts.codec import encode
from agent_memory.contracts.commands import AppendMessages
from agent_memory.contracts.envelope import CommandEnvelope
from agent_memory.contracts.records import Message, Scope
from agent_memory.contracts.streams import COMMANDS, DEAD_LETTERS, INGEST_GROUP
from agent_memory.eventlog.connect import Connections
from agent_memory.eventlog.reader import LogReader
from agent_memory.eventlog.relay import Relay
from agent_memory.eventlog.store import EventStore
from agent_memory.ingest.group_commit import GroupCommit
from agent_memory.ingest.handlers import CRASHING_DELIVERIES, Answers, Ingest
from agent_memory.runtime.broker import Entry, ensure_group

AT = datetime(2026, 1, 31, tzinfo=UTC)


class Watched(Ingest):
    """Ingest that says how large its batches were and when it begins one, and whose answers can fail."""

    def __init__(self, store: EventStore, redis: Redis, relay: Relay) -> None:
        super().__init__(store, redis, relay)
        self.sizes: list[int] = []
        self.began = asyncio.Event()
        self.redis_is_away = False

    async def record(self, entries: Sequence[Entry]) -> Answers:
        self.sizes.append(len(entries))
        self.began.set()
        return await super().record(entries)

    async def answer(self, answers: Answers) -> None:
        if self.redis_is_away:
            raise RedisConnectionError("away")
        await super().answer(answers)


class Bus:
    """The stream of commands, read as the broker reads it."""

    def __init__(self, redis: Redis, connections: Connections, ingest: Watched, commits: GroupCommit) -> None:
        self.redis, self.connections, self.ingest, self.commits = redis, connections, ingest, commits
        self._number = 0

    async def append_message(self) -> Entry:
        self._number += 1
        message = Message(id=f"m{self._number}", role="user", content=f"message {self._number}", created_at=AT)
        command = AppendMessages(session_id="s", messages=[message])
        envelope = CommandEnvelope(id=f"c{self._number}", scope=Scope(), issued_ms=1, command=command)
        await self.redis.xadd(COMMANDS, {b"__data__": encode(envelope)})
        ((_, ((id_, fields),)),) = await self.redis.xreadgroup(INGEST_GROUP, "test", {COMMANDS: ">"}, count=1)
        return Entry(id_, fields)

    async def taken_up(self, entry: Entry) -> Entry:
        """The entry as a replica claims it, with the number of times that it was handed out."""
        await self.redis.xautoclaim(COMMANDS, INGEST_GROUP, "another", 0)
        (pending,) = await self.redis.xpending_range(COMMANDS, INGEST_GROUP, entry.id, entry.id, 1)
        return Entry(entry.id, entry.fields, int(pending["times_delivered"]))

    @contextmanager
    def log_is_away(self) -> Iterator[None]:
        store, self.ingest._store = self.ingest._store, EventStore(Connections("postgresql://127.0.0.1:1/nowhere"))
        yield
        self.ingest._store = store

    async def stored(self) -> int:
        async with self.connections.connection() as connection:
            row = await (await connection.execute("SELECT count(*) FROM events WHERE event_id IS NOT NULL")).fetchone()
        return int(row[0]) if row else 0

    async def pending(self) -> int:
        return int((await self.redis.xpending(COMMANDS, INGEST_GROUP))["pending"])

    @asynccontextmanager
    async def log_is_busy(self) -> AsyncIterator[None]:
        async with self.connections.connection() as connection, connection.transaction():
            await connection.execute("SELECT position FROM log_head FOR UPDATE")
            yield


@pytest.fixture
async def bus(database_url: str, redis_url: str) -> AsyncIterator[Bus]:
    connections = Connections(database_url)
    async with Redis.from_url(redis_url, protocol=2) as redis:
        await ensure_group(redis, COMMANDS, INGEST_GROUP)
        ingest = Watched(EventStore(connections), redis, Relay(database_url, LogReader(connections), redis))
        commits = GroupCommit(ingest, batch=3)
        tasks = [asyncio.create_task(commits.write()), asyncio.create_task(commits.answer())]
        yield Bus(redis, connections, ingest, commits)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await connections.close()


async def test_what_arrives_while_a_batch_is_written_becomes_the_next_batch(bus: Bus) -> None:
    async with bus.log_is_busy():
        await bus.commits.offer([await bus.append_message()])
        await bus.ingest.began.wait()
        new, claimed = await bus.append_message(), await bus.append_message()
        waiting = [asyncio.create_task(bus.commits.offer([entry])) for entry in (new, claimed)]
    await asyncio.gather(*waiting)
    await bus.commits.drain()
    assert bus.ingest.sizes == [1, 2]
    assert (await bus.stored(), await bus.pending()) == (3, 0)


async def test_a_transaction_has_at_most_as_many_commands_as_configured(bus: Bus) -> None:
    await bus.commits.offer([await bus.append_message() for _ in range(8)])
    await bus.commits.drain()
    assert bus.ingest.sizes == [3, 3, 2]
    assert (await bus.stored(), await bus.pending()) == (8, 0)


async def test_a_replica_that_has_a_batch_waiting_reads_no_more(bus: Bus) -> None:
    async with bus.log_is_busy():
        await bus.commits.offer([await bus.append_message()])
        await bus.ingest.began.wait()
        reader = asyncio.create_task(bus.commits.offer([await bus.append_message()]))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not reader.done()
    await reader
    await bus.commits.drain()
    assert (await bus.stored(), await bus.pending()) == (2, 0)


async def test_what_could_not_be_acknowledged_comes_back_and_is_stored_once(bus: Bus) -> None:
    bus.ingest.redis_is_away = True
    entry = await bus.append_message()
    await bus.commits.offer([entry])
    await bus.commits.drain()
    assert (await bus.stored(), await bus.pending()) == (1, 1)
    bus.ingest.redis_is_away = False
    await bus.commits.offer([Entry(entry.id, entry.fields, 2)])
    await bus.commits.drain()
    assert (await bus.stored(), await bus.pending()) == (1, 0)


async def test_a_command_outlives_an_outage_of_the_log_however_often_it_is_taken_up(bus: Bus) -> None:
    entry = await bus.append_message()
    with bus.log_is_away():
        for _ in range(2 * CRASHING_DELIVERIES):
            await bus.ingest.handle([await bus.taken_up(entry)])
    await bus.ingest.handle([await bus.taken_up(entry)])
    assert (await bus.stored(), await bus.pending(), await bus.redis.xlen(DEAD_LETTERS)) == (1, 0, 0)
