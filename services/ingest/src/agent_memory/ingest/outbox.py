"""Jobs about the bus: does it hold all that was committed, and nothing that nobody needs any more."""

import asyncio
from typing import Protocol

import structlog
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from agent_memory.contracts.streams import (
    COMMANDS,
    COMPACTIONS,
    COMPACTOR_GROUP,
    EVENTS,
    INGEST_GROUP,
    PARTITION_RUNS,
    PARTITION_RUNS_GROUP,
    PROJECTIONS,
)
from agent_memory.runtime import telemetry
from agent_memory.runtime.broker import forget_dead_consumers

SETTLE_SECONDS = 2.0
"""How long what was just committed may be on its way."""
LOOK_SECONDS = 0.1
GROUPS: tuple[tuple[str, str], ...] = (
    *((EVENTS, projection) for projection in PROJECTIONS),
    (COMMANDS, INGEST_GROUP),
    (COMPACTIONS, COMPACTOR_GROUP),
    (PARTITION_RUNS, PARTITION_RUNS_GROUP),
)

log = structlog.get_logger(__name__)


class Head(Protocol):
    """Where the log ends."""

    async def head(self) -> int: ...


class Publisher(Protocol):
    """What brings events on the bus (`eventlog.relay.Relay`)."""

    async def last_published(self) -> int: ...
    async def publish_missing(self) -> int: ...
    async def trim(self) -> int: ...


class Outbox:
    """Bodies of two jobs. Done again they do no harm: the bus refuses what it has."""

    def __init__(self, redis: Redis, reader: Head, relay: Publisher) -> None:
        self._redis = redis
        self._reader = reader
        self._relay = relay

    async def check(self, due_ms: int) -> dict[str, str]:
        """Compares the end of the log with the bus; what stays missing is put there. Raises Unavailable, redis.RedisError."""
        head = await self._reader.head()
        missing = max(head - await self._settled(head), 0)
        published = await self._relay.publish_missing() if missing else 0
        if missing:
            telemetry.ERRORS.labels("relay", "NotOnTheBus").inc(missing)
            log.warning("committed events were not on the bus", missing=missing, published=published, head=head)
        return {"head": str(head), "missing": str(missing), "published": str(published)}

    async def _settled(self, head: int) -> int:
        """What is on the bus when the relay has had some time to get as far."""
        deadline = asyncio.get_running_loop().time() + SETTLE_SECONDS
        while True:
            on_bus = await self._relay.last_published()
            if on_bus >= head or asyncio.get_running_loop().time() > deadline:
                return on_bus
            await asyncio.sleep(LOOK_SECONDS)

    async def trim(self, due_ms: int) -> dict[str, str]:
        """Removes from the bus what every projection has accounted for, and consumers that are gone. Raises redis.RedisError."""
        trimmed, forgotten = await self._relay.trim(), 0
        for stream, group in GROUPS:
            try:
                forgotten += await forget_dead_consumers(self._redis, stream, group)
            except ResponseError as error:
                if "no such key" not in str(error).lower() and "NOGROUP" not in str(error):
                    raise
        return {"trimmed": str(trimmed), "left": str(await self._redis.xlen(EVENTS)), "consumers_forgotten": str(forgotten)}
