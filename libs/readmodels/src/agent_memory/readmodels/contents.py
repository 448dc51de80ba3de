"""The table of contents in Redis, as it is written: sessions cut into segments, the nodes above them with their counts, and what
was written about each node.

A session's segments move on by compare-and-set, together with the counts they change above them. Which events a session has is
all that matters, not their order of arrival, so any order and any repetition give the same view. What was written about a node
is newest by its version in the log. All keys of a scope share one hash tag.

The keys carry a generation: a rebuild fills the next one beside the live one, while new events go to both, and then swaps.
"""

import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from datetime import UTC, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from zoneinfo import ZoneInfo

import msgspec

from agent_memory.contracts.records import Scope, escape
from agent_memory.contracts.toc import Revision
from agent_memory.readmodels.calendar import Period, day_number, path_of
from agent_memory.readmodels.cutting import Segment
from agent_memory.readmodels.digests import digest_of

if TYPE_CHECKING:
    from redis.asyncio import Redis

PREFIX = "am:toc:"
GENERATIONS = "am:toc:generations"
SAID = "said"
"""Its field that names the time zones (`Zoned.said`)."""
REV = b"rev"

_STEP = (Path(__file__).parent / "lua" / "toc_session.lua").read_text()
_STEP_SHA = hashlib.sha1(_STEP.encode(), usedforsecurity=False).hexdigest()
_REVISE = """
if tonumber(redis.call('HGET', KEYS[1], 'revised') or '0') >= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'revised', ARGV[1], 'revision', ARGV[2])
return 1
"""
_REVISE_SHA = hashlib.sha1(_REVISE.encode(), usedforsecurity=False).hexdigest()
_segment = msgspec.json.Decoder(Segment)


class Generations(msgspec.Struct, frozen=True):
    """Which generations are written to; the first one is read. `zones` stands for the time zones that it was made with."""

    live: int
    building: int | None = None
    zones: str = ""

    @property
    def all(self) -> tuple[int, ...]:
        """Those that new events belong in."""
        return (self.live,) if self.building is None else (self.live, self.building)


class SegmentHead(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What readers have to know of a segment without reading its members. `day`: the id of the day it stands under."""

    session_id: str
    day: str
    first_ms: int
    last_ms: int
    events: int
    closed_by: str = ""


class SessionState(msgspec.Struct, frozen=True, kw_only=True):
    """The segments of a session in order, and the number that the next step expects."""

    rev: int
    segments: tuple[Segment, ...] = ()


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A session's segments before and after; `given` are the versions of the events that it was taken for."""

    scope: Scope
    session_id: str
    before: SessionState
    after: tuple[Segment, ...]
    given: frozenset[int] = frozenset()


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What was written about a node, with its version in the node's log stream."""

    scope: Scope
    version: int
    revision: Revision


def key(generation: int, scope: Scope, kind: str, name: str) -> str:
    """Where one part of a scope's contents is kept: a `node`, its `sessions`, its `children`, `segment`, `session`, `grip`."""
    return f"{PREFIX}{generation}:{{{scope.path}}}:{kind}:{name}"


async def generations(redis: "Redis") -> Generations:
    """The generations there are; the first one when there was none yet."""
    live, building, zones = await cast(Awaitable[list[bytes | None]], redis.hmget(GENERATIONS, ["live", "building", "zones"]))
    return Generations(int(live or 1), None if building is None else int(building), (zones or b"").decode())


async def states(redis: "Redis", generation: int, sessions: Sequence[tuple[Scope, str]]) -> list[SessionState]:
    """Where sessions stand, by scope and id."""
    async with redis.pipeline(transaction=False) as pipe:
        for scope, session_id in sessions:
            pipe.hgetall(key(generation, scope, "session", escape(session_id)))
        answers = await pipe.execute()
    return [_state(fields) for fields in answers]


async def numbers(redis: "Redis", generation: int, sessions: Sequence[tuple[Scope, str]]) -> list[int]:
    """The numbers alone, by which a remembered state is known to be current."""
    async with redis.pipeline(transaction=False) as pipe:
        for scope, session_id in sessions:
            pipe.hget(key(generation, scope, "session", escape(session_id)), REV)
        return [int(answer or 0) for answer in await pipe.execute()]


async def advance(redis: "Redis", generation: int, steps: Sequence[Step], zone: "Zoned") -> list[bool]:
    """Take the steps; False for each session that had moved on since it was read. One round trip."""
    if not steps:
        return []
    async with redis.pipeline(transaction=False) as pipe:
        pipe.script_load(_STEP)
        for step in steps:
            keys, operations = plan(generation, step, zone.of(step.scope.tenant))
            pipe.evalsha(_STEP_SHA, len(keys), *keys, str(step.before.rev), msgspec.json.encode(operations))
        _, *answers = await pipe.execute()
    return [bool(answer) for answer in answers]


async def write(redis: "Redis", generation: int, written: Sequence[Written]) -> None:
    """Keep what was written about nodes, and the grips it came with; what is newer stays."""
    if not written:
        return
    async with redis.pipeline(transaction=False) as pipe:
        pipe.script_load(_REVISE)
        for one in written:
            kept = msgspec.structs.replace(one.revision, grips=())
            node = key(generation, one.scope, "node", one.revision.node_id)
            pipe.evalsha(_REVISE_SHA, 1, node, one.version, msgspec.json.encode(kept))
            for grip in one.revision.grips:
                pipe.set(key(generation, one.scope, "grip", escape(grip.grip_id)), msgspec.json.encode(grip))
        await pipe.execute()


class Zoned(msgspec.Struct, frozen=True):
    """The time zone of each tenant."""

    default: tzinfo = UTC
    by_tenant: dict[str, tzinfo] = {}

    def of(self, tenant: str) -> tzinfo:
        """The zone in which a tenant's days begin."""
        return self.by_tenant.get(tenant, self.default)

    @property
    def name(self) -> str:
        """Stands for all of them."""
        return digest_of([str(self.default), sorted((tenant, str(zone)) for tenant, zone in self.by_tenant.items())])

    @property
    def said(self) -> bytes:
        """All of them by their names; `zones_held` reads it."""
        return msgspec.json.encode([str(self.default), {tenant: str(zone) for tenant, zone in self.by_tenant.items()}])


UTC_ALWAYS = Zoned()


def zones_of(default: str, by_tenant: Mapping[str, str]) -> Zoned:
    """Time zones by their names. Raises ZoneInfoNotFoundError for one that is none."""
    return Zoned(_zone(default), {tenant: _zone(name) for tenant, name in by_tenant.items()})


async def zones_held(redis: "Redis") -> Zoned | None:
    """The zones that the live one was made with, whatever is set where this is asked; None where nobody has said."""
    said = await cast(Awaitable[bytes | None], redis.hget(GENERATIONS, SAID))
    return None if said is None else zones_of(*msgspec.json.decode(said, type=tuple[str, dict[str, str]]))


def _zone(name: str) -> tzinfo:
    return UTC if name == "UTC" else ZoneInfo(name)


def day_of(segment: Segment, zone: tzinfo) -> tuple[Period, Period, Period, Period]:
    """Year, month, week and day that a segment stands under: those of its first event."""
    return path_of(day_number(segment.first_ms, zone), zone)


def plan(generation: int, step: Step, zone: tzinfo) -> tuple[list[str], list[list[Any]]]:
    """Keys and operations of a step, as the script takes them."""
    keys = [key(generation, step.scope, "session", escape(step.session_id))]
    indexes: dict[str, int] = {keys[0]: 1}

    def at(kind: str, name: str) -> int:
        name = key(generation, step.scope, kind, name)
        if name not in indexes:
            keys.append(name)
            indexes[name] = len(keys)
        return indexes[name]

    before, after = {one.node_id: one for one in step.before.segments}, {one.node_id: one for one in step.after}
    operations: list[list[Any]] = []
    counts: Counter[Period] = Counter()
    sessions: Counter[str] = Counter()
    for sign, these, those in ((-1, before, after), (1, after, before)):
        for node_id, segment in these.items():
            if those.get(node_id) == segment:
                continue
            path = day_of(segment, zone)
            day = path[-1].node_id
            for entry in path:
                counts[entry] += sign * len(segment.members)
                sessions[entry.node_id] += sign
            if sign < 0:
                operations.append(["ZREM", at("children", day), node_id])
                if node_id not in after:
                    operations += [["HDEL", 1, node_id], ["DEL", at("segment", node_id)]]
            else:
                head = _head(step.session_id, day, segment)
                operations += [
                    ["HSET", 1, node_id, msgspec.json.encode(segment).decode()],
                    ["SET", at("segment", node_id), msgspec.json.encode(head).decode()],
                    ["ZADD", at("children", day), str(segment.first_ms), node_id],
                ]
    for entry, count in counts.items():
        if count:
            parent = at("children", entry.parent)
            operations.append(["count", at("node", entry.node_id), str(count), parent, str(entry.start_ms), entry.node_id])
    for node_id, count in sessions.items():
        if count:
            operations.append(["session", at("sessions", node_id), step.session_id, str(count)])
    return keys, operations


def touched(step: Step, zone: tzinfo) -> tuple[list[Segment], set[str]]:
    """Segments that a step made, changed or was taken for, and the ids of those it ended and of the days that something left."""
    before, after = {one.node_id: one for one in step.before.segments}, {one.node_id: one for one in step.after}
    changed = [
        segment
        for node_id, segment in after.items()
        if before.get(node_id) != segment or any(one.version in step.given for one in segment.members)
    ]
    left: set[str] = set()
    for node_id, segment in before.items():
        day = day_of(segment, zone)[-1].node_id
        if node_id not in after:
            left |= {node_id, day}
        elif day_of(after[node_id], zone)[-1].node_id != day:
            left.add(day)
    return changed, left


async def digest(redis: "Redis", generation: int | None = None) -> str:
    """Equal for equal tables of contents, over all scopes; of the live generation unless another is named."""
    return digest_of([entry async for entry in entries(redis, generation)])


async def clear(redis: "Redis", generation: int | None = None) -> None:
    """Forget a generation, or the whole view, so that it can be built again from the log."""
    pattern = f"{PREFIX}*" if generation is None else f"{PREFIX}{generation}:*"
    async for name in redis.scan_iter(match=pattern, count=1000):
        await redis.unlink(name)


async def entries(redis: "Redis", generation: int | None = None) -> AsyncIterator[tuple[str, object]]:
    """What the view holds, one by one: key without its generation, and value, as the digest takes them."""
    if generation is None:
        generation = (await generations(redis)).live
    prefix = f"{PREFIX}{generation}:"
    async for name in redis.scan_iter(match=f"{prefix}*", count=1000):
        place = name.decode(errors="surrogateescape").removeprefix(prefix)
        kind = place.partition("}:")[2].partition(":")[0]
        match kind:
            case "children":
                value: object = [member.decode() for member in await redis.zrange(name, 0, -1)]
            case "segment" | "grip":
                value = (await cast(Awaitable[bytes | None], redis.get(name)) or b"").decode()
            case _:
                fields = await cast(Awaitable[dict[bytes, bytes]], redis.hgetall(name))
                value = entry_of(fields)
        if value:
            yield place, value


async def streams(redis: "Redis", generation: int) -> AsyncIterator[str]:
    """The log streams of all nodes that are there, or about which something was written."""
    prefix = f"{PREFIX}{generation}:{{"
    for kind in ("segment", "node"):
        async for name in redis.scan_iter(match=f"{prefix}*}}:{kind}:*", count=1000):
            scope_path, _, node = name.decode().removeprefix(prefix).partition("}:")
            if node.startswith(f"{kind}:"):
                yield f"toc/{scope_path}/{escape(node.removeprefix(f'{kind}:'))}"


def entry_of(fields: dict[bytes, bytes]) -> list[list[str]]:
    """A hash as the digest takes it: without the number of its steps, which depends on how events came together."""
    return sorted([field.decode(), value.decode()] for field, value in fields.items() if field != REV)


def _state(fields: dict[bytes, bytes]) -> SessionState:
    segments = [_segment.decode(value) for name, value in fields.items() if name != REV]
    return SessionState(rev=int(fields.get(REV, b"0")), segments=tuple(sorted(segments, key=lambda one: one.members[0].place)))


def _head(session_id: str, day: str, segment: Segment) -> SegmentHead:
    return SegmentHead(
        session_id=session_id,
        day=day,
        first_ms=segment.first_ms,
        last_ms=segment.last_ms,
        events=len(segment.members),
        closed_by=segment.closed_by,
    )
