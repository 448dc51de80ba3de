"""A gRPC edge over given ports, and a client of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import msgspec

from agent_memory.contracts.proto.memory_pb2_grpc import MemoryServiceStub
from agent_memory.gateway.app import create_gateway
from agent_memory.gateway.edges.grpc.server import start
from agent_memory.runtime.settings import Settings

OPTIONS = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0))


class Rpc(msgspec.Struct, frozen=True):
    """A running edge: where it is, and how it is called."""

    stub: MemoryServiceStub
    channel: Any
    address: str


@asynccontextmanager
async def rpc(settings: Settings | None = None, *, host: str = "", credentials: Any = None, **ports: Any) -> AsyncIterator[Rpc]:
    """A server on a free port. `host`: of those that it listens on, the one to connect to; the first if not given."""
    settings = msgspec.structs.replace(settings or Settings(), grpc_port=0)
    door = await start(create_gateway(settings, **ports), settings)
    address = next(one for one in door.addresses if one.startswith(host))
    channel = (
        grpc.aio.insecure_channel(address, options=OPTIONS)
        if credentials is None
        else grpc.aio.secure_channel(address, credentials, options=OPTIONS)
    )
    try:
        yield Rpc(MemoryServiceStub(channel), channel, address)  # type: ignore[no-untyped-call]
    finally:
        await channel.close()
        await door.stop(0)
