"""Working memory over HTTP."""

import re
from datetime import UTC, datetime
from typing import Any, cast

from litestar import delete, get, post, put
from litestar.types import ASGIApp

from agent_memory.contracts.codec import encode
from agent_memory.contracts.commands import DeleteWorkingMemory
from agent_memory.contracts.errors import NotFound
from agent_memory.contracts.queries import ListSessions
from agent_memory.contracts.records import Scope
from agent_memory.contracts.replies import WorkingMemoryChanged
from agent_memory.gateway import domain
from agent_memory.gateway.edges.http import fields, responses
from agent_memory.gateway.edges.http.call import Call, HttpRequest, opened
from agent_memory.gateway.edges.http.requests_search import MOST_OFFSET
from agent_memory.gateway.edges.http.requests_sessions import Rules, append_messages, replace_session
from agent_memory.gateway.edges.http.responses import Answered, SeenMessage
from agent_memory.gateway.ports import Document
from agent_memory.gateway.sessions import replaced

ROOT = "/v1/working-memory"
ONE = "/v1/working-memory/{session_id:path}"
PREFIX = b"/v1/working-memory/"
MESSAGES = b"/messages"

_model = fields.one_of(*domain.MODEL_TOKENS)
_WINDOW = re.compile(rb"model_name|context_window_max|recent_messages_limit|%")


@get(ROOT, status_code=200)
async def list_sessions(request: HttpRequest) -> ASGIApp:
    """Ids of the sessions that have a working memory, newest first."""
    call = await opened(request)
    limit = call.parameters.get("limit", fields.between(1, 100), 20)
    offset = call.parameters.get("offset", fields.between(0, MOST_OFFSET), 0)
    scope = call.scope()
    await call.caught_up()
    query = ListSessions(
        tenant=scope.tenant, namespace=scope.namespace or None, user_id=scope.user_id or None, limit=limit, offset=offset
    )
    page = await call.gateway.log.sessions(query)
    return Answered(encode({"sessions": page.session_ids, "total": page.total}))


@get(ONE, status_code=200)
async def get_session(request: HttpRequest) -> ASGIApp:
    """A session's working memory; with a model or a window size, no more of it than fits."""
    return await read_session(await opened(request))


async def read_session(call: Call) -> Answered:
    """What a GET of a session answers. Raises NotFound."""
    session_id = call.id_in_path(PREFIX, "session_id")
    scope = call.scope()
    window = _window(call)
    await call.caught_up()
    document = await call.gateway.sessions.read(scope, session_id)
    if document is None:
        raise NotFound(f"Session {session_id} not found")
    if window is None:
        return Answered(responses.document(document, None))
    return Answered(await _within(call, document, *window))


@put(ONE, status_code=200)
async def put_session(request: HttpRequest) -> ASGIApp:
    """Replace a session's working memory; answers what is stored."""
    return await write_session(await opened(request))


async def write_session(call: Call) -> Answered:
    """What a PUT of a session answers."""
    session_id = call.id_in_path(PREFIX, "session_id")
    window = _window(call)
    given = replace_session(await call.body(), session_id, call.parameters, _rules(call, session_id))
    scope = call.principal.scope(given.namespace, given.user_id)
    answer = await call.ask(scope, given.command)
    reply = cast(WorkingMemoryChanged, answer.reply)
    document: Document | None = None
    if reply.superseded or (given.undated and call.idempotency_key):
        document = await _stored(call, scope, reply)
    percentages = None
    if window is not None and any(window[:2]):
        tokens = await call.gateway.tokens.count([f"{message.role}: {message.content}" for message in given.command.messages])
        percentages = _percentages(call, sum(tokens), window)
    headers = responses.at(answer.position)
    if given.undated:
        headers[b"x-deprecation-warning"] = responses.DEPRECATION.encode()
    return Answered(responses.document(document or replaced(scope, given.command, reply), percentages), headers=headers)


@delete(ONE, status_code=200)
async def delete_session(request: HttpRequest) -> ASGIApp:
    """Forget a session's working memory; that there was none is as well."""
    call = await opened(request)
    session_id = call.id_in_path(PREFIX, "session_id")
    answer = await call.ask(call.scope(), DeleteWorkingMemory(session_id=session_id))
    return Answered(b'{"status":"ok"}', headers=responses.at(answer.position))


@post(ONE, status_code=200)
async def post_messages(request: HttpRequest) -> ASGIApp:
    """Append messages to a session; the path ends in `/messages`."""
    call = await opened(request)
    raw: bytes = call.http["raw_path"].removesuffix(b"/")
    if not raw.endswith(MESSAGES):
        return Answered(b'{"detail":"Method Not Allowed"}', status=405, headers={b"allow": b"GET, PUT, DELETE"})
    session_id = call.id_in_path(PREFIX, "session_id", suffix=MESSAGES)
    given = append_messages(await call.body(), session_id, call.parameters, _rules(call, session_id))
    answer = await call.ask(call.principal.scope(given.namespace, given.user_id), given.command)
    reply = cast(WorkingMemoryChanged, answer.reply)
    body = {"session_id": session_id, "created": reply.created, "version": reply.version}
    return Answered(encode(body), headers=responses.at(answer.position))


def _rules(call: Call, session_id: str) -> Rules:
    settings = call.gateway.settings
    session = Scope(tenant=call.principal.tenant, namespace=session_id)
    return Rules(
        now=call.gateway.clock(),
        new_id=call.ids(session),
        timestamps_required=settings.require_message_timestamps,
        most_future_seconds=settings.max_future_timestamp_seconds,
    )


Window = tuple[str | None, int | None, int | None]


def _window(call: Call) -> Window | None:
    """Model, window size and number of recent messages, when the caller names any. Raises InvalidRequest."""
    query: bytes = call.http["query_string"]
    if not query or not _WINDOW.search(query):
        return None
    number = fields.nullable(fields.integer)
    model = call.parameters.get("model_name", _model)
    window = model, call.parameters.get("context_window_max", number), call.parameters.get("recent_messages_limit", number)
    call.problems.check()
    return window


def _percentages(call: Call, tokens: int, window: Window) -> tuple[float, float]:
    limit = domain.token_limit(window[0], window[1])
    return domain.percentages(tokens, limit, call.gateway.settings.summarization_threshold)


async def _within(call: Call, document: Document, model: str | None, window_max: int | None, recent: int | None) -> bytes:
    """The newest messages of a document that the caller's window takes, and how full they make it."""
    messages = responses.split(document.messages)
    if recent is not None and recent > 0:
        messages = sorted(messages, key=_time)[-recent:]
    if not model and not window_max:
        return responses.session(document.meta, b",".join([raw for raw, _ in messages]), None)
    tokens = await call.gateway.tokens.count([f"{seen.role}: {seen.content}" for _, seen in messages])
    first = domain.first_that_fits(tokens, domain.token_limit(model, window_max))
    kept = b",".join([raw for raw, _ in messages[first:]])
    percentages = _percentages(call, sum(tokens[first:]), (model, window_max, recent))
    return responses.session(document.meta, kept, percentages)


_EARLIEST = datetime.min.replace(tzinfo=UTC)


def _time(message: tuple[bytes, SeenMessage]) -> datetime:
    return message[1].created_at or _EARLIEST


async def _stored(call: Call, scope: Scope, reply: WorkingMemoryChanged) -> Document | None:
    """The document as it stands, where it may differ from what this request says: it was repeated, or came too late."""
    document = await call.gateway.sessions.read(scope, reply.session_id)
    return document if document is not None and (reply.superseded or document.version == reply.version) else None


def handlers() -> list[Any]:
    """The routes of working memory."""
    return [list_sessions, get_session, put_session, delete_session, post_messages]
