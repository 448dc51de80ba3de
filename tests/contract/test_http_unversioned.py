"""The paths without a version: what clients of the first generation send, and what they are answered."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from httpx import ASGITransport, AsyncClient

from agent_memory.contracts.codec import encode
from agent_memory.contracts.commands import ReplaceWorkingMemory, StoreMemories
from agent_memory.contracts.queries import DateFilter, MemoryFilters, SearchMemories, TagFilter
from agent_memory.contracts.records import MemoryRecord, Scope
from agent_memory.gateway.app import create_app
from agent_memory.gateway.memory import MemoryHit, MemoryPage, MemorySystem
from agent_memory.runtime.settings import Settings

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PUT = {
    "messages": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi there"}],
    "memories": [{"id": "mem-123", "text": "User prefers direct communication", "memory_type": "semantic"}],
    "context": "Previous conversation summary...",
    "session_id": "session-123",
    "namespace": "default",
}


@pytest.fixture
def system() -> MemorySystem:
    return MemorySystem()


@pytest.fixture
async def http(system: MemorySystem) -> AsyncIterator[AsyncClient]:
    transport = ASGITransport(app=create_app(Settings(window_size=3), clock=lambda: NOW, **system.ports()))
    async with AsyncClient(transport=transport, base_url="http://memory") as client:
        yield client


def said(number: int) -> dict[str, str]:
    return {"role": "user", "content": f"say {number}", "id": f"m{number}", "created_at": f"2025-01-01T00:00:{number:02}Z"}


async def test_the_example_of_the_first_document_works(http: AsyncClient, system: MemorySystem) -> None:
    for slash in ("", "/"):
        put = await http.put(f"/sessions/session-123/memory{slash}", json=PUT)
        assert put.status_code == 200
        got = await http.get(f"/sessions/session-123/memory{slash}?namespace=default")
        assert got.status_code == 200
        assert got.json() == put.json()
        assert (await http.get(f"/sessions{slash}?namespace=default")).json() == {"sessions": ["session-123"], "total": 1}
        assert (await http.delete(f"/sessions/session-123/memory{slash}?namespace=default")).json() == {"status": "ok"}
    assert [message["content"] for message in put.json()["messages"]] == ["Hello", "Hi there"]
    assert (put.json()["context"], put.json()["session_id"]) == ("Previous conversation summary...", "session-123")
    assert put.headers["x-deprecation-warning"]
    assert system.sent[0][0] == Scope(namespace="default")


async def test_health_is_answered_in_milliseconds_too(http: AsyncClient) -> None:
    for path in ("/health", "/health/", "/v1/health"):
        assert (await http.get(path)).json() == {"now": 1_767_225_600_000}


async def test_ten_sessions_are_listed_unless_told_otherwise(http: AsyncClient) -> None:
    for number in range(12):
        await http.put(f"/sessions/s{number}/memory", json={})
    assert len((await http.get("/sessions/")).json()["sessions"]) == 10
    assert len((await http.get("/sessions/?limit=11")).json()["sessions"]) == 11
    assert (await http.get("/sessions/?limit=0")).json()["detail"][0]["loc"] == ["query", "limit"]


async def test_a_session_that_is_not_there_is_empty_and_never_missing(http: AsyncClient) -> None:
    answer = await http.get("/sessions/a/b/memory?namespace=n&user_id=u&model_name=gpt-4o")
    assert answer.status_code == 200
    found = answer.json()
    assert (found["session_id"], found["namespace"], found["user_id"]) == ("a/b", "n", "u")
    assert (found["messages"], found["memories"], found["data"], found["context"]) == ([], [], {}, None)
    assert found["context_percentage_total_used"] == 0.0
    assert "unsaved" not in found
    assert (await http.get("/v1/working-memory/a/b?namespace=n&user_id=u")).status_code == 404


async def test_a_window_is_a_number_of_messages_and_of_tokens(http: AsyncClient) -> None:
    await http.put("/sessions/s/memory", json={"messages": [said(number) for number in range(8)]})

    async def seen(query: str) -> list[str]:
        return [message["id"] for message in (await http.get(f"/sessions/s/memory?{query}")).json()["messages"]]

    assert await seen("") == ["m5", "m6", "m7"]
    assert await seen("window_size=2") == ["m6", "m7"]
    assert await seen("window_size=100") == [f"m{number}" for number in range(8)]
    assert await seen("window_size=100&context_window_max=12") == ["m6", "m7"]
    assert (await http.get("/sessions/s/memory?window_size=few")).json()["detail"][0]["loc"] == ["query", "window_size"]


async def test_a_session_of_the_first_generation_lives_for_an_hour_unless_it_says_how_long(
    http: AsyncClient, system: MemorySystem
) -> None:
    for body in ({}, {"ttl_seconds": None}, {"ttl_seconds": 60}, {"ttl_seconds": "60", "unknown": 1}):
        await http.put("/sessions/s/memory", json=body)
    await http.put("/v1/working-memory/s", json={})
    lives = [command.ttl_seconds for _, command in system.sent if isinstance(command, ReplaceWorkingMemory)]
    assert lives == [3_600, None, 60, 60, None]


async def test_memories_must_have_ids_here(http: AsyncClient, system: MemorySystem) -> None:
    for memory in ({"text": "x"}, {"text": "x", "id": ""}, {"text": "x", "id": None}):
        answer = await http.put("/sessions/s/memory", json={"memories": [memory]})
        assert (answer.status_code, answer.json()) == (400, {"detail": "All memory records in working memory must have an ID"})
        answer = await http.post("/long-term-memory", json={"memories": [{"id": "a", "text": "x"}, memory]})
        assert (answer.status_code, answer.json()) == (400, {"detail": "id is required for all memory records"})
    assert system.sent == []


@pytest.mark.parametrize("slash", ["", "/"])
async def test_memories_are_created_and_searched_by_unix_time(http: AsyncClient, system: MemorySystem, slash: str) -> None:
    created = {"id": "mem-456", "text": "User is interested in AI", "session_id": "session-123", "namespace": "default"}
    assert (await http.post(f"/long-term-memory{slash}", json={"memories": [created]})).json() == {"status": "ok"}
    assert isinstance(system.sent[0][1], StoreMemories)
    body = {
        "text": "Search query text",
        "limit": 10,
        "offset": 0,
        "session_id": {"eq": "session-123"},
        "namespace": {"eq": "default"},
        "topics": {"any": ["AI", "Machine Learning"]},
        "entities": {"all": ["OpenAI", "Claude"]},
        "created_at": {"gte": 1672527600, "lte": 1704063599},
        "last_accessed": {"gt": 1704063600},
        "user_id": {"eq": "user-456"},
    }
    assert (await http.post(f"/long-term-memory/search{slash}", json=body)).status_code == 200
    query = system.queries[0]
    assert isinstance(query, SearchMemories)
    assert query.filters == MemoryFilters(
        session_id=TagFilter(eq="session-123"),
        namespace=TagFilter(eq="default"),
        user_id=TagFilter(eq="user-456"),
        topics=TagFilter(any=["AI", "Machine Learning"]),
        entities=TagFilter(all=["OpenAI", "Claude"]),
        created_at=DateFilter(gte=datetime.fromtimestamp(1_672_527_600, UTC), lte=datetime.fromtimestamp(1_704_063_599, UTC)),
        last_accessed=DateFilter(gt=datetime.fromtimestamp(1_704_063_600, UTC)),
    )


@pytest.mark.parametrize("slash", ["", "/"])
async def test_a_prompt_of_the_first_generation_shows_as_many_messages_as_its_session_says(
    http: AsyncClient, system: MemorySystem, slash: str
) -> None:
    await http.put("/sessions/session-123/memory", json={"messages": [said(number) for number in range(5)], "namespace": "default"})
    record = MemoryRecord(id="a", text="likes AI", last_accessed=NOW, created_at=NOW, updated_at=NOW)
    system.page = MemoryPage(hits=[MemoryHit(record=encode(record), score=0.5, dist=0.5, score_type="semantic")], total=1)
    session: dict[str, object] = {"session_id": "session-123", "namespace": "default", "window_size": 2}
    search = {"text": "AI discussion", "limit": 5, "namespace": {"eq": "default"}}
    body = {"query": "What did we discuss about AI?", "session": session, "long_term_search": search}
    answer = (await http.post(f"/memory-prompt{slash}", json=body)).json()
    assert [message["content"]["text"] for message in answer["messages"]] == [
        "say 3",
        "say 4",
        "## Long term memories related to the user's query\n - likes AI (ID: a)",
        "What did we discuss about AI?",
    ]
    del session["window_size"]
    answer = (await http.post(f"/memory-prompt{slash}", json={"query": "q", "session": session})).json()
    assert len(answer["messages"]) == 4


async def test_other_paths_and_methods_below_sessions_are_told_so(http: AsyncClient) -> None:
    for path in ("/sessions/s", "/sessions/s/", "/sessions/s/memories"):
        answer = await http.get(path)
        assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})
    answer = await http.post("/sessions/s/memory", json={})
    assert (answer.status_code, answer.json()) == (405, {"detail": "Method Not Allowed"})


async def test_long_term_memory_can_be_switched_off_here_too(system: MemorySystem) -> None:
    app = create_app(Settings(long_term_memory=False), **system.ports())
    async with AsyncClient(transport=ASGITransport(app=app), base_url="http://memory") as http:
        prompt = {"query": "q", "long_term_search": {}}
        for path, body in (
            ("/long-term-memory", {"memories": []}),
            ("/long-term-memory/search", {}),
            ("/memory-prompt", prompt),
            ("/v1/memory/prompt", prompt),
            ("/memory/search", {}),
        ):
            answer = await http.post(path, json=body)
            assert (answer.status_code, answer.json()) == (400, {"detail": "Long-term memory is disabled"})
        assert (await http.post("/memory-prompt", json={"query": "q", "session": {"session_id": "s"}})).status_code == 200
