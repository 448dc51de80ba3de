"""The table of contents anew from the log, beside the live one, with what was written about its nodes: no model is asked."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol

import msgspec

from agent_memory.contracts.codec import decode_event
from agent_memory.contracts.envelope import EventEnvelope
from agent_memory.contracts.errors import Conflict
from agent_memory.contracts.events import EventRecorded
from agent_memory.readmodels import contents, due
from agent_memory.readmodels.contents import GENERATIONS, Zoned, generations
from agent_memory.readmodels.contents_keeping import TYPES, Keeping
from agent_memory.readmodels.holding import held

if TYPE_CHECKING:
    from redis.asyncio import Redis

BATCH = 1_000
LEASE_MS = 60_000
LEASE = "am:toc:rebuilding"
_NEXT = """
local last = math.max(tonumber(redis.call('HGET', KEYS[1], 'last') or '1'), tonumber(redis.call('HGET', KEYS[1], 'live') or '1'))
redis.call('HSET', KEYS[1], 'last', last + 1)
return last + 1
"""
# Not after a flush: it took what was filled before it, and only the live one is filled again.
_SWAP = """
if redis.call('HGET', KEYS[1], 'building') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'live', ARGV[1], 'zones', ARGV[2], 'said', ARGV[3])
redis.call('HDEL', KEYS[1], 'building')
return 1
"""
_ABANDON = "if redis.call('HGET', KEYS[1], 'building') == ARGV[1] then redis.call('HDEL', KEYS[1], 'building') end"


class Log(Protocol):
    """What a rebuild asks of the log (`LogReader`)."""

    async def head(self) -> int: ...
    async def after(
        self, position: int, *, up_to: int | None = None, limit: int = 500, types: Sequence[str] | None = None
    ) -> list[EventEnvelope]: ...


class Rebuilding(msgspec.Struct, frozen=True, kw_only=True):
    """How far it is: positions done of all, and how many events and revisions these held."""

    position: int
    head: int
    events: int = 0
    revisions: int = 0


async def rebuild(redis: "Redis", log: Log, zones: Zoned, *, batch: int = BATCH) -> AsyncIterator[Rebuilding]:
    """Fill the next generation from the whole log, while new events go to both, then read that one. Every node is looked at
    then: where it is another than before, it is written about.

    Raises Conflict when another rebuild runs or a flush took what was made, Unavailable and redis.RedisError; the live one is
    untouched then.
    """
    async with _alone(redis):
        before = (await generations(redis)).live
        number = int(await redis.eval(_NEXT, 1, GENERATIONS))
        try:
            await redis.hset(GENERATIONS, "building", number)
            async for step in _filled(redis, log, zones, number, size=batch):
                yield step
            if not await redis.eval(_SWAP, 1, GENERATIONS, number, zones.name, zones.said):
                raise Conflict("what was built of the table of contents was lost on the way; build it again")
        except BaseException:
            await asyncio.shield(_abandon(redis, number))
            raise
        await contents.clear(redis, before)
        await _looked_at(redis, number)


async def compare(redis: "Redis", log: Log, zones: Zoned) -> AsyncIterator[Rebuilding | tuple[str, str]]:
    """Make it beside the live one and take it away again: the last item is the digests of both. Raises as `rebuild` does."""
    async with _alone(redis):
        number = int(await redis.eval(_NEXT, 1, GENERATIONS))
        try:
            async for step in _filled(redis, log, zones, number):
                yield step
            yield await contents.digest(redis), await contents.digest(redis, number)
        finally:
            await asyncio.shield(contents.clear(redis, number))


async def replay(redis: "Redis", log: Log, zones: Zoned, *, since_ms: int) -> AsyncIterator[Rebuilding]:
    """Take events from a time on (UTC ms) into the live one again, and everything that was written: mends what is missing."""
    async with _alone(redis):
        live = (await generations(redis)).live
        async for step in _filled(redis, log, zones, live, since_ms=since_ms):
            yield step
        await _looked_at(redis, live)


async def _filled(
    redis: "Redis", log: Log, zones: Zoned, generation: int, *, since_ms: int | None = None, size: int = BATCH
) -> AsyncIterator[Rebuilding]:
    keeping, position, head = Keeping(redis, zones), 0, await log.head()
    done = Rebuilding(position=0, head=head)
    yield done
    while position < head:
        batch = await log.after(position, up_to=head, limit=size, types=sorted(TYPES))
        wanted = batch if since_ms is None else [one for one in batch if _since(one, since_ms)]
        steps, written = await keeping.take(generation, wanted) if wanted else ([], [])
        events = sum(len(step.given) for step in steps)
        position = batch[-1].position if len(batch) == size else head
        done = Rebuilding(position=position, head=head, events=done.events + events, revisions=done.revisions + len(written))
        yield done


async def _looked_at(redis: "Redis", generation: int) -> None:
    now_ms = time.time_ns() // 1_000_000
    chunk: list[tuple[str, int]] = []
    async for stream in contents.streams(redis, generation):
        chunk.append((stream, now_ms))
        if len(chunk) == BATCH:
            await due.mark(redis, chunk)
            chunk = []
    await due.mark(redis, chunk)


def _since(envelope: EventEnvelope, since_ms: int) -> bool:
    event = decode_event(envelope.type, envelope.data)
    return not isinstance(event, EventRecorded) or event.event.timestamp_ms >= since_ms


async def _abandon(redis: "Redis", number: int) -> None:
    await redis.eval(_ABANDON, 1, GENERATIONS, number)
    await contents.clear(redis, number)


@asynccontextmanager
async def _alone(redis: "Redis") -> AsyncIterator[None]:
    async with held(redis, LEASE, LEASE_MS) as mine:
        if not mine:
            raise Conflict("the table of contents is being built anew already")
        yield
