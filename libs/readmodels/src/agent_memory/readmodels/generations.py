"""Generations of a search index: one is live, another may be built beside it and take over."""

import hashlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
from redis.asyncio import Redis
from redis.exceptions import ResponseError, WatchError

from agent_memory.contracts.codec import encode
from agent_memory.contracts.errors import Conflict
from agent_memory.contracts.streams import document_prefix, index_alias, index_name, turns_prefix
from agent_memory.readmodels.digests import digest_of
from agent_memory.readmodels.documents import Kind
from agent_memory.readmodels.schemas import LAYOUT, create_index

_CHUNK = 500
_claim = (Path(__file__).parent / "lua" / "claim.lua").read_text()
_build = (Path(__file__).parent / "lua" / "build.lua").read_text()


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    """One index with its documents. Vectors of another model mean something else, so the model is part of its identity."""

    kind: Kind
    number: int
    model: str
    dimensions: int
    algorithm: str
    created_ms: int
    layout: int = 1

    def serves(self, model: str, dimensions: int) -> bool:
        """Whether vectors of this model can be stored and searched here."""
        return self.model == model and self.dimensions == dimensions


class Registry(msgspec.Struct, frozen=True, kw_only=True):
    """The generations that exist. `old` are neither live nor being built: they wait to be dropped."""

    live: Generation | None = None
    building: Generation | None = None
    old: tuple[Generation, ...] = ()

    @property
    def active(self) -> tuple[Generation, ...]:
        """Where writes go: the live generation and the one being built."""
        return tuple(generation for generation in (self.live, self.building) if generation is not None)


def registry_key(kind: Kind) -> str:
    """Hash with the generations of an index: `live` and `building` hold numbers, `generation:<number>` the description."""
    return f"am:index:{kind}:generations"


def changes_key(kind: Kind) -> str:
    """A token that is replaced whenever documents change, so that counts can be kept until then."""
    return f"am:index:{kind}:changes"


async def registry(redis: Redis, kind: Kind) -> Registry:
    """What exists now.

    A writer reads it after it got a batch: then a rebuild that starts between the two replays the batch from the log.
    """
    stored = await redis.hgetall(registry_key(kind))
    found = {
        name.removeprefix(b"generation:"): msgspec.json.decode(value, type=Generation)
        for name, value in stored.items()
        if name.startswith(b"generation:")
    }
    live, building = stored.get(b"live", b""), stored.get(b"building", b"")
    return Registry(
        live=found.get(live),
        building=found.get(building),
        old=tuple(generation for number, generation in sorted(found.items()) if number not in (live, building)),
    )


async def ensure(redis: Redis, kind: Kind, model: str, dimensions: int, algorithm: str) -> Generation:
    """The live generation, created when there is none. Safe when replicas start at once, and after everything was flushed.

    The result may be of another model than asked for: see `Generation.serves`; then build the next one. Indexes that were
    lost while the registry was not are created again and index the documents that are there.
    """
    now = _new(kind, 1, model, dimensions, algorithm)
    await prepare(redis)
    while True:
        await redis.eval(_claim, 1, registry_key(kind), encode(now).decode())
        live = await _made_whole(redis, kind)
        if live is not None:
            return live


async def _made_whole(redis: Redis, kind: Kind) -> Generation | None:
    """Create what the registry names and is not there. None when a swap, a drop or a flush came between; nothing was done then:
    an index made for a generation that has just been dropped would stay for ever.
    """
    async with redis.pipeline(transaction=True) as pipe:
        await pipe.watch(registry_key(kind))
        known = await registry(redis, kind)
        if known.live is None:
            return None
        pipe.multi()
        for generation in known.active:
            await create_index(pipe, kind, generation.number, generation.dimensions, generation.algorithm)
        pipe.execute_command("FT.ALIASADD", index_alias(kind), index_name(kind, known.live.number))
        try:
            answers = await pipe.execute(raise_on_error=False)
        except WatchError:
            return None
    for answer in answers:
        if isinstance(answer, ResponseError) and "already exists" not in str(answer).lower():
            raise answer
    return known.live


async def prepare(redis: Redis) -> None:
    """Server settings that right answers need: prefixes are expanded in full, and a query that takes too long fails instead of
    answering in part. A server that forbids FT.CONFIG must be configured so by its operator.
    """
    for name, value in (("MAXPREFIXEXPANSIONS", 1_000_000), ("ON_TIMEOUT", "fail")):
        await _ignoring("", redis, "FT.CONFIG", "SET", name, value)


async def begin_build(redis: Redis, kind: Kind, model: str, dimensions: int, algorithm: str) -> Generation:
    """Register and create the next generation; from now on `registry(...).active` has both. Raises Conflict when one is being
    built already.
    """
    draft = _new(kind, 0, model, dimensions, algorithm)
    stored = await redis.eval(_build, 1, registry_key(kind), encode(draft).decode())
    if stored is None:
        raise Conflict(f"the {kind} index is being rebuilt already")
    building = msgspec.json.decode(stored, type=Generation)
    await create_index(redis, kind, building.number, dimensions, algorithm)
    return building


async def swap(redis: Redis, generation: Generation) -> Generation | None:
    """Make the generation being built the live one, in one step for readers. Returns the one it replaced, which is still there.

    Raises Conflict when the generation is not the one being built.
    """
    kind = generation.kind
    async with redis.pipeline(transaction=True) as pipe:
        await pipe.watch(registry_key(kind))
        known = await registry(redis, kind)
        if known.live == generation:
            return None
        if known.building != generation:
            raise Conflict(f"generation {generation.number} of the {kind} index is not being built")
        pipe.multi()
        pipe.execute_command("FT.ALIASUPDATE", index_alias(kind), index_name(kind, generation.number))
        pipe.hset(registry_key(kind), "live", str(generation.number))
        pipe.hdel(registry_key(kind), "building")
        pipe.set(changes_key(kind), os.urandom(8))
        await pipe.execute()
    return known.live


async def abandon(redis: Redis, generation: Generation) -> None:
    """Give up the generation being built: index and documents go. Raises Conflict for the live one."""
    known = await registry(redis, generation.kind)
    if known.live == generation:
        raise Conflict(f"generation {generation.number} of the {generation.kind} index is live")
    if known.building == generation:
        await redis.hdel(registry_key(generation.kind), "building")
    await _drop(redis, generation)


async def drop_old(redis: Redis, kind: Kind) -> int:
    """Remove generations that are neither live nor being built. Returns the number of documents removed."""
    removed = 0
    for generation in (await registry(redis, kind)).old:
        removed += await _drop(redis, generation)
    return removed


async def digest(redis: Redis, generation: Generation) -> str:
    """One number for all documents of a generation, whatever its number: what a rebuild must reproduce."""
    start = document_prefix(generation.kind, generation.number)
    entries: list[list[bytes | str]] = []
    async for keys in _chunks(redis, document_prefix(generation.kind, generation.number)):
        async with redis.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.hgetall(key)
            for key, fields in zip(keys, await pipe.execute(), strict=True):
                hashed = (hashlib.sha256(name + b"=" + value).digest() for name, value in sorted(fields.items()))
                entries.append([key.decode().removeprefix(start), *hashed])
    return digest_of(entries)


async def _chunks(redis: Redis, start: str) -> AsyncIterator[list[bytes]]:
    cursor = 0
    while True:
        cursor, keys = await redis.scan(cursor, match=start + "*", count=_CHUNK)
        if keys:
            yield keys
        if cursor == 0:
            return


async def _drop(redis: Redis, generation: Generation) -> int:
    await _ignoring("no such index", redis, "FT.DROPINDEX", index_name(generation.kind, generation.number))
    removed = 0
    # Small steps, unlinked in the background: nobody waits for a large generation to go.
    async for keys in _chunks(redis, document_prefix(generation.kind, generation.number)):
        removed += await redis.unlink(*keys)
    async for keys in _chunks(redis, turns_prefix(generation.kind, generation.number)):
        await redis.unlink(*keys)
    await redis.hdel(registry_key(generation.kind), f"generation:{generation.number}")
    return removed


async def _ignoring(expected: str, redis: Redis, *command: str | int) -> None:
    try:
        await redis.execute_command(*command)
    except ResponseError as error:
        if expected not in str(error).lower():
            raise


def _new(kind: Kind, number: int, model: str, dimensions: int, algorithm: str) -> Generation:
    return Generation(
        kind=kind, number=number, model=model, dimensions=dimensions, algorithm=algorithm, created_ms=_now_ms(), layout=LAYOUT
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
