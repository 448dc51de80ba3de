"""The timeline over HTTP: record events, read them by time, search them."""

from typing import Any, cast

from litestar import get, post
from litestar.types import ASGIApp

from agent_memory.contracts.codec import encode
from agent_memory.contracts.errors import Invalid
from agent_memory.contracts.queries import GetEvents
from agent_memory.contracts.records import Scope
from agent_memory.contracts.replies import EventsRecorded
from agent_memory.gateway import timeline_use
from agent_memory.gateway.edges.http import fields, responses
from agent_memory.gateway.edges.http.call import Call, HttpRequest, opened
from agent_memory.gateway.edges.http.requests_events import record_events
from agent_memory.gateway.edges.http.requests_search import search_timeline, timeline_ms
from agent_memory.gateway.edges.http.responses import Answered

ROOT = ["/v1/events", "/v1/timeline/events"]
"""The second stands beside what else there is of the timeline."""


@post(ROOT, status_code=200)
async def post_events(request: HttpRequest) -> ASGIApp:
    """Record one event or up to a thousand; each is new once."""
    return await record(await opened(request))


async def record(call: Call) -> Answered:
    """What a POST of events answers."""
    tenant = Scope(tenant=call.principal.tenant)
    given = record_events(
        await call.body(),
        call.headers.get(b"content-type", b""),
        call.parameters,
        now=call.gateway.clock(),
        new_id=call.ids(tenant),
    )
    answer = await call.ask(call.principal.scope(given.namespace, given.user_id), given.command)
    reply = cast(EventsRecorded, answer.reply)
    outcomes = [
        {"event_id": event_id, "created": created} for event_id, created in zip(reply.event_ids, reply.created, strict=True)
    ]
    body = {"events": outcomes, "created": sum(reply.created), "position": answer.position}
    return Answered(encode(body), headers=responses.at(answer.position))


@get(ROOT, status_code=200)
async def get_events(request: HttpRequest) -> ASGIApp:
    """Events of one scope by time, both ends included; `cursor` goes on where a page ended."""
    call = await opened(request)
    given = call.parameters
    from_ms, to_ms = given.get("from", timeline_ms), given.get("to", timeline_ms)
    session_id, cursor = given.get("session_id", fields.identifier), given.get("cursor", fields.said)
    limit = given.get("limit", fields.between(1, 1_000), 50)
    query = GetEvents(scope=call.scope(), from_ms=from_ms, to_ms=to_ms, session_id=session_id, limit=limit, cursor=cursor)
    await call.caught_up()
    try:
        page = await call.gateway.log.timeline(query)
    except Invalid as error:
        raise Invalid(error.detail, field=f"query.{error.field}") from error
    return Answered(responses.events(page))


@post("/v1/timeline/search", status_code=200)
async def post_search(request: HttpRequest) -> ASGIApp:
    """Search what was said and, where kinds are named, what was written about it, within one scope."""
    call = await opened(request)
    query, of_kinds = search_timeline(await call.body(), call.principal, call.problems)
    for projection in timeline_use.projections_of(query.kinds):
        await call.caught_up(projection)
    if of_kinds:
        return Answered(responses.matched(await timeline_use.search(call.gateway, query)))
    if query.group_by == "session":
        return Answered(responses.found_sessions(await timeline_use.search_sessions(call.gateway, query)))
    return Answered(responses.found_events(await timeline_use.search_events(call.gateway, query)))


def handlers() -> list[Any]:
    """The routes of the timeline."""
    return [post_events, get_events, post_search]
