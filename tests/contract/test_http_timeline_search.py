"""Search of nodes, grips and events over HTTP: what is asked for, and how each is shown."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from httpx import ASGITransport, AsyncClient

from agent_memory.contracts.codec import encode
from agent_memory.contracts.queries import SearchTimeline, TimelineKind
from agent_memory.contracts.records import Scope, TimelineEvent
from agent_memory.contracts.toc import Grip, Span, TocNode
from agent_memory.gateway.app import create_app
from agent_memory.gateway.memory import MemorySystem
from agent_memory.readmodels.search import Match, MatchPage
from agent_memory.runtime.settings import Settings


@pytest.fixture
def system() -> MemorySystem:
    return MemorySystem()


@asynccontextmanager
async def a_client(system: MemorySystem) -> AsyncIterator[AsyncClient]:
    transport = ASGITransport(app=create_app(Settings(), **system.ports()))
    async with AsyncClient(transport=transport, base_url="http://memory") as client:
        yield client


@pytest.fixture
async def http(system: MemorySystem) -> AsyncIterator[AsyncClient]:
    async with a_client(system) as client:
        yield client


NODE = TocNode(node_id="toc:year:2026", level="year", title="2026", summary="Tea.", start_time_ms=3, end_time_ms=9, events=7)
GRIP = Grip(
    grip_id="grip:1",
    session_id="s",
    node_id="toc:segment:1",
    excerpt="some tea",
    spans=(Span(event_id="e", start=0, end=8),),
    timestamp_ms=4,
)


def found(kind: TimelineKind, id_: str, record: object, score: float = 0.5) -> Match:
    return Match(kind=kind, id=id_, score=score, record=encode(record))


async def test_a_search_of_kinds_gives_nodes_as_they_are_now_grips_and_events_in_one_order(
    http: AsyncClient, system: MemorySystem
) -> None:
    system.contents.put(Scope(namespace="n"), NODE)
    event = TimelineEvent(event_id="e", session_id="s", timestamp_ms=5, text="some tea")
    matches = [
        found("node", NODE.node_id, {}, 1.0),
        found("node", "toc:year:1999", {}),
        found("grip", "grip:1", GRIP),
        found("event", "e", event),
    ]
    system.matches = MatchPage(matches=matches, total=4, next_offset=None)
    answer = await http.post("/v1/timeline/search", json={"text": "tea", "namespace": "n", "kinds": ["event", "node", "grip"]})
    assert (answer.status_code, answer.json()["total"], answer.json()["next_offset"]) == (200, 4, None)
    node, grip, said = answer.json()["matches"]
    assert [one["kind"] for one in (node, grip, said)] == ["node", "grip", "event"], "a node that went meanwhile is left out"
    assert (node["id"], node["score"], node["text"], node["timestamp_ms"]) == ("toc:year:2026", 1.0, "Tea.", 3)
    assert (node["node"]["events"], grip["grip"]["spans"][0]["event_id"]) == (7, "e")
    assert (grip["text"], grip["timestamp_ms"], said["text"], said["timestamp_ms"]) == ("some tea", 4, "some tea", 5)
    assert (said["event"]["event_id"], said["event"]["role"]) == ("e", "user")
    assert system.queries == [SearchTimeline(scope=Scope(namespace="n"), text="tea", kinds=("node", "grip", "event"))]


@pytest.mark.parametrize(
    ("kinds", "searched"),
    [([], ("node", "grip", "event")), (["grip"], ("grip",)), (["event"], ("event",)), (["grip", "grip"], ("grip",))],
)
async def test_no_kind_is_all_of_them_and_what_is_not_named_is_not_searched(
    http: AsyncClient, system: MemorySystem, kinds: list[str], searched: tuple[TimelineKind, ...]
) -> None:
    answer = await http.post("/v1/timeline/search", json={"text": "tea", "kinds": kinds})
    assert answer.json() == {"matches": [], "total": 0, "next_offset": None}
    assert system.queries == [SearchTimeline(scope=Scope(), text="tea", kinds=searched)]


class Watched(MemorySystem):
    """Shows everything, and remembers which views it was asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    async def covers(self, projection: str, position: int) -> bool:
        self.asked.append(projection)
        return True


async def test_a_search_waits_for_each_view_that_serves_it() -> None:
    watched = Watched()
    async with a_client(watched) as http:
        for kinds in (["node"], ["event"], [], None):
            answer = await http.post("/v1/timeline/search", json={"text": "x", "kinds": kinds}, params={"min_position": "1"})
            assert answer.status_code == 200
    written, said = ["contents", "contents-index"], ["timeline-index"]
    assert watched.asked == [*written, *said, *written, *said, *said]
