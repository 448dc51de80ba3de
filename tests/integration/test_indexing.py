"""Batches of events that are written in parts, the next part's vectors being come by meanwhile."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest
from redis.asyncio import Redis

from agent_memory.contracts.codec import encode
from agent_memory.contracts.envelope import EventEnvelope
from agent_memory.contracts.errors import Unavailable
from agent_memory.contracts.events import MemoryForgotten, MemoryStored
from agent_memory.contracts.records import MemoryRecord, Scope
from agent_memory.contracts.streams import document_key
from agent_memory.readmodels import generations
from agent_memory.readmodels.indexing import PART, Indexing

AT = datetime(2026, 1, 31, tzinfo=UTC)
COUNT = 2 * PART + PART // 2
"""Two parts and a half."""


class Provider:
    """Embeds until it is told to fail, and remembers how many texts each request had."""

    model = "m"
    dimensions = 2

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.fails_at = -1

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        if len(self.asked) == self.fails_at:
            self.fails_at = -1
            raise Unavailable("the provider is away")
        self.asked.append(len(texts))
        return [np.array([1, 0], "<f4").tobytes()] * len(texts)


class Kept(dict[bytes, bytes]):
    """Vectors that were computed before."""

    async def find(self, _: str, hashes: Sequence[bytes]) -> dict[bytes, bytes]:
        return {digest: self[digest] for digest in hashes if digest in self}

    async def keep(self, _: str, vectors: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
        self.update(vectors)
        return dict(vectors)


def event(position: int, payload: MemoryStored | MemoryForgotten) -> EventEnvelope:
    return EventEnvelope(
        position=position,
        stream="s",
        version=1,
        type=type(payload).__name__,
        scope=Scope(tenant="t"),
        recorded_ms=1,
        data=msgspec.Raw(encode(payload)),
    )


def stored(position: int, number: int) -> EventEnvelope:
    record = MemoryRecord(id=f"m{number}", text=f"text {position}", created_at=AT, updated_at=AT, last_accessed=AT)
    return event(position, MemoryStored(record=record, sequence=position))


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url, protocol=2) as client:
        await generations.ensure(client, "memory", "m", 2, "FLAT")
        yield client


async def versions(redis: Redis) -> dict[int, int]:
    """The version of each document by the number of its memory."""
    found = {number: await redis.hget(document_key("memory", 1, "t", f"m{number}"), "version") for number in range(COUNT)}
    return {number: int(version) for number, version in found.items() if version is not None}


async def test_every_part_of_a_batch_is_written_and_the_newest_of_a_document_stays(redis: Redis) -> None:
    batch = [stored(number + 1, number) for number in range(COUNT)]
    batch += [stored(COUNT + 1, 0), event(COUNT + 2, MemoryForgotten(memory_id="m1", at=AT, sequence=COUNT + 2))]
    await Indexing("memory", redis, Provider(), Kept()).apply(batch)
    assert await versions(redis) == {number: number + 1 for number in range(2, COUNT)} | {0: COUNT + 1}


async def test_a_provider_that_fails_in_the_middle_is_an_outage_and_no_text_is_paid_for_twice(redis: Redis) -> None:
    provider, batch = Provider(), [stored(number + 1, number) for number in range(COUNT)]
    indexing = Indexing("memory", redis, provider, Kept())
    provider.fails_at = 1
    with pytest.raises(Unavailable, match="away"):
        await indexing.apply(batch)
    await indexing.apply(batch)
    assert provider.asked == [PART, PART, COUNT - 2 * PART]
    assert await versions(redis) == {number: number + 1 for number in range(COUNT)}
