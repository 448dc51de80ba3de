"""Searches of long-term memory, as every route carries them out."""

from collections.abc import Sequence
from contextlib import AbstractContextManager

from agent_memory.contracts.errors import Refused
from agent_memory.contracts.queries import SearchMemories
from agent_memory.gateway import remembering
from agent_memory.gateway.edges.http import fields
from agent_memory.gateway.edges.http.call import Call
from agent_memory.gateway.gateway import Gateway
from agent_memory.gateway.ports import Page
from agent_memory.gateway.remembering import search_of
from agent_memory.readmodels.standing import Scored
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
    """A page of memories, counted as accessed."""
    with measured(query):
        page = await gateway.memories.search(query, await vector_of(gateway, query, optimize=optimize))
        remembering.found(len(page.hits))
    counted(gateway, query, page.hits)
    return page


def measured(query: SearchMemories) -> AbstractContextManager[None]:
    """Times a search by its mode."""
    mode = query.mode if query.text else "listing"
    seconds = telemetry.SEARCH_SECONDS.labels(mode)
    return telemetry.measured("memory.search", seconds, "search_memory", "", mode=mode, **search_of(query))


def counted(gateway: Gateway, query: SearchMemories, hits: Sequence[Scored]) -> None:
    """What a search by recency returned was of use to somebody."""
    if query.recency is not None and hits:
        gateway.touches.note(query.tenant, hits)
