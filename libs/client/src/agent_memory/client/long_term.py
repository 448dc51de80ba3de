"""Operations on long-term memories."""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

import msgspec

from agent_memory.client.answers import Deleted, Memory, MemoryHits, Prompt, Stored, Written
from agent_memory.client.exchange import exchange, fetch, new_key, read
from agent_memory.client.paths import path
from agent_memory.client.program import Caller, Program, Request, params
from agent_memory.contracts.queries import MemoryFilters, SearchMode
from agent_memory.contracts.records import MemoryRecord


def create_long_term_memory(
    caller: Caller,
    memories: Sequence[MemoryRecord | Mapping[str, Any]],
    *,
    deduplicate: bool = True,
    idempotency_key: str | None = None,
) -> Program[Stored]:
    """Store memories (`text`, maybe `id`, `topics`, `memory_type` …). One without an id gets one. Raises InvalidRequest."""
    records = [_owned(memory, caller) for memory in memories]
    request = Request(
        method="POST",
        path="/v1/long-term-memory/",
        body=msgspec.json.encode({"memories": records, "deduplicate": deduplicate}),
        idempotency_key=new_key(idempotency_key),
    )
    answer = yield from exchange(request, caller.retry)
    return msgspec.structs.replace(read(answer, Stored), position=answer.position)


def get_long_term_memory(caller: Caller, memory_id: str, *, min_position: int | None = None) -> Program[Memory]:
    """One memory by id. Raises NotFound."""
    request = Request(method="GET", path=path("v1", "long-term-memory", memory_id), params=params(min_position=min_position))
    return (yield from fetch(request, caller.retry, Memory))


def edit_long_term_memory(
    caller: Caller, memory_id: str, changes: Mapping[str, Any], *, idempotency_key: str | None = None
) -> Program[Memory]:
    """Change the given fields of one memory; the record after the change. Raises NotFound, InvalidRequest."""
    request = Request(
        method="PATCH",
        path=path("v1", "long-term-memory", memory_id),
        body=msgspec.json.encode(dict(changes)),
        idempotency_key=new_key(idempotency_key),
    )
    return (yield from fetch(request, caller.retry, Memory))


def delete_long_term_memories(caller: Caller, memory_ids: Sequence[str], *, idempotency_key: str | None = None) -> Program[Deleted]:
    """Delete memories by id; ids that do not exist are passed over."""
    request = Request(
        method="DELETE",
        path="/v1/long-term-memory",
        params=tuple(("memory_ids", memory_id) for memory_id in memory_ids),
        idempotency_key=new_key(idempotency_key),
    )
    answer = yield from exchange(request, caller.retry)
    counted = re.search(r"deleted (\d+)", read(answer, Written).status)
    return Deleted(count=int(counted[1]) if counted else 0, position=answer.position)


def search_long_term_memory(
    caller: Caller,
    text: str | None = None,
    *,
    mode: SearchMode = "semantic",
    filters: MemoryFilters | Mapping[str, Any] | None = None,
    distance_threshold: float | None = None,
    hybrid_alpha: float | None = None,
    recency_boost: bool | None = None,
    limit: int = 10,
    offset: int = 0,
    optimize_query: bool | None = None,
    options: Mapping[str, Any] | None = None,
    min_position: int | None = None,
) -> Program[MemoryHits]:
    """Memories by meaning, words or both, best first; without text a listing by filter.

    The client's own namespace and user are filters too, unless `filters` names others. `options`: further fields of the request,
    such as `recency_novelty_weight`; `optimize_query`: have a model put the text in better words. Raises InvalidRequest.
    """
    chosen = msgspec.to_builtins(filters) if filters is not None else {}
    scope = {name: {"eq": value} for name, value in caller.scope(None, None).items()}
    optional = {"distance_threshold": distance_threshold, "hybrid_alpha": hybrid_alpha, "recency_boost": recency_boost}
    body = {"text": text, "search_mode": mode, "limit": limit, "offset": offset, **scope, **chosen}
    body |= {name: value for name, value in {**optional, **(options or {})}.items() if value is not None}
    request = Request(
        method="POST",
        path="/v1/long-term-memory/search",
        params=params(min_position=min_position, optimize_query=optimize_query),
        body=msgspec.json.encode(body),
    )
    return (yield from fetch(request, caller.retry, MemoryHits))


def memory_prompt(
    caller: Caller,
    query: str,
    *,
    session: Mapping[str, Any] | None = None,
    long_term_search: Mapping[str, Any] | bool | None = None,
    optimize_query: bool | None = None,
    min_position: int | None = None,
) -> Program[Prompt]:
    """Messages that a model may be sent: what is remembered of a session and of its user, then the query.

    The client's own namespace and user are the session's, and filters of the search, unless those name others.
    Raises InvalidRequest.
    """
    scope = caller.scope(None, None)
    body: dict[str, Any] = {"query": query}
    if session is not None:
        body["session"] = {**scope, **session}
    if isinstance(long_term_search, Mapping):
        body["long_term_search"] = {**{name: {"eq": value} for name, value in scope.items()}, **long_term_search}
    elif long_term_search is not None:
        body["long_term_search"] = long_term_search
    request = Request(
        method="POST",
        path="/v1/memory/prompt",
        params=params(min_position=min_position, optimize_query=optimize_query),
        body=msgspec.json.encode(body),
    )
    return (yield from fetch(request, caller.retry, Prompt))


def _owned(memory: MemoryRecord | Mapping[str, Any], caller: Caller) -> dict[str, Any]:
    given = msgspec.to_builtins(memory)
    scope = {name: value for name, value in caller.scope(None, None).items() if given.get(name) is None}
    return {**given, **scope, "id": given.get("id") or uuid4().hex}
