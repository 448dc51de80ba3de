"""The clients of the HTTP API. Each operation is named once, in `Operations`; a client says only how a step is carried out."""

import ssl
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import httpx

from agent_memory.client import contents, long_term, system, timeline, upkeep, working
from agent_memory.client.credential import bearer
from agent_memory.client.endpoint import DEFAULT_ENDPOINT
from agent_memory.client.errors import ConnectionFailed, InvalidEndpoint
from agent_memory.client.program import Answer, Call, Caller, Request, Retry
from agent_memory.client.running import AsyncRunner, BlockingRunner, Came, Operation

if TYPE_CHECKING:
    from agent_memory.client.grpc_clients import SyncTimelineClient, TimelineClient


class Operations(ABC):
    """What a client can do; parameters and errors stand at the functions named here.

    `namespace` and `user_id` hold for every call that names no others; `timeout` is in seconds per request. `tls` says which
    authorities are trusted with https:// and which certificate is shown, where it is not as usual (SSL_CERT_FILE, and none).
    Raises InvalidEndpoint for a `base_url` that is not http://host:port, Unauthorized for a token that no header can carry.
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
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.caller = Caller(namespace=namespace, user_id=user_id, retry=retry or Retry())
        url = _checked(base_url)
        # Without TLS nobody is asked who they are, and whom to trust need not be loaded: 25 ms.
        self.connection: dict[str, Any] = {"base_url": url, "timeout": timeout, "verify": tls or url.scheme == "https"}
        self.headers = _headers(token)

    def acting(
        self, token: str | None = None, namespace: str | None = None, user_id: str | None = None, *, retry: Retry | None = None
    ) -> Self:
        """The same connections for somebody else: nothing of whom this client speaks for goes along. Close this one only."""
        server, timeout = str(self.connection["base_url"]), self.connection["timeout"]
        other = type(self)(server, token, namespace, user_id, retry=retry or self.caller.retry, timeout=timeout)
        other.__dict__["http"] = self._connections()
        return other

    @abstractmethod
    def _connections(self) -> Any: ...

    record_events = Operation(timeline.record_events)
    get_events = Operation(timeline.get_events)
    search_timeline = Operation(timeline.search_timeline)

    ingest = Operation(contents.ingest)
    ingest_batch = Operation(contents.ingest_batch)
    get_toc_root = Operation(contents.get_toc_root)
    get_node = Operation(contents.get_node)
    browse_toc = Operation(contents.browse_toc)
    expand_grip = Operation(contents.expand_grip)
    get_scheduler_status = Operation(contents.get_scheduler_status)
    pause_job = Operation(contents.pause_job)
    resume_job = Operation(contents.resume_job)
    run_job = Operation(contents.run_job)
    job_runs = Operation(contents.job_runs)

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
    memory_prompt = Operation(long_term.memory_prompt)
    get_memory_history = Operation(upkeep.get_memory_history)
    forget_long_term_memories = Operation(upkeep.forget_long_term_memories)
    compact_long_term_memories = Operation(upkeep.compact_long_term_memories)

    health = Operation(system.health)
    ready = Operation(system.ready)
    status = Operation(system.status)
    whoami = Operation(system.whoami)
    wait_for = Operation(system.wait_for)


class MemoryClient(AsyncRunner, Operations):
    """Async client. Use it as `async with MemoryClient("http://127.0.0.1:8000") as memory:`, or call `aclose` at the end.

    `MemoryClient.connect` gives the client of the gRPC API instead.
    """

    @staticmethod
    async def connect(endpoint: str, token: str | None = None, **options: Any) -> "TimelineClient":
        """A connected client of the timeline's gRPC API. Options and errors are those of `TimelineClient.connect`."""
        from agent_memory.client.grpc_clients import TimelineClient  # noqa: PLC0415 (who speaks HTTP need not load gRPC)

        return await TimelineClient.connect(endpoint, token, **options)

    @staticmethod
    async def connect_default(token: str | None = None, **options: Any) -> "TimelineClient":
        """The same at the usual place, http://[::1]:50051."""
        return await MemoryClient.connect(DEFAULT_ENDPOINT, token, **options)

    @cached_property
    def http(self) -> httpx.AsyncClient:
        """The connections, opened on first use."""
        return httpx.AsyncClient(**self.connection)

    def _connections(self) -> httpx.AsyncClient:
        return self.http

    async def _send(self, step: Request | Call) -> Came:
        try:
            return _answer(await self.http.request(**_arguments(step, self.headers)))
        except httpx.TransportError as error:
            return _unanswered(self.http.base_url, error)

    async def aclose(self) -> None:
        """Close the connections."""
        await self.http.aclose()


class SyncMemoryClient(BlockingRunner, Operations):
    """Blocking client with the operations and arguments of `MemoryClient`. Use it as a context manager, or call `close`."""

    @staticmethod
    def connect(endpoint: str, token: str | None = None, **options: Any) -> "SyncTimelineClient":
        """A connected client of the timeline's gRPC API. Options and errors are those of `SyncTimelineClient.connect`."""
        from agent_memory.client.grpc_clients import SyncTimelineClient  # noqa: PLC0415 (who speaks HTTP need not load gRPC)

        return SyncTimelineClient.connect(endpoint, token, **options)

    @staticmethod
    def connect_default(token: str | None = None, **options: Any) -> "SyncTimelineClient":
        """The same at the usual place, http://[::1]:50051."""
        return SyncMemoryClient.connect(DEFAULT_ENDPOINT, token, **options)

    @cached_property
    def http(self) -> httpx.Client:
        """The connections, opened on first use."""
        return httpx.Client(**self.connection)

    def _connections(self) -> httpx.Client:
        return self.http

    def _send(self, step: Request | Call) -> Came:
        try:
            return _answer(self.http.request(**_arguments(step, self.headers)))
        except httpx.TransportError as error:
            return _unanswered(self.http.base_url, error)

    def close(self) -> None:
        """Close the connections."""
        self.http.close()


def _checked(base_url: str) -> httpx.URL:
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise InvalidEndpoint(f"{base_url!r} is not the address of a server: {error}") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise InvalidEndpoint(f"{base_url!r} is not the address of a server: expected http://host:port")
    if url.path.strip("/") == "v1" or url.query or url.fragment:
        raise InvalidEndpoint(f"{base_url!r} is not the address of a server: expected http://host:port, without /v1 or ? behind it")
    return url


def _headers(token: str | None) -> dict[str, str]:
    credential = bearer(token)
    return {"Authorization": credential} if credential else {}


def _arguments(request: Request | Call, own: Mapping[str, str]) -> dict[str, Any]:
    assert isinstance(request, Request)
    headers = {**own, **({"Content-Type": request.content_type} if request.body else {})}
    if request.idempotency_key:
        headers["Idempotency-Key"] = request.idempotency_key
    return {
        "method": request.method,
        "url": request.path,
        "params": list(request.params),
        "content": request.body or None,
        "headers": headers,
        "timeout": httpx.USE_CLIENT_DEFAULT if request.timeout is None else request.timeout,
    }


def _answer(response: httpx.Response) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(status=response.status_code, headers=headers, body=response.content)


def _unanswered(server: httpx.URL, error: httpx.TransportError) -> ConnectionFailed:
    reason = str(error) or type(error).__name__
    return ConnectionFailed(f"no answer from {server}: {reason}")
