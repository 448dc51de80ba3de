"""Sessions cut into segments, in Redis: one hash per session, the state under `state` and each closed segment under its number.

Where a segment ends depends on the order of events, so a session's state moves from one version of its log stream to the next
and by compare-and-set only: whoever was late or comes twice changes nothing. Rebuilt from the log it is the same.
"""

from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import TYPE_CHECKING, Literal, cast

import msgspec

from agent_memory.contracts.records import Scope
from agent_memory.contracts.streams import session_stream
from agent_memory.readmodels.digests import digest_of

if TYPE_CHECKING:
    from redis.asyncio import Redis

PREFIX = "am:segments:"


class Segment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Consecutive events of one session that belong together. Times in UTC milliseconds; `tokens` is an estimate."""

    number: int
    first_ms: int
    last_ms: int
    first_event: str
    last_event: str
    events: int = 1
    tokens: int = 0
    closed_by: Literal["", "gap", "tokens", "session_end"] = ""


class Segmentation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a session stands after `version` of its log stream: how many segments are closed, and the open one."""

    version: int = 0
    closed: int = 0
    open: Segment | None = None


_state = msgspec.json.Decoder(Segmentation)
_segment = msgspec.json.Decoder(Segment)

# KEYS: the session. ARGV: expected version, version, then fields and values to set.
_ADVANCE = """
local at = tonumber(redis.call('HGET', KEYS[1], 'version') or '0')
if at ~= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'version', ARGV[2])
for i = 3, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
return 1
"""


class Advance(msgspec.Struct, frozen=True, kw_only=True):
    """One session's step: from the state that was read to the next, with the segments that closed on the way."""

    stream: str
    expected_version: int
    state: Segmentation
    closed: Sequence[Segment] = ()


async def states(redis: "Redis", streams: Sequence[str]) -> list[Segmentation]:
    """Where the session of each log stream stands; at version 0 when it was never seen."""
    async with redis.pipeline(transaction=False) as pipe:
        for stream in streams:
            pipe.hget(session_key(stream), "state")
        answers = await pipe.execute()
    return [Segmentation() if answer is None else _state.decode(answer) for answer in answers]


async def advance(redis: "Redis", steps: Sequence[Advance]) -> list[bool]:
    """Take the steps; False for each session that had moved on since it was read. One round trip."""
    script = redis.register_script(_ADVANCE)
    async with redis.pipeline(transaction=False) as pipe:
        for step in steps:
            fields: list[str | bytes] = [str(step.state.version), "state", msgspec.json.encode(step.state)]
            for segment in step.closed:
                fields += [str(segment.number), msgspec.json.encode(segment)]
            await script(keys=[session_key(step.stream)], args=[str(step.expected_version), *fields], client=pipe)
        return [bool(answer) for answer in await pipe.execute()]


async def segments(redis: "Redis", scope: Scope, session_id: str) -> list[Segment]:
    """The segments of a session, oldest first; the last one may be open (`closed_by` is empty)."""
    fields = await cast(Awaitable[dict[bytes, bytes]], redis.hgetall(session_key(session_stream(scope, session_id))))
    if not fields:
        return []
    closed = [_segment.decode(value) for name, value in fields.items() if name not in (b"state", b"version")]
    still_open = _state.decode(fields[b"state"]).open
    return sorted(closed, key=lambda segment: segment.number) + ([still_open] if still_open else [])


async def digest(redis: "Redis") -> str:
    """Equal for equal segmentations, over all sessions."""
    return digest_of([entry async for entry in entries(redis)])


async def clear(redis: "Redis") -> None:
    """Forget the whole view, so that it can be built again from the log."""
    async for key in redis.scan_iter(match=f"{PREFIX}*", count=1000):
        await redis.unlink(key)


async def entries(redis: "Redis") -> AsyncIterator[tuple[str, object]]:
    """What the view holds, one by one: key and value, as the digest takes them."""
    async for key in redis.scan_iter(match=f"{PREFIX}*", count=1000):
        fields = await cast(Awaitable[dict[bytes, bytes]], redis.hgetall(key))
        yield key.decode(), sorted([name.decode(), value.decode()] for name, value in fields.items())


def session_key(stream: str) -> str:
    """Where the segments of a session are kept."""
    return f"{PREFIX}{{{stream}}}"
