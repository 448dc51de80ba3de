"""Before MCP begins: who asks, from where, about whose memory. One ASGI application around FastMCP's."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
import structlog
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent_memory.auth.principal import Principal
from agent_memory.contracts.errors import Forbidden, Unauthorized, Unavailable
from agent_memory.mcp.admission import Admission
from agent_memory.mcp.calls import Caller
from agent_memory.mcp.challenges import WELL_KNOWN, Resource
from agent_memory.mcp.domain import Address, address_of
from agent_memory.mcp.origins import on_this_machine, page_may_call
from agent_memory.mcp.permissions import Permission, bodied, needed
from agent_memory.runtime import telemetry

CALLER = "agent_memory.caller"
HEALTH = ("/health", "/v1/health")
log = structlog.get_logger(__name__)

Headers = Mapping[bytes, bytes]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What is answered instead of MCP."""

    status: int
    body: object
    headers: Mapping[str, str] = {}


class Door:
    """Lets requests in to `inner`, each with its `Caller`.

    `needs`: what each tool needs; `strangers`: whether others than this machine can connect. Where they cannot, it is asked by a
    name of this machine: a page of elsewhere whose name was made to lead here is kept out.
    """

    def __init__(
        self,
        inner: ASGIApp,
        endpoints: Sequence[str],
        *,
        admission: Admission,
        resource: Resource,
        needs: Mapping[str, Permission],
        allowed_origins: Sequence[str],
        strangers: bool,
        most_bytes: int,
    ) -> None:
        self._inner = inner
        self._endpoints = endpoints
        self._admission = admission
        self._resource = resource
        self._needs = needs
        self._allowed_origins = allowed_origins
        self._strangers = strangers
        self._most_bytes = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        raw_path = scope["raw_path"].decode("latin-1").partition("?")[0]
        if raw_path not in HEALTH:
            send = _counted(send)
        base = self._resource.base(scope["scheme"], headers.get(b"host", b"").decode("latin-1"))
        answer = self._kept_out(headers) or self._open(raw_path, base)
        if answer is None:
            address = address_of(raw_path, self._endpoints)
            answer = self._nowhere() if address is None else await self._entering(address, headers, base, scope, receive, send)
        if answer is not None:
            await reply(answer, send)

    async def _entering(
        self, address: Address, headers: Headers, base: str, scope: Scope, receive: Receive, send: Send
    ) -> Answer | None:
        """Serves the request; or why it is not let in."""
        path = address.path(self._endpoints[0])
        try:
            caller, principal = await self._admission.admitted(headers, address)
            body, receive = await bodied(scope, receive, self._most_bytes)
        except Unauthorized as error:
            return self._unknown(error, base, path, credential=b"authorization" in headers)
        except Forbidden as error:
            return Answer(status=403, body={"detail": error.detail})
        except Unavailable as error:
            return Answer(status=503, body={"detail": error.detail}, headers={"retry-after": "1"})
        if body is None:
            return Answer(status=413, body={"detail": f"a request has at most {self._most_bytes} bytes"})
        permission = needed(body, self._needs)
        if permission not in principal.permissions:
            return self._too_little(permission, base, path)
        await self._inner(_entered(scope, address, caller, principal), receive, send)
        return None

    def _kept_out(self, headers: Headers) -> Answer | None:
        origin, host = (headers[name].decode("latin-1") if name in headers else None for name in (b"origin", b"host"))
        if not page_may_call(origin, host or "", self._allowed_origins):
            log.warning("origin refused", origin=origin)
            detail = f"Origin {origin} may not call this server; MCP_ALLOWED_ORIGINS names those that may"
            return Answer(status=403, body={"detail": detail})
        if not self._strangers and not on_this_machine(f"//{host}"):
            return Answer(status=421, body={"detail": f"Host {host} is not a name of this machine"})
        return None

    def _open(self, path: str, base: str) -> Answer | None:
        """What anybody may ask: whether it is alive, and how to come in."""
        if path in HEALTH:
            return Answer(status=200, body={"status": "ok"})
        of = path.removeprefix(WELL_KNOWN)
        if of == path or self._resource.auth.auth_mode == "disabled":
            return None
        if of in ("", "/"):
            return Answer(status=200, body=self._resource.metadata(base, ""))
        known = address_of(of, self._endpoints[:1])
        return None if known is None else Answer(status=200, body=self._resource.metadata(base, of.rstrip("/")))

    def _unknown(self, error: Unauthorized, base: str, path: str, *, credential: bool) -> Answer:
        said = {"error": "invalid_token", "description": error.detail} if credential else {}
        challenge = self._resource.challenge(base, path, **said)
        return Answer(status=401, body={"detail": error.detail}, headers={"www-authenticate": challenge})

    def _too_little(self, permission: Permission, base: str, path: str) -> Answer:
        detail = f"Insufficient permissions. Required scope: {self._resource.scopes.get(permission, permission)}"
        challenge = self._resource.challenge(base, path, error="insufficient_scope", description=detail, permission=permission)
        return Answer(status=403, body={"detail": detail}, headers={"www-authenticate": challenge})

    def _nowhere(self) -> Answer:
        endpoint = self._endpoints[0]
        return Answer(status=404, body={"detail": f"there is nothing here; MCP is at {endpoint} and /{{namespace}}{endpoint}"})


def _counted(send: Send) -> Send:
    """Sends as before; the status of the answer is counted."""

    async def counting(message: Message) -> None:
        if message["type"] == "http.response.start":
            telemetry.MCP_REQUESTS.labels(str(message["status"])).inc()
        await send(message)

    return counting


def _entered(scope: Scope, address: Address, caller: Caller, principal: Principal) -> dict[str, Any]:
    """The scope as the inner application knows it: its own path, who calls, and whom a session belongs to."""
    scopes = sorted(principal.permissions)
    user = AuthenticatedUser(AccessToken(token="", client_id=caller.identity, scopes=scopes, subject=principal.subject))
    path = {"path": address.prefix + address.endpoint, "root_path": address.prefix}
    return {**scope, **path, "user": user, CALLER: caller}


async def reply(answer: Answer, send: Callable[[Any], Awaitable[None]]) -> None:
    """Send a complete answer, as JSON."""
    body = msgspec.json.encode(answer.body)
    given = {"content-type": "application/json", "content-length": str(len(body)), **answer.headers}
    headers = [(name.encode(), value.encode()) for name, value in given.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
