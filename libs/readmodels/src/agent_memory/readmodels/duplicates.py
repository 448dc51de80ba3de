"""Which memories of an owner say the same, in Redis: a hash per owner from memory id to content hash.

Beside it each memory has a small hash with the log position that it was last written from, its owner and its content hash: a
lower position never undoes a higher one, and a memory that changes owner leaves the old one. A forgotten memory keeps that hash
for a day without an owner, so that a late redelivery does not bring it back.

Keys of a tenant share one hash tag, because a memory may move between owners. A memory costs some 300 bytes here.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Iterable
from typing import TYPE_CHECKING, cast

import msgspec

from agent_memory.contracts.records import Scope, escape
from agent_memory.readmodels.digests import digest_of

if TYPE_CHECKING:
    from redis.asyncio import Redis

PREFIX = "am:duplicates:"
TOMBSTONE_SECONDS = 86_400


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What a memory says and whose it is, as of a log position."""

    memory_id: str
    position: int
    owner: Scope
    content_hash: str


class Gone(msgspec.Struct, frozen=True, kw_only=True):
    """A memory was forgotten at a log position."""

    memory_id: str
    position: int
    tenant: str


# KEYS: the memory, its owner ('' when gone). ARGV: position, memory id, content hash, seconds of a tombstone.
# The former owner's key is read from the memory: it has the same hash tag, so it is on this node.
_WRITE = """
local at, former = unpack(redis.call('HMGET', KEYS[1], 'position', 'owner'))
if at and tonumber(at) >= tonumber(ARGV[1]) then return 0 end
if former and former ~= '' and former ~= KEYS[2] then redis.call('HDEL', former, ARGV[2]) end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[2], ARGV[2])
  redis.call('HSET', KEYS[1], 'position', ARGV[1], 'owner', '')
  redis.call('EXPIRE', KEYS[1], ARGV[4])
else
  redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
  redis.call('HSET', KEYS[1], 'position', ARGV[1], 'owner', KEYS[2])
  redis.call('PERSIST', KEYS[1])
end
return 1
"""


async def write(redis: "Redis", changes: Iterable[Content | Gone]) -> None:
    """Apply the changes; those that are older than what is known have no effect. One round trip."""
    script = redis.register_script(_WRITE)
    async with redis.pipeline(transaction=False) as pipe:
        for change in changes:
            match change:
                case Content(owner=owner, content_hash=content_hash):
                    keys = [_memory_key(owner.tenant, change.memory_id), owner_key(owner)]
                case Gone(tenant=tenant):
                    keys, content_hash = [_memory_key(tenant, change.memory_id), owner_key(Scope(tenant=tenant))], ""
            values = [str(change.position), change.memory_id, content_hash, str(TOMBSTONE_SECONDS)]
            await script(keys=keys, args=values, client=pipe)
        await pipe.execute()


async def duplicates(redis: "Redis", owner: Scope) -> list[list[str]]:
    """Groups of two or more memory ids of the owner that say the same, each sorted. Reads all of the owner's memories."""
    groups: dict[bytes, set[str]] = defaultdict(set)
    async for memory_id, content_hash in redis.hscan_iter(owner_key(owner), count=1000):
        groups[content_hash].add(memory_id.decode())
    return sorted(sorted(group) for group in groups.values() if len(group) > 1)


async def digest(redis: "Redis") -> str:
    """Equal for equal groupings, over all owners; tombstones do not count."""
    return digest_of([entry async for entry in entries(redis)])


async def clear(redis: "Redis") -> None:
    """Forget the whole view, so that it can be built again from the log."""
    async for key in redis.scan_iter(match=f"{PREFIX}*", count=1000):
        await redis.unlink(key)


async def entries(redis: "Redis") -> AsyncIterator[tuple[str, object]]:
    """What the view holds, one by one: key and value, as the digest takes them."""
    async for key in redis.scan_iter(match=f"{PREFIX}*", count=1000):
        if not key.partition(b"}:")[2].startswith(b"owner:"):
            continue
        fields = await cast(Awaitable[dict[bytes, bytes]], redis.hgetall(key))
        yield key.decode(), sorted([name.decode(), value.decode()] for name, value in fields.items())


def _memory_key(tenant: str, memory_id: str) -> str:
    return f"{PREFIX}{{{escape(tenant)}}}:memory:{memory_id}"


def owner_key(owner: Scope) -> str:
    """Where the memories of an owner are grouped."""
    return f"{PREFIX}{{{escape(owner.tenant)}}}:owner:{escape(owner.namespace)}/{escape(owner.user_id)}"
