"""The table of contents over gRPC: from the years down to the words."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from agent_memory.contracts.codec import encode
from agent_memory.contracts.proto import memory_pb2 as pb
from agent_memory.contracts.queries import TimelineKind
from agent_memory.contracts.records import Scope, TimelineEvent
from agent_memory.contracts.toc import Bullet, Grip, Span, TocNode
from agent_memory.gateway.memory import MemorySystem
from agent_memory.readmodels.search import Match, MatchPage
from agent_memory.runtime.settings import Settings
from support.rpc import Rpc, rpc

YEAR = TocNode(
    node_id="toc:year:2026",
    level="year",
    title="2026",
    summary="Rust and Python",
    bullets=(Bullet(text="Rust is safe", grip_ids=("grip:1",)),),
    keywords=("rust", "python"),
    child_node_ids=tuple(f"toc:month:2026-{month:02}" for month in range(1, 13)),
    start_time_ms=1_767_225_600_000,
    end_time_ms=1_798_761_599_999,
    version=3,
    events=12,
    sessions=2,
)
MONTHS = [
    TocNode(
        node_id=node_id,
        level="month",
        title=f"Month {number}",
        start_time_ms=number,
        end_time_ms=number,
        parent_node_id=YEAR.node_id,
    )
    for number, node_id in enumerate(YEAR.child_node_ids, 1)
]
OLDER = TocNode(node_id="toc:year:2025", level="year", title="2025", start_time_ms=0, end_time_ms=1)
GRIP = Grip(
    grip_id="grip:1",
    session_id="s1",
    node_id="toc:segment:01",
    excerpt="four five",
    spans=(Span(event_id="e4", start=0, end=4), Span(event_id="e5", start=0, end=4)),
    timestamp_ms=4,
)
SALIENCE = (0.5, pb.MEMORY_KIND_OBSERVATION, False)


@pytest.fixture
def system() -> MemorySystem:
    system = MemorySystem()
    system.contents.put(Scope(), OLDER, YEAR, *MONTHS)
    system.contents.grips[Scope().path, GRIP.grip_id] = GRIP
    for session, letter in (("s1", "e"), ("other", "x")):
        system.contents.said[Scope().path, session] = [
            TimelineEvent(event_id=f"{letter}{n}", session_id=session, timestamp_ms=n, text=str(n)) for n in range(1, 10)
        ]
    system.position = 2
    return system


@pytest.fixture
async def edge(system: MemorySystem) -> AsyncIterator[Rpc]:
    async with rpc(Settings(read_wait_seconds=0.05), **system.ports()) as edge:
        yield edge


async def test_the_root_is_the_years_newest_first(edge: Rpc) -> None:
    nodes = (await edge.stub.GetTocRoot(pb.GetTocRootRequest())).nodes
    assert [node.node_id for node in nodes] == ["toc:year:2026", "toc:year:2025"]
    year = nodes[0]
    assert (year.level, year.title, year.summary, list(year.keywords)) == (1, "2026", "Rust and Python", ["rust", "python"])
    assert [(bullet.text, list(bullet.grip_ids)) for bullet in year.bullets] == [("Rust is safe", ["grip:1"])]
    assert (year.start_time_ms, year.end_time_ms, year.version) == (1_767_225_600_000, 1_798_761_599_999, 3)
    assert (year.event_count, year.session_count, len(year.child_node_ids)) == (12, 2, 12)
    assert (year.salience_score, year.memory_kind, year.is_pinned) == SALIENCE
    assert not nodes[1].HasField("summary")


async def test_a_node_is_found_by_its_id_and_version(edge: Rpc) -> None:
    assert (await edge.stub.GetNode(pb.GetNodeRequest(node_id="toc:month:2026-01"))).node.title == "Month 1"
    assert (await edge.stub.GetNode(pb.GetNodeRequest(node_id=YEAR.node_id, version=3))).node.title == "2026"
    for request in (pb.GetNodeRequest(node_id="toc:year:1999"), pb.GetNodeRequest(node_id=YEAR.node_id, version=-(2**31))):
        assert not (await edge.stub.GetNode(request)).HasField("node")


async def test_children_are_read_page_by_page(edge: Rpc) -> None:
    found, token = list[str](), None
    while True:
        page = await edge.stub.BrowseToc(pb.BrowseTocRequest(parent_id=YEAR.node_id, limit=5, continuation_token=token))
        found += [child.title for child in page.children]
        assert page.has_more is page.HasField("continuation_token")
        if not page.has_more:
            break
        token = page.continuation_token
    assert found == [f"Month {number}" for number in range(1, 13)]


@pytest.mark.parametrize(
    ("token", "first"),
    [("", 1), ("x", 1), ("-3", 1), ("3", 4), ("٣", 1), ("1e3", 1), ("9" * 40, 1)],
)
async def test_a_token_that_no_page_gave_out_begins_at_the_beginning(edge: Rpc, token: str, first: int) -> None:
    page = await edge.stub.BrowseToc(pb.BrowseTocRequest(parent_id=YEAR.node_id, continuation_token=token))
    assert page.children[0].title == f"Month {first}"


@pytest.mark.parametrize(("limit", "most"), [(0, 20), (-1, 20), (-(2**31), 20), (5, 5), (101, 100), (2**31 - 1, 100)])
async def test_the_length_of_a_page_is_bounded(edge: Rpc, system: MemorySystem, limit: int, most: int) -> None:
    ids = tuple(f"toc:day:{number}" for number in range(150))
    days = [TocNode(node_id=node_id, level="day", title="", start_time_ms=0, end_time_ms=0) for node_id in ids]
    week = TocNode(node_id="toc:week:x", level="week", title="", child_node_ids=ids, start_time_ms=0, end_time_ms=0)
    system.contents.put(Scope(), week, *days)
    page = await edge.stub.BrowseToc(pb.BrowseTocRequest(parent_id="toc:week:x", limit=limit))
    assert (len(page.children), page.has_more, page.continuation_token) == (most, True, str(most))


@pytest.mark.parametrize("parent_id", ["toc:year:1999", "nonsense", "🙈" * 1_000])
async def test_an_unknown_parent_has_no_children(edge: Rpc, parent_id: str) -> None:
    page = await edge.stub.BrowseToc(pb.BrowseTocRequest(parent_id=parent_id))
    assert (list(page.children), page.has_more, page.HasField("continuation_token")) == ([], False, False)


def texts(events: Any) -> list[str]:
    return [event.text for event in events]


async def test_a_grip_is_opened_within_its_session(edge: Rpc) -> None:
    found = await edge.stub.ExpandGrip(pb.ExpandGripRequest(grip_id="grip:1"))
    assert [texts(part) for part in (found.events_before, found.excerpt_events, found.events_after)] == [
        ["1", "2", "3"],
        ["4", "5"],
        ["6", "7", "8"],
    ]
    assert {event.session_id for event in (*found.events_before, *found.excerpt_events, *found.events_after)} == {"s1"}
    grip = found.grip
    assert (grip.grip_id, grip.excerpt, grip.event_id_start, grip.event_id_end) == ("grip:1", "four five", "e4", "e5")
    assert (grip.timestamp_ms, grip.source, grip.session_id, grip.node_id) == (4, "segment_summarizer", "s1", "toc:segment:01")
    assert [(span.event_id, span.start, span.end) for span in grip.spans] == [("e4", 0, 4), ("e5", 0, 4)]
    assert (grip.salience_score, grip.memory_kind, grip.is_pinned) == SALIENCE


@pytest.mark.parametrize(
    ("before", "after", "counts"),
    [(0, 0, (0, 0)), (-1, -(2**31), (0, 0)), (1, 2, (1, 2)), (2**31 - 1, 2**31 - 1, (3, 4)), (None, 0, (3, 0))],
)
async def test_how_much_is_seen_around_a_grip_is_bounded(
    edge: Rpc, before: int | None, after: int | None, counts: tuple[int, int]
) -> None:
    found = await edge.stub.ExpandGrip(pb.ExpandGripRequest(grip_id="grip:1", events_before=before, events_after=after))
    assert (len(found.events_before), len(found.events_after), len(found.excerpt_events)) == (*counts, 2)


async def test_an_unknown_grip_opens_on_nothing(edge: Rpc) -> None:
    assert await edge.stub.ExpandGrip(pb.ExpandGripRequest(grip_id="grip:none")) == pb.ExpandGripResponse()


@pytest.mark.parametrize(
    ("method", "request_", "words"),
    [
        ("GetNode", pb.GetNodeRequest(), "node_id is required"),
        ("BrowseToc", pb.BrowseTocRequest(), "parent_id is required"),
        ("ExpandGrip", pb.ExpandGripRequest(), "grip_id is required"),
        ("GetNode", pb.GetNodeRequest(node_id="a\0"), "node_id holds a NUL"),
    ],
)
async def test_an_id_is_required(edge: Rpc, method: str, request_: Any, words: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await getattr(edge.stub, method)(request_)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert words in (refused.value.details() or "")


async def test_a_read_waits_for_the_position_it_asks_for(edge: Rpc, system: MemorySystem) -> None:
    asked = {"metadata": (("x-min-position", str(system.position)),)}
    assert (await edge.stub.GetTocRoot(pb.GetTocRootRequest(), **asked)).nodes
    system.reached = 0
    with pytest.raises(grpc.aio.AioRpcError) as late:
        await edge.stub.GetTocRoot(pb.GetTocRootRequest(), **asked)
    assert (late.value.code(), "contents has not reached position 2" in (late.value.details() or "")) == (
        grpc.StatusCode.UNAVAILABLE,
        True,
    )
    with pytest.raises(grpc.aio.AioRpcError) as strange:
        await edge.stub.GetTocRoot(pb.GetTocRootRequest(), metadata=(("x-min-position", "soon"),))
    assert strange.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_search_finds_nodes_as_they_are_now_and_grips_with_their_spans(edge: Rpc, system: MemorySystem) -> None:
    found: list[tuple[TimelineKind, str, object]] = [
        ("node", YEAR.node_id, {}),
        ("node", "toc:year:1999", {}),
        ("grip", "grip:1", GRIP),
    ]
    matches = [Match(kind=kind, id=id_, score=0.5, record=encode(record)) for kind, id_, record in found]
    system.matches = MatchPage(matches=matches, total=3, next_offset=None)
    node, grip = (await edge.stub.SearchTimeline(pb.SearchTimelineRequest(query="rust", kinds=["node", "grip"]))).matches
    assert (node.kind, node.id, node.text, node.timestamp_ms) == ("node", "toc:year:2026", "Rust and Python", YEAR.start_time_ms)
    assert (node.node.version, node.node.event_count, node.HasField("grip"), node.HasField("event")) == (3, 12, False, False)
    assert (grip.kind, grip.id, grip.text, grip.timestamp_ms) == ("grip", "grip:1", "four five", 4)
    assert [span.event_id for span in grip.grip.spans] == ["e4", "e5"]


async def test_a_search_of_what_is_written_waits_for_the_table_of_contents(edge: Rpc, system: MemorySystem) -> None:
    system.reached = 1
    for kinds, lagging in ((["node"], "contents has"), (["event"], "timeline-index has")):
        with pytest.raises(grpc.aio.AioRpcError, match=lagging) as raised:
            await edge.stub.SearchTimeline(
                pb.SearchTimelineRequest(query="x", kinds=kinds), metadata=[("x-memory-min-position", "2")]
            )
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
