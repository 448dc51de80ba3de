"""One request on its way through: who asks, for what, and what every route does alike."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from litestar import Request

from agent_memory.auth.principal import Principal
from agent_memory.contracts.commands import AnyCommand
from agent_memory.contracts.errors import NotFound
from agent_memory.contracts.records import Scope
from agent_memory.gateway.auth_held import held
from agent_memory.gateway.edges.http import fields
from agent_memory.gateway.edges.http.admission import PRINCIPAL
from agent_memory.gateway.edges.http.body import Parameters, path_part
from agent_memory.gateway.edges.http.problems import Loc, Problems
from agent_memory.gateway.gateway import Gateway
from agent_memory.gateway.ids import derived
from agent_memory.gateway.ports import Answer
from agent_memory.gateway.reaching import LOG, reached
from agent_memory.runtime import telemetry

HttpRequest = Request[Any, Any, Any]
GATEWAY = "agent_memory.gateway"


class Call:
    """A request, its principal and its parameters. Made once a request, by `opened`."""

    __slots__ = ("body", "gateway", "headers", "http", "parameters", "principal", "problems")

    def __init__(
        self,
        http: Mapping[str, Any],
        gateway: Gateway,
        headers: dict[bytes, bytes],
        principal: Principal,
        body: Callable[[], Awaitable[bytes]],
    ) -> None:
        self.http = http
        self.gateway = gateway
        self.headers = headers
        self.principal = principal
        self.body = body
        self.problems = Problems()
        self.parameters = Parameters(http["query_string"], self.problems)

    def scope(self) -> Scope:
        """The scope that the query string names. Raises InvalidRequest when anything in the request was wrong so far."""
        namespace, user_id = (self.parameters.get(field, fields.name) for field in ("namespace", "user_id"))
        self.problems.check()
        return self.principal.scope(namespace, user_id)

    def id_in_path(self, prefix: bytes, field: str, *, suffix: bytes = b"") -> str:
        """What the path names between prefix and suffix; one slash at the very end does not count.

        Raises NotFound for a prefix in another spelling (doubled slashes, percent signs), which the framework takes for the same:
        where in it the id begins could only be guessed.
        """
        raw: bytes = self.http["raw_path"].partition(b"?")[0]
        if not raw.startswith(prefix):
            raise NotFound("Not Found")
        raw = raw.removesuffix(b"/") if len(raw) > len(prefix) else raw
        found = path_part(raw[len(prefix) :].removesuffix(suffix), ("path", field), self.problems)
        self.problems.check()
        return found

    def header(self, name: bytes, check: fields.Check) -> Any:
        """A header's value, checked; None when absent."""
        value = self.headers.get(name)
        loc: Loc = ("header", name.decode())
        return None if value is None else check(value.decode("utf-8", "surrogateescape"), loc, self.problems)

    @property
    def idempotency_key(self) -> str:
        """The caller's own id for this request; empty when it gave none."""
        key: str = self.header(b"idempotency-key", fields.identifier) or ""
        self.problems.check()
        return key

    def ids(self, scope: Scope) -> Callable[[int], str]:
        """Gives the index-th thing of this request its id: the same again, when the request comes again under the same key."""
        key = self.idempotency_key
        if key:
            return lambda index: derived(scope, key, index)
        fresh = self.gateway.new_id
        return lambda _: fresh()

    async def ask(self, scope: Scope, command: AnyCommand) -> Answer:
        """Send a command with all that the headers say about it."""
        return await self.gateway.bus.ask(scope, command, **await self.about())

    async def about(self) -> dict[str, str]:
        """What the headers say about a command: its key, what it is part of."""
        key = self.idempotency_key
        return {
            "idempotency_key": key,
            "fingerprint": await self._fingerprint() if key else "",
            "correlation_id": self.header(b"x-correlation-id", fields.name) or "",
            "traceparent": telemetry.traceparent_of() or self.headers.get(b"traceparent", b"").decode("latin-1")[:64],
        }

    async def _fingerprint(self) -> str:
        scope = self.http
        digest = hashlib.blake2b(digest_size=16)
        for part in (
            scope["method"].encode(),
            scope["raw_path"].partition(b"?")[0],
            scope["query_string"],
            await self.body(),
        ):
            digest.update(b"%d:" % len(part) + part)
        return digest.hexdigest()

    async def caught_up(self, projection: str = LOG) -> None:
        """Wait, for a bounded time, until what serves this read holds the position that the caller asks for.

        Raises Unavailable, saying what lags, when it does not get there.
        """
        if b"x-memory-min-position" not in self.headers and "min_position" not in self.parameters:
            return
        wanted = self.parameters.get("min_position", fields.between(0, None))
        if wanted is None:
            wanted = self.header(b"x-memory-min-position", fields.between(0, None))
        self.problems.check()
        if wanted:
            await reached(self.gateway, projection, wanted, seconds=self.gateway.settings.read_wait_seconds)


async def opened(request: HttpRequest) -> Call:
    """The call that a request is. Raises InvalidRequest for a query string that cannot be read."""
    return await call_of(cast(dict[str, Any], request.scope), request.body)


async def call_of(http: dict[str, Any], body: Callable[[], Awaitable[bytes]]) -> Call:
    """The same, from an ASGI scope and a way to read the body."""
    gateway: Gateway = http[GATEWAY]
    principal: Principal = http[PRINCIPAL]
    return Call(http, held(gateway, principal) if principal.bound else gateway, dict(http["headers"]), principal, body)
