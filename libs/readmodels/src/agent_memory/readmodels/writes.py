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
from agent_memory.contracts.streams import document_key, turns_start
from agent_memory.readmodels.documents import (
    CONTEXT_BYTES,
    CONTEXT_EVENTS,
    Amend,
    Delete,
    Kind,
    Revise,
    Upsert,
    Value,
    Write,
    amended,
)
from agent_memory.readmodels.generations import Generation, changes_key

TOMBSTONE_SECONDS = 3_600
"""How long a delete refuses older writes, which are late by seconds. A replay from the log comes past the delete itself."""

_FLOAT_BYTES = 4


def _script(name: str) -> tuple[str, str]:
    source = (Path(__file__).parent / "lua" / f"{name}.lua").read_text()
    return source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


_UPSERT, _UPSERT_SHA = _script("upsert")
_DELETE, _DELETE_SHA = _script("delete")
_TURN, _TURN_SHA = _script("turn")
_AMEND, _AMEND_SHA = _script("amend")
_REVISE, _REVISE_SHA = _script("revise")
_SCRIPTS = (_UPSERT, _DELETE, _TURN, _AMEND, _REVISE)


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """How many writes of a batch changed something, how many came too late to, and what must be written whole, with its vector."""

    changed: int
    stale: int
    unmet: tuple[Amend, ...] = ()


async def apply(redis: Redis, generations: Sequence[Generation], writes: Sequence[Write], *, model: str) -> Applied:
    """Write a batch to all active generations in one round trip; idempotent by version.

    Upserts go where vectors of `model` belong, deletes everywhere. Raises Unavailable when an upsert has nowhere to go, because
    its generation was flushed or is of another model, and ValueError for a vector of the wrong length; then nothing was written.
    """
    if not writes:
        return Applied(changed=0, stale=0)
    async with redis.pipeline(transaction=False) as pipe:
        # Loading is cheap, and it spares a batch that would fail after a restart of the server.
        for script in _SCRIPTS:
            pipe.script_load(script)
        for write in writes:
            _add(pipe, [one for one in generations if one.kind == write.kind], write, model)
        for kind in sorted({write.kind for write in writes}):
            pipe.set(changes_key(kind), os.urandom(8))
        results = await pipe.execute(raise_on_error=False)
    counts = results[len(_SCRIPTS) : len(_SCRIPTS) + len(writes)]
    for result in results:
        if isinstance(result, ResponseError):
            raise result
    unmet = tuple(write for write, count in zip(writes, counts, strict=True) if isinstance(write, Amend) and count < 0)
    changed = sum(1 for count in counts if count > 0)
    return Applied(changed=changed, stale=len(writes) - changed - len(unmet), unmet=unmet)


def tombstone_key(kind: Kind, scope_path: str, document_id: str) -> str:
    """Where a delete leaves its version."""
    return f"am:tombstone:{kind}:{{{scope_path}}}:{document_id}"


def _add(pipe: Any, generations: Sequence[Generation], write: Write, model: str) -> None:
    match write:
        case Upsert():
            generations, fields = _fitting(generations, write, model), _flat(write)
            if write.turn is None:
                _run(pipe, _UPSERT_SHA, generations, write, write.version, *fields)
            else:
                _turn(pipe, generations, write, write.turn.session, write.turn.timestamp_ms, *fields)
        case Amend():
            generations = [one for one in generations if one.model == model]
            if not generations:
                raise _nowhere(write.kind, model)
            record, same, about, lacking = amended(write)
            fields = [part for field in about.items() for part in field]
            _run(pipe, _AMEND_SHA, generations, write, write.version, record, same, len(lacking), *lacking, *fields)
        case Revise():
            for document in write.documents:
                generations = _fitting(generations, document, model)
            parts: list[object] = []
            for document in write.documents:
                fields = _flat(document)
                parts += [document.id, len(fields), *fields]
            counted = (write.version, write.id, TOMBSTONE_SECONDS, len(write.documents))
            _run(pipe, _REVISE_SHA, generations, write, *counted, *parts)
        case Delete(kind="timeline"):
            _turn(pipe, generations, write, "", 0)
        case Delete():
            _run(pipe, _DELETE_SHA, generations, write, write.version, TOMBSTONE_SECONDS)


def _fitting(generations: Sequence[Generation], document: Upsert, model: str) -> list[Generation]:
    """Those that take the document's vector. Raises Unavailable when there are none, ValueError for one of the wrong length."""
    vector = document.fields["vector"]
    dimensions = len(vector) // _FLOAT_BYTES if isinstance(vector, bytes) else 0
    found = [one for one in generations if _fits(one, model, dimensions)]
    if not found:
        raise _nowhere(document.kind, model)
    return found


def _flat(document: Upsert) -> list[Value]:
    return [part for field in document.fields.items() for part in field]


def _nowhere(kind: Kind, model: str) -> Unavailable:
    return Unavailable(f"no {kind} index of {model} is there to write to")


def _run(pipe: Any, script: str, generations: Sequence[Generation], write: Write, *arguments: object) -> None:
    keys = [tombstone_key(write.kind, write.scope_path, write.id), *(_key(one, write) for one in generations)]
    pipe.evalsha(script, len(keys), *keys, *arguments)


def _turn(pipe: Any, generations: Sequence[Generation], write: Write, session: str, timestamp_ms: int, *fields: object) -> None:
    turns = [turns_start(write.kind, one.number, write.scope_path) for one in generations]
    bounds = (TOMBSTONE_SECONDS, CONTEXT_EVENTS, CONTEXT_BYTES)
    _run(pipe, _TURN_SHA, generations, write, write.version, write.id, session, timestamp_ms, *bounds, len(turns), *turns, *fields)


def _fits(generation: Generation, model: str, dimensions: int) -> bool:
    # The index would pass over a vector of the wrong length in silence.
    if generation.model == model and generation.dimensions != dimensions:
        raise ValueError(f"a vector of {model} has {dimensions} dimensions, its index {generation.dimensions}")
    return generation.model == model


def _key(generation: Generation, write: Write) -> str:
    return document_key(write.kind, generation.number, write.scope_path, write.id)
