"""The paths without a version that older clients call: what they do differently from those of /v1, and nothing else."""

from typing import Any

from litestar import delete, get, post, put
from litestar.exceptions import NotFoundException
from litestar.types import ASGIApp
from msgspec.structs import replace

from agent_memory.contracts.errors import Refused
from agent_memory.gateway.edges.http import routes_memories, routes_prompt, routes_sessions
from agent_memory.gateway.edges.http.body import decode
from agent_memory.gateway.edges.http.call import Call, HttpRequest, opened
from agent_memory.gateway.edges.http.finding import enabled
from agent_memory.gateway.edges.http.windows import window_of
from agent_memory.gateway.sessions import empty

SESSIONS = "/sessions"
ONE = "/sessions/{session_id:path}"
PREFIX, SUFFIX = b"/sessions/", b"/memory"
LISTED = 10
TTL_SECONDS = 3_600
"""How long a session lives that says nothing of it."""


@get(SESSIONS, status_code=200)
async def list_sessions(request: HttpRequest) -> ASGIApp:
    """Ids of the sessions that have a working memory, newest first."""
    return await routes_sessions.listed(await opened(request), LISTED)


@get(ONE, status_code=200)
async def get_session(request: HttpRequest) -> ASGIApp:
    """The newest `window_size` messages of a session, no more than its model takes. One that is not there is empty."""
    call = await opened(request)
    session_id = _session_id(call)
    scope = call.scope()
    window = window_of(call, "window_size", call.gateway.settings.window_size)
    await call.caught_up()
    document = await call.gateway.sessions.read(scope, session_id)
    return await routes_sessions.shown(call, document or empty(scope, session_id, call.gateway.clock()), window)


@put(ONE, status_code=200)
async def put_session(request: HttpRequest) -> ASGIApp:
    """Replace a session's working memory, for an hour unless it says how long; its memories must have ids."""
    call = await opened(request)
    session_id = _session_id(call)
    rules = replace(routes_sessions.rules(call, session_id), ttl_seconds=TTL_SECONDS, memory_ids_required=True)
    return await routes_sessions.written(call, session_id, window_of(call), rules)


@delete(ONE, status_code=200)
async def delete_session(request: HttpRequest) -> ASGIApp:
    """Forget a session's working memory; that there was none is as well."""
    call = await opened(request)
    return await routes_sessions.deleted(call, _session_id(call))


@post("/long-term-memory", status_code=200)
async def create_memories(request: HttpRequest) -> ASGIApp:
    """Create or replace memories by id."""
    call = await opened(request)
    enabled(call)
    given = decode(await call.body())
    memories = given.get("memories") if isinstance(given, dict) else None
    if isinstance(memories, list) and any(isinstance(memory, dict) and not memory.get("id") for memory in memories):
        raise Refused("id is required for all memory records")
    return await routes_memories.stored(call)


@post("/long-term-memory/search", status_code=200)
async def search_memories(request: HttpRequest) -> ASGIApp:
    """Search memories by meaning, by words, by both, or list them by filter."""
    return await routes_memories.search(await opened(request))


@post("/memory-prompt", status_code=200)
async def post_prompt(request: HttpRequest) -> ASGIApp:
    """The session's summary and newest messages, the memories that fit the query, and the query."""
    call = await opened(request)
    return await routes_prompt.prompt(call, call.gateway.settings.window_size)


def _session_id(call: Call) -> str:
    """The session that the path names before `/memory`. Raises NotFoundException for any other path."""
    if not call.http["raw_path"].partition(b"?")[0].removesuffix(b"/").endswith(SUFFIX):
        raise NotFoundException("Not Found")
    return call.id_in_path(PREFIX, "session_id", suffix=SUFFIX)


def handlers() -> list[Any]:
    """The routes without a version."""
    return [list_sessions, get_session, put_session, delete_session, create_memories, search_memories, post_prompt]
