"""Prompts through the official client: what is said of the session, what is remembered, and the query, in this order."""

from datetime import UTC, datetime
from typing import Any

import pytest
from agent_memory_client import MemoryAPIClient, create_memory_client
from agent_memory_client.exceptions import MemoryServerError
from agent_memory_client.models import ClientMemoryRecord, MemoryMessage, WorkingMemory

MORNING = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
HEADING = "## Long term memories related to the user's query\n "


def said(role: str, content: str) -> MemoryMessage:
    return MemoryMessage(role=role, content=content, created_at=MORNING)


def spoken(role: str, text: str) -> dict[str, Any]:
    """A message of a prompt."""
    return {"role": role, "content": {"type": "text", "text": text, "annotations": None, "_meta": None}}


@pytest.fixture
async def remembered(client: MemoryAPIClient, namespace: str) -> list[str]:
    """The ids of two memories of Ana and one of Bo."""
    facts = [("the harbour at night", "ana", "sea"), ("a mill on the hill", "ana", "land"), ("the harbour of Porto", "bo", "sea")]
    records = [
        ClientMemoryRecord(
            id=f"{namespace}-{n}", text=text, user_id=user, topics=[topic], memory_type="semantic", session_id=f"s-{n}"
        )
        for n, (text, user, topic) in enumerate(facts)
    ]
    await client.create_long_term_memory(records)
    return [one.id for one in records]


async def test_a_session_is_told_with_its_summary_before_the_query(client: MemoryAPIClient) -> None:
    words = [said("user", "Hello"), said("assistant", "Hi!"), said("tool", "42")]
    await client.put_working_memory(
        "talk", WorkingMemory(session_id="talk", messages=words, context="They have met.", user_id="ana")
    )
    prompt = await client.memory_prompt("And now?", session_id="talk", user_id="ana")

    assert prompt == {
        "messages": [
            spoken("system", "## A summary of the conversation so far:\nThey have met."),
            spoken("user", "Hello"),
            spoken("assistant", "Hi!"),
            spoken("assistant", "42"),
            spoken("user", "And now?"),
        ],
        "long_term_memories": None,
    }


async def test_a_session_that_is_not_there_says_nothing(client: MemoryAPIClient) -> None:
    prompt = await client.memory_prompt("Anybody?", session_id="nobody", model_name="gpt-4o")
    assert prompt["messages"] == [spoken("user", "Anybody?")]


async def test_a_small_window_leaves_the_newest_messages(client: MemoryAPIClient, gateway_url: str, namespace: str) -> None:
    words = [said("user", f"message number {number}") for number in range(10)]  # six tokens each
    await client.put_working_memory("long", WorkingMemory(session_id="long", messages=words))
    prompt = await client.memory_prompt("Well?", session_id="long", context_window_max=13)
    async with await create_memory_client(gateway_url, default_namespace=namespace, default_context_window_max=7) as small:
        smaller = await small.memory_prompt("Well?", session_id="long", namespace=namespace)

    assert [one["content"]["text"] for one in prompt["messages"]] == ["message number 8", "message number 9", "Well?"]
    assert [one["content"]["text"] for one in smaller["messages"]] == ["message number 9", "Well?"]


async def test_memories_are_told_with_their_ids_and_given_as_records(client: MemoryAPIClient, remembered: list[str]) -> None:
    prompt = await client.memory_prompt(
        "the harbour at night", long_term_search={"user_id": {"eq": "ana"}, "topics": {"any": ["sea"]}, "limit": 5}
    )

    told = f"{HEADING}- the harbour at night (ID: {remembered[0]})"
    assert prompt["messages"] == [spoken("system", told), spoken("user", "the harbour at night")]
    (found,) = prompt["long_term_memories"]
    assert (found["id"], found["topics"], found["user_id"], found["score_type"]) == (remembered[0], ["sea"], "ana", "semantic")
    assert found["dist"] == pytest.approx(0, abs=1e-5)


async def test_a_session_and_its_users_memories_come_together(client: MemoryAPIClient, remembered: list[str]) -> None:
    await client.put_working_memory("both", WorkingMemory(session_id="both", user_id="ana", messages=[said("user", "Hello")]))
    prompt = await client.memory_prompt("the harbour", session_id="both", user_id="ana", long_term_search={}, optimize_query=True)

    assert [one["role"] for one in prompt["messages"]] == ["user", "system", "user"]
    assert sorted(one["id"] for one in prompt["long_term_memories"]) == sorted(remembered[:2])


async def test_that_nothing_is_remembered_is_said(client: MemoryAPIClient) -> None:
    prompt = await client.memory_prompt("the harbour", long_term_search={"limit": 3})
    assert prompt["messages"][0] == spoken("system", f"{HEADING}No relevant long-term memories found.")
    assert prompt["long_term_memories"] == []


async def test_without_session_and_search_there_is_nothing_to_tell(client: MemoryAPIClient) -> None:
    with pytest.raises(MemoryServerError, match="Either session or long_term_search must be provided") as refused:
        await client.memory_prompt("What?")
    assert refused.value.status_code == 400


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, [0, 1, 2]),
        ({"user_id": {"eq": "ana"}}, [0, 1]),
        ({"session_id": {"ne": "s-0"}}, [1, 2]),
        ({"topics": {"all": ["sea"]}, "user_id": {"not_eq": "ana"}}, [2]),
        ({"entities": {"any": ["Ana"]}}, []),
        ({"created_at": {"gt": 1_700_000_000}}, [0, 1, 2]),
        ({"last_accessed": {"between": [1, 2]}}, []),
        ({"memory_type": {"in_": ["semantic"]}}, [0, 1, 2]),
        ({"limit": 1}, [0]),
        ({"distance_threshold": 0.01}, [0]),
        ({"namespace": {"eq": "compat-nobody"}}, []),
        ({"optimize_query": True, "user_id": {"eq": "bo"}}, [2]),
    ],
)
async def test_a_prompt_of_memories_alone_is_filtered(
    client: MemoryAPIClient, remembered: list[str], filters: dict[str, Any], expected: list[int]
) -> None:
    prompt = await client.hydrate_memory_prompt("the harbour at night", **filters)

    assert sorted(one["id"] for one in prompt["long_term_memories"]) == [remembered[number] for number in expected]
    assert [one["role"] for one in prompt["messages"]] == ["system", "user"]


async def test_a_prompt_of_memories_has_pages(client: MemoryAPIClient, remembered: list[str]) -> None:
    pages = [await client.hydrate_memory_prompt("the harbour", limit=2, offset=offset) for offset in (0, 2)]
    assert sorted(one["id"] for page in pages for one in page["long_term_memories"]) == remembered
