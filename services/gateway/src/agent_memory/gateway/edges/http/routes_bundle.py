"""Everything of a tenant as one bundle, and back. For admins of the whole tenant; of any size, so nothing of it is kept here."""

from collections.abc import AsyncIterator
from typing import Any

from litestar import get, post
from litestar.types import ASGIApp

from agent_memory.contracts.bundles import MEDIA_TYPE
from agent_memory.contracts.codec import encode
from agent_memory.gateway.edges.http import fields, responses
from agent_memory.gateway.edges.http.call import HttpRequest, opened
from agent_memory.gateway.edges.http.responses import Answered, Streamed

ROOT = "/v1/bundle"


@get(ROOT, status_code=200)
async def export_bundle(request: HttpRequest) -> ASGIApp:
    """All that the log holds, or of a namespace, or of a user."""
    call = await opened(request)
    call.principal.require("admin")  # here as well: the framework takes other spellings of the path for the same
    # An empty one is a variable that was not set: it must not stand for everybody.
    namespace, user_id = (call.parameters.get(name, fields.identifier) for name in ("namespace", "user_id"))
    embeddings, answers = (call.parameters.get(name, fields.boolean, False) for name in ("embeddings", "answers"))
    call.problems.check()
    pieces = call.gateway.bundles.exported(
        call.principal.tenant, namespace=namespace, user_id=user_id, embeddings=embeddings, answers=answers
    )
    return Streamed(pieces, await anext(pieces), kind=MEDIA_TYPE.encode())


@post(ROOT, status_code=200, request_max_body_size=None)
async def import_bundle(request: HttpRequest) -> ASGIApp:
    """Takes a bundle in: all of it, or nothing."""
    call = await opened(request)
    call.principal.require("admin")
    dry_run, keep = (call.parameters.get(name, fields.boolean, False) for name in ("dry_run", "keep"))
    call.problems.check()
    done = await call.gateway.bundles.restored(call.principal.tenant, _body(request), dry_run=dry_run, keep=keep)
    return Answered(encode(done), headers=responses.at(done.position))


async def _body(request: HttpRequest) -> AsyncIterator[bytes]:
    async for chunk in request.stream():
        yield chunk


def handlers() -> list[Any]:
    """The routes of bundles."""
    return [export_bundle, import_bundle]
