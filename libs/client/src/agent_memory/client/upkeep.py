"""Operations that look after long-term memories: their past, what is let go of, what says the same."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from agent_memory.client.answers import Compacted, Forgotten, MemoryHistory
from agent_memory.client.exchange import exchange, fetch, new_key, read
from agent_memory.client.paths import path
from agent_memory.client.program import Caller, Program, Request, params

COMPACTION_SECONDS = 600.0
"""A compaction answers when it is done, and may ask a model about many memories."""


def get_memory_history(caller: Caller, memory_id: str, *, min_position: int | None = None) -> Program[MemoryHistory]:
    """Everything that happened to a memory. Raises NotFound."""
    place = path("v1", "long-term-memory", memory_id, "history")
    request = Request(method="GET", path=place, params=params(min_position=min_position))
    return (yield from fetch(request, caller.retry, MemoryHistory))


def forget_long_term_memories(
    caller: Caller,
    policy: Mapping[str, Any],
    *,
    pinned_ids: Sequence[str] | None = None,
    session_id: str | None = None,
    limit: int | None = None,
    dry_run: bool = True,
    namespace: str | None = None,
    user_id: str | None = None,
    idempotency_key: str | None = None,
) -> Program[Forgotten]:
    """Let go of what a policy says (`max_age_days`, `max_inactive_days`, `budget` …); a dry run tells what that is.

    Raises InvalidRequest.
    """
    request = Request(
        method="POST",
        path="/v1/long-term-memory/forget",
        params=params(session_id=session_id, limit=limit, dry_run=dry_run, **caller.scope(namespace, user_id)),
        body=msgspec.json.encode({"policy": policy, "pinned_ids": pinned_ids}),
        idempotency_key=new_key(idempotency_key),
    )
    answer = yield from exchange(request, caller.retry)
    return msgspec.structs.replace(read(answer, Forgotten), position=answer.position)


def compact_long_term_memories(
    caller: Caller, *, namespace: str | None = None, user_id: str | None = None, timeout: float = COMPACTION_SECONDS
) -> Program[Compacted]:
    """Merge the memories of a scope that say the same; returns when it is done. `timeout` in seconds."""
    request = Request(
        method="POST",
        path="/v1/long-term-memory/compact",
        params=params(**caller.scope(namespace, user_id)),
        timeout=timeout,
    )
    answer = yield from exchange(request, caller.retry)
    return msgspec.structs.replace(read(answer, Compacted), position=answer.position)
