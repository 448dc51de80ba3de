"""Writing search documents: compare-and-set on the log position, so that any order of arrival gives the same result."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from agent_memory.contracts.errors import Unavailable
from agent_memory.contracts.streams import document_key
from agent_memory.readmodels.documents import Delete, Kind, Upsert, Write
from agent_memory.readmodels.generations import Generation, changes_key

TOMBSTONE_SECONDS = 3_600
"""How long a delete refuses older writes, which are late by seconds. A replay from the log comes past the delete itself."""

_FLOAT_BYTES = 4


def _script(name: str) -> tuple[str, str]:
    source = (Path(__file__).parent / "lua" / f"{name}.lua").read_text()
    return source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


_UPSERT, _UPSERT_SHA = _script("upsert")
_DELETE, _DELETE_SHA = _script("delete")


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """How many writes of a batch changed something, and how many came too late to."""

    changed: int
    stale: int


async def apply(redis: Redis, generations: Sequence[Generation], writes: Sequence[Write], *, model: str) -> Applied:
    """Write a batch to all active generations in one round trip; idempotent by version.

    Upserts go where vectors of `model` belong, deletes everywhere. Raises Unavailable when an upsert has nowhere to go, because
    its generation was flushed or is of another model, and ValueError for a vector of the wrong length; then nothing was written.
    """
    if not writes:
        return Applied(changed=0, stale=0)
    async with redis.pipeline(transaction=False) as pipe:
        # Loading is cheap, and it spares a batch that would fail after a restart of the server.
        pipe.script_load(_UPSERT)
        pipe.script_load(_DELETE)
        for write in writes:
            _add(pipe, [one for one in generations if one.kind == write.kind], write, model)
        for kind in sorted({write.kind for write in writes}):
            pipe.set(changes_key(kind), os.urandom(8))
        results = await pipe.execute(raise_on_error=False)
    counts = results[2 : 2 + len(writes)]
    for result in results:
        if isinstance(result, ResponseError):
            raise result
    changed = sum(1 for count in counts if count)
    return Applied(changed=changed, stale=len(writes) - changed)


def tombstone_key(kind: Kind, scope_path: str, document_id: str) -> str:
    """Where a delete leaves its version."""
    return f"am:tombstone:{kind}:{{{scope_path}}}:{document_id}"


def _add(pipe: Any, generations: Sequence[Generation], write: Write, model: str) -> None:
    tombstone = tombstone_key(write.kind, write.scope_path, write.id)
    match write:
        case Upsert():
            vector = write.fields["vector"]
            dimensions = len(vector) // _FLOAT_BYTES if isinstance(vector, bytes) else 0
            keys = [_key(one, write) for one in generations if _fits(one, model, dimensions)]
            if not keys:
                raise Unavailable(f"no {write.kind} index of {model} is there to write to")
            fields = [part for field in write.fields.items() for part in field]
            pipe.evalsha(_UPSERT_SHA, 1 + len(keys), tombstone, *keys, write.version, *fields)
        case Delete():
            keys = [_key(one, write) for one in generations]
            pipe.evalsha(_DELETE_SHA, 1 + len(keys), tombstone, *keys, write.version, TOMBSTONE_SECONDS)


def _fits(generation: Generation, model: str, dimensions: int) -> bool:
    # The index would pass over a vector of the wrong length in silence.
    if generation.model == model and generation.dimensions != dimensions:
        raise ValueError(f"a vector of {model} has {dimensions} dimensions, its index {generation.dimensions}")
    return generation.model == model


def _key(generation: Generation, write: Write) -> str:
    return document_key(write.kind, generation.number, write.scope_path, write.id)
