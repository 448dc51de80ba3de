"""Operations on working memory: the document of a session and its messages."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from agent_memory.client.answers import Appended, SessionPage, WorkingMemory, Written
from agent_memory.client.exchange import exchange, fetch, new_key, read
from agent_memory.client.paths import path
from agent_memory.client.program import Caller, Program, Request, params
from agent_memory.contracts.records import Message


def put_working_memory(
    caller: Caller,
    session_id: str,
    document: Mapping[str, Any],
    *,
    model_name: str | None = None,
    context_window_max: int | None = None,
    namespace: str | None = None,
    user_id: str | None = None,
    idempotency_key: str | None = None,
) -> Program[WorkingMemory]:
    """Replace the whole document: `messages`, `memories`, `data`, `context`, `ttl_seconds` and so on. Raises InvalidRequest."""
    request = Request(
        method="PUT",
        path=path("v1", "working-memory", session_id),
        params=params(model_name=model_name, context_window_max=context_window_max),
        body=msgspec.json.encode({**document, **_missing(document, caller.scope(namespace, user_id))}),
        idempotency_key=new_key(idempotency_key),
    )
    answer = yield from exchange(request, caller.retry)
    return msgspec.structs.replace(read(answer, WorkingMemory), position=answer.position)


def get_working_memory(
    caller: Caller,
    session_id: str,
    *,
    recent_messages_limit: int | None = None,
    model_name: str | None = None,
    context_window_max: int | None = None,
    namespace: str | None = None,
    user_id: str | None = None,
    min_position: int | None = None,
) -> Program[WorkingMemory]:
    """The document of a session. Raises NotFound when there is none."""
    query = params(
        recent_messages_limit=recent_messages_limit,
        model_name=model_name,
        context_window_max=context_window_max,
        min_position=min_position,
        **caller.scope(namespace, user_id),
    )
    request = Request(method="GET", path=path("v1", "working-memory", session_id), params=query)
    return (yield from fetch(request, caller.retry, WorkingMemory))


def delete_working_memory(
    caller: Caller,
    session_id: str,
    *,
    namespace: str | None = None,
    user_id: str | None = None,
    idempotency_key: str | None = None,
) -> Program[Written]:
    """Forget the document of a session; what was said stays on the timeline. Also fine when there is none."""
    request = Request(
        method="DELETE",
        path=path("v1", "working-memory", session_id),
        params=params(**caller.scope(namespace, user_id)),
        idempotency_key=new_key(idempotency_key),
    )
    answer = yield from exchange(request, caller.retry)
    return msgspec.structs.replace(read(answer, Written), position=answer.position)


def list_sessions(
    caller: Caller,
    *,
    limit: int = 20,
    offset: int = 0,
    namespace: str | None = None,
    user_id: str | None = None,
) -> Program[SessionPage]:
    """Ids of sessions that have a working memory. `limit` is 1 to 100."""
    query = params(limit=limit, offset=offset, **caller.scope(namespace, user_id))
    return (yield from fetch(Request(method="GET", path="/v1/working-memory/", params=query), caller.retry, SessionPage))


def append_messages(
    caller: Caller,
    session_id: str,
    messages: Sequence[Message | Mapping[str, Any]],
    *,
    namespace: str | None = None,
    user_id: str | None = None,
    idempotency_key: str | None = None,
) -> Program[Appended]:
    """Messages (`role`, `content`, maybe `id` and `created_at`) at the end of a session, which is made when absent."""
    request = Request(
        method="POST",
        path=path("v1", "working-memory", session_id, "messages"),
        body=msgspec.json.encode({"messages": list(messages), **caller.scope(namespace, user_id)}),
        idempotency_key=new_key(idempotency_key),
    )
    answer = yield from exchange(request, caller.retry)
    return msgspec.structs.replace(read(answer, Appended), position=answer.position)


def _missing(document: Mapping[str, Any], scope: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in scope.items() if document.get(name) is None}
