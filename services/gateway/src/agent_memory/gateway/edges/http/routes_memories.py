"""Long-term memory over HTTP."""

from typing import Any, cast

from litestar import delete, get, patch, post
from litestar.types import ASGIApp

from agent_memory.contracts.codec import encode
from agent_memory.contracts.commands import ForgetMemories
from agent_memory.contracts.errors import NotFound
from agent_memory.contracts.records import Scope
from agent_memory.contracts.replies import MemoriesForgotten, MemoriesStored, MemoryChanged
from agent_memory.contracts.streams import MEMORY_INDEX
from agent_memory.gateway.edges.http import fields, responses, routes_history, routes_unified
from agent_memory.gateway.edges.http.body import decode
from agent_memory.gateway.edges.http.call import Call, HttpRequest, opened
from agent_memory.gateway.edges.http.finding import enabled, found, optimizing
from agent_memory.gateway.edges.http.requests_memories import edit_memory, store_memories
from agent_memory.gateway.edges.http.requests_search import search_memories
from agent_memory.gateway.edges.http.responses import Answered

ROOT = "/v1/long-term-memory"
SEARCH = "/v1/long-term-memory/search"
PREFIX = b"/v1/long-term-memory/"
ONE = ["/v1/long-term-memory/{memory_id:path}", SEARCH, "/v1/long-term-memory/forget", routes_history.COMPACT]
"""A memory may be called "search", "forget" or "compact": only a POST to that path does so."""


@post(ROOT, status_code=200)
async def create_memories(request: HttpRequest) -> ASGIApp:
    """Create or replace memories by id."""
    return await stored(await _opened(request))


async def stored(call: Call) -> Answered:
    """What a POST of memories answers: the ids under which they are kept as well, where these are not the ones that were given."""
    command = store_memories(await call.body(), call.problems, now=call.gateway.clock())
    if not command.memories:
        return Answered(b'{"status":"ok"}', headers=responses.at(0))
    answer = await call.ask(Scope(tenant=call.principal.tenant), command)
    kept = cast(MemoriesStored, answer.reply).memory_ids
    body: dict[str, object] = {"status": "ok"}
    if kept != [memory.id for memory in command.memories]:
        body["memory_ids"] = kept
    return Answered(encode(body), headers=responses.at(answer.position))


@get(ONE, status_code=200)
async def get_memory(request: HttpRequest) -> ASGIApp:
    """One memory, as the log has it now or had it at `as_of`; what happened to it, when the path ends in `/history`."""
    call = await _opened(request)
    if routes_history.asks_history(call):
        return await routes_history.history(call, _read)
    return await _read(call)


async def _read(call: Call) -> Answered:
    memory_id = call.id_in_path(PREFIX, "memory_id")
    moment = routes_history.moment_of(call)
    if moment is not None:
        return await routes_history.memory_then(call, memory_id, moment)
    await call.caught_up()
    record = await call.gateway.log.memory_record(call.principal.tenant, memory_id)
    if record is None:
        raise _not_found(memory_id)
    return Answered(record[0], headers=responses.at(record[1]))


@patch(ONE, status_code=200)
async def patch_memory(request: HttpRequest) -> ASGIApp:
    """Change some fields of a memory; answers the whole of it."""
    call = await _opened(request)
    memory_id = call.id_in_path(PREFIX, "memory_id")
    command = edit_memory(await call.body(), memory_id, call.problems)
    try:
        answer = await call.ask(Scope(tenant=call.principal.tenant), command)
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
    enabled(call)
    body = decode(await call.body())
    if routes_unified.wanted(body, call.problems):
        return await routes_unified.unified(call, body)
    optimize = optimizing(call)
    query = search_memories(body, call.principal, call.problems)
    await call.caught_up(MEMORY_INDEX)
    return Answered(responses.found_memories(await found(call.gateway, query, optimize=optimize)))


async def _opened(request: HttpRequest) -> Call:
    call = await opened(request)
    enabled(call)
    return call


def _not_found(memory_id: str) -> NotFound:
    return NotFound(f"Memory with ID {memory_id} not found")


def handlers() -> list[Any]:
    """The routes of long-term memory."""
    return [create_memories, get_memory, patch_memory, delete_memories, post_search, *routes_history.handlers()]
