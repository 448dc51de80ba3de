"""The memory prompt: what stands in it, in which order, and what it searches for."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient

from agent_memory.contracts.codec import encode
from agent_memory.contracts.queries import MemoryFilters, Recency, SearchMemories, TagFilter
from agent_memory.contracts.records import MemoryRecord
from agent_memory.gateway.app import create_app
from agent_memory.gateway.memory import MemoryHit, MemoryPage, MemorySystem
from agent_memory.runtime.settings import Settings

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PROMPT = "/v1/memory/prompt"
HEADING = "## Long term memories related to the user's query\n "


@pytest.fixture
def system() -> MemorySystem:
    return MemorySystem()


@pytest.fixture
async def http(system: MemorySystem) -> AsyncIterator[AsyncClient]:
    transport = ASGITransport(app=create_app(Settings(), clock=lambda: NOW, **system.ports()))
    async with AsyncClient(transport=transport, base_url="http://memory") as client:
        yield client


def text(role: str, said: str) -> dict[str, Any]:
    return {"role": role, "content": {"type": "text", "text": said, "annotations": None, "_meta": None}}


def said(number: int, role: str = "user") -> dict[str, str]:
    return {"role": role, "content": f"say {number}", "id": f"m{number}", "created_at": f"2025-01-01T00:00:{number:02}Z"}


def found(*texts: str) -> MemoryPage:
    records = [
        MemoryRecord(id=f"id-{one}", text=one, user_id="u", last_accessed=NOW, created_at=NOW, updated_at=NOW) for one in texts
    ]
    return MemoryPage(
        hits=[MemoryHit(record=encode(one), score=0.75, dist=0.25, score_type="semantic") for one in records], total=2
    )


async def test_summary_messages_memories_and_query_stand_in_this_order(http: AsyncClient, system: MemorySystem) -> None:
    messages = [said(1), said(2, "assistant"), said(3, "tool")]
    await http.put("/v1/working-memory/a/b", json={"messages": messages, "context": "They met.", "namespace": "n"})
    system.page = found("tea", "jam")
    body = {"query": "What now?", "session": {"session_id": "a/b", "namespace": "n"}, "long_term_search": {"limit": "2"}}
    for path in (PROMPT, PROMPT + "/"):
        answer = await http.post(path, json=body)
        assert answer.status_code == 200
        assert answer.json()["messages"] == [
            text("system", "## A summary of the conversation so far:\nThey met."),
            text("user", "say 1"),
            text("assistant", "say 2"),
            text("assistant", "say 3"),
            text("system", f"{HEADING}- tea (ID: id-tea)\n- jam (ID: id-jam)"),
            text("user", "What now?"),
        ]
    memories = answer.json()["long_term_memories"]
    assert [(one["id"], one["user_id"], one["dist"], one["score"], one["score_type"]) for one in memories] == [
        ("id-tea", "u", 0.25, 0.75, "semantic"),
        ("id-jam", "u", 0.25, 0.75, "semantic"),
    ]


async def test_nothing_found_is_said_and_nothing_searched_is_null(http: AsyncClient) -> None:
    answer = (await http.post(PROMPT, json={"query": "q", "long_term_search": True})).json()
    assert answer["messages"] == [text("system", HEADING + "No relevant long-term memories found."), text("user", "q")]
    assert answer["long_term_memories"] == []
    for wanted in (None, False, "false"):
        body = {"query": "q", "session": {"session_id": "not there"}, "long_term_search": wanted}
        assert (await http.post(PROMPT, json=body)).json() == {"messages": [text("user", "q")], "long_term_memories": None}


async def test_a_window_comes_as_a_string_and_cuts_the_oldest_messages(http: AsyncClient) -> None:
    await http.put("/v1/working-memory/s", json={"messages": [said(number) for number in range(8)]})
    for more in ({"context_window_max": "12"}, {"context_window_max": 12}, {"window_size": 2}):
        answer = (await http.post(PROMPT, json={"query": "q", "session": {"session_id": "s", **more}})).json()
        assert [message["content"]["text"] for message in answer["messages"]] == ["say 6", "say 7", "q"]
    answer = (await http.post(PROMPT, json={"query": "q", "session": {"session_id": "s", "model_name": "gpt-4o"}})).json()
    assert len(answer["messages"]) == 9


def asked(system: MemorySystem) -> SearchMemories:
    query = system.queries[-1]
    assert isinstance(query, SearchMemories)
    return query


async def test_the_query_takes_the_place_of_the_searchs_text(http: AsyncClient, system: MemorySystem) -> None:
    search = {"text": "other", "namespace": {"eq": "n"}, "limit": 5, "search_mode": "keyword", "recency_boost": False, "more": 1}
    await http.post(PROMPT, json={"query": "tea?", "long_term_search": search})
    assert asked(system) == SearchMemories(
        tenant="default", text="tea?", mode="keyword", limit=5, filters=MemoryFilters(namespace=TagFilter(eq="n"))
    )


async def test_the_sessions_user_is_searched_for_unless_the_search_names_one(http: AsyncClient, system: MemorySystem) -> None:
    session = {"session_id": "s", "user_id": "u", "namespace": "n"}
    for given, expected in (({}, "u"), ({"user_id": {}}, "u"), ({"user_id": None}, "u"), ({"user_id": {"eq": "v"}}, "v")):
        await http.post(PROMPT, json={"query": "q", "session": session, "long_term_search": given})
        assert asked(system).filters == MemoryFilters(user_id=TagFilter(eq=expected))


async def test_true_searches_for_the_query_among_what_the_owner_said_elsewhere(http: AsyncClient, system: MemorySystem) -> None:
    session = {"session_id": "s", "user_id": "u", "namespace": "n"}
    await http.post(PROMPT, json={"query": "tea?", "session": session, "long_term_search": True})
    filters = MemoryFilters(namespace=TagFilter(eq="n"), user_id=TagFilter(eq="u"), session_id=TagFilter(ne="s"))
    assert asked(system) == SearchMemories(tenant="default", text="tea?", limit=20, filters=filters, recency=Recency())
    await http.post(PROMPT, json={"query": "tea?", "long_term_search": "true"})
    assert asked(system) == SearchMemories(tenant="default", text="tea?", limit=20, recency=Recency())


@pytest.mark.parametrize("body", [{"query": "q"}, {"query": "q", "long_term_search": False}, {"query": "q", "session": None}])
async def test_a_prompt_of_nothing_is_refused(http: AsyncClient, body: dict[str, object]) -> None:
    answer = await http.post(PROMPT, json=body)
    assert (answer.status_code, answer.json()) == (400, {"detail": "Either session or long_term_search must be provided"})


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ({}, ["body", "query"]),
        ({"query": None}, ["body", "query"]),
        ({"query": "q", "session": {}}, ["body", "session", "session_id"]),
        ({"query": "q", "session": {"session_id": "s", "model_name": "gpt-9"}}, ["body", "session", "model_name"]),
        ({"query": "q", "session": {"session_id": "s", "context_window_max": "wide"}}, ["body", "session", "context_window_max"]),
        ({"query": "q", "long_term_search": "maybe"}, ["body", "long_term_search"]),
        ({"query": "q", "long_term_search": {"limit": 0}}, ["body", "long_term_search", "limit"]),
        ({"query": "q", "long_term_search": {"topics": {"any": []}}}, ["body", "long_term_search", "topics"]),
    ],
)
async def test_a_prompt_that_cannot_be_is_named(http: AsyncClient, body: object, loc: list[object]) -> None:
    answer = await http.post(PROMPT, json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == loc


async def test_a_distance_is_for_semantic_prompts(http: AsyncClient) -> None:
    search = {"search_mode": "hybrid", "distance_threshold": 0.5}
    answer = await http.post(PROMPT, json={"query": "q", "long_term_search": search})
    assert answer.json() == {"detail": "distance_threshold is only supported for semantic search mode"}
