"""The table of contents in Redis: per scope and per year, month, week and day how much was said, in which sessions, and when.

Counts cannot be added up by readers that may see an event twice, or in any order. So each log stream has a bitmap with a bit per
stream version, and a count grows only when its bit was not set, in the same script. That costs one bit per event and a few
hundred bytes per session; a set of event ids or positions would cost a hundred bytes per event. Times only widen (minimum,
maximum), sessions and children are sets: any order and any repetition give the same view.

All keys of a scope share one hash tag. Clients given here answer bytes (redis-py's default).
"""

from collections.abc import AsyncIterator, Awaitable, Iterable
from typing import TYPE_CHECKING, cast

import msgspec

from agent_memory.contracts.records import Scope
from agent_memory.readmodels.calendar import ROOT, Level, Period, path_of, period
from agent_memory.readmodels.digests import digest_of

if TYPE_CHECKING:
    from redis.asyncio import Redis

PREFIX = "am:toc:"


class SessionTally(msgspec.Struct, frozen=True, kw_only=True):
    """Events of one session, named by their versions in the session's log stream."""

    session_id: str
    stream: str
    versions: tuple[int, ...]


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """Events of one scope on one day (a day number), by session. Times in UTC milliseconds."""

    scope: Scope
    day: int
    first_ms: int
    last_ms: int
    sessions: tuple[SessionTally, ...]


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the table of contents. `first_ms` and `last_ms` are those of its events; `children` in order of time."""

    node_id: str
    level: Level
    title: str
    start_ms: int
    end_ms: int
    events: int
    sessions: int
    first_ms: int
    last_ms: int
    children: list[str]


# KEYS: per level from year to day its node, its sessions, its parent's children; then a bitmap per session.
# ARGV: first, last; per level its id and start; then per session its id, how many versions, and these.
_ADD = """
local at, new = 11, 0
for bitmap = 13, #KEYS do
  local session, count, fresh = ARGV[at], tonumber(ARGV[at + 1]), 0
  for i = at + 2, at + 1 + count do
    if redis.call('SETBIT', KEYS[bitmap], ARGV[i], 1) == 0 then fresh = fresh + 1 end
  end
  if fresh > 0 then
    for level = 0, 3 do redis.call('SADD', KEYS[2 + level * 3], session) end
  end
  new, at = new + fresh, at + 2 + count
end
if new == 0 then return 0 end
for level = 0, 3 do
  local node = KEYS[1 + level * 3]
  redis.call('HINCRBY', node, 'events', new)
  local first, last = unpack(redis.call('HMGET', node, 'first_ms', 'last_ms'))
  if not first or tonumber(ARGV[1]) < tonumber(first) then redis.call('HSET', node, 'first_ms', ARGV[1]) end
  if not last or tonumber(ARGV[2]) > tonumber(last) then redis.call('HSET', node, 'last_ms', ARGV[2]) end
  redis.call('ZADD', KEYS[3 + level * 3], ARGV[4 + level * 2], ARGV[3 + level * 2])
end
return new
"""


async def add(redis: "Redis", tallies: Iterable[Tally]) -> None:
    """Count the events; those that were counted before change nothing. One round trip for all tallies."""
    script = redis.register_script(_ADD)
    async with redis.pipeline(transaction=False) as pipe:
        for tally in tallies:
            keys: list[str] = []
            values: list[str | int] = [tally.first_ms, tally.last_ms]
            for entry in path_of(tally.day):
                keys += [entry_key(tally.scope, kind, entry.node_id) for kind in ("node", "sessions")]
                keys.append(entry_key(tally.scope, "children", entry.parent))
                values += [entry.node_id, entry.start_ms]
            for session in tally.sessions:
                keys.append(entry_key(tally.scope, "seen", session.stream))
                values += [session.session_id, len(session.versions), *session.versions]
            await script(keys=keys, args=values, client=pipe)
        await pipe.execute()


async def node(redis: "Redis", scope: Scope, node_id: str) -> Node | None:
    """The node, also by its older id with a colon; None when nothing was said in that time or there is no such node."""
    entry = period(node_id)
    found = [] if entry is None else await _nodes(redis, scope, [entry])
    return found[0] if found else None


async def children(
    redis: "Redis", scope: Scope, parent: str = ROOT, *, offset: int = 0, limit: int = 100, newest_first: bool = False
) -> list[Node]:
    """What stands directly under a node (the years, under none), in order of time."""
    above = period(parent)
    if parent != ROOT and above is None:
        return []
    key = entry_key(scope, "children", ROOT if above is None else above.node_id)
    ids = await redis.zrange(key, offset, offset + limit - 1, desc=newest_first)
    return await _nodes(redis, scope, [entry for one in ids if (entry := period(one.decode())) is not None])


async def digest(redis: "Redis") -> str:
    """Equal for equal tables of contents, over all scopes."""
    return digest_of([entry async for entry in entries(redis)])


async def clear(redis: "Redis") -> None:
    """Forget the whole view, so that it can be built again from the log."""
    async for key in redis.scan_iter(match=f"{PREFIX}*", count=1000):
        await redis.unlink(key)


async def _nodes(redis: "Redis", scope: Scope, entries: list[Period]) -> list[Node]:
    async with redis.pipeline(transaction=False) as pipe:
        for entry in entries:
            pipe.hmget(entry_key(scope, "node", entry.node_id), ["events", "first_ms", "last_ms"])
            pipe.scard(entry_key(scope, "sessions", entry.node_id))
            pipe.zrange(entry_key(scope, "children", entry.node_id), 0, -1)
        answers = await pipe.execute()
    return [
        _node(entry, counts, sessions, below)
        for entry, counts, sessions, below in zip(entries, answers[0::3], answers[1::3], answers[2::3], strict=True)
        if counts[0] is not None
    ]


def _node(entry: Period, counts: list[bytes], sessions: int, below: list[bytes]) -> Node:
    return Node(
        node_id=entry.node_id,
        level=entry.level,
        title=entry.title,
        start_ms=entry.start_ms,
        end_ms=entry.end_ms,
        events=int(counts[0]),
        sessions=sessions,
        first_ms=int(counts[1]),
        last_ms=int(counts[2]),
        children=[one.decode() for one in below],
    )


async def entries(redis: "Redis") -> AsyncIterator[tuple[str, object]]:
    """What the view holds, one by one: key and value, as the digest takes them."""
    async for key in redis.scan_iter(match=f"{PREFIX}*", count=1000):
        name: str = key.decode(errors="surrogateescape")
        body = name.partition("}:")[2]
        if body.startswith("node:"):
            fields = await cast(Awaitable[dict[bytes, bytes]], redis.hgetall(key))
            yield name, sorted([field.decode(), int(value)] for field, value in fields.items())
        elif body.startswith("sessions:"):
            yield name, sorted(member.decode() for member in await cast(Awaitable[set[bytes]], redis.smembers(key)))
        elif body.startswith("children:"):
            yield name, [member.decode() for member in await redis.zrange(key, 0, -1)]


def entry_key(scope: Scope, kind: str, name: str) -> str:
    """Where one part of a scope's contents is kept: a `node`, its `sessions`, its `children`."""
    return f"{PREFIX}{{{scope.path}}}:{kind}:{name}"
