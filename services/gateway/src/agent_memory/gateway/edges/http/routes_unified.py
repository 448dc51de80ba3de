"""One search over long-term and working memory: the same query and filters for both, and each result says where it is from."""

import asyncio
from typing import Any

from litestar import post
from litestar.types import ASGIApp
from msgspec.structs import replace

from agent_memory.contracts.queries import SearchMemories
from agent_memory.contracts.streams import MEMORY_INDEX
from agent_memory.gateway import remembering
from agent_memory.gateway.edges.http import fields, responses
from agent_memory.gateway.edges.http.body import decode
from agent_memory.gateway.edges.http.call import Call, HttpRequest, opened
from agent_memory.gateway.edges.http.fields import Spec
from agent_memory.gateway.edges.http.finding import counted, enabled, measured, optimizing, vector_of
from agent_memory.gateway.edges.http.problems import Problems
from agent_memory.gateway.edges.http.requests_search import search_memories
from agent_memory.gateway.edges.http.responses import Answered
from agent_memory.readmodels.standing import merged, placed

PATHS = ["/v1/memory/search", "/memory/search"]
MOST_OFFSET = 1_000
"""Both sides are merged from the beginning, so a page costs what stands before it."""
_OFFSET: Spec = {"offset": (fields.between(0, MOST_OFFSET), 0)}
_INCLUDED: Spec = {"include_working_memory": (fields.nullable(fields.boolean), None)}


@post(PATHS, status_code=200)
async def post_search(request: HttpRequest) -> ASGIApp:
    """Search long-term memories and what stands in sessions."""
    call = await opened(request)
    enabled(call)
    return await unified(call, decode(await call.body()))


def wanted(value: object, problems: Problems) -> bool:
    """Whether a search of long-term memories asks for working memory as well."""
    if not isinstance(value, dict) or "include_working_memory" not in value:
        return False
    return bool(fields.fields(value, ("body",), problems, _INCLUDED)["include_working_memory"])


async def unified(call: Call, value: object) -> Answered:
    """What a search of both answers."""
    optimize = optimizing(call)
    fields.fields(value, ("body",), call.problems, _OFFSET)
    query = search_memories(value, call.principal, call.problems)
    await call.caught_up(MEMORY_INDEX)
    with measured(query):
        return await _searched(call, query, optimize=optimize)


async def _searched(call: Call, query: SearchMemories, *, optimize: bool) -> Answered:
    gateway, now = call.gateway, call.gateway.clock()
    vector = await vector_of(gateway, query, optimize=optimize)
    first = replace(query, offset=0, limit=query.offset + query.limit)
    long_term, working = await asyncio.gather(gateway.memories.search(first, vector), gateway.working.find(query, vector))
    end, total = query.offset + query.limit, long_term.total + len(working.found)
    both = merged(placed(query, long_term.hits, now), working.found)[query.offset : end]
    counted(gateway, query, [hit for hit, is_working in both if not is_working])
    remembering.found(len(both))
    following = end if both and end < total else None
    return Answered(responses.unified(both, total=total, next_offset=following, complete=working.complete))


def handlers() -> list[Any]:
    """The route of the search over both."""
    return [post_search]
