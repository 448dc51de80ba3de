"""Memories whose topics or entities nobody has looked for, in Redis: one hash, log stream of the memory to what it lacks.

A memory is entered when it says something new and lacks one of them, and leaves when it was read, has both, or is gone. What
leaves is remembered for an hour, so that an older event that arrives late does not enter it again.
"""

from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import TYPE_CHECKING, cast

import msgspec

from agent_memory.contracts.events import AnyEvent, MemoryEdited, MemoryForgotten, MemoryStored
from agent_memory.contracts.records import MemoryRecord
from agent_memory.contracts.streams import ENRICHMENT

if TYPE_CHECKING:
    from redis.asyncio import Redis

PREFIX = f"am:enrichment:{{{ENRICHMENT}}}:"
LACKING = f"{PREFIX}lacking"
LEFT = f"{PREFIX}left:"
LEFT_SECONDS = 3_600

# KEYS: LACKING, mark of who left. ARGV: stream, version of it, what it lacks or '', seconds that the mark stays.
_NOTE = """
local left = redis.call('GET', KEYS[2])
if left and tonumber(left) >= tonumber(ARGV[2]) then return 0 end
local known = redis.call('HGET', KEYS[1], ARGV[1])
if known and cjson.decode(known).version >= tonumber(ARGV[2]) then return 0 end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
  redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[4])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
return 1
"""


class Lacking(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a memory lacks, as of a version of its stream, and the hash of what it says."""

    version: int
    memory_hash: str
    topics: bool = False
    entities: bool = False


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What an event means: the memory lacks something, or (None) needs no look any more."""

    stream: str
    version: int
    lacking: Lacking | None


_lacking = msgspec.json.Decoder(Lacking)


def project(stream: str, version: int, event: AnyEvent) -> Change | None:
    """What an event of a memory means for this view; None for nothing. Pure."""
    match event:
        case MemoryStored(record=record):
            return Change(stream=stream, version=version, lacking=_lacks(record, version))
        case MemoryEdited(reason="enriched") | MemoryForgotten():
            return Change(stream=stream, version=version, lacking=None)
        case MemoryEdited(record=record, changed=changed) if "text" in changed:
            return Change(stream=stream, version=version, lacking=_lacks(record, version))
        case MemoryEdited(record=record) if _lacks(record, version) is None:
            return Change(stream=stream, version=version, lacking=None)
        case _:
            return None


async def note(redis: "Redis", changes: Sequence[Change]) -> None:
    """Apply changes, in the order of each stream; those that are older than what is known have no effect. One round trip."""
    script = redis.register_script(_NOTE)
    async with redis.pipeline(transaction=False) as pipe:
        for change in changes:
            text = b"" if change.lacking is None else msgspec.json.encode(change.lacking)
            values = [change.stream, str(change.version), text, str(LEFT_SECONDS)]
            await script(keys=[LACKING, f"{LEFT}{change.stream}"], args=values, client=pipe)
        await pipe.execute()


async def lacking(redis: "Redis", *, limit: int, topics: bool = True, entities: bool = True) -> dict[str, Lacking]:
    """Some of the memories that lack topics, or entities, or either, by stream."""
    found: dict[str, Lacking] = {}
    async for stream, text in redis.hscan_iter(LACKING, count=1000):
        one = _lacking.decode(text)
        if (one.topics and topics) or (one.entities and entities):
            found[stream.decode()] = one
        if len(found) >= limit:
            break
    return found


async def of(redis: "Redis", stream: str) -> Lacking | None:
    """What one memory lacks."""
    text = await cast(Awaitable[bytes | None], redis.hget(LACKING, stream))
    return None if text is None else _lacking.decode(text)


async def waiting(redis: "Redis") -> int:
    """How many memories lack something."""
    return int(await cast(Awaitable[int], redis.hlen(LACKING)))


async def clear(redis: "Redis") -> None:
    """Forget the whole view, so that it can be built again from the log."""
    async for key in redis.scan_iter(match=f"{PREFIX}*", count=1000):
        await redis.unlink(key)


async def entries(redis: "Redis") -> AsyncIterator[tuple[str, object]]:
    """What the view holds, one by one: a key that names the stream in braces, and a value, as digests take them."""
    async for stream, text in redis.hscan_iter(LACKING, count=1000):
        yield entry_key(stream.decode()), text.decode()


def entry_key(stream: str) -> str:
    """How `entries` calls a memory."""
    return f"enrichment:{{{stream}}}"


def _lacks(record: MemoryRecord, version: int) -> Lacking | None:
    if record.topics and record.entities:
        return None
    return Lacking(version=version, memory_hash=record.memory_hash or "", topics=not record.topics, entities=not record.entities)
