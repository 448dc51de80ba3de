"""The sender of raw gRPC calls, against a server of the library."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio

from agent_memory.contracts.proto import memory_pb2 as pb
from agent_memory.contracts.proto import memory_pb2_grpc
from bench.calls import Sent, call_all, calls
from bench.figures import Figure, Goal, Run
from bench.workloads import Job

LONG = "node " * 20_000


class Some(memory_pb2_grpc.MemoryServiceServicer):
    """Has long nodes, but no bad one, and knows each event once."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.namespaces: set[Any] = set()

    async def GetNode(self, request: pb.GetNodeRequest, context: Any) -> pb.GetNodeResponse:
        self.namespaces |= {value for name, value in context.invocation_metadata() if name == "x-namespace"}
        if request.node_id == "bad":
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "a bad node")
        return pb.GetNodeResponse() if request.node_id == "none" else pb.GetNodeResponse(node=pb.TocNode(title=LONG))

    async def IngestEvents(self, request_iterator: AsyncIterator[Any], context: Any) -> pb.IngestEventsResponse:
        ids = [one.event_id async for message in request_iterator for one in message.events]
        new = set(ids) - self.seen
        self.seen |= new
        return pb.IngestEventsResponse(created=len(new), existing=len(ids) - len(new))


@asynccontextmanager
async def served(service: Some) -> AsyncIterator[int]:
    server = grpc.aio.server()
    memory_pb2_grpc.add_MemoryServiceServicer_to_server(service, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0)


async def made(port: int, workload: str, **given: Any) -> Sent:
    job = Job(workload=workload, host="127.0.0.1", port=port, tag="some", seed=1, **given)
    return await call_all(job, calls(job))


async def test_every_call_is_answered_however_many_are_in_flight_and_however_long_the_answers() -> None:
    service = Some()
    async with served(service) as port:
        sent = await made(port, "toc-node", names=["a", "b", "c"], count=300, clients=16)
    assert (len(sent.latencies), sent.errors, service.namespaces) == (300, [], {"some"})
    assert sent.received_bytes > 300 * len(LONG)
    assert 0 < min(sent.latencies) <= max(sent.latencies) < sent.seconds


async def test_an_error_and_an_answer_of_nothing_are_told_from_a_node() -> None:
    async with served(Some()) as port:
        sent = await made(port, "toc-node", names=["a", "bad", "none"], count=30, clients=4)
    assert (len(sent.latencies), len(sent.errors)) == (30, 20)


async def test_streams_bring_events_that_are_all_new() -> None:
    service = Some()
    async with served(service) as port:
        sent = await made(port, "ingest-stream", count=2, clients=2)
        again = await made(port, "ingest-stream", count=2, clients=2)
    assert (sent.errors, len(service.seen), len(again.errors)) == ([], 10_000, 2)


def test_a_tail_that_is_too_long_misses_the_goal() -> None:
    run = Run(seconds=1, requests=1, units=1, latency_ms={"p50": 1.0, "p99": 11.0})
    figure = Figure(name="f", configuration="c", title="", unit="", clients=1, goal=Goal(p50_ms=2, p99_ms=10), runs=[run])
    assert (str(figure.goal), figure.met) == ("p50 ≤ 2 ms, p99 ≤ 10 ms", False)
