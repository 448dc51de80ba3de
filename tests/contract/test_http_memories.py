"""Long-term memory over HTTP: what is stored, changed, searched and forgotten, and every way to ask wrongly."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient

from agent_memory.contracts.codec import encode
from agent_memory.contracts.commands import ForgetMemories, StoreMemories
from agent_memory.contracts.queries import DateFilter, MemoryFilters, Recency, SearchMemories, TagFilter
from agent_memory.contracts.records import MemoryRecord
from agent_memory.gateway.app import create_app
from agent_memory.gateway.memory import MemoryHit, MemoryPage, MemorySystem
from agent_memory.runtime.settings import Settings

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


def stored(system: MemorySystem) -> list[MemoryRecord]:
    command = system.sent[-1][1]
    assert isinstance(command, StoreMemories)
    return command.memories


def record(id_: str, **fields: Any) -> MemoryRecord:
    return MemoryRecord(id=id_, text=id_, last_accessed=NOW, created_at=NOW, updated_at=NOW, **fields)


@pytest.mark.parametrize("path", ["/v1/long-term-memory/", "/v1/long-term-memory"])
async def test_memories_are_stored_with_the_defaults_of_the_contract(http: AsyncClient, system: MemorySystem, path: str) -> None:
    memories = [{"id": "a", "text": "x", "topics": None, "namespace": "", "persisted_at": "2025-01-01T00:00:00Z", "more": 1}]
    answer = await http.post(path, json={"memories": memories})
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert answer.headers["x-memory-position"] == "1"
    expected = MemoryRecord(
        id="a",
        text="x",
        memory_type="semantic",
        discrete_memory_extracted="t",
        last_accessed=NOW,
        created_at=NOW,
        updated_at=NOW,
    )
    assert stored(system) == [expected]


async def test_no_memories_are_fine_too(http: AsyncClient, system: MemorySystem) -> None:
    answer = await http.post("/v1/long-term-memory/", json={"memories": []})
    assert (answer.json(), answer.headers["x-memory-position"]) == ({"status": "ok"}, "0")
    assert system.sent == []


@pytest.mark.parametrize(
    ("memory", "loc", "message"),
    [
        ({"text": "x"}, ["body", "memories", 0, "id"], "Field required"),
        ({"id": "", "text": "x"}, ["body", "memories"], "Value error, Memory at index 0 has empty id"),
        ({"id": "a", "text": ""}, ["body", "memories"], "Value error, Memory at index 0 has empty text"),
        (
            {"id": "a", "text": "x", "topics": ["a,b"]},
            ["body", "memories", 0, "topics"],
            "Value error, topics[0] contains a comma: 'a,b'. "
            "Commas are not allowed because they are used as delimiters in storage.",
        ),
        (
            {"id": "a", "text": "x", "memory_type": "x"},
            ["body", "memories", 0, "memory_type"],
            "Input should be 'episodic', 'semantic' or 'message'",
        ),
        ({"id": "a" * 256, "text": "x"}, ["body", "memories", 0, "id"], "String should have at most 255 bytes"),
        ({"id": "a", "text": "x", "access_count": -1}, ["body", "memories", 0, "access_count"], "Input should be greater"),
        (
            {"id": "a", "text": "x", "metadata": {"k": "\ud800"}},
            ["body", "memories", 0, "metadata", "k"],
            "Input should be a valid",
        ),
    ],
)
async def test_what_is_wrong_with_a_memory_is_named(
    http: AsyncClient, system: MemorySystem, memory: object, loc: list[object], message: str
) -> None:
    answer = await http.post("/v1/long-term-memory/", content=json.dumps({"memories": [memory]}))
    assert answer.status_code == 422
    problem = answer.json()["detail"][0]
    assert problem["loc"] == loc
    assert problem["msg"].startswith(message)
    assert system.sent == []


@pytest.mark.parametrize("memory_id", ["a", "a/b", "search", "forget", "ab12cd34-1", "ü"])
async def test_a_memory_of_any_id_is_read_changed_and_forgotten(http: AsyncClient, system: MemorySystem, memory_id: str) -> None:
    path = f"/v1/long-term-memory/{memory_id}"
    missing = await http.get(path)
    assert (missing.status_code, missing.json()) == (404, {"detail": f"Memory with ID {memory_id} not found"})
    assert (await http.patch(path, json={"text": "new"})).json() == missing.json()
    system.records[memory_id] = record(memory_id)
    changed = await http.patch(path, json={"text": "new", "pinned": "yes", "topics": ["t"], "unknown": 1, "user_id": None})
    assert changed.status_code == 200
    assert (changed.json()["text"], changed.json()["pinned"], changed.json()["topics"]) == ("new", True, ["t"])
    assert (await http.get(path)).json() == changed.json()
    deleted = await http.delete("/v1/long-term-memory", params={"memory_ids": [memory_id, "none"]})
    assert deleted.json() == {"status": "ok, deleted 1 memories"}
    assert deleted.headers["x-memory-position"]
    assert (await http.delete("/v1/long-term-memory/")).json() == {"status": "ok, deleted 0 memories"}


async def test_a_change_of_nothing_is_refused(http: AsyncClient) -> None:
    for body in ({}, {"text": None}, {"unknown": 1}):
        answer = await http.patch("/v1/long-term-memory/a", json=body)
        assert (answer.status_code, answer.json()) == (400, {"detail": "No fields provided for update"})
    assert (await http.patch("/v1/long-term-memory/a", json={"text": " "})).status_code == 422


async def test_hits_are_memories_with_their_scores(http: AsyncClient, system: MemorySystem) -> None:
    hit = MemoryHit(record=encode(record("a")), score=0.75, dist=0.25, score_type="semantic")
    system.page = MemoryPage(hits=[hit, MemoryHit(record=encode(record("b")))], total=12, next_offset=2)
    answer = (await http.post(f"{SEARCH}?optimize_query=false", json={"text": "x", "limit": 2})).json()
    assert (answer["total"], answer["next_offset"]) == (12, 2)
    assert [(one["id"], one["dist"], one["score"], one["score_type"]) for one in answer["memories"]] == [
        ("a", 0.25, 0.75, "semantic"),
        ("b", 0.0, None, None),
    ]


async def test_filters_of_every_client_are_understood_and_all_hold(http: AsyncClient, system: MemorySystem) -> None:
    body = {
        "text": "x",
        "namespace": {"eq": "n"},
        "user_id": {"not_eq": "u"},
        "session_id": {},
        "topics": {"any": ["a", "b"], "not_in": ["c"], "none": ["d"]},
        "entities": {"all": ["a"], "none": False},
        "memory_type": {"in_": ["semantic", "episodic"], "ne": "episodic"},
        "extraction_strategy": {"startswith": "dis"},
        "created_at": {"gte": 1_672_527_600, "lte": "2026-01-01"},
        "event_date": {"between": ["2025-01-01", 1_767_225_600], "inclusive": "left"},
        "last_accessed": None,
        "recency_boost": False,
        "search_mode": "hybrid",
        "hybrid_alpha": "0.5",
    }
    assert (await http.post(SEARCH, json=body)).status_code == 200
    expected = SearchMemories(
        tenant="default",
        text="x",
        mode="hybrid",
        hybrid_alpha=0.5,
        filters=MemoryFilters(
            namespace=TagFilter(eq="n"),
            user_id=TagFilter(ne="u"),
            topics=TagFilter(any=["a", "b"], not_in=["c", "d"]),
            entities=TagFilter(all=["a"], none=False),
            memory_type=TagFilter(any=["semantic", "episodic"], ne="episodic"),
            extraction_strategy=TagFilter(startswith="dis"),
            created_at=DateFilter(gte=datetime(2022, 12, 31, 23, tzinfo=UTC), lte=NOW),
            event_date=DateFilter(between=(datetime(2025, 1, 1, tzinfo=UTC), NOW), inclusive="left"),
        ),
    )
    assert system.queries == [expected]


async def test_recency_is_on_unless_it_is_switched_off_and_a_listing_has_none(http: AsyncClient, system: MemorySystem) -> None:
    for body in (
        {"text": "x"},
        {"text": "x", "recency_recency_weight": 0.5},
        {"text": " "},
        {"text": "x", "recency_boost": "false"},
    ):
        await http.post(SEARCH, json=body)
    assert [query.recency for query in system.queries if isinstance(query, SearchMemories)] == [
        Recency(),
        Recency(recency_weight=0.5),
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ({"limit": 10**9}, ["body", "limit"]),
        ({"limit": 0}, ["body", "limit"]),
        ({"offset": -1}, ["body", "offset"]),
        ({"search_mode": "x"}, ["body", "search_mode"]),
        ({"hybrid_alpha": 1.5}, ["body", "hybrid_alpha"]),
        ({"namespace": "n"}, ["body", "namespace"]),
        ({"namespace": {"eq": "a", "ne": "b"}}, ["body", "namespace"]),
        ({"topics": {"any": []}}, ["body", "topics"]),
        ({"topics": {"any": ["a"], "all": ["b"]}}, ["body", "topics"]),
        ({"topics": {"startswith": ""}}, ["body", "topics"]),
        ({"topics": {"startswith": "a", "eq": "b"}}, ["body", "topics"]),
        ({"topics": {"any": ["\x00"]}}, ["body", "topics", "any", 0]),
        ({"namespace": {"equals": "n"}}, ["body", "namespace", "equals"]),
        ({"created_at": {"after": "2025-01-01"}}, ["body", "created_at", "after"]),
        ({"memory_type": {"eq": "x"}}, ["body", "memory_type", "eq"]),
        ({"distance_threshold": -0.1}, ["body", "distance_threshold"]),
        ({"created_at": {"gte": "yesterday"}}, ["body", "created_at", "gte"]),
        ({"created_at": {"between": ["2025-01-01"]}}, ["body", "created_at"]),
        ({"created_at": {"between": ["2025-01-01", "2026-01-01"], "gt": "2025-01-01"}}, ["body", "created_at"]),
    ],
)
async def test_a_search_that_cannot_be_is_named(http: AsyncClient, system: MemorySystem, body: object, loc: list[object]) -> None:
    answer = await http.post(SEARCH, json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == loc
    assert system.queries == []


async def test_a_distance_is_for_semantic_searches(http: AsyncClient) -> None:
    answer = await http.post(SEARCH, json={"text": "x", "search_mode": "keyword", "distance_threshold": 0.5})
    assert answer.status_code == 400
    assert answer.json() == {"detail": "distance_threshold is only supported for semantic search mode"}


async def test_forgetting_by_policy_is_a_dry_run_until_it_is_asked_for(http: AsyncClient, system: MemorySystem) -> None:
    old = record("old", namespace="n")
    system.page = MemoryPage(hits=[MemoryHit(record=encode(old)), MemoryHit(record=encode(record("kept", pinned=True)))], total=2)
    system.records["old"] = old
    path = "/v1/long-term-memory/forget?namespace=n"
    body = {"policy": {"budget": 0}, "pinned_ids": None}
    dry = await http.post(path, json=body)
    assert dry.json() == {"scanned": 2, "deleted": 1, "deleted_ids": ["old"], "dry_run": True}
    assert system.sent == []
    done = await http.post(f"{path}&dry_run=false", json=body)
    assert done.json() == {"scanned": 2, "deleted": 1, "deleted_ids": ["old"], "dry_run": False}
    assert system.sent[0][1] == ForgetMemories(memory_ids=["old"], reason="policy")
    query = system.queries[0]
    assert isinstance(query, SearchMemories)
    assert query.filters == MemoryFilters(namespace=TagFilter(eq="n"))
    assert (await http.post(path, json={})).json()["detail"][0]["loc"] == ["body", "policy"]


async def test_forgetting_that_is_asked_for_again_under_its_key_answers_the_same(http: AsyncClient, system: MemorySystem) -> None:
    system.page = MemoryPage(hits=[MemoryHit(record=encode(record("old")))], total=1)
    system.records["old"] = record("old")
    asked = {"json": {"policy": {"budget": 0}}, "headers": {"Idempotency-Key": "k"}}
    first = await http.post("/v1/long-term-memory/forget?dry_run=false", **asked)
    system.page = MemoryPage()
    again = await http.post("/v1/long-term-memory/forget?dry_run=false", **asked)
    assert first.json()["deleted_ids"] == again.json()["deleted_ids"] == ["old"]


async def test_forgetting_looks_at_every_page_and_passes_over_messages_that_are_no_memories(
    http: AsyncClient, system: MemorySystem
) -> None:
    message = record("m", memory_type="message", extraction_strategy="message", extracted_from=["m"])
    pages = [
        MemoryPage(hits=[MemoryHit(record=encode(record(name))) for name in "ab"], total=4, next_offset=1_000),
        MemoryPage(hits=[MemoryHit(record=encode(one)) for one in (record("b"), record("c"), message)], total=4),
    ]
    search = system.search

    async def paged(query: SearchMemories, vector: bytes | None) -> MemoryPage:
        await search(query, vector)
        return pages[query.offset // 1_000]

    system.search = paged  # type: ignore[method-assign, assignment]
    answer = await http.post("/v1/long-term-memory/forget?limit=2", json={"policy": {"budget": 0}})
    assert answer.json() == {"scanned": 3, "deleted": 2, "deleted_ids": ["b", "c"], "dry_run": True}


async def test_forgetting_waits_for_the_index_and_says_when_it_is_behind(system: MemorySystem) -> None:
    system.position, system.reached = 7, 6
    app = create_app(Settings(read_wait_seconds=0), **system.ports())
    async with AsyncClient(transport=ASGITransport(app=app), base_url="http://memory") as http:
        answer = await http.post("/v1/long-term-memory/forget", json={"policy": {"budget": 0}})
        assert (answer.status_code, answer.json()["detail"]) == (503, "memory-index has not reached position 7 yet; try again")


async def test_long_term_memory_can_be_switched_off(system: MemorySystem) -> None:
    app = create_app(Settings(long_term_memory=False), **system.ports())
    async with AsyncClient(transport=ASGITransport(app=app), base_url="http://memory") as http:
        for method, path in (("POST", "/"), ("GET", "/a"), ("PATCH", "/a"), ("DELETE", ""), ("POST", "/search")):
            answer = await http.request(method, f"/v1/long-term-memory{path}", json={})
            assert (answer.status_code, answer.json()) == (400, {"detail": "Long-term memory is disabled"})
        assert (await http.post("/v1/long-term-memory/forget", json={"policy": {}})).status_code == 200
