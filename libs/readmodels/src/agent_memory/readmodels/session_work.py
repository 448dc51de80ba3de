"""What is to be done for sessions, in Redis: whose messages are to be read for memories, and whose document is too long.

One hash per session holds what `unfinished` folds; it moves from one version of the session's stream to the next by
compare-and-set. Beside them, all in the slot of the projection's own checkpoint: `unread`, the sessions with unread messages by the
time that the last one was recorded, and `overfull`, the documents that are too long, as of a version. When work is due depends on
settings; what waits does not, but for the share beyond which a document is too long: it is kept here too, so that whoever compares
knows it.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, cast

import msgspec

from agent_memory.contracts.records import Message, Scope, Strategy
from agent_memory.contracts.streams import (
    SESSION_WORK,
    ahead_key,
    checkpoint_key,
    counters_key,
    session_stream,
    working_memory_keys,
)
from agent_memory.readmodels.overflow import counted, leaving, threshold
from agent_memory.readmodels.progress import Ledger
from agent_memory.readmodels.unfinished import Unfinished

if TYPE_CHECKING:
    from redis.asyncio import Redis

PREFIX = f"am:session-work:{{{SESSION_WORK}}}:"
UNREAD = f"{PREFIX}unread"
OVERFULL = f"{PREFIX}overfull"
SHARE = f"{PREFIX}share"
SESSION = f"{PREFIX}session:"

FIELDS = ("version", "sequence", "limit", "strategy", "count", "newest_ms")

# KEYS: the session, UNREAD. ARGV: stream, expected version, count of unread, newest of them in ms, how many fields go, those, then
# fields and values to set.
_ADVANCE = """
local at = tonumber(redis.call('HGET', KEYS[1], 'version') or '0')
if at ~= tonumber(ARGV[2]) then return 0 end
local first = 6 + tonumber(ARGV[5])
for i = 6, first - 1 do redis.call('HDEL', KEYS[1], ARGV[i]) end
for i = first, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
if tonumber(ARGV[3]) > 0 then redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1]) else redis.call('ZREM', KEYS[2], ARGV[1]) end
return 1
"""

# KEYS: the session, OVERFULL. ARGV: stream, version that was looked at, what was found or ''.
_EXAMINED = """
local at = tonumber(redis.call('HGET', KEYS[1], 'examined') or '0')
if at > tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], 'examined', ARGV[2])
if ARGV[3] == '' then redis.call('HDEL', KEYS[2], ARGV[1]) else redis.call('HSET', KEYS[2], ARGV[1], ARGV[3]) end
return 1
"""


class Overfull(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A document that is too long, as of `version`. `expires_ms`: when it ends by itself."""

    version: int
    expires_ms: int | None = None


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What the view of working memory says of a document without being read: `size` in bytes of its messages."""

    version: int
    gone: bool
    size: int
    expires_ms: int | None


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One session's step: from the state that was read to the next."""

    stream: str
    before: Unfinished
    after: Unfinished


_overfull = msgspec.json.Decoder(Overfull)


Count = Callable[[Sequence[str]], Sequence[int]]
"""Tokens of each text (`runtime.tokens.TokenCounter.count`)."""


def too_long(messages: Sequence[Message], limit: int | None, share: float, count: Count) -> tuple[bool, int]:
    """Whether a document is too long and something of it can go, and how many tokens it has at most. Blocks.

    One that is too long stays so when messages are appended.
    """
    texts = [counted(message) for message in messages]
    # No text has more tokens than bytes: most documents are told to be short without being counted.
    size = sum(len(text.encode(errors="replace")) for text in texts)
    if size <= threshold(limit, share):
        return False, size
    tokens = count(texts)
    return leaving(tokens, limit, share) > 0, sum(tokens)


async def states(redis: "Redis", wanted: Sequence[tuple[str, set[str] | None]]) -> list[Unfinished]:
    """Where sessions stand, each with what is known of the given message ids; None asks for all of its messages."""
    async with redis.pipeline(transaction=False) as pipe:
        for stream, ids in wanted:
            if ids is None:
                pipe.hgetall(f"{SESSION}{stream}")
            else:
                pipe.hmget(f"{SESSION}{stream}", _names(ids))
        answers = await pipe.execute()
    return [_state(found if ids is None else _named(_names(ids), found)) for (_, ids), found in zip(wanted, answers, strict=True)]


async def state(redis: "Redis", stream: str) -> Unfinished:
    """All that is known of one session."""
    return (await states(redis, [(stream, None)]))[0]


async def advance(redis: "Redis", steps: Sequence[Step]) -> list[bool]:
    """Take the steps; False for each session that had moved on since it was read. One round trip."""
    script = redis.register_script(_ADVANCE)
    async with redis.pipeline(transaction=False) as pipe:
        for step in steps:
            before, after = fields(step.before), fields(step.after)
            gone = [name for name in before if name not in after]
            changed = [part for name, value in after.items() if before.get(name) != value for part in (name, value)]
            head = [step.stream, str(step.before.version), str(step.after.count), str(step.after.newest_ms), str(len(gone))]
            await script(keys=[f"{SESSION}{step.stream}", UNREAD], args=[*head, *gone, *changed], client=pipe)
        return [bool(answer) for answer in await pipe.execute()]


async def examined(redis: "Redis", found: Sequence[tuple[str, int, Overfull | None]]) -> None:
    """Documents were looked at: (stream, version, what is too much or None). An older look changes nothing."""
    script = redis.register_script(_EXAMINED)
    async with redis.pipeline(transaction=False) as pipe:
        for stream, version, too_long in found:
            text = b"" if too_long is None else msgspec.json.encode(too_long)
            await script(keys=[f"{SESSION}{stream}", OVERFULL], args=[stream, str(version), text], client=pipe)
        await pipe.execute()


async def shown(redis: "Redis", streams: Sequence[str]) -> list[Shown | None]:
    """How long documents are, without reading them; None where the view of a session is not there."""
    async with redis.pipeline(transaction=False) as pipe:
        for stream in streams:
            head, _, messages = working_memory_keys(stream)
            pipe.get(head)
            pipe.strlen(messages)
        answers = await pipe.execute()
    return [_shown(head, size) for head, size in zip(answers[0::2], answers[1::2], strict=True)]


async def looked(redis: "Redis", streams: Sequence[str]) -> list[tuple[int, Overfull | None]]:
    """The version at which each document was last looked at, and what was found."""
    async with redis.pipeline(transaction=False) as pipe:
        for stream in streams:
            pipe.hget(f"{SESSION}{stream}", "examined")
            pipe.hget(OVERFULL, stream)
        answers = await pipe.execute()
    return [
        (int(version or 0), None if found is None else _overfull.decode(found))
        for version, found in zip(answers[0::2], answers[1::2], strict=True)
    ]


async def unread_since(redis: "Redis", until_ms: int, *, limit: int) -> list[str]:
    """Streams of sessions that have unread messages and were quiet since `until_ms`, the longest quiet first."""
    return [one.decode() for one in await redis.zrangebyscore(UNREAD, "-inf", until_ms, start=0, num=limit)]


async def overfull(redis: "Redis") -> dict[str, Overfull]:
    """The documents that are too long, by stream."""
    found = await cast(Awaitable[dict[bytes, bytes]], redis.hgetall(OVERFULL))
    return {stream.decode(): _overfull.decode(text) for stream, text in found.items()}


async def pending(redis: "Redis", scope: Scope, session_id: str, position: int) -> bool:
    """Whether a session's document may still be summarised after the change at a log position: nobody looked at it yet, or it is
    too long and waits for the summarizer. False: it has been dealt with, and reading it shows the outcome.
    """
    if not await Ledger(redis, SESSION_WORK).covers(position):
        return True
    return bool(await cast(Awaitable[bool], redis.hexists(OVERFULL, session_stream(scope, session_id))))


async def waiting(redis: "Redis") -> dict[str, int]:
    """How many sessions wait: for memories to be drawn from their messages, and for a summary."""
    async with redis.pipeline(transaction=False) as pipe:
        pipe.zcard(UNREAD)
        pipe.hlen(OVERFULL)
        unread, too_long = await pipe.execute()
    return {"extraction": int(unread), "summary": int(too_long)}


async def agree(redis: "Redis", share: float) -> bool:
    """Note beyond which share of the limit documents are too long. A view that was made with another is forgotten, to be made again
    from the log; then False.
    """
    text = f"{share:g}"
    known = await redis.get(SHARE)
    if known is not None and known.decode() != text:
        await clear(redis)
        await redis.delete(checkpoint_key(SESSION_WORK), ahead_key(SESSION_WORK), counters_key(SESSION_WORK))
    await redis.set(SHARE, text)
    return known is None or known.decode() == text


async def share(redis: "Redis") -> float | None:
    """Beyond which share of the limit documents are too long here; None when nobody has said."""
    known = await redis.get(SHARE)
    return None if known is None else float(known)


async def clear(redis: "Redis") -> None:
    """Forget the whole view, so that it can be built again from the log."""
    async for key in redis.scan_iter(match=f"{PREFIX}*", count=1000):
        await redis.unlink(key)


async def entries(redis: "Redis") -> AsyncIterator[tuple[str, object]]:
    """What the view holds, session by session: a key that names the stream in braces, and a value, as digests take them."""
    async for key in redis.scan_iter(match=f"{SESSION}*", count=1000):
        stream = key.decode().removeprefix(SESSION)
        async with redis.pipeline(transaction=False) as pipe:
            pipe.hgetall(key)
            pipe.zscore(UNREAD, stream)
            pipe.hget(OVERFULL, stream)
            found, score, too_long = await pipe.execute()
        kept = {name.decode(): value.decode() for name, value in found.items()}
        yield entry_key(stream), entry(kept, None if score is None else int(score), too_long)


def entry_key(stream: str) -> str:
    """How `entries` calls a session."""
    return f"session-work:{{{stream}}}"


def entry(kept: dict[str, str], score: int | None, too_long: bytes | None) -> object:
    """How `entries` shows a session: its fields, its place among those with unread messages, its excess."""
    return [sorted([name, value] for name, value in kept.items()), score, None if too_long is None else too_long.decode()]


def fields(state: Unfinished) -> dict[str, str]:
    """A session's state as its hash keeps it."""
    numbers = {"version": state.version, "count": state.count, "newest_ms": state.newest_ms, "sequence": state.sequence}
    kept = {name: str(number) for name, number in numbers.items() if number}
    if state.limit is not None:
        kept["limit"] = str(state.limit)
    if state.strategy != Strategy():
        kept["strategy"] = msgspec.json.encode(state.strategy).decode()
    kept |= {f"m:{id_}": str(version) for id_, version in state.unread.items()}
    return kept | {f"d:{id_}": str(version) for id_, version in state.taken_back.items()}


def _state(found: dict[bytes, bytes]) -> Unfinished:
    limit, strategy = found.get(b"limit"), found.get(b"strategy")
    return Unfinished(
        version=int(found.get(b"version", 0)),
        sequence=int(found.get(b"sequence", 0)),
        limit=None if limit is None else int(limit),
        strategy=Strategy() if strategy is None else msgspec.json.decode(strategy, type=Strategy),
        count=int(found.get(b"count", 0)),
        newest_ms=int(found.get(b"newest_ms", 0)),
        unread={name[2:].decode(): int(version) for name, version in found.items() if name.startswith(b"m:")},
        taken_back={name[2:].decode(): int(version) for name, version in found.items() if name.startswith(b"d:")},
    )


def _names(ids: set[str]) -> list[str]:
    return [*FIELDS, *(f"{kind}:{id_}" for id_ in sorted(ids) for kind in "md")]


def _named(names: Sequence[str], values: Sequence[bytes | None]) -> dict[bytes, bytes]:
    return {name.encode(): value for name, value in zip(names, values, strict=True) if value is not None}


def _shown(head: bytes | None, size: int) -> Shown | None:
    if head is None:
        return None
    version, state, *rest = head.split(b"|")
    if state == b"behind":
        return None
    expires = rest[1] if len(rest) > 1 else b""
    return Shown(version=int(version), gone=state == b"gone", size=int(size), expires_ms=int(expires) if expires else None)
