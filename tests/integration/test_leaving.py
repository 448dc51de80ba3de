"""Who leaves a consumer group takes nothing along: entries that were not acknowledged stay for others to claim."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from agent_memory.contracts.streams import heartbeat_key
from agent_memory.embedded.ports import free_port
from agent_memory.runtime.broker import Place, ensure_group, forget_dead_consumers, give_back, leave
from agent_memory.runtime.service import beating, heartbeat, is_alive, run
from agent_memory.runtime.settings import Settings
from support.controls import wait_until

STREAM, GROUP = "s", "g"


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url, decode_responses=True) as client:
        await ensure_group(client, STREAM, GROUP)
        yield client


async def take(redis: Redis, consumer: str) -> str:
    """One new entry, pending at the consumer."""
    id_ = await redis.xadd(STREAM, {"a": "b"})
    await redis.xreadgroup(GROUP, consumer, {STREAM: ">"}, count=1)
    return str(id_)


async def consumers(redis: Redis) -> set[str]:
    return {consumer["name"] for consumer in await redis.xinfo_consumers(STREAM, GROUP)}


async def test_a_consumer_that_has_nothing_leaves_and_the_others_stay(redis: Redis) -> None:
    for name in ("one", "two"):
        await redis.xack(STREAM, GROUP, await take(redis, name))

    assert await leave(redis, Place(STREAM, GROUP, "one"))
    assert await consumers(redis) == {"two"}


async def test_a_consumer_that_has_an_entry_stays_until_another_has_claimed_it(redis: Redis) -> None:
    id_ = await take(redis, "one")

    assert not await leave(redis, Place(STREAM, GROUP, "one"))
    assert await redis.xclaim(STREAM, GROUP, "two", 0, [id_], justid=True) == [id_]
    assert await leave(redis, Place(STREAM, GROUP, "one"))


async def test_what_was_read_and_not_begun_is_given_back_for_others_to_claim_at_once(redis: Redis) -> None:
    taken = [await take(redis, "one") for _ in range(3)]
    await redis.xack(STREAM, GROUP, taken[0])

    assert (await redis.xautoclaim(STREAM, GROUP, "two", 60_000, justid=True)) == []
    assert await give_back(redis, Place(STREAM, GROUP, "one")) == 2
    assert (await redis.xautoclaim(STREAM, GROUP, "two", 60_000, justid=True)) == taken[1:]
    pending = await redis.xpending_range(STREAM, GROUP, "-", "+", 10)
    assert [entry["times_delivered"] for entry in pending] == [1, 1]  # being given back is not an attempt


async def test_nobody_is_in_a_group_that_does_not_exist(redis: Redis) -> None:
    assert not await leave(redis, Place(STREAM, "nobody made it", "one"))
    assert not await leave(redis, Place("nobody wrote it", GROUP, "one"))
    assert await give_back(redis, Place("nobody wrote it", GROUP, "one")) == 0


async def test_leaving_what_is_no_stream_is_an_error(redis: Redis) -> None:
    await redis.set("text", "x")

    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await leave(redis, Place("text", GROUP, "one"))


async def test_the_silent_are_forgotten_once_they_have_nothing_left(redis: Redis) -> None:
    await redis.xack(STREAM, GROUP, await take(redis, "idle"))
    await take(redis, "busy")

    assert await forget_dead_consumers(redis, STREAM, GROUP, idle_ms=-1) == 1
    assert await consumers(redis) == {"busy"}


async def test_a_replica_forgets_those_of_its_group_that_live_no_more(redis: Redis) -> None:
    for name in ("killed", "quiet", "one"):
        await redis.xack(STREAM, GROUP, await take(redis, name))
    id_ = await take(redis, "killed with an entry")
    await redis.hset(heartbeat_key("s"), mapping={"quiet": 2**42, "killed": 0})  # far ahead: alive all the time
    places = [Place("nobody wrote it", GROUP, "one"), Place(STREAM, GROUP, "one")]
    beating = asyncio.create_task(heartbeat(redis, "s", Settings(service_replica="one"), places, seconds=0.01))

    await wait_until(lambda: stay(redis, {"one", "quiet", "killed with an entry"}), "whom nothing is pending at is forgotten")
    await redis.xack(STREAM, GROUP, id_)
    await wait_until(lambda: stay(redis, {"one", "quiet"}), "so is the other once its entry is done")
    assert set(await redis.hkeys(heartbeat_key("s"))) == {"one", "quiet"}
    beating.cancel()


async def test_a_service_that_reads_nothing_is_among_the_living_until_it_stops(redis: Redis) -> None:
    async with beating(redis, "s", Settings(service_replica="one")):
        await wait_until(lambda: redis.hexists(heartbeat_key("s"), "one"), "it says that it lives")
    assert not await redis.exists(heartbeat_key("s"))


async def test_who_lives_is_told_by_the_clock_of_redis_alone(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(time, "time", lambda: 0.0)
        async with beating(redis, "s", Settings(service_replica="one")):
            await wait_until(lambda: redis.hexists(heartbeat_key("s"), "one"), "it says that it lives")
            elsewhere.undo()
            assert await is_alive(redis, "s")
    assert not await is_alive(redis, "s")


async def test_a_full_redis_still_hears_who_lives(redis: Redis) -> None:
    await redis.config_set("maxmemory", 1)
    try:
        async with beating(redis, "s", Settings(service_replica="one")):
            await wait_until(lambda: is_alive(redis, "s"), "it says that it lives")
    finally:
        await redis.config_set("maxmemory", 0)


async def test_a_service_that_was_told_to_stop_is_alive_and_not_ready_until_it_has_finished(redis: Redis) -> None:
    settings, finished = Settings(service_replica="one", metrics_port=free_port()), asyncio.Event()

    async def answers(path: str) -> int:
        try:
            async with aiohttp.request("GET", f"http://127.0.0.1:{settings.metrics_port}{path}") as answer:
                return answer.status
        except aiohttp.ClientConnectorError:
            return 0

    async def is_answered(path: str, status: int) -> bool:
        return await answers(path) == status

    async def finish() -> None:
        await finished.wait()

    running = asyncio.create_task(run(settings, "s", redis=redis, drain=finish))
    await wait_until(lambda: is_answered("/ready", 200), "it is ready")
    os.kill(os.getpid(), signal.SIGTERM)
    await wait_until(lambda: is_answered("/ready", 503), "it is not ready any more")
    assert await answers("/live") == 200
    finished.set()
    await running
    assert await answers("/live") == 0
    assert not await redis.exists(heartbeat_key("s"))


async def stay(redis: Redis, names: set[str]) -> bool:
    return await consumers(redis) == names
