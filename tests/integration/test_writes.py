"""Search documents are compare-and-set on the log position: any order of arrival gives the same result."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import count

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from agent_memory.contracts.errors import Unavailable
from agent_memory.contracts.records import MemoryRecord
from agent_memory.contracts.streams import document_key
from agent_memory.readmodels import generations
from agent_memory.readmodels.documents import Delete, Upsert, Write, memory_document
from agent_memory.readmodels.generations import Generation
from agent_memory.readmodels.writes import Applied, apply, tombstone_key

AT = datetime(2026, 1, 31, tzinfo=UTC)
VECTOR = np.array([1, 0], "<f4").tobytes()
TENANTS = (f"t{number}" for number in count())


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url, protocol=2) as client:
        yield client


@pytest.fixture
async def live(redis: Redis) -> Generation:
    return await generations.ensure(redis, "memory", "m", 2, "FLAT")


def upsert(version: int, *, tenant: str = "t", text: str = "", topics: tuple[str, ...] = ()) -> Upsert:
    record = MemoryRecord(
        id="m1", text=text or f"text {version}", topics=list(topics), last_accessed=AT, created_at=AT, updated_at=AT
    )
    return memory_document(record, tenant, version, VECTOR)


def delete(version: int, tenant: str = "t") -> Delete:
    return Delete(kind="memory", scope_path=tenant, id="m1", version=version)


async def stored(redis: Redis, generation: Generation, tenant: str = "t") -> dict[bytes, bytes]:
    return dict(await redis.hgetall(document_key("memory", generation.number, tenant, "m1")))


async def test_an_older_write_never_overwrites_a_newer_one(redis: Redis, live: Generation) -> None:
    assert await apply(redis, [live], [upsert(5)], model="m") == Applied(changed=1, stale=0)
    assert await apply(redis, [live], [upsert(4), upsert(5)], model="m") == Applied(changed=0, stale=2)
    assert (await stored(redis, live))[b"version"] == b"5"


async def test_an_upsert_that_comes_after_its_delete_is_refused(redis: Redis, live: Generation) -> None:
    await apply(redis, [live], [delete(7)], model="m")
    assert await apply(redis, [live], [upsert(6)], model="m") == Applied(changed=0, stale=1)
    assert await stored(redis, live) == {}
    assert 3_500 < await redis.ttl(tombstone_key("memory", "t", "m1")) <= 3_600
    await apply(redis, [live], [upsert(8)], model="m")
    assert (await stored(redis, live))[b"version"] == b"8"


async def test_a_field_that_the_new_version_lacks_is_gone(redis: Redis, live: Generation) -> None:
    await apply(redis, [live], [upsert(1, topics=("a",)), upsert(2)], model="m")
    assert b"topics" not in await stored(redis, live)


async def test_all_generations_get_each_write(redis: Redis, live: Generation) -> None:
    building = await generations.begin_build(redis, "memory", "m", 2, "FLAT")
    active = (await generations.registry(redis, "memory")).active
    assert active == (live, building)
    await apply(redis, active, [upsert(1)], model="m")
    assert await stored(redis, live) == await stored(redis, building) != {}
    await apply(redis, active, [delete(2)], model="m")
    assert await stored(redis, live) == await stored(redis, building) == {}


async def test_a_write_without_a_place_to_go_is_an_outage_and_not_a_loss(redis: Redis, live: Generation) -> None:
    with pytest.raises(Unavailable):
        await apply(redis, [], [upsert(1)], model="m")
    with pytest.raises(Unavailable):
        await apply(redis, [live], [upsert(1)], model="another")


async def test_a_vector_of_the_wrong_length_is_refused(redis: Redis, live: Generation) -> None:
    wrong = Upsert(kind="memory", scope_path="t", id="m1", version=1, fields={"vector": b"\0\0\0\0"})
    with pytest.raises(ValueError, match="1 dimensions"):
        await apply(redis, [live], [upsert(1), wrong], model="m")
    assert await stored(redis, live) == {}


async def test_scripts_that_the_server_forgot_are_loaded_again(redis: Redis, live: Generation) -> None:
    await redis.script_flush()
    assert await apply(redis, [live], [upsert(1), delete(2)], model="m") == Applied(changed=2, stale=0)


async def test_nothing_to_write_is_nothing_done(redis: Redis, live: Generation) -> None:
    assert await apply(redis, [live], [], model="m") == Applied(changed=0, stale=0)


KINDS = st.lists(st.booleans(), min_size=1, max_size=6)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(KINDS, st.randoms(), st.booleans())
async def test_any_order_of_writes_gives_the_same_document(
    redis: Redis, live: Generation, kinds: list[bool], random: object, repeat: bool
) -> None:
    expected, shuffled = next(TENANTS), next(TENANTS)

    def writes(tenant: str) -> list[Write]:
        return [upsert(at, tenant=tenant) if kind else delete(at, tenant) for at, kind in enumerate(kinds, start=1)]

    mixed = writes(shuffled) * (2 if repeat else 1)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    await apply(redis, [live], writes(expected), model="m")
    for write in mixed:
        await apply(redis, [live], [write], model="m")
    in_order = await stored(redis, live, expected)
    assert bool(in_order) == kinds[-1]
    found = await stored(redis, live, shuffled)
    assert found.get(b"version") == in_order.get(b"version")
    assert found.get(b"record") == in_order.get(b"record")
