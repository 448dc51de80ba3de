"""One fact, one memory: the claim on a content lies in the database, whoever writes at the same time."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import msgspec
import pytest
from redis.asyncio import Redis

from agent_memory.contracts.codec import encode
from agent_memory.contracts.commands import (
    AnyCommand,
    ForgetMemories,
    MergeMemories,
    ReplaceWorkingMemory,
    StoreMemories,
    UnmergeMemory,
)
from agent_memory.contracts.envelope import CommandEnvelope
from agent_memory.contracts.records import MemoryRecord, Scope
from agent_memory.contracts.replies import AnyReply
from agent_memory.eventlog.connect import Connections
from agent_memory.eventlog.reader import LogReader
from agent_memory.eventlog.relay import Relay
from agent_memory.eventlog.store import EventStore
from agent_memory.ingest.handlers import Ingest
from agent_memory.runtime.broker import Entry

AT = datetime(2026, 1, 31, tzinfo=UTC)


class Replicas:
    """Several ingests on one log."""

    def __init__(self, database_url: str, redis: Redis, count: int) -> None:
        self.connections = [Connections(database_url) for _ in range(count)]
        self.logs = [LogReader(connections) for connections in self.connections]
        self.ingests = [
            Ingest(EventStore(connections), redis, Relay(database_url, log, redis))
            for connections, log in zip(self.connections, self.logs, strict=True)
        ]
        self._sequence = 100

    async def send(self, command: AnyCommand, *, replica: int = 0, tenant: str = "default") -> AnyReply:
        self._sequence += 1
        envelope = CommandEnvelope(
            id=f"c{self._sequence}", scope=Scope(tenant=tenant), issued_ms=1, command=command, reply_to="nobody"
        )
        answers = await self.ingests[replica].record([Entry(f"{self._sequence}-0".encode(), {b"__data__": encode(envelope)})])
        return answers.answered[0].reply

    async def memories(self) -> dict[str, str]:
        """Living memories of the tenant `default`: id to text."""
        texts = {}
        async with self.connections[0].connection() as connection:
            rows = await (
                await connection.execute("SELECT DISTINCT stream FROM events WHERE stream LIKE 'memory/default/%'")
            ).fetchall()
        for (stream,) in rows:
            found = await self.logs[0].memory_record("default", stream.split("/")[-1])
            if found is not None:
                record = msgspec.json.decode(found[0], type=MemoryRecord)
                texts[record.id] = record.text
        return texts


@pytest.fixture
async def replicas(database_url: str, redis_url: str) -> AsyncIterator[Replicas]:
    async with Redis.from_url(redis_url, protocol=2) as redis:
        system = Replicas(database_url, redis, 3)
        yield system
        for connections in system.connections:
            await connections.close()


def store(id_: str, text: str = "likes tea") -> StoreMemories:
    return StoreMemories(memories=[record(id_, text)])


def record(id_: str, text: str = "likes tea") -> MemoryRecord:
    return MemoryRecord(id=id_, text=text, last_accessed=AT, created_at=AT, updated_at=AT)


async def test_of_64_writers_of_one_fact_one_makes_the_memory_and_all_are_told_its_id(replicas: Replicas) -> None:
    replies = await asyncio.gather(*[replicas.send(store(f"m{number}"), replica=number % 3) for number in range(64)])
    told = {reply.memory_ids[0] for reply in replies}  # type: ignore[union-attr]
    outcomes = [reply.outcomes[0] for reply in replies]  # type: ignore[union-attr]
    assert len(told) == 1
    assert (outcomes.count("created"), outcomes.count("duplicate")) == (1, 63)
    assert list(await replicas.memories()) == list(told)


async def test_the_same_fact_of_another_tenant_is_another_memory(replicas: Replicas) -> None:
    await replicas.send(store("a"))
    reply = await replicas.send(store("b"), tenant="other")
    assert reply.outcomes == ["created"]  # type: ignore[union-attr]


async def test_a_claim_ends_with_its_memory_also_for_another_replica(replicas: Replicas) -> None:
    await replicas.send(store("a"))
    await replicas.send(ForgetMemories(memory_ids=["a"]), replica=1)
    reply = await replicas.send(store("b"), replica=2)
    assert reply.outcomes == ["created"]  # type: ignore[union-attr]
    assert await replicas.memories() == {"b": "likes tea"}


async def test_claims_follow_a_merge_and_its_end(replicas: Replicas) -> None:
    await replicas.send(StoreMemories(memories=[record("a", "tea"), record("b", "green tea")]))
    await replicas.send(MergeMemories(record=record("a", "any tea"), source_ids=["b"], versions={"a": 1, "b": 1}), replica=1)
    merged = await replicas.send(store("c", "green tea"), replica=2)
    assert (merged.memory_ids, merged.outcomes) == (["a"], ["duplicate"])  # type: ignore[union-attr]
    await replicas.send(UnmergeMemory(memory_id="a"))
    assert await replicas.memories() == {"a": "tea", "b": "green tea"}
    restored = await replicas.send(store("d", "green tea"), replica=1)
    assert restored.memory_ids == ["b"]  # type: ignore[union-attr]
    await replicas.send(ForgetMemories(memory_ids=["a"]))
    assert (await replicas.send(store("e", "any tea"))).outcomes == ["created"]  # type: ignore[union-attr]
    assert (await replicas.send(store("f", "tea"))).outcomes == ["created"]  # type: ignore[union-attr]


async def test_everything_a_survivor_stood_for_is_free_when_it_is_forgotten(replicas: Replicas) -> None:
    await replicas.send(StoreMemories(memories=[record("a", "tea"), record("b", "green tea")]))
    await replicas.send(MergeMemories(record=record("a", "any tea"), source_ids=["b"], versions={"a": 1, "b": 1}))
    await replicas.send(ForgetMemories(memory_ids=["a"]), replica=1)
    assert (await replicas.send(store("c", "green tea"), replica=2)).outcomes == ["created"]  # type: ignore[union-attr]


async def test_a_memory_of_working_memory_is_promoted_once_by_replicas_at_the_same_time(replicas: Replicas) -> None:
    puts = [
        ReplaceWorkingMemory(session_id=f"s{number}", memories=[msgspec.Raw(encode(record("m")))], promote=True)
        for number in range(6)
    ]
    await asyncio.gather(*[replicas.send(command, replica=number % 3) for number, command in enumerate(puts)])
    assert await replicas.memories() == {"m": "likes tea"}
