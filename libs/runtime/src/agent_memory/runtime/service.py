"""The life of a background service: one way to start, to be seen, to stop."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import cast

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from agent_memory.contracts.streams import HEARTBEAT_STALE_MS, heartbeat_key
from agent_memory.runtime import telemetry
from agent_memory.runtime.broker import HealingBroker, Place, forget_dead_consumers, give_back, leave, replica_name
from agent_memory.runtime.metrics_server import serve
from agent_memory.runtime.settings import Settings

log = structlog.get_logger("service")

HEARTBEAT_SECONDS = 2.0
DRAIN_SECONDS = 5.0
# One clock for all: those of two hosts may differ by more than a replica may be silent. And a full Redis refuses only a script's
# first HSET or SET: who lives must not pass for dead then, or gateways would not be ready to answer reads either.
_BEAT = """
-- KEYS: heartbeats. ARGV: who lives, after how many milliseconds of silence somebody does not. Returns those who do.
local time = redis.call('TIME')
local now, living = time[1] * 1000 + math.floor(time[2] / 1000), {}
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now))
local beats = redis.call('HGETALL', KEYS[1])
for i = 1, #beats, 2 do
  if now - tonumber(beats[i + 1]) > tonumber(ARGV[2]) then redis.call('HDEL', KEYS[1], beats[i])
  else living[#living + 1] = beats[i] end
end
return living
"""

Check = Callable[[], Awaitable[str | None]]
Task = Callable[[], Awaitable[None]]


async def run(
    settings: Settings,
    service: str,
    *,
    redis: Redis,
    broker: HealingBroker | None = None,
    tasks: Sequence[Task] = (),
    checks: Mapping[str, Check] | None = None,
    drain: Task | None = None,
) -> None:
    """Runs until SIGTERM or SIGINT. A task that fails is logged, counted and started again; it never ends the service.

    `drain` returns when what was taken from the bus is done; it gets some seconds between the end of reading and that of the tasks.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    telemetry.BUILD.labels(service, replica_name(settings)).set(1)
    beat: Task = partial(heartbeat, redis, service, settings, () if broker is None else broker.places)
    async with serve(settings, checks or {}, stop.is_set):
        running = [asyncio.create_task(_forever(task)) for task in (*tasks, beat)]
        if broker is not None:
            running.append(asyncio.create_task(_start_broker(broker)))
        log.info("started", service=service)
        await stop.wait()
        log.info("stopping", service=service)
        if broker is not None:
            await broker.stop()
        if drain is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(drain(), DRAIN_SECONDS)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    await _leave(redis, service, settings, broker)
    log.info("stopped", service=service)


async def _leave(redis: Redis, service: str, settings: Settings, broker: HealingBroker | None) -> None:
    """Takes this replica off every list. Best effort: whom nobody hears from is forgotten all the same."""
    try:
        await redis.hdel(heartbeat_key(service), replica_name(settings))
        for place in broker.places if broker is not None else ():
            if not await leave(redis, place) and (left := await give_back(redis, place)):
                log.info("given back", stream=place.stream, group=place.group, entries=left)
    except (RedisError, OSError) as error:
        log.warning("left without a word", service=service, error=f"{type(error).__name__}: {error}")


@asynccontextmanager
async def beating(redis: Redis, service: str, settings: Settings) -> AsyncIterator[None]:
    """The heartbeat of a service that reads nothing from the bus, while the block runs. Afterwards it is not among the living."""
    beats = asyncio.create_task(heartbeat(redis, service, settings))
    try:
        yield
    finally:
        beats.cancel()
        await asyncio.gather(beats, return_exceptions=True)
        await _leave(redis, service, settings, None)


async def heartbeat(
    redis: Redis, service: str, settings: Settings, places: Sequence[Place] = (), *, seconds: float = HEARTBEAT_SECONDS
) -> None:
    """Says every two seconds that this replica lives, and forgets those that have been silent for long.

    `places`: what the replicas of the service read as. Of a group go those who are not among the living and have nothing left: what
    was killed could not leave, and what stopped with entries in hand had to stay until others had claimed them.
    """
    replica, key = replica_name(settings), heartbeat_key(service)
    while True:
        with suppress(RedisError, OSError):
            living = await redis.eval(_BEAT, 1, key, replica, HEARTBEAT_STALE_MS)
            for place in places:
                await _forget(redis, place, set(living), idle_ms=round(seconds * 2_500))
        await asyncio.sleep(seconds)


async def is_alive(redis: Redis, service: str) -> bool:
    """Whether a replica was heard of lately, by the clock of Redis, which wrote that down. Raises redis.RedisError."""
    now, _ = await redis.time()
    seen = await cast(Awaitable[list[bytes]], redis.hvals(heartbeat_key(service)))
    return int(now) * 1000 - max(map(int, seen), default=0) < HEARTBEAT_STALE_MS


async def _forget(redis: Redis, place: Place, living: set[bytes | str], *, idle_ms: int) -> None:
    with suppress(ResponseError):  # nobody has made the stream or the group yet
        gone = await forget_dead_consumers(redis, place.stream, place.group, idle_ms=idle_ms, living=living)
        if gone:
            log.info("forgotten", stream=place.stream, group=place.group, consumers=gone)


async def _start_broker(broker: HealingBroker) -> None:
    while True:
        try:
            await broker.start()
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("waiting for redis", error=f"{type(error).__name__}: {error}")
            await broker.stop()
            await asyncio.sleep(0.5)
        else:
            return


async def _forever(task: Task) -> None:
    pause = 0.2
    while True:
        try:
            await task()
        except Exception as error:
            telemetry.ERRORS.labels("task", type(error).__name__).inc()
            log.error("task failed; it starts again", exc_info=error)
        await asyncio.sleep(pause)
        pause = min(pause * 2, 5.0)
