"""What Redis refuses: a server that became a replica is left, and those who read a stream live on whatever is wrong with it."""

from collections.abc import AsyncIterator, Sequence

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from agent_memory.runtime.broker import Entry, connect_redis, make_broker, subscribe
from agent_memory.runtime.settings import Settings
from support.controls import wait_until


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with connect_redis(redis_url) as client:
        yield client


async def test_who_meets_a_server_that_became_a_replica_connects_anew(redis: Redis) -> None:
    before = await redis.client_id()
    await redis.replicaof("127.0.0.1", 1)
    try:
        with pytest.raises(RedisConnectionError, match="has become a replica"):
            await redis.set("key", "value")
    finally:
        await redis.replicaof("no", "one")
    assert await redis.set("key", "value")
    assert await redis.client_id() != before


async def test_a_stream_that_cannot_be_read_is_asked_for_now_and_then_and_read_when_it_can_be(redis: Redis, redis_url: str) -> None:
    read: list[bytes] = []

    async def keep(entries: Sequence[Entry]) -> None:
        read.extend(entry.fields[b"n"] for entry in entries)
        await redis.xack("s", "g", *[entry.id for entry in entries])

    broker = make_broker(Settings(redis_url=redis_url))
    subscribe(broker, "s", "g", "one", keep, batch=10, claim_after_ms=60_000)
    await broker.start()
    try:
        await redis.xadd("s", {"n": 1})
        await wait_until(lambda: read == [b"1"], "it is read")
        await redis.config_resetstat()
        await redis.set("s", "no stream at all")

        async def is_refused() -> bool:
            refused = (await redis.info("errorstats")).get("errorstat_WRONGTYPE", {})
            return int(refused.get("count", 0)) > 2

        await wait_until(is_refused, "it is asked for in vain")
        assert all(len(subscriber.tasks) == 1 for subscriber in broker.subscribers)  # type: ignore[attr-defined]
        await redis.delete("s")
        await redis.xadd("s", {"n": 2})
        await wait_until(lambda: read == [b"1", b"2"], "it is read again")
    finally:
        await broker.stop()
