"""The clients of the timeline's gRPC API. Each operation is named once; a client says only how a call is carried out."""

from collections.abc import Iterable
from functools import cached_property
from typing import Any, Self

import grpc
import grpc.aio

from agent_memory.client import rpc
from agent_memory.client.credential import bearer
from agent_memory.client.endpoint import DEFAULT_ENDPOINT, parse_endpoint
from agent_memory.client.errors import ConnectionFailed, MemoryClientError, SerializationFailed, rpc_error_of
from agent_memory.client.program import Call, Caller, Reply, Request, Retry
from agent_memory.client.running import AsyncRunner, BlockingRunner, Came, Operation
from agent_memory.contracts.proto.memory_pb2_grpc import MemoryServiceStub

CONNECT_SECONDS = 5.0
POSITION = "x-memory-position"
COMMAND_ID = "x-command-id"
_OPTIONS = (
    ("grpc.max_receive_message_length", 64_000_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Two clients of one process must not share a connection's state of failure.
    ("grpc.use_local_subchannel_pool", 1),
    # What is on this machine is not reached through a proxy.
    ("grpc.enable_http_proxy", 0),
)
UNHEARD_SECONDS, UNANSWERED_SECONDS = 20.0, 20.0
"""A host of which nothing is heard for so long while a call waits is asked whether it is there, and is not when it does not say so
in time: the next call connects anew. Otherwise the system tries for a quarter of an hour, and no call comes through meanwhile.
"""

# gRPC gives a broken connection and a server's own word the same status; only the words tell them apart.
_OF_THE_WIRE = (
    "failed to connect",
    "Socket closed",
    "Connection reset",
    "Broken pipe",
    "GOAWAY",
    "recvmsg",
    "DNS resolution failed",
    "ping timeout",
    "errors resolving",
)
# A server that stops ends calls that came at its last moment, before anybody began on them, as if their caller had given them up.
_OF_THE_CALLER = ("Channel closed", "Locally cancelled")
_OF_THE_MESSAGE = ("Exception deserializing", "Exception serializing", "Failed to deserialize")


class TimelineOperations:
    """What a client can do; parameters and errors stand at the functions named here.

    `token`, `namespace` and `user_id` go with every call; `timeout` is the deadline of each, in seconds. `root_certificates` (PEM)
    are those to trust with https://, where they are not the usual ones; `private_key` and `certificate_chain` (PEM, both or none)
    are shown to a server that asks who connects. Raises InvalidEndpoint, and Unauthorized for a token that no header can carry.
    """

    def __init__(
        self,
        endpoint: str = DEFAULT_ENDPOINT,
        token: str | None = None,
        namespace: str | None = None,
        user_id: str | None = None,
        *,
        retry: Retry | None = None,
        timeout: float = 30.0,
        root_certificates: bytes | None = None,
        private_key: bytes | None = None,
        certificate_chain: bytes | None = None,
    ) -> None:
        if (private_key is None) != (certificate_chain is None):
            # gRPC ends the whole process over one without the other.
            raise ValueError("private_key and certificate_chain go together: give both, or neither")
        self.endpoint = endpoint
        self.caller = Caller(namespace=namespace, user_id=user_id, retry=retry or Retry())
        self.timeout = timeout
        self._at = parse_endpoint(endpoint)
        shown = (root_certificates, private_key, certificate_chain)
        self._trusted = grpc.ssl_channel_credentials(*shown) if self._at.secure else None
        self._metadata = tuple(_scope(token, namespace, user_id))

    ingest = Operation(rpc.ingest)
    ingest_batch = Operation(rpc.ingest_batch)

    get_toc_root = Operation(rpc.get_toc_root)
    get_node = Operation(rpc.get_node)
    browse_toc = Operation(rpc.browse_toc)
    get_events = Operation(rpc.get_events)
    expand_grip = Operation(rpc.expand_grip)
    search_timeline = Operation(rpc.search_timeline)

    get_scheduler_status = Operation(rpc.get_scheduler_status)
    pause_job = Operation(rpc.pause_job)
    resume_job = Operation(rpc.resume_job)
    run_job = Operation(rpc.run_job)

    wait_for = Operation(rpc.wait_for)

    def _begin(self, stub: MemoryServiceStub, step: Request | Call) -> Any:
        """The call under way, of whichever kind the stub's channel is."""
        assert isinstance(step, Call)
        sent = iter(step.requests) if step.streamed else step.requests[0]
        timeout = self.timeout if step.timeout is None else step.timeout
        return getattr(stub, step.method), sent, {"timeout": timeout, "metadata": (*self._metadata, *step.metadata)}

    def _failed(self, error: grpc.RpcError) -> MemoryClientError:
        return _failure(error, self.endpoint, self.timeout)


class TimelineClient(AsyncRunner, TimelineOperations):
    """Async client: `async with await TimelineClient.connect_default() as timeline:`, or call `aclose` at the end."""

    @classmethod
    async def connect(
        cls, endpoint: str, token: str | None = None, *, connect_timeout: float = CONNECT_SECONDS, **options: Any
    ) -> Self:
        """A client whose server has answered. Further options are those of the class; `connect_timeout` is in seconds.

        Raises InvalidEndpoint, ConnectionFailed.
        """
        client = cls(endpoint, token, **options)
        try:
            await client.run(rpc.greet(client.caller, connect_timeout))
        except BaseException:
            await client.aclose()
            raise
        return client

    @classmethod
    async def connect_default(cls, token: str | None = None, **options: Any) -> Self:
        """The same at the usual place, http://[::1]:50051."""
        return await cls.connect(DEFAULT_ENDPOINT, token, **options)

    @cached_property
    def _channel(self) -> grpc.aio.Channel:
        if self._trusted is None:
            return grpc.aio.insecure_channel(self._at.target, options=_options())
        return grpc.aio.secure_channel(self._at.target, self._trusted, options=_options())

    @cached_property
    def _stub(self) -> MemoryServiceStub:
        return MemoryServiceStub(self._channel)  # type: ignore[no-untyped-call]

    async def _send(self, step: Request | Call) -> Came:
        method, sent, how = self._begin(self._stub, step)
        try:
            under_way = method(sent, **how)
            message = await under_way
            return Reply(message=message, position=_position(await under_way.trailing_metadata()))
        except grpc.RpcError as error:
            return self._failed(error)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._channel.close()


class SyncTimelineClient(BlockingRunner, TimelineOperations):
    """Blocking client with the operations and arguments of `TimelineClient`. Use it as a context manager, or call `close`."""

    @classmethod
    def connect(cls, endpoint: str, token: str | None = None, *, connect_timeout: float = CONNECT_SECONDS, **options: Any) -> Self:
        """A client whose server has answered. Further options are those of the class; `connect_timeout` is in seconds.

        Raises InvalidEndpoint, ConnectionFailed.
        """
        client = cls(endpoint, token, **options)
        try:
            client.run(rpc.greet(client.caller, connect_timeout))
        except BaseException:
            client.close()
            raise
        return client

    @classmethod
    def connect_default(cls, token: str | None = None, **options: Any) -> Self:
        """The same at the usual place, http://[::1]:50051."""
        return cls.connect(DEFAULT_ENDPOINT, token, **options)

    @cached_property
    def _channel(self) -> grpc.Channel:
        if self._trusted is None:
            return grpc.insecure_channel(self._at.target, options=_options())
        return grpc.secure_channel(self._at.target, self._trusted, options=_options())

    @cached_property
    def _stub(self) -> MemoryServiceStub:
        return MemoryServiceStub(self._channel)  # type: ignore[no-untyped-call]

    def _send(self, step: Request | Call) -> Came:
        method, sent, how = self._begin(self._stub, step)
        try:
            message, under_way = method.with_call(sent, **how)
            return Reply(message=message, position=_position(under_way.trailing_metadata()))
        except grpc.RpcError as error:
            return self._failed(error)

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()


def _options() -> tuple[tuple[str, int], ...]:
    answered = ("grpc.keepalive_timeout_ms", "grpc.http2.ping_timeout_ms")
    pings = {"grpc.keepalive_time_ms": UNHEARD_SECONDS, **dict.fromkeys(answered, UNANSWERED_SECONDS)}
    return (*_OPTIONS, *((name, round(seconds * 1000)) for name, seconds in pings.items()))


def _failure(error: grpc.RpcError, endpoint: str, timeout: float) -> MemoryClientError:
    code, detail = error.code(), error.details() or ""
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return ConnectionFailed(f"no answer from {endpoint} in time ({timeout:g} s)")
    if code is grpc.StatusCode.CANCELLED and not detail.startswith(_OF_THE_CALLER):
        return ConnectionFailed(f"no answer from {endpoint}: the call was ended on the other side")
    if code is grpc.StatusCode.UNAVAILABLE and any(words in detail for words in _OF_THE_WIRE):
        return ConnectionFailed(f"no answer from {endpoint}: {detail}")
    if code is grpc.StatusCode.INTERNAL and detail.startswith(_OF_THE_MESSAGE):
        return SerializationFailed(f"what {endpoint} answered cannot be read: {detail}")
    return rpc_error_of(code.name, detail, _text(error.trailing_metadata(), COMMAND_ID))


def _scope(token: str | None, namespace: str | None, user_id: str | None) -> Iterable[tuple[str, str]]:
    if credential := bearer(token):
        yield "authorization", credential
    for name, value in (("x-namespace", namespace), ("x-user-id", user_id)):
        if value is not None:
            if not value.isascii() or not value.isprintable():
                raise SerializationFailed(f"{value!r} cannot travel in the metadata of a call: only ASCII can")
            yield name, value


def _position(metadata: Iterable[tuple[str, str | bytes]] | None) -> int:
    told = _text(metadata, POSITION)
    return int(told) if told and told.isdecimal() else 0


def _text(metadata: Iterable[tuple[str, str | bytes]] | None, name: str) -> str | None:
    return next((str(value) for key, value in metadata or () if key == name), None)
