"""The floor of calls over gRPC: grpc.aio with one GET of Redis, or none. `python -m bench.bare_rpc REDIS_URL` prints its port."""

import sys
from typing import Any

import grpc
import grpc.aio
import uvloop
from redis.asyncio import Redis

from agent_memory.contracts.proto import memory_pb2 as pb
from agent_memory.contracts.proto import memory_pb2_grpc

KEY = "bench:node"


class Bare(memory_pb2_grpc.MemoryServiceServicer):
    """Two of the calls, with nothing in them."""

    def __init__(self, redis: "Redis") -> None:
        self._redis = redis

    async def IngestEvent(self, request: pb.IngestEventRequest, context: Any) -> pb.IngestEventResponse:
        """Says that it did what it did not."""
        return pb.IngestEventResponse(event_id=request.event.event_id, created=True)

    async def GetNode(self, request: pb.GetNodeRequest, context: Any) -> pb.GetNodeResponse:
        """The same node for everybody."""
        return pb.GetNodeResponse(node=pb.TocNode.FromString(await self._redis.get(KEY)))


async def serve(redis_url: str) -> None:
    """Until killed."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    memory_pb2_grpc.add_MemoryServiceServicer_to_server(Bare(Redis.from_url(redis_url, protocol=2)), server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
