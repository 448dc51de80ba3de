"""Generations of an index: created once, rebuilt beside the live one, swapped without a failed read, healed after a flush."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import numpy as np
import pytest
from redis.asyncio import Redis

from agent_memory.contracts.errors import Conflict, Unavailable
from agent_memory.contracts.queries import SearchMemories
from agent_memory.contracts.records import MemoryRecord
from agent_memory.readmodels import generations
from agent_memory.readmodels.documents import Kind, Upsert, memory_document
from agent_memory.readmodels.search import MemorySearch
from agent_memory.readmodels.writes import apply

AT = datetime(2026, 1, 31, tzinfo=UTC)
LISTING = SearchMemories(tenant="t")


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url, protocol=2) as client:
        yield client


def document(number: int, dimensions: int = 2) -> Upsert:
    record = MemoryRecord(id=f"m{number}", text=f"memory {number}", last_accessed=AT, created_at=AT, updated_at=AT)
    return memory_document(record, "t", number, np.ones(dimensions, "<f4").tobytes())


async def test_replicas_that_start_at_once_agree_on_one_generation(redis: Redis) -> None:
    asked = [generations.ensure(redis, "memory", f"model {at}", 2 + at, "FLAT") for at in range(8)]
    found = await asyncio.gather(*asked)
    assert len(set(found)) == 1
    assert (await generations.registry(redis, "memory")).active == (found[0],)
    assert (await MemorySearch(redis).search(LISTING, None)).total == 0


async def test_a_live_generation_of_another_model_is_told_and_kept(redis: Redis) -> None:
    first = await generations.ensure(redis, "memory", "small", 2, "FLAT")
    second = await generations.ensure(redis, "memory", "large", 4, "HNSW")
    assert second == first
    assert first.serves("small", 2)
    assert not second.serves("large", 4)
    assert not second.serves("large", 2)


@pytest.mark.parametrize("algorithm", ["FLAT", "HNSW"])
async def test_readers_never_fail_while_the_next_generation_takes_over(redis: Redis, algorithm: str) -> None:
    old = await generations.ensure(redis, "memory", "m", 2, algorithm)
    documents = [document(number) for number in range(1, 51)]
    await apply(redis, [old], documents, model="m")
    done = asyncio.Event()
    totals: list[int] = []

    async def read() -> None:
        search = MemorySearch(redis)
        while not done.is_set():
            totals.append((await search.search(LISTING, None)).total)

    reader = asyncio.create_task(read())
    new = await generations.begin_build(redis, "memory", "m", 2, algorithm)
    await apply(redis, [old, new], documents, model="m")
    assert await generations.digest(redis, old) == await generations.digest(redis, new)
    assert await generations.swap(redis, new) == old
    assert await generations.drop_old(redis, "memory") == 50
    done.set()
    await reader
    assert set(totals) == {50}
    assert (await generations.registry(redis, "memory")) == generations.Registry(live=new)
    assert await generations.swap(redis, new) is None


async def test_a_model_of_another_dimension_is_built_beside_the_live_one(redis: Redis) -> None:
    old = await generations.ensure(redis, "memory", "small", 2, "FLAT")
    await apply(redis, [old], [document(1)], model="small")
    new = await generations.begin_build(redis, "memory", "large", 4, "FLAT")
    await apply(redis, [old, new], [document(1, 4), document(2, 4)], model="large")
    search = MemorySearch(redis)
    meant = SearchMemories(tenant="t", text="memory")
    with pytest.raises(Unavailable, match="another embedding model"):
        await search.search(meant, np.ones(4, "<f4").tobytes())
    await generations.swap(redis, new)
    assert (await search.search(meant, np.ones(4, "<f4").tobytes())).total == 2


async def test_one_build_at_a_time_which_can_be_given_up(redis: Redis) -> None:
    live = await generations.ensure(redis, "memory", "m", 2, "FLAT")
    building = await generations.begin_build(redis, "memory", "m", 2, "FLAT")
    with pytest.raises(Conflict, match="being rebuilt already"):
        await generations.begin_build(redis, "memory", "m", 2, "FLAT")
    await apply(redis, [building], [document(1)], model="m")
    await generations.abandon(redis, building)
    assert (await generations.registry(redis, "memory")) == generations.Registry(live=live)
    assert [key async for key in redis.scan_iter(match="am:doc:*")] == []
    with pytest.raises(Conflict, match="is live"):
        await generations.abandon(redis, live)
    with pytest.raises(Conflict, match="not being built"):
        await generations.swap(redis, building)
    assert (await generations.begin_build(redis, "memory", "m", 2, "FLAT")).number == 3


async def test_a_flush_is_an_outage_until_the_index_is_made_and_filled_again(redis: Redis) -> None:
    before = await generations.ensure(redis, "memory", "m", 2, "FLAT")
    await apply(redis, [before], [document(1)], model="m")
    digest = await generations.digest(redis, before)
    search = MemorySearch(redis)
    assert (await search.search(LISTING, None)).total == 1
    await redis.flushall()
    with pytest.raises(Unavailable, match="being built"):
        await search.search(LISTING, None)
    after = await generations.ensure(redis, "memory", "m", 2, "FLAT")
    assert (await search.search(LISTING, None)).total == 0
    await apply(redis, [after], [document(1)], model="m")
    assert (await search.search(LISTING, None)).total == 1
    assert await generations.digest(redis, after) == digest


async def test_an_index_that_was_lost_alone_is_made_again_over_its_documents(redis: Redis) -> None:
    live = await generations.ensure(redis, "timeline", "m", 2, "FLAT")
    await redis.execute_command("FT.DROPINDEX", "am:index:timeline:1")
    assert await generations.ensure(redis, "timeline", "m", 2, "FLAT") == live
    assert await redis.execute_command("FT.INFO", "am:index:timeline")


async def test_a_service_that_starts_while_a_generation_takes_over_finds_the_new_one(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The swap and the drop come right after the starting service has read which generation is live."""
    await generations.ensure(redis, "memory", "m", 2, "FLAT")
    read = generations.registry
    swapped: list[generations.Generation] = []

    async def read_just_before_a_swap(redis: Redis, kind: Kind) -> generations.Registry:
        known = await read(redis, kind)
        if not swapped:
            monkeypatch.setattr(generations, "registry", read)
            swapped.append(await generations.begin_build(redis, kind, "m", 2, "FLAT"))
            await generations.swap(redis, swapped[0])
            await generations.drop_old(redis, kind)
        return known

    monkeypatch.setattr(generations, "registry", read_just_before_a_swap)
    live = await generations.ensure(redis, "memory", "m", 2, "FLAT")
    assert [live] == swapped
    assert await redis.execute_command("FT._LIST") == [b"am:index:memory:2"]
