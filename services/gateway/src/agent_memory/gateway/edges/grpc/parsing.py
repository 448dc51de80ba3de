"""Bytes that are no message of a call are the caller's fault, and told so: gRPC alone would call them unknown and log each."""

from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message

from agent_memory.contracts.errors import Invalid
from agent_memory.gateway.edges.grpc.calls import Context
from agent_memory.runtime import telemetry


class Unreadable:
    """Stands for a message that could not be parsed; `why` says so."""

    def __init__(self, why: str) -> None:
        self.why = why


Parsed = Message | Unreadable


class Registry:
    """Where generated code puts the handlers of a service. `handlers`: by the name of the call."""

    def __init__(self) -> None:
        self.handlers: dict[str, Any] = {}

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        """The same handlers again, put together; not needed."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """The handlers, one for each call."""
        self.handlers.update(handlers)


def handlers_of(add: Callable[[Any, Registry], None], servicer: object) -> dict[str, Any]:
    """The calls of a service, each of which answers INVALID_ARGUMENT to what is no message of its kind. `add` is what generated
    code has to register it.
    """
    registry = Registry()
    add(servicer, registry)
    return {name: checked(name, handler) for name, handler in registry.handlers.items()}


def checked(method: str, handler: Any) -> Any:
    """The handler of one call, of whichever of the four kinds, with that answer to what it cannot read."""
    guards: dict[tuple[bool, bool], tuple[str, Callable[[Any], Any]]] = {
        (False, False): ("unary_unary", partial(_of_one, method)),
        (False, True): ("unary_stream", partial(_of_one, method)),
        (True, False): ("stream_unary", _of_stream),
        (True, True): ("stream_stream", _of_streams),
    }
    kind, guard = guards[handler.request_streaming, handler.response_streaming]
    changed = {"request_deserializer": _parser(handler.request_deserializer), kind: guard(getattr(handler, kind))}
    return handler._replace(**changed)


def _parser(parse: Callable[[bytes], Message]) -> Callable[[bytes], Parsed]:
    def parsed(raw: bytes) -> Parsed:
        try:
            return parse(raw)
        except DecodeError as error:
            return Unreadable(f"the request cannot be parsed: {error}")

    return parsed


def _of_one(method: str, call: Any) -> Any:
    async def answer(request: Parsed, context: Context) -> Any:
        if not isinstance(request, Unreadable):
            return await call(request, context)
        telemetry.GRPC_REQUESTS.labels(method, grpc.StatusCode.INVALID_ARGUMENT.name).inc()
        return await context.abort(grpc.StatusCode.INVALID_ARGUMENT, request.why)

    return answer


def _of_streams(call: Any) -> Any:
    async def readable(requests: AsyncIterator[Parsed], context: Context) -> AsyncIterator[Message]:
        async for request in requests:
            if isinstance(request, Unreadable):
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, request.why)
            else:
                yield request

    async def answers(requests: AsyncIterator[Parsed], context: Context) -> AsyncIterator[Any]:
        async for one in call(readable(requests, context), context):
            yield one

    return answers


def _of_stream(call: Any) -> Any:
    async def readable(requests: AsyncIterator[Parsed]) -> AsyncIterator[Message]:
        async for request in requests:
            if isinstance(request, Unreadable):
                raise Invalid(request.why)
            yield request

    async def answer(requests: AsyncIterator[Parsed], context: Context) -> Any:
        return await call(readable(requests), context)

    return answer
