"""A gateway that is told to stop: it says so, sends callers elsewhere, and finishes what it has in hand."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
import httpx
import msgspec
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from sse_starlette.sse import AppStatus

from agent_memory.contracts.proto import memory_pb2 as pb
from agent_memory.contracts.proto.memory_pb2_grpc import MemoryServiceStub
from agent_memory.embedded.ports import free_port
from agent_memory.gateway.app import create_app, create_gateway
from agent_memory.gateway.edges.grpc.server import start
from agent_memory.gateway.memory import MemorySystem
from agent_memory.gateway.serving import Server
from agent_memory.runtime.settings import Settings
from support.controls import wait_until
from support.slow import Slow

EVENT = {"event_id": "e1", "session_id": "s1", "timestamp_ms": 1, "event_type": "user_message", "text": "hello"}
FOREVER = 600.0


@pytest.fixture(autouse=True)
def streams_of_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal to one server of a process ends the event streams of all, and of those that other tests start later: MCP's."""
    monkeypatch.setattr(AppStatus, "should_exit", False)


class Served(msgspec.Struct, frozen=True):
    """A gateway at both doors. `at`: of HTTP, `grpc`: of the other."""

    server: Server
    task: "asyncio.Task[None]"
    at: str
    grpc: str

    def told_to_stop(self) -> None:
        self.server.handle_exit(signal.SIGTERM, None)


@asynccontextmanager
async def served(system: MemorySystem, drain_seconds: float) -> AsyncIterator[Served]:
    settings, leaving = Settings(port=free_port(), grpc_port=0, drain_seconds=drain_seconds), asyncio.Event()
    given = {**system.ports(), "leaving": leaving.is_set}
    door = await start(create_gateway(settings, **given), settings)
    server = Server(create_app(settings, **given), settings, door, leaving)
    task = asyncio.create_task(server.serve())
    try:
        await wait_until(lambda: server.started, "the gateway listens")
        yield Served(server, task, f"http://127.0.0.1:{settings.port}", door.addresses[0])
    finally:
        server.handle_exit(signal.SIGTERM, None)
        server.handle_exit(signal.SIGTERM, None)
        await task


async def health(channel: grpc.aio.Channel) -> Any:
    return (await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())).status


async def test_while_it_leaves_it_answers_everybody_and_sends_them_elsewhere() -> None:
    async with (
        served(MemorySystem(), FOREVER) as gateway,
        httpx.AsyncClient(base_url=gateway.at) as known,
        grpc.aio.insecure_channel(gateway.grpc) as channel,
    ):
        assert (await known.get("/ready")).status_code == 200
        assert await health(channel) == health_pb2.HealthCheckResponse.SERVING
        gateway.told_to_stop()
        answer = await known.post("/v1/events", json=EVENT)  # on the connection that it has
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")
        answer = await known.get("/ready")  # on a new one
        assert (answer.status_code, answer.json()) == (503, {"ready": False, "parts": {"gateway": "told to stop"}})
        assert (await known.get("/health")).status_code == 200

        async def told() -> bool:
            return bool(await health(channel) == health_pb2.HealthCheckResponse.NOT_SERVING)

        await wait_until(told, "clients that look at the health go elsewhere")
        request = pb.IngestEventRequest(event=pb.Event(event_id="e2", session_id="s1"))
        assert (await MemoryServiceStub(channel).IngestEvent(request)).created  # type: ignore[no-untyped-call]
        gateway.told_to_stop()
        await gateway.task
        with pytest.raises(httpx.ConnectError):
            await known.get("/health")


async def test_what_is_in_hand_is_finished_at_both_doors() -> None:
    system = Slow()
    async with (
        served(system, 0.0) as gateway,
        httpx.AsyncClient(base_url=gateway.at) as http,
        grpc.aio.insecure_channel(gateway.grpc) as channel,
    ):
        by_http = asyncio.create_task(http.post("/v1/events", json=EVENT))
        request = pb.IngestEventRequest(event=pb.Event(event_id="e2", session_id="s1"))
        by_grpc = asyncio.ensure_future(MemoryServiceStub(channel).IngestEvent(request))  # type: ignore[no-untyped-call]
        await wait_until(lambda: system.waiting == 2, "both are in hand")
        gateway.told_to_stop()
        await wait_until(lambda: refused(gateway.at), "nothing more is accepted")
        system.released.set()
        answer = await by_http
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")
        assert (await by_grpc).created
        await gateway.task


async def refused(at: str) -> bool:
    try:
        url = httpx.URL(at)
        _, writer = await asyncio.open_connection(url.host, url.port)
    except OSError:  # refused, or accepted by the listener and dropped as it closed
        return True
    writer.close()
    return False
