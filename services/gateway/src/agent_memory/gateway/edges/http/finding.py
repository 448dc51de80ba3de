"""Searches of long-term memory, as every route carries them out."""

from msgspec.structs import replace

from agent_memory.contracts.errors import Refused
from agent_memory.contracts.queries import SearchMemories
from agent_memory.gateway.edges.http import fields
from agent_memory.gateway.edges.http.call import Call
from agent_memory.gateway.gateway import Gateway
from agent_memory.gateway.ports import Page
from agent_memory.runtime import telemetry


def enabled(call: Call) -> None:
    """Raises Refused when long-term memory is switched off."""
    if not call.gateway.settings.long_term_memory:
        raise Refused("Long-term memory is disabled")


def optimizing(call: Call) -> bool:
    """Whether the caller wants its text rewritten before it is searched for."""
    wanted: bool = call.parameters.get("optimize_query", fields.boolean, False)
    return wanted


async def vector_of(gateway: Gateway, query: SearchMemories, *, optimize: bool) -> bytes | None:
    """What a query is compared by; None for a listing or a search by words. Only a search by meaning is rewritten."""
    if not query.text or query.mode == "keyword":
        return None
    text = await gateway.rewriter.rewritten(query.text) if optimize and query.mode == "semantic" else query.text
    return (await gateway.embedder.embed([text]))[0]


async def found(gateway: Gateway, query: SearchMemories, *, optimize: bool = False) -> Page:
    """A page of memories. What a search by recency returned is counted as accessed."""
    mode = query.mode if query.text else "listing"
    with telemetry.measured("memory.search", telemetry.SEARCH_SECONDS.labels(mode), "search", mode=mode):
        page = await gateway.memories.search(query, await vector_of(gateway, query, optimize=optimize))
    if query.recency is not None and page.hits:
        gateway.touches.note(query.tenant, page.hits)
    return page


def windowed(query: SearchMemories) -> SearchMemories:
    """The same search from its very beginning, as far as the page wanted."""
    return replace(query, offset=0, limit=query.offset + query.limit)
