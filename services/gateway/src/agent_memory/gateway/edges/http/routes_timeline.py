"""The table of contents over HTTP: what the calls of gRPC do, for the web and for tools."""

from collections.abc import Sequence
from typing import Any

from litestar import get
from litestar.types import ASGIApp

from agent_memory.contracts.codec import encode
from agent_memory.contracts.errors import NotFound
from agent_memory.contracts.streams import CONTENTS
from agent_memory.contracts.toc import TocNode
from agent_memory.gateway import timeline_use
from agent_memory.gateway.edges.http import fields
from agent_memory.gateway.edges.http.call import Call, HttpRequest, opened
from agent_memory.gateway.edges.http.responses import Answered

ROOT = "/v1/timeline/root"
NODE = "/v1/timeline/nodes/{node_id:str}"
GRIP = "/v1/timeline/grips/{grip_id:str}"
_NODES, _GRIPS = b"/v1/timeline/nodes/", b"/v1/timeline/grips/"
MOST_VERSIONS = 2**31 - 1


@get(ROOT, status_code=200)
async def timeline_root(request: HttpRequest) -> ASGIApp:
    """The years, newest first."""
    call = await opened(request)
    scope = call.scope()
    await call.caught_up(CONTENTS)
    return _nodes(await call.gateway.contents.years(scope))


@get(NODE, status_code=200)
async def timeline_node(request: HttpRequest) -> ASGIApp:
    """One node, now or at a version."""
    call = await opened(request)
    node_id, version = _id(call, b""), call.parameters.get("version", fields.between(1, MOST_VERSIONS))
    scope = call.scope()
    await call.caught_up(CONTENTS)
    contents = call.gateway.contents
    found = await contents.node(scope, node_id) if version is None else await contents.node_at(scope, node_id, version)
    if found is None:
        raise NotFound(f"there is no node {node_id} here" if version is None else f"{node_id} has no version {version}")
    return Answered(encode(found))


@get(f"{NODE}/children", status_code=200)
async def timeline_children(request: HttpRequest) -> ASGIApp:
    """A page of what stands under a node; `continuation_token` goes on where a page ended."""
    call = await opened(request)
    parent, token = _id(call, b"/children"), call.parameters.get("continuation_token", fields.said)
    limit = call.parameters.get("limit", fields.between(1, timeline_use.MOST_CHILDREN), timeline_use.PAGE)
    scope = call.scope()
    await call.caught_up(CONTENTS)
    page = await timeline_use.browse(call.gateway, scope, parent, limit=limit, token=token)
    return _nodes(page.nodes, continuation_token=page.continuation_token)


@get(GRIP, status_code=200)
async def timeline_grip(request: HttpRequest) -> ASGIApp:
    """The words of a grip, and what was said before and after them in their session."""
    call = await opened(request)
    grip_id = call.id_in_path(_GRIPS, "grip_id")
    before, after = (
        call.parameters.get(name, fields.between(0, timeline_use.MOST_BESIDE), timeline_use.BESIDE)
        for name in ("events_before", "events_after")
    )
    scope = call.scope()
    await call.caught_up(CONTENTS)
    found = await timeline_use.expand(call.gateway, scope, grip_id, before=before, after=after)
    if found.grip is None:
        raise NotFound(f"there is no grip {grip_id} here")
    return Answered(
        encode({"grip": found.grip, "events_before": found.before, "excerpt_events": found.excerpt, "events_after": found.after})
    )


def _id(call: Call, suffix: bytes) -> str:
    return call.id_in_path(_NODES, "node_id", suffix=suffix)


def _nodes(nodes: Sequence[TocNode], **more: object) -> Answered:
    return Answered(encode({"nodes": nodes, **more}))


def handlers() -> list[Any]:
    """The routes of the table of contents."""
    return [timeline_root, timeline_node, timeline_children, timeline_grip]
