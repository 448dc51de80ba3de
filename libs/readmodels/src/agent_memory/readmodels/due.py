"""Nodes of the table of contents about which something is to be written, in Redis: by when, and a token of their last change.

A list of hints: an entry too many costs a look, and all of it is made again from the log. Whoever takes an entry holds it by a
lease; when it is done, it goes unless the node changed meanwhile. So nothing that changed while it was looked at is missed, and
what a dead worker had taken comes back. Tokens are never the same twice, so that a change after a flush is not taken for the one
before it.
"""

import secrets
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

from agent_memory.contracts.records import Scope, unescape
from agent_memory.contracts.toc import SEGMENT_PREFIX

if TYPE_CHECKING:
    from redis.asyncio import Redis

AT, CHANGES, HELD = "am:{toc-due}:at", "am:{toc-due}:changes", "am:{toc-due}:held"
Kind = Literal["segments", "periods"]

_MARK = """
for i = 2, #ARGV, 2 do
  redis.call('HSET', KEYS[2], ARGV[i], ARGV[1])
  -- One that is held comes back when it is settled: nobody else is to begin with it now.
  redis.call('ZADD', KEYS[1], redis.call('HEXISTS', KEYS[3], ARGV[i]) == 1 and 'NX' or 'LT', ARGV[i + 1], ARGV[i])
end
"""
_TAKE = """
local found = {}
for _, node in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])) do
  redis.call('ZADD', KEYS[1], ARGV[2], node)
  redis.call('HSET', KEYS[3], node, '1')
  table.insert(found, node)
  table.insert(found, redis.call('HGET', KEYS[2], node) or '')
end
return found
"""
_HOLD = """
for i = 2, #ARGV do
  if redis.call('HEXISTS', KEYS[3], ARGV[i]) == 1 then redis.call('ZADD', KEYS[1], 'XX', ARGV[1], ARGV[i]) end
end
"""
_SETTLE = """
redis.call('HDEL', KEYS[3], ARGV[1])
if (redis.call('HGET', KEYS[2], ARGV[1]) or '') == ARGV[2] then
  redis.call('HDEL', KEYS[2], ARGV[1])
  redis.call('ZREM', KEYS[1], ARGV[1])
  return 1
end
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
return 0
"""
_PUT_OFF = """
redis.call('HDEL', KEYS[3], ARGV[1])
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
"""
_HASTEN = """
local count = 0
for _, node in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. ARGV[1], ARGV[2])) do
  local wanted = (string.find(node, ARGV[3], 1, true) ~= nil) == (ARGV[4] == '1')
  if wanted and redis.call('HEXISTS', KEYS[3], node) == 0 then
    redis.call('ZADD', KEYS[1], ARGV[1], node)
    count = count + 1
  end
end
return count
"""
_KEYS = (AT, CHANGES, HELD)
_SEGMENT_MARK = f"/{SEGMENT_PREFIX}"


async def mark(redis: "Redis", due: Sequence[tuple[str, int]]) -> None:
    """Nodes (by log stream) have changed, and are to be looked at by a time (UTC ms); an earlier time that is known stays."""
    if due:
        await redis.eval(_MARK, 3, *_KEYS, secrets.token_hex(8), *[part for node, at in due for part in (node, at)])


async def take(redis: "Redis", now_ms: int, *, until_ms: int, most: int) -> list[tuple[str, str]]:
    """Nodes that are due, with the token of their last change; held, and due again at `until_ms` unless they are settled."""
    found = await cast(Awaitable[list[bytes]], redis.eval(_TAKE, 3, *_KEYS, now_ms, until_ms, most))
    return [(node.decode(), changes.decode()) for node, changes in zip(found[0::2], found[1::2], strict=True)]


async def hold(redis: "Redis", nodes: Sequence[str], *, until_ms: int) -> None:
    """Whoever took these is still at work: those that are held are so until then."""
    await redis.eval(_HOLD, 3, *_KEYS, until_ms, *nodes)


async def settle(redis: "Redis", node: str, changes: str, *, again_ms: int) -> bool:
    """A node was seen to: it goes, unless it changed since it was taken; then it is due at `again_ms`."""
    return bool(await cast(Awaitable[int], redis.eval(_SETTLE, 3, *_KEYS, node, changes, again_ms)))


async def put_off(redis: "Redis", node: str, at_ms: int) -> None:
    """Let go of a node, and look at it again at a time."""
    await redis.eval(_PUT_OFF, 3, *_KEYS, node, at_ms)


async def hasten(redis: "Redis", kind: Kind, now_ms: int, *, until_ms: int) -> int:
    """Have all nodes of a kind looked at that would be between now and then, and are not held. How many these are."""
    wanted = "1" if kind == "segments" else "0"
    return int(await cast(Awaitable[int], redis.eval(_HASTEN, 3, *_KEYS, now_ms, until_ms, _SEGMENT_MARK, wanted)))


async def waiting(redis: "Redis", *, until_ms: int | None = None) -> dict[Kind, int]:
    """How many nodes wait, by kind; with `until_ms` those that are due by then."""
    nodes: list[bytes] = await cast(Awaitable[Any], redis.zrangebyscore(AT, "-inf", "+inf" if until_ms is None else until_ms))
    segments = sum(1 for node in nodes if _SEGMENT_MARK.encode() in node)
    return {"segments": segments, "periods": len(nodes) - segments}


async def streams(redis: "Redis") -> frozenset[str]:
    """All nodes that wait, or that somebody holds."""
    return frozenset(node.decode() for node in await redis.zrange(AT, 0, -1))


def node_of(stream: str) -> tuple[Scope, str]:
    """What `node_stream` was given."""
    _, tenant, namespace, user_id, node_id = (unescape(part) for part in stream.split("/"))
    return Scope(tenant=tenant, namespace=namespace, user_id=user_id), node_id
