"""The HTTP application: routes, errors, and the thin skin that counts and times every request."""

import time
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any, cast

from litestar import Litestar
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from agent_memory.contracts.errors import Invalid, MemoryFault, TooLarge
from agent_memory.gateway.edges.http import (
    documentation,
    errors,
    routes_bundle,
    routes_events,
    routes_forget,
    routes_memories,
    routes_operations,
    routes_prompt,
    routes_scheduler,
    routes_sessions,
    routes_timeline,
    routes_unified,
    routes_unversioned,
    routes_views,
)
from agent_memory.gateway.edges.http.admission import PRINCIPAL, admitted
from agent_memory.gateway.edges.http.call import GATEWAY, Call, call_of
from agent_memory.gateway.edges.http.responses import Answered
from agent_memory.gateway.gateway import Gateway
from agent_memory.runtime import telemetry

Direct = tuple[Callable[[Call], Awaitable[Answered]], str]


def routes() -> list[Any]:
    """Every route there is."""
    return [
        *routes_sessions.handlers(),
        *routes_events.handlers(),
        *routes_memories.handlers(),
        *routes_forget.handlers(),
        *routes_prompt.handlers(),
        *routes_unified.handlers(),
        *routes_unversioned.handlers(),
        *routes_views.handlers(),
        *routes_timeline.handlers(),
        *routes_scheduler.handlers(),
        *routes_bundle.handlers(),
        *routes_operations.handlers(),
        *documentation.handlers(),
    ]


def create_edge(gateway: Gateway) -> ASGIApp:
    """The ASGI application of one gateway."""
    return Observed(framework(gateway.settings.max_body_bytes), gateway)


@cache
def framework(max_body_bytes: int) -> ASGIApp:
    """All that a request meets which is not answered straight. It knows no gateway, each request brings its own; so all of a
    process, of which programs have one and tests hundreds, share it.
    """
    return Litestar(
        routes(),
        exception_handlers=cast(Any, {MemoryFault: errors.on_fault, HTTPException: errors.on_http, Exception: errors.on_anything}),
        request_max_body_size=max_body_bytes,
        openapi_config=None,
        logging_config=None,
    )


class Observed:
    """Counts, times and traces each request, and hands it the gateway.

    The framework's way to a handler costs some 40 µs, as much as all the rest of reading a session. So the most frequent
    requests (reading and writing a session, recording events, searching) go straight to what their routes would call.
    """

    def __init__(self, inner: ASGIApp, gateway: Gateway) -> None:
        self._inner = inner
        self._gateway = gateway
        self._seconds: dict[tuple[str, str], Any] = {}
        self._requests: dict[tuple[str, str, int], Any] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        http = cast(dict[str, Any], scope)
        if http["type"] == "lifespan":
            await _live(receive, send)
            return
        if http["type"] != ScopeType.HTTP:
            await self._inner(scope, receive, send)
            return
        http[GATEWAY] = self._gateway
        started = time.perf_counter()
        with telemetry.span("http.request", parent=_traceparent(scope), method=http["method"], path=http["path"]):
            status = await self._answered(scope, receive, send)
        self._note(http, status, time.perf_counter() - started)

    async def _answered(self, scope: Scope, receive: Receive, send: Send) -> int:
        http = cast(dict[str, Any], scope)
        try:
            http[PRINCIPAL] = await admitted(http, self._gateway)
        except MemoryFault as error:
            refusal = errors.fault(error)
            await refusal(scope, receive, send)
            return refusal.status
        direct = _direct(http)
        if direct is not None:
            return await self._straight(direct, scope, receive, send)
        return await self._through(scope, receive, send)

    async def _straight(self, direct: Direct, scope: Scope, receive: Receive, send: Send) -> int:
        handler, route = direct
        http = cast(dict[str, Any], scope)
        http["path_template"] = route
        try:
            body = body_reader(receive, dict(http["headers"]), self._gateway.settings.max_body_bytes)
            answer = await handler(await call_of(http, body))
        except MemoryFault as error:
            answer = errors.fault(error)
        except Exception as error:  # noqa: BLE001 - what the framework does around every other route
            answer = errors.unexpected(http, error)
        await answer(scope, receive, send)
        return answer.status

    async def _through(self, scope: Scope, receive: Receive, send: Send) -> int:
        status = 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        await self._inner(scope, receive, noting)
        return status

    def _note(self, scope: dict[str, Any], status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        route = str(scope.get("path_template") or "none")
        timer = self._seconds.get((method, route))
        if timer is None:
            timer = self._seconds[method, route] = telemetry.HTTP_SECONDS.labels(method, route)
        timer.observe(seconds)
        counter = self._requests.get((method, route, status))
        if counter is None:
            counter = self._requests[method, route, status] = telemetry.HTTP_REQUESTS.labels(method, route, str(status))
        counter.inc()


async def _live(receive: Any, send: Any) -> None:
    """What a server says at its start and its end. The gateway is open before and closed after; the framework has nothing to start,
    and, as it is shared, must not be started twice.
    """
    while (said := (await receive())["type"]) == "lifespan.startup":
        await send({"type": "lifespan.startup.complete"})
    if said == "lifespan.shutdown":
        await send({"type": "lifespan.shutdown.complete"})


_PREFIX_LENGTH = len(routes_sessions.PREFIX)


def _direct(http: dict[str, Any]) -> Direct | None:
    """What answers one of the most frequent requests, and its route; None for all others."""
    method, path = http["method"], http["raw_path"]
    if method in ("GET", "PUT") and path.startswith(routes_sessions.PREFIX) and path[_PREFIX_LENGTH:]:
        return (routes_sessions.read_session if method == "GET" else routes_sessions.write_session), routes_sessions.ONE
    return _DIRECT_POSTS.get(path) if method == "POST" else None


_DIRECT_POSTS: dict[bytes, Direct] = {
    **{path.encode(): (routes_events.record, path) for path in routes_events.ROOT},
    routes_memories.SEARCH.encode(): (routes_memories.search, routes_memories.SEARCH),
    routes_prompt.ROOT.encode(): (routes_prompt.prompt, routes_prompt.ROOT),
}


def body_reader(receive: Receive, headers: dict[bytes, bytes], most: int) -> Callable[[], Awaitable[bytes]]:
    """Reads a request's body, once, however often it is asked for. It raises TooLarge beyond `most` bytes."""
    read: list[bytes] = []

    async def body() -> bytes:
        if read:
            return read[0]
        declared = headers.get(b"content-length", b"0")
        size, chunks = (int(declared) if declared.isdigit() else 0), []
        while size <= most:
            message = cast(dict[str, Any], await receive())
            if message["type"] == "http.disconnect":
                raise Invalid("the connection closed before the request was complete")
            chunks.append(message.get("body", b""))
            if not message.get("more_body", False):
                break
            size = sum(map(len, chunks))
        if size > most or sum(map(len, chunks)) > most:
            raise TooLarge("Request Entity Too Large")
        read.append(b"".join(chunks))
        return read[0]

    return body


_METHODS = frozenset({"GET", "PUT", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS"})


def _traceparent(scope: HTTPScope | Any) -> str:
    for name, value in scope["headers"]:
        if name == b"traceparent":
            return value.decode("latin-1")[:64]
    return ""
