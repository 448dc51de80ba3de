"""Working memory over HTTP."""

from collections.abc import Sequence
from typing import Any, cast

from litestar import delete, get, post, put
from litestar.types import ASGIApp
from msgspec.structs import replace

from agent_memory.contracts.codec import encode
from agent_memory.contracts.commands import DeleteWorkingMemory
from agent_memory.contracts.errors import NotFound, Unavailable
from agent_memory.contracts.queries import ListSessions
from agent_memory.contracts.records import Message, Scope
from agent_memory.contracts.replies import WorkingMemoryChanged
from agent_memory.gateway import domain
from agent_memory.gateway.edges.http import fields, responses
from agent_memory.gateway.edges.http.call import Call, HttpRequest, opened
from agent_memory.gateway.edges.http.preconditions import etag, expected_version
from agent_memory.gateway.edges.http.requests_search import MOST_OFFSET
from agent_memory.gateway.edges.http.requests_sessions import Rules, SessionRequest, append_messages, replace_session
from agent_memory.gateway.edges.http.responses import Answered
from agent_memory.gateway.edges.http.routes_history import moment_of, session_then
from agent_memory.gateway.edges.http.windows import Window, seen, window_of
from agent_memory.gateway.ports import Answer, Document
from agent_memory.gateway.reaching import holds_within
from agent_memory.gateway.sessions import empty, replaced

ROOT = "/v1/working-memory"
ONE = "/v1/working-memory/{session_id:path}"
PREFIX = b"/v1/working-memory/"
MESSAGES = b"/messages"


@get(ROOT, status_code=200)
async def list_sessions(request: HttpRequest) -> ASGIApp:
    """Ids of the sessions that have a working memory, newest first."""
    return await listed(await opened(request), 20)


async def listed(call: Call, limit: int) -> Answered:
    """What a list of sessions answers; `limit` when the caller names none."""
    limit = call.parameters.get("limit", fields.between(1, 100), limit)
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
    window = window_of(call)
    moment = moment_of(call)
    if moment is not None:
        then = await session_then(call, scope, session_id, moment)
        if then is None:
            raise NotFound(f"Session {session_id} not found")
        return await shown(call, then, window)
    await call.caught_up()
    document = await call.gateway.sessions.read(scope, session_id)
    if document is not None:
        return await shown(call, document, window)
    if not call.gateway.settings.missing_session_is_empty:
        raise NotFound(f"Session {session_id} not found")
    answer = await seen(call.gateway, empty(scope, session_id, call.gateway.clock()), window)
    return Answered(answer[:-1] + b',"new_session":false,"unsaved":true}')


async def shown(call: Call, document: Document, window: Window) -> Answered:
    """A session as far as the window takes it."""
    return Answered(await seen(call.gateway, document, window), headers={b"etag": etag(document.version)})


@put(ONE, status_code=200)
async def put_session(request: HttpRequest) -> ASGIApp:
    """Replace a session's working memory; answers what is stored."""
    return await write_session(await opened(request))


async def write_session(call: Call) -> Answered:
    """What a PUT of a session answers."""
    session_id = call.id_in_path(PREFIX, "session_id")
    return await written(call, session_id, window_of(call), rules(call, session_id))


async def written(call: Call, session_id: str, window: Window, rules: Rules) -> Answered:
    """Records the document and answers what is stored, after the summarizer when there is more than fits."""
    given = replace_session(await call.body(), session_id, call.parameters, rules)
    scope = call.principal.scope(given.namespace, given.user_id)
    settings = call.gateway.settings
    command = replace(
        given.command,
        promote=settings.long_term_memory and settings.working_memory_promotion == "memories",
        token_limit=window.tokens if window.bounded else None,
        expected_version=await expected_version(call, scope, session_id),
    )
    given = replace(given, command=command)
    answer = await call.ask(scope, command)
    document = await _stored(call, scope, given, answer)
    tokens = await _excess(call, window, command.messages)
    if tokens is not None:
        changed = await _summarized(call, scope, session_id, answer.position)
        document, tokens = (document, tokens) if changed is None else (changed, None)
    headers = {**responses.at(answer.position), b"etag": etag(document.version)}
    if given.undated:
        headers[b"x-deprecation-warning"] = responses.DEPRECATION.encode()
    return Answered(responses.document(document, await _percentages(call, document, window, tokens)), headers=headers)


@delete(ONE, status_code=200)
async def delete_session(request: HttpRequest) -> ASGIApp:
    """Forget a session's working memory; that there was none is as well."""
    call = await opened(request)
    return await deleted(call, call.id_in_path(PREFIX, "session_id"))


async def deleted(call: Call, session_id: str) -> Answered:
    """What a DELETE of a session answers."""
    scope = call.scope()
    expected = await expected_version(call, scope, session_id)
    answer = await call.ask(scope, DeleteWorkingMemory(session_id=session_id, expected_version=expected))
    return Answered(b'{"status":"ok"}', headers=responses.at(answer.position))


@post(ONE, status_code=200)
async def post_messages(request: HttpRequest) -> ASGIApp:
    """Append messages to a session; the path ends in `/messages`."""
    call = await opened(request)
    raw: bytes = call.http["raw_path"].removesuffix(b"/")
    if not raw.endswith(MESSAGES):
        return Answered(b'{"detail":"Method Not Allowed"}', status=405, headers={b"allow": b"GET, PUT, DELETE"})
    session_id = call.id_in_path(PREFIX, "session_id", suffix=MESSAGES)
    given = append_messages(await call.body(), session_id, call.parameters, rules(call, session_id))
    scope = call.principal.scope(given.namespace, given.user_id)
    command = replace(given.command, expected_version=await expected_version(call, scope, session_id))
    answer = await call.ask(scope, command)
    reply = cast(WorkingMemoryChanged, answer.reply)
    body = {"session_id": session_id, "created": reply.created, "version": reply.version}
    return Answered(encode(body), headers={**responses.at(answer.position), b"etag": etag(reply.version)})


def rules(call: Call, session_id: str) -> Rules:
    """What holds for the messages of a request."""
    settings = call.gateway.settings
    session = Scope(tenant=call.principal.tenant, namespace=session_id)
    return Rules(
        now=call.gateway.clock(),
        new_id=call.ids(session),
        timestamps_required=settings.require_message_timestamps,
        most_future_seconds=settings.max_future_timestamp_seconds,
    )


async def _stored(call: Call, scope: Scope, given: SessionRequest, answer: Answer) -> Document:
    """The document as it stands. It is read where it may differ from what this request says: it was repeated, or came too late."""
    reply = cast(WorkingMemoryChanged, answer.reply)
    if reply.superseded or (given.undated and call.idempotency_key):
        document = await call.gateway.sessions.read(scope, reply.session_id)
        if document is not None and (reply.superseded or document.version == reply.version):
            return document
    return replaced(scope, given.command, reply)


async def _excess(call: Call, window: Window, messages: Sequence[Message]) -> int | None:
    """Tokens of messages that are to be summarised; None when they are few enough, or nobody summarises."""
    settings = call.gateway.settings
    threshold = int(window.tokens * settings.summarization_threshold)
    # A token is a byte at least, and a message is longer as JSON: most documents never have to be counted.
    if not settings.enable_working_memory_summarization or len(await call.body()) <= threshold:
        return None
    tokens = sum(await call.gateway.tokens.count([f"{message.role}: {message.content}" for message in messages]))
    return tokens if tokens > threshold else None


async def _summarized(call: Call, scope: Scope, session_id: str, position: int) -> Document | None:
    """The document after the summarizer; None when it does not get there in time, which the next read will show."""
    summaries, seconds = call.gateway.summaries, call.gateway.settings.summarization_wait_seconds

    async def done() -> bool:
        return not await summaries.pending(scope, session_id, position)

    try:
        await holds_within(seconds, done)
        return await call.gateway.sessions.read(scope, session_id)
    except Unavailable:
        return None  # what was written is safe, and that is what is answered


async def _percentages(call: Call, document: Document, window: Window, tokens: int | None) -> tuple[float, float] | None:
    if not window.bounded:
        return None
    if tokens is None:
        messages = [message for _, message in responses.split(document.messages)]
        tokens = sum(await call.gateway.tokens.count([f"{message.role}: {message.content}" for message in messages]))
    return domain.percentages(tokens, window.tokens, call.gateway.settings.summarization_threshold)


def handlers() -> list[Any]:
    """The routes of working memory."""
    return [list_sessions, get_session, put_session, delete_session, post_messages]
