"""Composition root of the rollup: the only file that makes things."""

import asyncio
from contextlib import suppress
from functools import partial

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from agent_memory.contracts.errors import Conflict
from agent_memory.contracts.streams import CONTENTS, EVENTS
from agent_memory.eventlog.connect import Connections
from agent_memory.eventlog.reader import LogReader
from agent_memory.readmodels.contents import GENERATIONS, SAID, Zoned, generations, zones_of
from agent_memory.readmodels.contents_rebuild import rebuild
from agent_memory.readmodels.progress import Ledger
from agent_memory.rollup.domain import Delays
from agent_memory.rollup.handlers import TYPES, KeepContents
from agent_memory.rollup.settings import DEFAULTS, RollupSettings
from agent_memory.runtime.broker import connect_redis, make_broker, replica_name, subscribe
from agent_memory.runtime.llm import create_completer
from agent_memory.runtime.metrics_server import answers
from agent_memory.runtime.process import start
from agent_memory.runtime.projection import Projection, Runner
from agent_memory.runtime.service import run
from agent_memory.runtime.settings import Settings

SERVICE = "rollup"
SAY_SECONDS = 5.0


async def serve(settings: Settings, own: RollupSettings = DEFAULTS) -> None:
    """Keep the table of contents until the process is told to stop."""
    redis, broker, connections = connect_redis(settings.redis_url), make_broker(settings), Connections(settings.database_url)
    log = LogReader(connections)
    zones = zones_of(settings.timeline_timezone, settings.timeline_timezones)
    keep = KeepContents(redis, zones=zones, delays=await delays(settings))
    projection = Projection(name=CONTENTS, types=TYPES, apply=keep.apply, eager_seconds=own.eager_seconds)
    runner = Runner(projection, log=log, ledger=Ledger(redis, CONTENTS), redis=redis)
    subscribe(
        broker,
        EVENTS,
        CONTENTS,
        replica_name(settings),
        runner.handle,
        batch=own.batch,
        claim_after_ms=own.claim_after_ms,
    )
    checks = {"redis": answers(redis.ping), "postgres": answers(log.head)}
    await run(
        settings,
        SERVICE,
        redis=redis,
        broker=broker,
        tasks=[runner.sweep, partial(agree_on_zones, redis, log, zones), partial(say_again, redis, zones)],
        checks=checks,
    )
    await connections.close()
    await redis.aclose()


async def agree_on_zones(redis: Redis, log: LogReader, zones: Zoned) -> None:
    """The table of contents is built anew when days begin at another time than when it was made."""
    if await say(redis, zones) or (await generations(redis)).zones == zones.name:
        await redis.hset(GENERATIONS, SAID, zones.said)
        return
    structlog.get_logger(SERVICE).warning("the table of contents is built anew: its time zones have changed")
    with suppress(Conflict):
        async for _ in rebuild(redis, log, zones):
            pass


async def say(redis: Redis, zones: Zoned) -> bool:
    """Note with which time zones it is made, where nobody has. Whether that was so."""
    fresh = bool(await redis.hsetnx(GENERATIONS, "zones", zones.name))
    if fresh:
        await redis.hset(GENERATIONS, SAID, zones.said)
    return fresh


async def say_again(redis: Redis, zones: Zoned) -> None:
    """A Redis that was wiped has forgotten it, and what is made there anew has ours. Until cancelled."""
    while True:
        await asyncio.sleep(SAY_SECONDS)
        with suppress(RedisError, OSError):
            await say(redis, zones)


async def delays(settings: Settings) -> Delays:
    """When something is to be written about what has changed: later where it costs a call of a model."""
    model = create_completer(settings)
    await model.close()
    soon = round(settings.timeline_settle_seconds * 1000)
    if not model.model or settings.timeline_summaries == "extractive":
        return Delays(closed=soon, open=soon, period=soon)
    later = round(settings.timeline_model_settle_seconds * 1000)
    return Delays(closed=soon, open=later, period=later)


if __name__ == "__main__":
    start(SERVICE, serve)
