"""What applications of the original server rely on, with meaning and with missing sessions answered as older clients expect."""

import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any

import httpx
import pytest
from agent_memory_client import MemoryAPIClient
from agent_memory_client.exceptions import MemoryNotFoundError, MemoryServerError
from agent_memory_client.filters import Topics
from agent_memory_client.models import ClientMemoryRecord, MemoryMessage, WorkingMemory

from agent_memory.embedded.ports import free_port
from agent_memory.embedded.probes import is_healthy
from agent_memory.embedded.processes import Launch, stop, until
from agent_memory.embedded.supervisor import Stack
from support.forks import fork
from support.official import official_client

pytestmark = pytest.mark.filterwarnings("ignore:get_working_memory is deprecated:DeprecationWarning")

WINDOW = 16_000


@pytest.fixture(scope="module")
def lenient_url(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A second gateway before the same services, for which no session is missing."""
    port, folder = free_port(), tmp_path_factory.mktemp("gateway")
    environment = {**stack.environment, "PORT": str(port), "MISSING_SESSION_IS_EMPTY": "true"}
    launch = Launch(
        argv=(sys.executable, "-m", "agent_memory.gateway.app"), environment=environment, log=folder / "log", folder=folder
    )
    process, url = fork(launch), f"http://127.0.0.1:{port}"
    try:
        assert until(lambda: is_healthy(f"{url}/ready"), 30), launch.log.read_text()
        yield url
    finally:
        stop([(process, launch)])


@pytest.fixture
def namespace() -> str:
    return f"older-{token_hex(4)}"


@pytest.fixture(scope="module")
async def shared(lenient_url: str) -> AsyncIterator[MemoryAPIClient]:
    async with official_client(lenient_url, default_context_window_max=WINDOW) as made:
        yield made


def preferences(namespace: str) -> list[ClientMemoryRecord]:
    """Three memories with ids that are no ULIDs."""
    mark = namespace.removeprefix("older-")
    return [
        ClientMemoryRecord(
            id=f"{mark}-1",
            text="User prefers dark mode interface in all applications",
            memory_type="semantic",
            topics=["preferences", "ui"],
            entities=["dark_mode"],
        ),
        ClientMemoryRecord(
            id=f"{mark}-2",
            text="User works as a software engineer at a small company",
            memory_type="semantic",
            topics=["work"],
            entities=["software_engineer"],
        ),
        ClientMemoryRecord.model_validate(
            {
                "id": f"{mark}-3",
                "text": "User travelled to Paris for the summer holidays",
                "memory_type": "episodic",
                "topics": ["travel"],
                "event_date": "2025-06-25T00:00:00",
            }
        ),
    ]


async def test_a_missing_session_is_an_empty_one(client: MemoryAPIClient, namespace: str) -> None:
    empty = await client.get_working_memory("nobody", user_id="ana", context_window_max=WINDOW)

    assert (empty.session_id, empty.namespace, empty.user_id) == ("nobody", namespace, "ana")
    assert (empty.messages, empty.memories, empty.data, empty.context, empty.tokens) == ([], [], {}, None, 0)
    assert (empty.unsaved, empty.new_session) == (True, False)
    assert (empty.context_percentage_total_used, empty.context_percentage_until_summarization) == (0.0, 0.0)
    assert (await client.list_sessions()).sessions == []


async def test_a_session_that_was_not_saved_is_created_and_then_found(client: MemoryAPIClient, namespace: str) -> None:
    created, made = await client.get_or_create_working_memory("new", context_window_max=WINDOW)
    again, found = await client.get_or_create_working_memory("new", context_window_max=WINDOW)

    assert (created, made.namespace, made.messages) == (True, namespace, [])
    assert (again, found.namespace, getattr(found, "unsaved", None)) == (False, namespace, None)
    assert (await client.list_sessions()).sessions == ["new"]


async def test_a_session_lives_from_its_first_message_to_its_end(client: MemoryAPIClient, namespace: str) -> None:
    said = [
        MemoryMessage(role="user", content="Hello! I prefer dark mode."),
        MemoryMessage(role="assistant", content="Noted."),
    ]
    note = ClientMemoryRecord(id="note-1", text="User prefers dark mode", memory_type="semantic", topics=["preferences"])
    await client.put_working_memory("life", WorkingMemory(session_id="life", messages=said, memories=[note], data={"step": 1}))
    found = await client.get_working_memory("life", context_window_max=WINDOW)
    listed = await client.list_sessions(limit=50, namespace=namespace)
    deleted = await client.delete_working_memory("life")
    gone = await client.get_working_memory("life", context_window_max=WINDOW)

    assert [(one.role, one.content) for one in found.messages] == [(one.role, one.content) for one in said]
    assert [(one.id, one.text, one.topics) for one in found.memories] == [("note-1", "User prefers dark mode", ["preferences"])]
    assert (found.data, found.namespace) == ({"step": 1}, namespace)
    assert ("life" in listed.sessions, listed.total) == (True, 1)
    assert (deleted.status, gone.messages, gone.unsaved) == ("ok", [], True)


async def test_data_messages_and_memories_build_on_a_session_that_was_not_there(client: MemoryAPIClient) -> None:
    await client.set_working_memory_data("built", {"theme": {"color": "dark"}})
    await client.update_working_memory_data("built", {"theme": {"size": 2}}, merge_strategy="deep_merge")
    await client.append_messages_to_working_memory("built", [{"role": "user", "content": "one"}], context_window_max=WINDOW)
    await client.add_memories_to_working_memory("built", [ClientMemoryRecord(text="a note", memory_type="semantic")])
    built = await client.get_working_memory("built", context_window_max=WINDOW)

    assert built.data == {"theme": {"color": "dark", "size": 2}}
    assert ([one.content for one in built.messages], [one.text for one in built.memories]) == (["one"], ["a note"])


async def test_what_was_meant_is_found_by_other_words(client: MemoryAPIClient, namespace: str) -> None:
    acknowledged = await client.create_long_term_memory(preferences(namespace))
    found = await client.search_long_term_memory("user interface preferences", limit=5)
    near = await client.search_long_term_memory("what is her job?", limit=1)

    assert acknowledged.status == "ok"
    assert "dark mode" in found.memories[0].text
    assert found.total == 3
    assert all(0 <= one.dist <= 2 for one in found.memories)
    assert "engineer" in near.memories[0].text


async def test_given_topics_are_kept_and_filter(client: MemoryAPIClient, namespace: str) -> None:
    await client.create_long_term_memory(preferences(namespace))
    found = await client.search_long_term_memory("preferences", topics=Topics(any=["preferences", "ui"]), limit=5)
    both = await client.search_long_term_memory("preferences", topics=Topics(all=["ui", "work"]))

    assert [(one.topics, one.entities) for one in found.memories] == [(["preferences", "ui"], ["dark_mode"])]
    assert both.memories == []


async def test_a_date_without_a_zone_is_utc(client: MemoryAPIClient, namespace: str) -> None:
    given = preferences(namespace)
    await client.create_long_term_memory(given)
    assert (await client.get_long_term_memory(given[2].id)).event_date == datetime(2025, 6, 25, tzinfo=UTC)


async def test_near_duplicates_of_one_request_stay_apart_until_they_are_deleted(client: MemoryAPIClient, namespace: str) -> None:
    mark = namespace.removeprefix("older-")
    ids = [f"{mark}-{n}" for n in (1, 2, 3)]
    records = [ClientMemoryRecord(id=one, text=f"Test memory {one[-1]} for deletion", memory_type="semantic") for one in ids]
    await client.create_long_term_memory(records)
    found = await client.search_long_term_memory("Test memory for deletion", limit=10)
    deleted = await client.delete_long_term_memories(ids[:2])
    none = await client.delete_long_term_memories([])

    assert sorted(one.id for one in found.memories) == ids
    assert deleted.status == "ok, deleted 2 memories"
    assert none.status == "ok, deleted 0 memories"
    assert (await client.get_long_term_memory(ids[2])).text == "Test memory 3 for deletion"
    for gone in ids[:2]:
        with pytest.raises(MemoryNotFoundError):
            await client.get_long_term_memory(gone)


async def test_one_id_three_times_in_one_request_is_one_memory(client: MemoryAPIClient, namespace: str) -> None:
    records = [
        ClientMemoryRecord(id=f"{namespace}-same", text=f"Pagination test memory {n}", memory_type="semantic") for n in range(3)
    ]
    acknowledged = await client.create_long_term_memory(records)
    met = [one async for one in client.search_all_long_term_memories("Pagination test", batch_size=2)]

    assert acknowledged.status == "ok"
    assert [(one.id, one.text) for one in met] == [(f"{namespace}-same", "Pagination test memory 2")]


async def test_pages_follow_each_other_in_one_order(client: MemoryAPIClient, namespace: str) -> None:
    records = [ClientMemoryRecord(id=f"{namespace}-{n}", text=f"Trip number {n}", memory_type="episodic") for n in range(6)]
    await client.create_long_term_memory(records)
    pages = [await client.search_long_term_memory("a trip", limit=2, offset=offset) for offset in (0, 2, 4)]

    assert sorted(one.id for page in pages for one in page.memories) == [one.id for one in records]


async def test_more_than_a_hundred_at_once_are_refused(client: MemoryAPIClient) -> None:
    with pytest.raises(MemoryServerError) as refused:
        await client.search_long_term_memory("x", limit=1_000)
    assert refused.value.status_code == 422


async def test_a_prompt_has_the_session_and_what_was_meant(client: MemoryAPIClient, namespace: str) -> None:
    await client.create_long_term_memory(preferences(namespace))
    await client.put_working_memory(
        "prompted", WorkingMemory(session_id="prompted", messages=[MemoryMessage(role="user", content="Hi, it's me again")])
    )
    prompt = await client.memory_prompt("How should the interface look?", session_id="prompted", long_term_search={"limit": 1})
    hydrated = await client.hydrate_memory_prompt("How should the interface look?", topics={"any": ["ui"]}, limit=3)

    assert [one["role"] for one in prompt["messages"]] == ["user", "system", "user"]
    assert "dark mode" in prompt["messages"][1]["content"]["text"]
    assert "dark mode" in hydrated["messages"][0]["content"]["text"]


async def test_a_model_finds_by_tool_what_was_meant(client: MemoryAPIClient, namespace: str) -> None:
    await client.create_long_term_memory(preferences(namespace))
    found = await client.search_memory_tool("user interface preferences", topics=["ui"], max_results=3, min_relevance=0.2)
    calls = [{"name": "search_memory", "arguments": {"query": "interface colors"}}, {"name": "get_working_memory", "arguments": {}}]
    answers = await client.resolve_function_calls(calls, "tools")

    assert ["dark mode" in one["text"] for one in found["memories"]] == [True]
    assert found["memories"][0]["relevance_score"] > 0.2
    assert [one["success"] for one in answers] == [True, True]
    assert "dark mode" in answers[0]["result"]["memories"][0]["text"]


@pytest.fixture(scope="module")
async def http(lenient_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=lenient_url) as made:
        yield made


async def test_the_paths_of_the_first_generation_reach_the_same_sessions(
    client: MemoryAPIClient, http: httpx.AsyncClient, namespace: str
) -> None:
    body: dict[str, Any] = {"messages": [{"role": "user", "content": "by the old path"}], "namespace": namespace}
    put = await http.put("/sessions/first/memory", json=body)
    found = await client.get_working_memory("first", context_window_max=WINDOW)
    listed = await http.get("/sessions/", params={"namespace": namespace})
    missing = await http.get("/sessions/nobody/memory", params={"namespace": namespace})

    assert (put.status_code, put.json()["namespace"]) == (200, namespace)
    assert ([one.content for one in found.messages], found.ttl_seconds) == (["by the old path"], 3_600)
    assert listed.json() == {"sessions": ["first"], "total": 1}
    assert (missing.status_code, missing.json()["messages"]) == (200, [])


async def test_the_paths_of_the_first_generation_reach_the_same_memories(
    client: MemoryAPIClient, http: httpx.AsyncClient, namespace: str
) -> None:
    record = {"id": f"{namespace}-old", "text": "She keeps bees", "namespace": namespace, "created_at": 1_700_000_000}
    created = await http.post("/long-term-memory", json={"memories": [record]})
    where = {"min_position": created.headers["x-memory-position"]}
    asked = {"text": "beehives", "namespace": {"eq": namespace}, "created_at": {"gte": 1_672_527_600, "lte": 1_704_063_599}}
    found = await http.post("/long-term-memory/search", json=asked, params=where)
    prompt = await http.post("/memory-prompt", json={"query": "beehives", "long_term_search": {"namespace": {"eq": namespace}}})

    assert (created.status_code, created.json()) == (200, {"status": "ok"})
    assert [one["id"] for one in found.json()["memories"]] == [f"{namespace}-old"]
    assert prompt.json()["messages"][0]["content"]["text"].endswith(f"- She keeps bees (ID: {namespace}-old)")
    assert (await client.get_long_term_memory(f"{namespace}-old")).created_at == datetime.fromtimestamp(1_700_000_000, UTC)
    assert (await http.get("/health")).json()["now"] > 1_700_000_000_000
