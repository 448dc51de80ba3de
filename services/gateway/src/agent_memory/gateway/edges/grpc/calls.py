"""What every call does alike: who asks, for whose timeline, until when; how a fault is told; what is counted."""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias, TypeVar

import grpc
import msgspec
import structlog

from agent_memory.auth.principal import Permission, Principal
from agent_memory.contracts.commands import AnyCommand
from agent_memory.contracts.errors import (
    Conflict,
    Forbidden,
    Invalid,
    MemoryFault,
    NotFound,
    Refused,
    TooLarge,
    Unauthorized,
    Unavailable,
)
from agent_memory.contracts.records import Scope
from agent_memory.gateway.auth_held import held
from agent_memory.gateway.edges.grpc.messages import identified
from agent_memory.gateway.gateway import Gateway
from agent_memory.gateway.ports import Answer
from agent_memory.gateway.reaching import LOG, reached
from agent_memory.runtime import telemetry

CODES: Mapping[type[MemoryFault], grpc.StatusCode] = {
    Invalid: grpc.StatusCode.INVALID_ARGUMENT,
    Refused: grpc.StatusCode.FAILED_PRECONDITION,
    Unauthorized: grpc.StatusCode.UNAUTHENTICATED,
    Forbidden: grpc.StatusCode.PERMISSION_DENIED,
    NotFound: grpc.StatusCode.NOT_FOUND,
    Conflict: grpc.StatusCode.ABORTED,
    TooLarge: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Unavailable: grpc.StatusCode.UNAVAILABLE,
}
POSITION, COMMAND_ID = "x-memory-position", "x-command-id"
MIN_POSITIONS = ("x-memory-min-position", "x-min-position")

log = structlog.get_logger(__name__)
T = TypeVar("T")
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class Caller(msgspec.Struct, kw_only=True):
    """Who asks what, through a gateway that is held to what they may reach."""

    method: str
    gateway: Gateway
    principal: Principal
    headers: Mapping[bytes, bytes]
    position: int = 0

    @property
    def scope(self) -> Scope:
        """Whose timeline they ask about. Raises Invalid, and Forbidden for one that the credential is not for."""
        return self.principal.scope(_named(self.headers, "x-namespace"), _named(self.headers, "x-user-id"))

    @property
    def traceparent(self) -> str:
        """The trace that the caller is in, as the metadata says."""
        return self.headers.get(b"traceparent", b"").decode("latin-1")[:64]

    async def ask(self, command: AnyCommand, request: bytes, *, part: int | None = None) -> Answer:
        """Send a command with all that the metadata says about it; its position goes back with the answer.

        `part`: which message of a stream it is made of, so that each has a key of its own.
        """
        about = self.about(request)
        if about["idempotency_key"] and part is not None:
            about["idempotency_key"] += f":{part}"
        answer = await self.gateway.bus.ask(self.scope, command, **about)
        self.position = max(self.position, answer.position)
        return answer

    def about(self, request: bytes) -> dict[str, str]:
        """What the metadata says about a command. Raises Invalid for a key that cannot be one."""
        key = self.headers.get(b"idempotency-key", b"").decode("utf-8", "replace")
        if key:
            identified(key, "idempotency-key")
        return {
            "idempotency_key": key,
            "fingerprint": hashlib.blake2b(self.method.encode() + b"\n" + request, digest_size=16).hexdigest() if key else "",
            "correlation_id": _named(self.headers, "x-correlation-id") or "",
            "traceparent": telemetry.traceparent_of() or self.traceparent,
        }

    async def caught_up(self, seconds: float | None, projection: str = LOG) -> None:
        """Wait until what serves the read holds the position that the caller asks for. Raises Unavailable when it does not."""
        wanted = next((self.headers[name.encode()] for name in MIN_POSITIONS if name.encode() in self.headers), None)
        if wanted is None:
            return
        if not wanted.isdigit() or len(wanted) > 18:
            raise Invalid(f"{MIN_POSITIONS[0]} is not a log position", field=MIN_POSITIONS[0])
        longest = self.gateway.settings.read_wait_seconds
        await reached(self.gateway, projection, int(wanted), seconds=longest if seconds is None else min(seconds, longest))


async def answered(
    gateway: Gateway, context: Context, method: str, permission: Permission, act: Callable[[Caller], Awaitable[T]]
) -> T:
    """Let a caller in, act, and tell a fault as the status it stands for."""
    began, status, caller = time.perf_counter(), grpc.StatusCode.OK, None
    beside: tuple[tuple[str, str], ...] = ()
    try:
        caller = await admitted(gateway, context, method, permission)
        with telemetry.span("rpc.request", caller.traceparent, method=method):
            async with asyncio.timeout(context.time_remaining()):
                return await act(caller)
    except MemoryFault as fault:
        status = next((code for kind, code in CODES.items() if isinstance(fault, kind)), grpc.StatusCode.INTERNAL)
        detail = told(fault)
        if isinstance(fault, Unavailable) and fault.command_id:
            beside = ((COMMAND_ID, fault.command_id),)
    except TimeoutError:
        status, detail = (
            grpc.StatusCode.DEADLINE_EXCEEDED,
            "the deadline came before the answer; the same request may be sent again",
        )
    except asyncio.CancelledError:
        status, detail = grpc.StatusCode.CANCELLED, ""
        raise
    except Exception as error:
        status, detail = grpc.StatusCode.INTERNAL, "internal error"
        telemetry.ERRORS.labels("grpc", type(error).__name__).inc()
        log.error("call failed", method=method, exc_info=error)
    finally:
        telemetry.GRPC_REQUESTS.labels(method, status.name).inc()
        telemetry.GRPC_SECONDS.labels(method).observe(time.perf_counter() - began)
        if caller is not None and caller.position:
            context.set_trailing_metadata(((POSITION, str(caller.position)),))
    await context.abort(status, detail, beside)
    raise AssertionError("abort always raises")


def told(fault: MemoryFault) -> str:
    """What the caller is told; the field at fault is named."""
    named = fault.field is None or fault.field.rpartition(".")[2] in fault.detail
    return fault.detail if named else f"{fault.field}: {fault.detail}"


async def admitted(gateway: Gateway, context: Context, method: str, permission: Permission) -> Caller:
    """Who calls. Raises Unauthorized, Forbidden."""
    headers = {
        str(name).encode(): value if isinstance(value, bytes) else str(value).encode()
        for name, value in context.invocation_metadata() or ()
    }
    principal = await gateway.authenticate(headers)
    principal.require(permission)
    reachable = held(gateway, principal) if principal.bound else gateway
    return Caller(method=method, gateway=reachable, principal=principal, headers=headers)


def _named(headers: Mapping[bytes, bytes], name: str) -> str | None:
    """What a key says; under `<key>-bin` it may be any text."""
    raw = headers.get(f"{name}-bin".encode()) or headers.get(name.encode(), b"")
    try:
        return identified(raw.decode(), name) if raw else None
    except UnicodeDecodeError:
        raise Invalid(f"{name} is not UTF-8", field=name) from None
