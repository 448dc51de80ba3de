"""The gRPC client against a real gRPC server: what it sends, what it makes of answers, when it tries again."""

import asyncio
import inspect
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest

from agent_memory.client import (
    DEFAULT_ENDPOINT,
    ClientError,
    Conflict,
    ConnectionFailed,
    Event,
    EventRole,
    EventType,
    Forbidden,
    InvalidEndpoint,
    InvalidRequest,
    MemoryClient,
    Retry,
    RpcFailed,
    SerializationFailed,
    ServerError,
    ServerUnavailable,
    SyncMemoryClient,
    SyncTimelineClient,
    TimelineClient,
    TocLevel,
    Unauthorized,
    WaitTimeout,
    grpc_clients,
)
from agent_memory.client.endpoint import parse_endpoint
from agent_memory.contracts.proto import memory_pb2 as pb
from agent_memory.contracts.records import TimelineEvent
from agent_memory.embedded.ports import free_port
from support.controls import wait_until_now
from support.small_timeline import SmallTimeline, small_timeline

QUICK = Retry(attempts=4, first_wait=0.001, longest_wait=0.01)
NOON = datetime(2026, 1, 30, 12, tzinfo=UTC)
NOON_MS = 1_769_774_400_000


@pytest.fixture
def service() -> Iterator[SmallTimeline]:
    with small_timeline() as service:
        yield service


def client_of(service: SmallTimeline, **options: Any) -> SyncTimelineClient:
    return SyncTimelineClient(service.endpoint, **{"retry": QUICK, **options})


def said(event_id: str, timestamp_ms: int = NOON_MS, text: str = "hello") -> Event:
    return Event.new(event_id, "s1", timestamp_ms, EventType.USER_MESSAGE, EventRole.USER, text)


async def test_the_example_of_the_document_works_awaited_and_blocking(service: SmallTimeline) -> None:
    async with await MemoryClient.connect(service.endpoint) as memory:
        event = Event.new("e1", "session-123", NOON, EventType.USER_MESSAGE, EventRole.USER, "What is Rust?")
        assert await memory.ingest(event) == ("e1", True)
        assert await memory.ingest(event) == ("e1", False)
        assert await memory.ingest_batch([said("e2"), said("e3"), said("e1")]) == 2
        page = await memory.get_events(NOON_MS - 3_600_000, NOON, 100)
    with SyncMemoryClient.connect(service.endpoint) as blocking:
        assert await asyncio.to_thread(blocking.get_events, NOON_MS, NOON_MS) == page
    assert page.events[0] == event
    assert (page.events[0].timestamp, page.has_more) == (NOON, False)


def test_both_clients_have_the_same_operations() -> None:
    def operations(kind: type) -> set[str]:
        return {name for name, _ in inspect.getmembers(kind) if not name.startswith("_")} - {"close", "aclose"}

    assert operations(TimelineClient) == operations(SyncTimelineClient)


def test_the_tree_is_walked_from_the_year_to_the_words(service: SmallTimeline) -> None:
    months = [pb.TocNode(node_id=f"toc:month:2026-0{n}", level=pb.TOC_LEVEL_MONTH, title=f"Month {n}") for n in (1, 2, 3)]
    year = pb.TocNode(
        node_id="toc:year:2026",
        level=pb.TOC_LEVEL_YEAR,
        title="2026",
        summary="Rust",
        keywords=["rust"],
        bullets=[pb.TocBullet(text="Ownership", grip_ids=["grip:1"])],
        child_node_ids=[month.node_id for month in months],
        version=3,
        event_count=7,
    )
    service.nodes = {node.node_id: node for node in (year, *months)}
    service.events = {f"e{n}": pb.Event(event_id=f"e{n}", session_id="s", timestamp_ms=n, text=str(n)) for n in range(9)}
    service.grips["grip:1"] = pb.Grip(
        grip_id="grip:1", excerpt="4 5", event_id_start="e4", event_id_end="e5", source="segment_summarizer"
    )
    with client_of(service) as memory:
        (root,) = memory.get_toc_root()
        assert memory.get_node("toc:year:2026") == root
        assert memory.get_node("toc:year:1999") is None
        first = memory.browse_toc("toc:year:2026", 2)
        rest = memory.browse_toc("toc:year:2026", 2, first.continuation_token)
        wide = memory.expand_grip(root.bullets[0].grip_ids[0])
        narrow = memory.expand_grip("grip:1", 1, 0)
        nothing = memory.expand_grip("grip:none")
    assert (root.level, root.summary, root.keywords, root.version, root.event_count) == (TocLevel.YEAR, "Rust", ["rust"], 3, 7)
    assert [child.title for child in first.children] == ["Month 1", "Month 2"]
    assert first.children[0].summary is None
    assert (first.has_more, rest.has_more, rest.continuation_token) == (True, False, None)
    assert wide.grip
    assert wide.grip.excerpt == "4 5"
    assert [[event.text for event in part] for part in (wide.events_before, wide.excerpt_events, wide.events_after)] == [
        ["1", "2", "3"],
        ["4", "5"],
        ["6", "7", "8"],
    ]
    assert [len(part) for part in (narrow.events_before, narrow.excerpt_events, narrow.events_after)] == [1, 2, 0]
    assert (nothing.grip, nothing.excerpt_events) == (None, [])


def test_a_type_and_a_role_that_nobody_named_are_a_users_message(service: SmallTimeline) -> None:
    service.events["e"] = pb.Event(event_id="e", session_id="s", timestamp_ms=1)
    with client_of(service) as memory:
        (event,) = memory.get_events(0, 2).events
    assert (event.event_type, event.role) == (EventType.USER_MESSAGE, EventRole.USER)


def test_jobs_are_seen_paused_resumed_and_run(service: SmallTimeline) -> None:
    service.jobs["hourly-rollup"] = pb.JobStatusProto(job_name="hourly-rollup", cron_expr="0 0 * * * *", run_count=24)
    with client_of(service) as memory:
        assert memory.pause_job("hourly-rollup") is None
        assert memory.get_scheduler_status().jobs[0].is_paused
        assert memory.resume_job("hourly-rollup") is None
        assert memory.run_job("hourly-rollup") is None
        assert memory.pause_job("nonesuch") == "Job not found: nonesuch"
        (job,) = memory.get_scheduler_status().jobs
    assert (job.run_count, job.last_result, job.is_paused) == (24, "unspecified", False)


def test_a_search_names_what_it_found(service: SmallTimeline) -> None:
    with client_of(service) as memory:
        memory.ingest_batch([said("e1", text="the ferry"), said("e2", text="the train")])
        (match,) = memory.search_timeline("ferry")
    assert (match.kind, match.id, match.node) == ("event", "e1", None)
    assert match.event
    assert match.event.text == "the ferry"


def test_every_call_says_who_asks(service: SmallTimeline) -> None:
    with client_of(service, token="secret", namespace="work", user_id="nadia") as memory:
        memory.get_node("x", min_position=7)
        memory.ingest(said("e1"), idempotency_key="mine")
    asked, told = service.called[0][1], service.called[1][1]
    assert (asked["authorization"], asked["x-namespace"], asked["x-user-id"]) == ("Bearer secret", "work", "nadia")
    assert asked["x-min-position"] == "7"
    assert told["idempotency-key"] == "mine"


def test_an_unavailable_part_is_tried_again_with_the_same_key(service: SmallTimeline) -> None:
    service.failures = [(grpc.StatusCode.UNAVAILABLE, "the log is down")] * 2
    with client_of(service) as memory:
        assert memory.ingest(said("e1")) == ("e1", True)
    keys = {metadata["idempotency-key"] for metadata in service.metadata_of("IngestEvent")}
    assert len(service.methods()) == 3
    assert len(keys) == 1


async def test_a_call_that_a_stopping_server_ends_is_tried_again_with_the_same_key(service: SmallTimeline) -> None:
    service.failures = [(grpc.StatusCode.CANCELLED, "CANCELLED")] * 2
    async with TimelineClient(service.endpoint, retry=QUICK) as memory:
        assert await memory.ingest(said("e1")) == ("e1", True)
    assert len({metadata["idempotency-key"] for metadata in service.metadata_of("IngestEvent")}) == 1
    service.failures = [(grpc.StatusCode.CANCELLED, "CANCELLED")] * QUICK.attempts
    with client_of(service) as blocking, pytest.raises(ConnectionFailed, match="ended on the other side") as caught:
        blocking.ingest(said("e2"), idempotency_key="mine")
    assert caught.value.idempotency_key == "mine"
    assert len(service.methods()) == 3 + QUICK.attempts


def test_a_call_that_its_own_client_ends_is_not_tried_again(service: SmallTimeline) -> None:
    service.stuck = True
    memory = client_of(service)
    with ThreadPoolExecutor() as pool:
        called = pool.submit(memory.get_toc_root)
        wait_until_now(service.methods, "the call is under way")
        memory.close()
        with pytest.raises(ServerError, match="Channel closed"):
            called.result()


def test_a_part_that_stays_down_is_named_in_the_servers_words(service: SmallTimeline) -> None:
    service.failures = [(grpc.StatusCode.UNAVAILABLE, "the log is down")] * 9
    with client_of(service) as memory, pytest.raises(ServerUnavailable, match="the log is down"):
        memory.ingest(said("e1"))
    assert len(service.methods()) == QUICK.attempts


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidRequest),
        (grpc.StatusCode.UNAUTHENTICATED, Unauthorized),
        (grpc.StatusCode.PERMISSION_DENIED, Forbidden),
        (grpc.StatusCode.ABORTED, Conflict),
        (grpc.StatusCode.INTERNAL, ServerError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, RpcFailed),
    ],
)
async def test_each_refusal_is_an_exception_of_its_own_and_not_tried_again(
    service: SmallTimeline, code: grpc.StatusCode, kind: type[RpcFailed]
) -> None:
    service.failures = [(code, "no")]
    async with TimelineClient(service.endpoint, retry=QUICK) as memory:
        with pytest.raises(kind, match="no") as caught:
            await memory.get_toc_root()
    assert (caught.value.code, caught.value.detail) == (code.name, "no")
    assert isinstance(caught.value, ClientError)
    assert len(service.called) == 1


def test_a_server_without_streams_is_told_one_by_one(service: SmallTimeline) -> None:
    service.without = {"IngestEvents"}
    with client_of(service) as memory:
        assert memory.ingest_batch([said("e1"), said("e2"), said("e1")]) == 2
        assert memory.ingest_batch([]) == 0
    assert service.methods() == ["IngestEvents", "IngestEvent", "IngestEvent", "IngestEvent"]


def test_a_batch_of_any_size_is_one_call(service: SmallTimeline) -> None:
    events = [said(f"e{n}", text="ä" * 400_000) for n in range(12)] + [said(f"s{n}") for n in range(1_200)]
    with client_of(service) as memory:
        assert memory.ingest_batch(events) == 1_212
        assert memory.position == 1_212
    assert service.methods() == ["IngestEvents"]


def test_events_may_be_what_the_http_client_takes(service: SmallTimeline) -> None:
    other = TimelineEvent(event_id="e1", session_id="s", timestamp_ms=1, event_type="tool_result", role="tool", text="x")
    with client_of(service) as memory:
        memory.ingest_batch([other, {"event_id": "e2", "session_id": "s", "timestamp_ms": 2, "role": "assistant"}])
    assert service.events["e1"].event_type == pb.EVENT_TYPE_TOOL_RESULT
    assert service.events["e2"].role == pb.EVENT_ROLE_ASSISTANT


@pytest.mark.parametrize(
    "event",
    [
        said("e", timestamp_ms=2**63),
        said("e", text="\ud800"),
        {"event_id": "e", "session_id": "s", "timestamp_ms": "soon"},
        TimelineEvent(event_id="e", session_id="s", timestamp_ms=1, role="stranger"),
    ],
)
def test_what_cannot_be_written_is_not_sent(service: SmallTimeline, event: Any) -> None:
    with client_of(service) as memory, pytest.raises(SerializationFailed, match="Event cannot be written"):
        memory.ingest(event)
    assert service.called == []


async def test_nobody_listening_is_a_failed_connection_at_once() -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ConnectionFailed, match="no answer from"):
        await MemoryClient.connect(endpoint)
    with pytest.raises(ConnectionFailed, match="no answer from"):
        await asyncio.to_thread(SyncMemoryClient.connect, endpoint)
    with SyncTimelineClient(endpoint, retry=QUICK) as memory, pytest.raises(ConnectionFailed) as caught:
        memory.ingest(said("e1"), idempotency_key="mine")
    assert caught.value.idempotency_key == "mine"


def test_a_server_that_hangs_is_given_up_at_the_deadline(service: SmallTimeline) -> None:
    service.stuck = True
    with client_of(service, timeout=0.05, retry=Retry(attempts=1)) as memory:
        with pytest.raises(ConnectionFailed, match=r"in time \(0.05 s\)"):
            memory.get_toc_root()
        with pytest.raises(WaitTimeout, match="position 9 was not reached"):
            memory.wait_for(9, timeout=0.05)
    assert service.metadata_of("GetTocRoot")[1]["x-min-position"] == "9"


def test_wait_for_returns_when_the_server_answers(service: SmallTimeline) -> None:
    service.failures = [(grpc.StatusCode.UNAVAILABLE, "not yet")]
    with client_of(service) as memory:
        memory.wait_for(3)
    assert len(service.called) == 2


@pytest.mark.parametrize(
    ("given", "target", "secure"),
    [
        (DEFAULT_ENDPOINT, "[::1]:50051", False),
        ("http://localhost:9999/", "localhost:9999", False),
        ("grpc://memory.internal", "memory.internal:50051", False),
        ("127.0.0.1:7", "127.0.0.1:7", False),
        ("https://memory.example.org:443", "memory.example.org:443", True),
        ("grpcs://[fe80::1]", "[fe80::1]:50051", True),
    ],
)
def test_an_endpoint_is_a_host_and_a_port_with_or_without_tls(given: str, target: str, secure: bool) -> None:
    endpoint = parse_endpoint(given)
    assert (endpoint.target, endpoint.secure) == (target, secure)


@pytest.mark.parametrize(
    "given", ["", "http://", "ftp://x", "http://a:b", "http://a:70000", "http://a/path", "http://u@a", "a b:1"]
)
async def test_what_is_no_endpoint_is_refused_at_once(given: str) -> None:
    with pytest.raises(InvalidEndpoint, match="not the address of a server"):
        await MemoryClient.connect(given)


@pytest.mark.parametrize("kind", [TimelineClient, SyncTimelineClient])
def test_operations_explain_themselves(kind: Callable[[], Any]) -> None:
    assert "whether it is new" in kind().ingest.__doc__


def test_who_maps_hooks_waits_for_no_network_library() -> None:
    program = "import sys; from agent_memory.client import map_hook_event; print({'httpx', 'grpc'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "set()"


class Wire:
    """A way to the service. What is cut says nothing more, as of a host that vanished; what connects later gets through."""

    def __init__(self, endpoint: str) -> None:
        self._to = parse_endpoint(endpoint).target.rpartition(":")
        self._going: list[asyncio.Task[None]] = []
        self._open: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> "Wire":
        self._server = await asyncio.start_server(self._passed, "127.0.0.1", 0)
        self.endpoint = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self.cut()
        for writer in self._open:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in self._open), return_exceptions=True)

    async def cut(self) -> None:
        for task in self._going:
            task.cancel()
        await asyncio.gather(*self._going, return_exceptions=True)

    async def _passed(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._to[0], int(self._to[2]))
        self._open += [writer, back]
        self._going += [asyncio.create_task(_copied(*way)) for way in ((reader, back), (there, writer))]


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65_536):
        writer.write(piece)
    writer.close()


async def test_a_host_that_vanished_is_noticed_and_the_next_call_connects_anew(
    service: SmallTimeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grpc_clients, "UNHEARD_SECONDS", 0.4)
    monkeypatch.setattr(grpc_clients, "UNANSWERED_SECONDS", 0.2)
    async with Wire(service.endpoint) as wire, TimelineClient(wire.endpoint, timeout=10) as timeline:
        assert await timeline.get_toc_root() == []
        await wire.cut()
        assert await timeline.get_toc_root() == []
