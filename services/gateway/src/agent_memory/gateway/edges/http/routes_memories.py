"""Long-term memory over HTTP."""

from typing import Any, cast

from litestar import delete, get, patch, post
from litestar.types import ASGIApp

from agent_memory.contracts.commands import ForgetMemories
from agent_memory.contracts.errors import NotFound, Refused
from agent_memory.contracts.records import Scope
from agent_memory.contracts.replies import MemoriesForgotten, MemoryChanged
from agent_memory.contracts.streams import MEMORY_INDEX
from agent_memory.gateway.edges.http import fields, responses
from agent_memory.gateway.edges.http.call import Call, HttpRequest, opened
from agent_memory.gateway.edges.http.requests_memories import edit_memory, store_memories
from agent_memory.gateway.edges.http.requests_search import search_memories
from agent_memory.gateway.edges.http.responses import Answered
from agent_memory.runtime import telemetry

ROOT = "/v1/long-term-memory"
SEARCH = "/v1/long-term-memory/search"
PREFIX = b"/v1/long-term-memory/"
ONE = ["/v1/long-term-memory/{memory_id:path}", SEARCH, "/v1/long-term-memory/forget"]
"""A memory may be called "search" or "forget": only a POST to that path does so."""


@post(ROOT, status_code=200)
async def create_memories(request: HttpRequest) -> ASGIApp:
    """Create or replace memories by id."""
    call = await _opened(request)
    command = store_memories(await call.body(), call.problems, now=call.gateway.clock())
    if not command.memories:
        return Answered(b'{"status":"ok"}', headers=responses.at(0))
    answer = await call.ask(call.principal.scope(None, None), command)
    return Answered(b'{"status":"ok"}', headers=responses.at(answer.position))


@get(ONE, status_code=200)
async def get_memory(request: HttpRequest) -> ASGIApp:
    """One memory, as the log has it now."""
    call = await _opened(request)
    memory_id = call.id_in_path(PREFIX, "memory_id")
    await call.caught_up()
    found = await call.gateway.log.memory_record(call.principal.tenant, memory_id)
    if found is None:
        raise _not_found(memory_id)
    return Answered(found[0], headers=responses.at(found[1]))


@patch(ONE, status_code=200)
async def patch_memory(request: HttpRequest) -> ASGIApp:
    """Change some fields of a memory; answers the whole of it."""
    call = await _opened(request)
    memory_id = call.id_in_path(PREFIX, "memory_id")
    command = edit_memory(await call.body(), memory_id, call.problems)
    try:
        answer = await call.ask(call.principal.scope(None, None), command)
    except NotFound as error:
        raise _not_found(memory_id) from error
    return Answered(bytes(cast(MemoryChanged, answer.reply).record), headers=responses.at(answer.position))


@delete(ROOT, status_code=200)
async def delete_memories(request: HttpRequest) -> ASGIApp:
    """Forget memories by id; ids that do not exist are passed over."""
    call = await _opened(request)
    memory_ids = call.parameters.all("memory_ids", fields.identifier)
    call.problems.check()
    if not memory_ids:
        return Answered(b'{"status":"ok, deleted 0 memories"}', headers=responses.at(0))
    answer = await call.ask(Scope(tenant=call.principal.tenant), ForgetMemories(memory_ids=memory_ids))
    deleted = len(cast(MemoriesForgotten, answer.reply).memory_ids)
    return Answered(b'{"status":"ok, deleted %d memories"}' % deleted, headers=responses.at(answer.position))


@post(SEARCH, status_code=200)
async def post_search(request: HttpRequest) -> ASGIApp:
    """Search memories by meaning, by words, by both, or list them by filter."""
    return await search(await opened(request))


async def search(call: Call) -> Answered:
    """What a search answers."""
    _enabled(call)
    query = search_memories(await call.body(), call.principal, call.problems)
    await call.caught_up(MEMORY_INDEX)
    mode = query.mode if query.text else "listing"
    with telemetry.measured("memory.search", telemetry.SEARCH_SECONDS.labels(mode), "search", mode=mode):
        vector = None if not query.text or mode == "keyword" else (await call.gateway.embedder.embed([query.text]))[0]
        page = await call.gateway.memories.search(query, vector)
    return Answered(responses.found_memories(page))


async def _opened(request: HttpRequest) -> Call:
    call = await opened(request)
    _enabled(call)
    return call


def _enabled(call: Call) -> None:
    if not call.gateway.settings.long_term_memory:
        raise Refused("Long-term memory is disabled")


def _not_found(memory_id: str) -> NotFound:
    return NotFound(f"Memory with ID {memory_id} not found")


def handlers() -> list[Any]:
    """The routes of long-term memory."""
    return [create_memories, get_memory, patch_memory, delete_memories, post_search]
