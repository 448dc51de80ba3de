"""The memory prompt over HTTP: messages that a model may be sent, with what is remembered of the session and of its user."""

import asyncio
from typing import Any, Literal

import msgspec
from litestar import post
from litestar.types import ASGIApp

from agent_memory.contracts.codec import encode
from agent_memory.contracts.streams import MEMORY_INDEX
from agent_memory.gateway.edges.http import responses
from agent_memory.gateway.edges.http.body import decode
from agent_memory.gateway.edges.http.call import Call, HttpRequest, opened
from agent_memory.gateway.edges.http.finding import enabled, found, optimizing
from agent_memory.gateway.edges.http.requests_prompt import PromptRequest, PromptSession, memory_prompt
from agent_memory.gateway.edges.http.responses import Answered
from agent_memory.gateway.edges.http.windows import fitting
from agent_memory.gateway.ports import Page
from agent_memory.gateway.reaching import LOG

ROOT = "/v1/memory/prompt"
SUMMARY = "## A summary of the conversation so far:\n"
MEMORIES = "## Long term memories related to the user's query\n "
NONE_FOUND = "No relevant long-term memories found."


@post(ROOT, status_code=200)
async def post_prompt(request: HttpRequest) -> ASGIApp:
    """The session's summary and messages, the memories that fit the query, and the query."""
    return await prompt(await opened(request))


async def prompt(call: Call, window_size: int | None = None) -> Answered:
    """What a request for a prompt answers."""
    body, optimize = decode(await call.body()), optimizing(call)
    asked = memory_prompt(body, call.principal, call.problems, window_size=window_size)
    if asked.search is not None:
        enabled(call)
    await call.caught_up(LOG if asked.search is None else MEMORY_INDEX)
    messages, page = await asyncio.gather(_session_messages(call, asked.session), _memories(call, asked, optimize=optimize))
    if page is not None:
        messages.append(_message("system", MEMORIES + _listed(page)))
    messages.append(_message("user", asked.query))
    memories = b"null" if page is None else responses.memory_results(page)
    return Answered(b'{"messages":[%s],"long_term_memories":%s}' % (b",".join(messages), memories))


async def _memories(call: Call, asked: PromptRequest, *, optimize: bool) -> Page | None:
    return None if asked.search is None else await found(call.gateway, asked.search, optimize=optimize)


class _Summarized(msgspec.Struct):
    context: str | None = None


class _Remembered(msgspec.Struct):
    id: str
    text: str


_summarized = msgspec.json.Decoder(_Summarized).decode
_remembered = msgspec.json.Decoder(_Remembered).decode


async def _session_messages(call: Call, session: PromptSession | None) -> list[bytes]:
    """The session's summary and messages; none for a session that is not there."""
    if session is None:
        return []
    scope = call.principal.scope(session.namespace, session.user_id)
    document = await call.gateway.sessions.read(scope, session.session_id)
    if document is None:
        return []
    context = _summarized(document.meta).context
    kept, _ = await fitting(call.gateway, responses.split(document.messages), session.window)
    said = [_message("user" if one.role == "user" else "assistant", one.content) for _, one in kept]
    return [_message("system", SUMMARY + context), *said] if context else said


def _listed(page: Page) -> str:
    told = [f"- {one.text} (ID: {one.id})" for hit in page.hits if (one := _remembered(hit.record))]
    return "\n".join(told) or NONE_FOUND


def _message(role: Literal["system", "user", "assistant"], text: str) -> bytes:
    return b'{"role":"%s","content":{"type":"text","text":%s,"annotations":null,"_meta":null}}' % (role.encode(), encode(text))


def handlers() -> list[Any]:
    """The route of the memory prompt."""
    return [post_prompt]
