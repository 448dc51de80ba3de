"""The two clients. Each operation is named once, in `Operations`; a client says only how a step is carried out."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from functools import cached_property
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

import httpx
import msgspec

from agent_memory.client import long_term, system, timeline, working
from agent_memory.client.errors import ConnectionFailed
from agent_memory.client.program import Answer, Caller, Pause, Program, Request, Retry, Step

P = ParamSpec("P")
T = TypeVar("T")


class Operation(Generic[P, T]):
    """A program as a method: awaitable on the async client, blocking on the sync one."""

    def __init__(self, program: Callable[Concatenate[Caller, P], Program[T]]) -> None:
        self.program = program
        self.__doc__ = program.__doc__

    @overload
    def __get__(self, client: None, owner: type) -> Self: ...
    @overload
    def __get__(self, client: "MemoryClient", owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    @overload
    def __get__(self, client: "SyncMemoryClient", owner: type) -> Callable[P, T]: ...
    def __get__(self, client: "MemoryClient | SyncMemoryClient | None", owner: type) -> Any:
        if client is None:
            return self

        def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            return client.run(self.program(client.caller, *args, **kwargs))

        call.__doc__, call.__name__ = self.__doc__, self.program.__name__
        return call


class Operations:
    """What a client can do; parameters and errors stand at the functions named here.

    `namespace` and `user_id` hold for every call that names no others; `timeout` is in seconds per request.
    Raises ValueError for a `base_url` that is not http://host:port.
    """

    def __init__(
        self,
        base_url: str,
        token: str | None = None,
        namespace: str | None = None,
        user_id: str | None = None,
        *,
        retry: Retry | None = None,
        timeout: float = 30.0,
    ) -> None:
        self.caller = Caller(namespace=namespace, user_id=user_id, retry=retry or Retry())
        self.connection: dict[str, Any] = {"base_url": _checked(base_url), "headers": _headers(token), "timeout": timeout}

    record_events = Operation(timeline.record_events)
    get_events = Operation(timeline.get_events)
    search_timeline = Operation(timeline.search_timeline)

    put_working_memory = Operation(working.put_working_memory)
    get_working_memory = Operation(working.get_working_memory)
    delete_working_memory = Operation(working.delete_working_memory)
    list_sessions = Operation(working.list_sessions)
    append_messages = Operation(working.append_messages)

    create_long_term_memory = Operation(long_term.create_long_term_memory)
    get_long_term_memory = Operation(long_term.get_long_term_memory)
    edit_long_term_memory = Operation(long_term.edit_long_term_memory)
    delete_long_term_memories = Operation(long_term.delete_long_term_memories)
    search_long_term_memory = Operation(long_term.search_long_term_memory)

    health = Operation(system.health)
    ready = Operation(system.ready)
    status = Operation(system.status)
    wait_for = Operation(system.wait_for)


class MemoryClient(Operations):
    """Async client. Use it as `async with MemoryClient("http://127.0.0.1:8000") as memory:`, or call `aclose` at the end."""

    @cached_property
    def http(self) -> httpx.AsyncClient:
        """The connections, opened on first use."""
        return httpx.AsyncClient(**self.connection)

    async def run(self, program: Program[T]) -> T:
        """Carry a program out: send its requests, sleep its pauses."""
        came: Answer | ConnectionFailed | None = None
        while isinstance(step := _advance(program, came), Request | Pause):
            came = await self._carry_out(step)
        return step.result

    async def _carry_out(self, step: Step) -> Answer | ConnectionFailed | None:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        try:
            return _answer(await self.http.request(**_arguments(step)))
        except httpx.TransportError as error:
            return _unanswered(self.http.base_url, error)

    async def aclose(self) -> None:
        """Close the connections."""
        await self.http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class SyncMemoryClient(Operations):
    """Blocking client with the operations and arguments of `MemoryClient`. Use it as a context manager, or call `close`."""

    @cached_property
    def http(self) -> httpx.Client:
        """The connections, opened on first use."""
        return httpx.Client(**self.connection)

    def run(self, program: Program[T]) -> T:
        """Carry a program out: send its requests, sleep its pauses."""
        came: Answer | ConnectionFailed | None = None
        while isinstance(step := _advance(program, came), Request | Pause):
            came = self._carry_out(step)
        return step.result

    def _carry_out(self, step: Step) -> Answer | ConnectionFailed | None:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        try:
            return _answer(self.http.request(**_arguments(step)))
        except httpx.TransportError as error:
            return _unanswered(self.http.base_url, error)

    def close(self) -> None:
        """Close the connections."""
        self.http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Finished(msgspec.Struct, Generic[T], frozen=True):
    result: T


def _advance(program: Program[T], came: Answer | ConnectionFailed | None) -> Step | _Finished[T]:
    try:
        return program.throw(came) if isinstance(came, ConnectionFailed) else program.send(came)
    except StopIteration as done:
        return _Finished(done.value)


def _checked(base_url: str) -> httpx.URL:
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise ValueError(f"{base_url!r} is not the address of a server: {error}") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(f"{base_url!r} is not the address of a server: expected http://host:port")
    return url


def _headers(token: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def _arguments(request: Request) -> dict[str, Any]:
    headers = {"Content-Type": request.content_type} if request.body else {}
    if request.idempotency_key:
        headers["Idempotency-Key"] = request.idempotency_key
    return {
        "method": request.method,
        "url": request.path,
        "params": list(request.params),
        "content": request.body or None,
        "headers": headers,
    }


def _answer(response: httpx.Response) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(status=response.status_code, headers=headers, body=response.content)


def _unanswered(server: httpx.URL, error: httpx.TransportError) -> ConnectionFailed:
    reason = str(error) or type(error).__name__
    return ConnectionFailed(f"no answer from {server}: {reason}")
