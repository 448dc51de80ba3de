"""One search over long-term and working memory, and queries that are rewritten before they are searched for."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient

from agent_memory.auth.principal import Principal
from agent_memory.contracts.codec import encode
from agent_memory.contracts.commands import TouchMemories
from agent_memory.contracts.errors import Unavailable
from agent_memory.contracts.queries import SearchMemories
from agent_memory.contracts.records import MemoryRecord
from agent_memory.gateway.app import create_app
from agent_memory.gateway.memory import MemoryHit, MemoryPage, MemorySystem
from agent_memory.gateway.rewriting import Rewriter
from agent_memory.gateway.touches import Touches
from agent_memory.runtime.llm import Completion, NoModel, Usage
from agent_memory.runtime.settings import Settings
from support.controls import wait_until

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SEARCH = "/v1/long-term-memory/search"


@pytest.fixture
def system() -> MemorySystem:
    return MemorySystem()


@pytest.fixture
async def http(system: MemorySystem) -> AsyncIterator[AsyncClient]:
    transport = ASGITransport(app=create_app(Settings(), clock=lambda: NOW, **system.ports()))
    async with AsyncClient(transport=transport, base_url="http://memory") as client:
        yield client


def message(number: int, content: str) -> dict[str, str]:
    return {"role": "user", "content": content, "id": f"m{number}", "created_at": f"2025-01-{number:02}T00:00:00Z"}


def record(id_: str, day: int) -> MemoryRecord:
    at = datetime(2025, 1, day, tzinfo=UTC)
    return MemoryRecord(id=id_, text=id_, last_accessed=at, created_at=at, updated_at=at)


def listed(*records: MemoryRecord) -> MemoryPage:
    return MemoryPage(hits=[MemoryHit(record=encode(one)) for one in records], total=len(records))


def sources(answer: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["id"], one["source"]) for one in answer["memories"]]


async def filled(http: AsyncClient, system: MemorySystem) -> None:
    memories = [{"id": "k", "text": "kept", "created_at": "2025-01-03T00:00:00Z"}]
    body = {"messages": [message(1, "red tea"), message(5, "green tea")], "memories": memories, "namespace": "n", "user_id": "u"}
    await http.put("/v1/working-memory/s", json=body)
    await http.put("/v1/working-memory/t", json={"messages": [message(2, "black tea")], "namespace": "other"})
    system.page = listed(record("l4", 4), record("l2", 2))


@pytest.mark.parametrize("path", ["/v1/memory/search", "/memory/search", "/memory/search/", SEARCH])
async def test_both_are_listed_newest_first_and_say_where_they_are_from(http: AsyncClient, system: MemorySystem, path: str) -> None:
    await filled(http, system)
    answer = (await http.post(path, json={"namespace": {"eq": "n"}, "include_working_memory": True})).json()
    assert sources(answer) == [
        ("m5", "working_memory"),
        ("l4", "long_term_memory"),
        ("k", "working_memory"),
        ("l2", "long_term_memory"),
        ("m1", "working_memory"),
    ]
    assert (answer["total"], answer["next_offset"], answer["working_memory_complete"]) == (5, None, True)
    first = answer["memories"][0]
    assert (first["text"], first["memory_type"], first["session_id"], first["user_id"]) == ("green tea", "message", "s", "u")
    assert (first["dist"], first["score"], first["score_type"]) == (0.0, None, None)


async def test_pages_of_both_neither_overlap_nor_miss(http: AsyncClient, system: MemorySystem) -> None:
    await filled(http, system)
    found: list[str] = []
    offset: int | None = 0
    while offset is not None:
        answer = (await http.post("/memory/search", json={"limit": 2, "offset": offset})).json()
        found += [one["id"] for one in answer["memories"]]
        offset = answer["next_offset"]
    assert found == ["m5", "l4", "k", "l2", "m2", "m1"]
    assert (await http.post("/memory/search", json={"offset": 1_001})).json()["detail"][0]["loc"] == ["body", "offset"]


async def test_a_search_without_working_memory_is_as_before(http: AsyncClient, system: MemorySystem) -> None:
    await filled(http, system)
    for body in ({}, {"include_working_memory": False}, {"include_working_memory": None}):
        answer = (await http.post(SEARCH, json=body)).json()
        assert [one["id"] for one in answer["memories"]] == ["l4", "l2"]
        assert "source" not in answer["memories"][0]
        assert "working_memory_complete" not in answer
    assert (await http.post(SEARCH, json={"include_working_memory": "perhaps"})).status_code == 422


async def test_words_and_filters_hold_for_messages_too(http: AsyncClient, system: MemorySystem) -> None:
    await filled(http, system)
    system.page = MemoryPage()

    async def found(**body: object) -> list[str]:
        answer = await http.post("/memory/search", json={"recency_boost": False, "search_mode": "keyword", **body})
        return [one["id"] for one in answer.json()["memories"]]

    assert await found(text="tea") == ["m1", "m2", "m5"]
    assert await found(text="green tea") == ["m5", "m1", "m2"]
    assert await found(text='"green tea"') == ["m5"]
    assert await found(text="coffee") == []
    assert await found(text="kept") == ["k"]
    assert await found(text="tea", namespace={"eq": "nowhere"}) == []
    assert await found(text="tea", namespace={"ne": "n"}) == ["m2"]
    assert await found(text="tea", memory_type={"eq": "episodic"}) == []
    assert await found(text="tea", created_at={"gt": "2025-01-01"}) == ["m2", "m5"]
    assert await found(text="tea", topics={"any": ["a"]}) == []
    assert await found(text="tea", search_mode="hybrid", session_id={"eq": "s"}) == ["m1", "m5", "k"]
    assert await found(text="tea", search_mode="semantic", distance_threshold=0.5) == []


async def test_what_is_a_long_term_memory_already_is_not_found_twice(http: AsyncClient, system: MemorySystem) -> None:
    memories = [{"id": "k", "text": "kept", "persisted_at": "2025-01-03T00:00:00Z"}]
    await http.put("/v1/working-memory/s", json={"memories": memories})
    system.page = listed(record("k", 3))
    assert sources((await http.post("/memory/search", json={})).json()) == [("k", "long_term_memory")]


async def test_a_bound_credential_finds_its_own_working_memory_alone(system: MemorySystem) -> None:
    async def bound(headers: object) -> Principal:
        return Principal(namespaces=("n",), user_id="u")

    transport = ASGITransport(app=create_app(Settings(), **system.ports()))
    async with AsyncClient(transport=transport, base_url="http://memory") as anybody:
        await filled(anybody, system)
    transport = ASGITransport(app=create_app(Settings(), **system.ports(), authenticate=bound))
    async with AsyncClient(transport=transport, base_url="http://memory") as http:
        found = sources((await http.post("/memory/search", json={})).json())
        assert [id_ for id_, source in found if source == "working_memory"] == ["m5", "k", "m1"]
        assert (await http.post("/memory/search", json={"namespace": {"eq": "other"}})).status_code == 403


class Completer:
    """Says what it is told to say, or fails."""

    model = "m"

    def __init__(self, *answers: str | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def complete(self, messages: Any, *, json_schema: Any = None) -> Completion:
        self.asked.append(messages[0]["content"])
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return Completion(text=answer, usage=Usage(), model="m")

    async def close(self) -> None:
        """Nothing."""


def rewriter(*answers: str | Exception) -> tuple[Rewriter, Completer]:
    completer = Completer(*answers)
    return Rewriter(completer, template="Better: {query}", least=4), completer


async def test_a_query_is_rewritten_once_for_all_pages() -> None:
    rewriting, completer = rewriter(' "tea preferences"\n')
    assert [await rewriting.rewritten("what {tea}?") for _ in range(3)] == ["tea preferences"] * 3
    assert completer.asked == ["Better: what {tea}?"]


async def test_a_query_that_cannot_be_made_better_is_searched_for_as_it_is() -> None:
    rewriting, completer = rewriter("tea", Unavailable("away"), NoModel("none"), "tea again")
    assert await rewriting.rewritten("one") == "one"
    assert [await rewriting.rewritten("two") for _ in range(3)] == ["two", "two", "tea again"]
    assert len(completer.asked) == 4


class Embedding(MemorySystem):
    """Keeps what it embedded."""

    def __init__(self) -> None:
        super().__init__()
        self.embedded: list[str] = []

    async def embed(self, texts: Any) -> list[bytes]:
        self.embedded += texts
        return await super().embed(texts)


async def test_a_query_is_rewritten_for_a_search_by_meaning_when_it_is_asked_for() -> None:
    system = Embedding()
    app = create_app(Settings(), **system.ports(), completer=Completer("better"))
    async with AsyncClient(transport=ASGITransport(app=app), base_url="http://memory") as http:
        for path, body in (
            (SEARCH, {"text": "a"}),
            (f"{SEARCH}?optimize_query=false", {"text": "b"}),
            (f"{SEARCH}?optimize_query=true", {"text": "c", "search_mode": "hybrid"}),
            (f"{SEARCH}?optimize_query=true", {"text": "d", "search_mode": "keyword"}),
            (f"{SEARCH}?optimize_query=true", {"text": " "}),
            (f"{SEARCH}?optimize_query=true", {"text": "e"}),
        ):
            assert (await http.post(path, json=body)).status_code == 200
        prompt = {"query": "e", "long_term_search": {}}
        assert (await http.post("/v1/memory/prompt?optimize_query=1", json=prompt)).status_code == 200
        answer = await http.post(f"{SEARCH}?optimize_query=perhaps", json={"text": "a"})
        assert answer.json()["detail"][0]["loc"] == ["query", "optimize_query"]
    assert system.embedded == ["a", "b", "c", "better", "better"]
    query = system.queries[-1]
    assert isinstance(query, SearchMemories)
    assert query.text == "e"


async def test_memories_that_a_search_returned_are_counted_together_and_not_too_often(system: MemorySystem) -> None:
    touches = Touches(system, lambda: NOW, seconds=0.0)
    fresh = MemoryRecord(id="new", text="x", last_accessed=NOW - timedelta(seconds=899), created_at=NOW, updated_at=NOW)
    pages = [listed(record("a", 1), fresh), listed(record("b", 1), record("a", 1)), listed(fresh)]
    for page in pages:
        touches.note("t", page.hits)
    await wait_until(lambda: bool(system.sent), "they are counted")
    assert [(scope.tenant, command) for scope, command in system.sent] == [("t", TouchMemories(memory_ids=["a", "b"]))]


async def test_accesses_that_cannot_be_counted_disturb_nobody(http: AsyncClient, system: MemorySystem) -> None:
    system.page = listed(record("a", 1))
    system.fault = Unavailable("away")
    assert (await http.post(SEARCH, json={"text": "x"})).status_code == 200
