"""Which memories of an owner say the same, in Redis: a hash per owner from memory id to content hash.

Beside it each memory has a small hash with the log position that it was last written from, its owner and its content hash: a
lower position never undoes a higher one, and a memory that changes owner leaves the old one. A forgotten memory keeps that hash
for a day without an owner, so that a late redelivery does not bring it back.

An owner's work list names the memories that are new, or other than when they were last looked at, with the position of that
change. What was looked at leaves it, unless it has changed once more; a view that is built again has all of it to look at.

Keys of a tenant share one hash tag, because a memory may move between owners. A memory costs some 300 bytes here.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Iterable
from typing import TYPE_CHECKING, cast

import msgspec

from agent_memory.contracts.records import Scope, escape, unescape
from agent_memory.readmodels.digests import digest_of

if TYPE_CHECKING:
    from redis.asyncio import Redis

PREFIX = "am:duplicates:"
TOMBSTONE_SECONDS = 86_400
_TENANTS = f"{PREFIX}tenants"


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What a memory says and whose it is, as of a log position. `look`: whatever else decides with which it may be merged."""

    memory_id: str
    position: int
    owner: Scope
    content_hash: str
    look: str = ""


class Gone(msgspec.Struct, frozen=True, kw_only=True):
    """A memory was forgotten at a log position."""

    memory_id: str
    position: int
    tenant: str


# KEYS: the memory, its owner ('' when gone), the tenant's owners, and its owners that have work.
# ARGV: position, memory id, content hash, seconds of a tombstone, what decides about merging it.
# The former owner's keys are read from the memory: they have the same hash tag, so they are on this node.
_WRITE = """
local function work(owner)
  local at = string.find(owner, '}:owner:', 1, true)
  return string.sub(owner, 1, at + 1) .. 'work:' .. string.sub(owner, at + 8)
end
local at, former, seen = unpack(redis.call('HMGET', KEYS[1], 'position', 'owner', 'look'))
if at and tonumber(at) >= tonumber(ARGV[1]) then return 0 end
if former and former ~= '' and (former ~= KEYS[2] or ARGV[3] == '') then
  redis.call('HDEL', former, ARGV[2])
  redis.call('ZREM', work(former), ARGV[2])
  if redis.call('EXISTS', former) == 0 then redis.call('SREM', KEYS[3], former) end
  if redis.call('EXISTS', work(former)) == 0 then redis.call('SREM', KEYS[4], former) end
end
if ARGV[3] == '' then
  redis.call('HSET', KEYS[1], 'position', ARGV[1], 'owner', '')
  redis.call('HDEL', KEYS[1], 'look')
  redis.call('EXPIRE', KEYS[1], ARGV[4])
else
  redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
  redis.call('SADD', KEYS[3], KEYS[2])
  if former ~= KEYS[2] or seen ~= ARGV[5] then
    redis.call('ZADD', work(KEYS[2]), ARGV[1], ARGV[2])
    redis.call('SADD', KEYS[4], KEYS[2])
  end
  redis.call('HSET', KEYS[1], 'position', ARGV[1], 'owner', KEYS[2], 'look', ARGV[5])
  redis.call('PERSIST', KEYS[1])
end
return 1
"""

# KEYS: the owner's work, the tenant's owners that have work. ARGV: the owner's key, then memory id, position, ...
_LOOKED_AT = """
for i = 2, #ARGV, 2 do
  if redis.call('ZSCORE', KEYS[1], ARGV[i]) == ARGV[i + 1] then redis.call('ZREM', KEYS[1], ARGV[i]) end
end
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('SREM', KEYS[2], ARGV[1]) end
"""


async def write(redis: "Redis", changes: Iterable[Content | Gone]) -> None:
    """Apply the changes; those that are older than what is known have no effect. One round trip."""
    script = redis.register_script(_WRITE)
    async with redis.pipeline(transaction=False) as pipe:
        for change in changes:
            match change:
                case Content(owner=owner, content_hash=content_hash, look=look):
                    look = f"{content_hash} {look}"
                case Gone(tenant=tenant):
                    owner, content_hash, look = Scope(tenant=tenant), "", ""
            keys = [_memory_key(owner.tenant, change.memory_id), owner_key(owner), *_sets(owner.tenant)]
            pipe.sadd(_TENANTS, owner.tenant)
            values = [str(change.position), change.memory_id, content_hash, str(TOMBSTONE_SECONDS), look]
            await script(keys=keys, args=values, client=pipe)
        await pipe.execute()


async def owners(redis: "Redis", tenant: str) -> list[Scope]:
    """Everybody in a tenant who has memories."""
    return sorted(map(_owner_of, await _members(redis, _sets(tenant)[0])), key=lambda owner: owner.path)


async def tenants(redis: "Redis") -> list[str]:
    """Every tenant that ever had memories."""
    return sorted(name.decode() for name in await _members(redis, _TENANTS))


async def waiting(redis: "Redis", tenant: str) -> list[Scope]:
    """Those in a tenant who have memories to be looked at."""
    return sorted(map(_owner_of, await _members(redis, _sets(tenant)[1])), key=lambda owner: owner.path)


async def work(redis: "Redis", owner: Scope, *, up_to: int, limit: int, skip: int = 0) -> list[tuple[str, int]]:
    """Memories to be looked at whose change is not beyond a position, oldest change first, each with that position."""
    found = await redis.zrangebyscore(work_key(owner), "-inf", up_to, start=skip, num=limit, withscores=True)
    return [(memory_id.decode(), int(position)) for memory_id, position in found]


async def looked_at(redis: "Redis", owner: Scope, seen: Iterable[tuple[str, int]]) -> None:
    """These were looked at as of these positions; one that has changed since stays to be looked at."""
    script = redis.register_script(_LOOKED_AT)
    args = [owner_key(owner), *(str(part) for pair in seen for part in pair)]
    await script(keys=[work_key(owner), _sets(owner.tenant)[1]], args=args)


async def memory_ids(redis: "Redis", owner: Scope) -> list[str]:
    """All memories of an owner, in no order."""
    return [memory_id async for memory_id in _ids(redis, owner)]


async def size(redis: "Redis", owner: Scope) -> int:
    """How many memories an owner has."""
    return await cast(Awaitable[int], redis.hlen(owner_key(owner)))


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


async def _ids(redis: "Redis", owner: Scope) -> AsyncIterator[str]:
    seen: set[bytes] = set()
    async for memory_id, _ in redis.hscan_iter(owner_key(owner), count=1000):
        if memory_id not in seen:  # a hash that grows meanwhile may show a field twice
            seen.add(memory_id)
            yield memory_id.decode()


async def _members(redis: "Redis", key: str) -> set[bytes]:
    return await cast(Awaitable[set[bytes]], redis.smembers(key))


def _owner_of(key: bytes) -> Scope:
    tenant, _, owner = key.decode().removeprefix(PREFIX).partition("}:owner:")
    namespace, _, user_id = owner.partition("/")
    return Scope(tenant=unescape(tenant.removeprefix("{")), namespace=unescape(namespace), user_id=unescape(user_id))


def _sets(tenant: str) -> tuple[str, str]:
    """Where the owners of a tenant are kept, and those of them that have work."""
    return f"{PREFIX}{{{escape(tenant)}}}:owners", f"{PREFIX}{{{escape(tenant)}}}:waiting"


def work_key(owner: Scope) -> str:
    """The work list of an owner."""
    return owner_key(owner).replace("}:owner:", "}:work:", 1)


def _memory_key(tenant: str, memory_id: str) -> str:
    return f"{PREFIX}{{{escape(tenant)}}}:memory:{memory_id}"


def owner_key(owner: Scope) -> str:
    """Where the memories of an owner are grouped."""
    return f"{PREFIX}{{{escape(owner.tenant)}}}:owner:{escape(owner.namespace)}/{escape(owner.user_id)}"
