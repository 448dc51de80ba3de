"""Nodes of the table of contents about which something is to be written, in Redis: by when, and how often they changed.

A list of hints: an entry too many costs a look, and all of it is made again from the log. Whoever takes an entry puts it off by its
lease; when it is done, it goes unless the node changed meanwhile. So nothing that changed while it was looked at is missed, and
what a dead worker had taken comes back.
"""

from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

from agent_memory.contracts.records import Scope, unescape
from agent_memory.contracts.toc import SEGMENT_PREFIX

if TYPE_CHECKING:
    from redis.asyncio import Redis

AT, CHANGES = "am:{toc-due}:at", "am:{toc-due}:changes"
Kind = Literal["segments", "periods"]

_MARK = """
for i = 1, #ARGV, 2 do
  redis.call('HINCRBY', KEYS[2], ARGV[i], 1)
  redis.call('ZADD', KEYS[1], 'LT', ARGV[i + 1], ARGV[i])
end
"""
_TAKE = """
local found = {}
for _, node in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])) do
  redis.call('ZADD', KEYS[1], ARGV[2], node)
  table.insert(found, node)
  table.insert(found, redis.call('HGET', KEYS[2], node) or '0')
end
return found
"""
_SETTLE = """
if (redis.call('HGET', KEYS[2], ARGV[1]) or '0') == ARGV[2] then
  redis.call('HDEL', KEYS[2], ARGV[1])
  redis.call('ZREM', KEYS[1], ARGV[1])
  return 1
end
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
return 0
"""
_HASTEN = """
local count = 0
for _, node in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. ARGV[1], ARGV[2])) do
  if (string.find(node, ARGV[3], 1, true) ~= nil) == (ARGV[4] == '1') then
    redis.call('ZADD', KEYS[1], ARGV[1], node)
    count = count + 1
  end
end
return count
"""
_SEGMENT_MARK = f"/{SEGMENT_PREFIX}"


async def mark(redis: "Redis", due: Sequence[tuple[str, int]]) -> None:
    """Nodes (by log stream) have changed, and are to be looked at by a time (UTC ms); an earlier time that is known stays."""
    if due:
        await redis.eval(_MARK, 2, AT, CHANGES, *[part for node, at in due for part in (node, at)])


async def take(redis: "Redis", now_ms: int, *, until_ms: int, most: int) -> list[tuple[str, str]]:
    """Nodes that are due, with how often they had changed; they are due again at `until_ms` unless they are settled."""
    found = await cast(Awaitable[list[bytes]], redis.eval(_TAKE, 2, AT, CHANGES, now_ms, until_ms, most))
    return [(node.decode(), changes.decode()) for node, changes in zip(found[0::2], found[1::2], strict=True)]


async def settle(redis: "Redis", node: str, changes: str, *, again_ms: int) -> bool:
    """A node was seen to: it goes, unless it changed since it was taken; then it is due at `again_ms`."""
    return bool(await cast(Awaitable[int], redis.eval(_SETTLE, 2, AT, CHANGES, node, changes, again_ms)))


async def put_off(redis: "Redis", node: str, at_ms: int) -> None:
    """Look at a node again at a time."""
    await redis.zadd(AT, {node: at_ms})


async def hasten(redis: "Redis", kind: Kind, now_ms: int, *, until_ms: int) -> int:
    """Have all nodes of a kind looked at that would be between now and then. How many these are."""
    wanted = "1" if kind == "segments" else "0"
    return int(await cast(Awaitable[int], redis.eval(_HASTEN, 2, AT, CHANGES, now_ms, until_ms, _SEGMENT_MARK, wanted)))


async def waiting(redis: "Redis", *, until_ms: int | None = None) -> dict[Kind, int]:
    """How many nodes wait, by kind; with `until_ms` those that are due by then."""
    nodes: list[bytes] = await cast(Awaitable[Any], redis.zrangebyscore(AT, "-inf", "+inf" if until_ms is None else until_ms))
    segments = sum(1 for node in nodes if _SEGMENT_MARK.encode() in node)
    return {"segments": segments, "periods": len(nodes) - segments}


def node_of(stream: str) -> tuple[Scope, str]:
    """What `node_stream` was given."""
    _, tenant, namespace, user_id, node_id = (unescape(part) for part in stream.split("/"))
    return Scope(tenant=tenant, namespace=namespace, user_id=user_id), node_id
