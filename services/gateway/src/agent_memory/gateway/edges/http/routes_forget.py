"""Forgetting by policy: what is old or unused goes, what is pinned stays."""

from typing import Any, cast

import msgspec
from litestar import post
from litestar.types import ASGIApp

from agent_memory.contracts.codec import encode
from agent_memory.contracts.commands import ForgetMemories
from agent_memory.contracts.errors import Unavailable
from agent_memory.contracts.queries import MemoryFilters, SearchMemories, TagFilter
from agent_memory.contracts.records import MemoryRecord, Scope
from agent_memory.contracts.replies import MemoriesForgotten
from agent_memory.contracts.streams import MEMORY_INDEX
from agent_memory.gateway.edges.http import fields, responses
from agent_memory.gateway.edges.http.body import decode
from agent_memory.gateway.edges.http.call import Call, HttpRequest, opened
from agent_memory.gateway.edges.http.fields import REQUIRED, Spec
from agent_memory.gateway.edges.http.requests_memories import MEMORY_TYPES
from agent_memory.gateway.edges.http.responses import Answered
from agent_memory.gateway.reaching import holds_within
from agent_memory.readmodels.forgetting import ForgetPolicy, forgettable
from agent_memory.readmodels.projecting import is_copy

MOST_FORGOTTEN = 10_000
PAGE = 1_000
_DAYS = (fields.nullable(fields.number_between(0.0, None)), None)
_POLICY: Spec = {
    "max_age_days": _DAYS,
    "max_inactive_days": _DAYS,
    "budget": (fields.nullable(fields.between(0, None)), None),
    "memory_type_allowlist": (fields.nullable(fields.listing(fields.one_of(*MEMORY_TYPES))), None),
    "hard_age_multiplier": (fields.number_between(0.0, None), 12.0),
}
_BODY: Spec = {
    "policy": (lambda value, loc, problems: ForgetPolicy(**fields.fields(value, loc, problems, _POLICY)), REQUIRED),
    "pinned_ids": (fields.nullable(fields.listing(fields.identifier, most=MOST_FORGOTTEN)), None),
}
_record = msgspec.json.Decoder(MemoryRecord).decode


@post("/v1/long-term-memory/forget", status_code=200)
async def post_forget(request: HttpRequest) -> ASGIApp:
    """Forget the memories that a policy lets go, or, as a dry run, only say which those are: the very same.

    All memories of the scope are looked at; `limit` is how many may go at once, those that were of use the longest ago.
    """
    call = await opened(request)
    given = fields.fields(decode(await call.body()), ("body",), call.problems, _BODY)
    session_id = call.parameters.get("session_id", fields.identifier)
    limit = call.parameters.get("limit", fields.between(1, MOST_FORGOTTEN), 1_000)
    dry_run = call.parameters.get("dry_run", fields.boolean, True)
    scope = call.scope()
    await call.caught_up()
    await _indexed(call)
    records = await _candidates(call, scope, session_id)
    ids = forgettable(records, given["policy"], frozenset(given["pinned_ids"] or ()), call.gateway.clock(), most=limit)
    position = 0
    # Sent again under the same key it answers what it answered first, though nothing is left to forget.
    if (ids or call.idempotency_key) and not dry_run:
        answer = await call.ask(Scope(tenant=scope.tenant), ForgetMemories(memory_ids=ids, reason="policy"))
        ids, position = cast(MemoriesForgotten, answer.reply).memory_ids, answer.position
    body = {"scanned": len(records), "deleted": len(ids), "deleted_ids": ids, "dry_run": dry_run}
    return Answered(encode(body), headers=responses.at(position))


async def _indexed(call: Call) -> None:
    """Until all that was stored before this request can be found: what a policy decides on must not be old itself."""
    head = await call.gateway.log.head()
    seconds = call.gateway.settings.read_wait_seconds
    if not await holds_within(seconds, lambda: call.gateway.projections.covers(MEMORY_INDEX, head)):
        raise Unavailable(f"{MEMORY_INDEX} has not reached position {head} yet; try again")


async def _candidates(call: Call, scope: Scope, session_id: str | None) -> list[MemoryRecord]:
    filters = MemoryFilters(
        namespace=TagFilter(eq=scope.namespace) if scope.namespace else None,
        user_id=TagFilter(eq=scope.user_id) if scope.user_id else None,
        session_id=TagFilter(eq=session_id) if session_id else None,
    )
    found: dict[str, MemoryRecord] = {}
    offset: int | None = 0
    while offset is not None:
        page = await call.gateway.memories.search(
            SearchMemories(tenant=scope.tenant, filters=filters, limit=PAGE, offset=offset), None
        )
        for hit in page.hits:
            record = _record(hit.record)
            if not is_copy(record):
                found[record.id] = record  # pages overlap when memories come in meanwhile
        offset = page.next_offset
    return list(found.values())


def handlers() -> list[Any]:
    """The route of forgetting by policy."""
    return [post_forget]
