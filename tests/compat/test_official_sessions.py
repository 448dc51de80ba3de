"""Working memory through the official client."""

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from agent_memory_client import MemoryAPIClient, MemoryClientConfig, create_memory_client
from agent_memory_client.exceptions import MemoryClientError, MemoryNotFoundError, MemoryServerError, MemoryValidationError
from agent_memory_client.models import ClientMemoryRecord, MemoryMessage, MemoryStrategyConfig, WorkingMemory

pytestmark = pytest.mark.filterwarnings("ignore:get_working_memory is deprecated:DeprecationWarning")

MORNING = datetime(2026, 3, 1, 8, 0, 0, 250_000, tzinfo=UTC)


def message(content: str, role: str = "user", **more: Any) -> MemoryMessage:
    return MemoryMessage(role=role, content=content, created_at=more.pop("created_at", MORNING), **more)


def memory(text: str, **more: Any) -> ClientMemoryRecord:
    return ClientMemoryRecord(text=text, memory_type="semantic", **more)


async def contents(client: MemoryAPIClient, session_id: str, **scope: str) -> list[str]:
    return [one.content for one in (await client.get_working_memory(session_id, **scope)).messages]


async def test_the_time_of_the_server_is_told_in_milliseconds(client: MemoryAPIClient) -> None:
    now = (await client.health_check()).now
    assert abs(now / 1_000 - time.time()) < 3_600


async def test_a_client_is_not_made_where_nobody_answers() -> None:
    with pytest.raises(MemoryClientError, match="Failed to connect"):
        await create_memory_client("http://127.0.0.1:1")


async def test_what_is_put_is_got(client: MemoryAPIClient, namespace: str) -> None:
    given = WorkingMemory(
        session_id="kept",
        messages=[message("Hello", id="m-1"), message("Hi!", "assistant", id="m-2")],
        memories=[memory("Ana is allergic to hazelnuts", id=f"{namespace}-nuts", topics=["health"], entities=["Ana"])],
        data={"settings": {"theme": "dark", "sizes": [1, 2.5, None]}, "seen": True},
        context="They have met before.",
        user_id="ana",
        tokens=17,
        long_term_memory_strategy=MemoryStrategyConfig(strategy="summary", config={"max_summary_length": 300}),
        ttl_seconds=3_600,
        last_accessed=MORNING,
    )
    put = await client.put_working_memory("kept", given)
    got = await client.get_working_memory("kept", user_id="ana")

    for answer in (put, got):
        assert answer.messages == given.messages
        assert [(one.id, one.text, one.topics, one.entities) for one in answer.memories] == [
            (f"{namespace}-nuts", "Ana is allergic to hazelnuts", ["health"], ["Ana"])
        ]
        assert answer.memories[0].persisted_at is not None
        assert answer.long_term_memory_strategy == given.long_term_memory_strategy
        seen = (answer.data, answer.context, answer.user_id, answer.tokens, answer.session_id, answer.namespace, answer.ttl_seconds)
        assert seen == (given.data, given.context, "ana", 17, "kept", namespace, 3_600)
        assert (answer.context_percentage_total_used, answer.new_session, answer.unsaved) == (None, None, None)


async def test_an_answer_may_be_sent_back_as_it_came(client: MemoryAPIClient) -> None:
    first = await client.put_working_memory(
        "echo",
        WorkingMemory(session_id="echo", messages=[message("once")], memories=[memory("said once")]),
        context_window_max=16_000,
    )
    again = await client.put_working_memory("echo", first, context_window_max=16_000)

    assert again == first


async def test_a_session_that_is_not_there_is_not_found(client: MemoryAPIClient) -> None:
    with pytest.raises(MemoryNotFoundError):
        await client.get_working_memory("nobody")


async def test_a_session_is_created_once(client: MemoryAPIClient, namespace: str) -> None:
    strategy = MemoryStrategyConfig(strategy="preferences")
    created, empty = await client.get_or_create_working_memory("new", user_id="ana", long_term_memory_strategy=strategy)
    again, found = await client.get_or_create_working_memory("new", user_id="ana")

    assert (created, again) == (True, False)
    for answer in (empty, found):
        assert (answer.session_id, answer.namespace, answer.user_id) == ("new", namespace, "ana")
        assert (answer.messages, answer.memories, answer.data) == ([], [], {})
        assert answer.long_term_memory_strategy == strategy


async def test_sessions_are_listed_by_namespace_and_user_in_pages(client: MemoryAPIClient, anywhere: MemoryAPIClient) -> None:
    for name in ("one", "two", "three"):
        await client.put_working_memory(name, WorkingMemory(session_id=name, user_id="ana" if name == "two" else "bo"))
    everything = await client.list_sessions()
    pages = [await client.list_sessions(limit=2, offset=offset) for offset in (0, 2)]
    of_ana = await client.list_sessions(user_id="ana")
    elsewhere = await anywhere.list_sessions(namespace="compat-nobody")

    assert (sorted(everything.sessions), everything.total) == (["one", "three", "two"], 3)
    assert [len(page.sessions) for page in pages] == [2, 1]
    assert [page.total for page in pages] == [3, 3]
    assert [name for page in pages for name in page.sessions] == everything.sessions
    assert (of_ana.sessions, of_ana.total) == (["two"], 1)
    assert (elsewhere.sessions, elsewhere.total) == ([], 0)


async def test_a_deleted_session_is_gone_and_deleting_it_again_is_fine(client: MemoryAPIClient) -> None:
    for user in ("ana", "bo"):
        await client.put_working_memory("going", WorkingMemory(session_id="going", user_id=user, messages=[message(user)]))
    acknowledged = await client.delete_working_memory("going", user_id="ana")
    again = await client.delete_working_memory("going", user_id="ana")

    assert (acknowledged.status, again.status) == ("ok", "ok")
    with pytest.raises(MemoryNotFoundError):
        await client.get_working_memory("going", user_id="ana")
    assert await contents(client, "going", user_id="bo") == ["bo"]


async def test_a_session_is_another_one_under_another_user_or_namespace(client: MemoryAPIClient, namespace: str) -> None:
    other = f"{namespace}-other"
    for user in ("ana", "bo"):
        given = WorkingMemory(session_id="same", messages=[message(user)])
        await client.put_working_memory("same", given, user_id=user)
    await client.put_working_memory("same", WorkingMemory(session_id="same", namespace=other, messages=[message(other)]))

    assert await contents(client, "same", user_id="ana") == ["ana"]
    assert await contents(client, "same", user_id="bo") == ["bo"]
    assert await contents(client, "same", namespace=other) == [other]
    with pytest.raises(MemoryNotFoundError):
        await client.get_working_memory("same", user_id="cy")


async def test_a_user_given_beside_the_document_counts_before_the_one_in_it(client: MemoryAPIClient) -> None:
    answer = await client.put_working_memory("whose", WorkingMemory(session_id="whose", user_id="bo"), user_id="ana")

    assert answer.user_id == "ana"
    assert (await client.list_sessions(user_id="bo")).sessions == []


async def test_a_session_may_have_a_slash_in_its_name(client: MemoryAPIClient) -> None:
    """The client puts names into paths as they are."""
    names = ["team/42", "team/42/messages", "ü %26 ö"]
    for name in names:
        await client.put_working_memory(name, WorkingMemory(session_id=name, messages=[message(name)]))
    assert sorted((await client.list_sessions()).sessions) == ["team/42", "team/42/messages", "ü & ö"]
    assert await contents(client, "team/42") == ["team/42"]
    await client.delete_working_memory("team/42")
    assert await contents(client, "team/42/messages") == ["team/42/messages"]


async def test_data_is_set_and_what_else_there_was_is_kept_or_not(client: MemoryAPIClient, namespace: str) -> None:
    given = WorkingMemory(
        session_id="data", messages=[message("stays")], memories=[memory("stays too")], data={"old": 1}, context="c"
    )
    await client.put_working_memory("data", given)
    kept = await client.set_working_memory_data("data", {"new": [1, {"deep": None}]})
    bare = await client.set_working_memory_data("data", {"last": "x"}, namespace=namespace, preserve_existing=False)
    made = await client.set_working_memory_data("data-of-new-session", {"first": 1})

    assert kept.data == {"new": [1, {"deep": None}]}
    assert ([one.content for one in kept.messages], [one.text for one in kept.memories], kept.context) == (
        ["stays"],
        ["stays too"],
        "c",
    )
    assert (bare.data, bare.messages, bare.memories, bare.context) == ({"last": "x"}, [], [], None)
    assert (made.data, made.namespace) == ({"first": 1}, namespace)


async def test_memories_are_added_or_replaced_and_each_becomes_one_long_term_memory(
    client: MemoryAPIClient, namespace: str
) -> None:
    first, second, third = (memory(text, id=f"{namespace}-{text}") for text in ("tea", "milk", "rain"))
    await client.add_memories_to_working_memory("notes", [first])
    both = await client.add_memories_to_working_memory("notes", [second])
    replaced = await client.add_memories_to_working_memory("notes", [third], replace=True)
    stored = await client.search_long_term_memory("", session_id={"eq": "notes"})

    assert [one.text for one in both.memories] == ["tea", "milk"]
    assert [one.text for one in replaced.memories] == ["rain"]
    assert sorted(one.text for one in stored.memories) == ["milk", "rain", "tea"]
    assert {(one.namespace, one.session_id) for one in stored.memories} == {(namespace, "notes")}
    assert all(one.persisted_at for one in stored.memories)


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("replace", {"b": {"y": 2}}),
        ("merge", {"a": 1, "b": {"y": 2}}),
        ("deep_merge", {"a": 1, "b": {"x": 1, "y": 2}}),
    ],
)
async def test_data_is_updated_in_three_ways(client: MemoryAPIClient, strategy: Any, expected: dict[str, Any]) -> None:
    before = WorkingMemory(session_id="merge", user_id="ana", messages=[message("stays")], data={"a": 1, "b": {"x": 1}})
    await client.put_working_memory("merge", before)
    answer = await client.update_working_memory_data("merge", {"b": {"y": 2}}, merge_strategy=strategy, user_id="ana")

    assert (answer.data, [one.content for one in answer.messages]) == (expected, ["stays"])
    assert (await client.get_working_memory("merge", user_id="ana")).data == expected


async def test_a_way_of_merging_that_there_is_not_changes_nothing(client: MemoryAPIClient) -> None:
    await client.update_working_memory_data("odd", {"a": 1})
    with pytest.raises(MemoryValidationError):
        await client.update_working_memory_data("odd", {"a": 2}, merge_strategy="sideways")  # type: ignore[arg-type]
    assert (await client.get_working_memory("odd")).data == {"a": 1}


async def test_messages_are_appended_as_dicts_and_as_objects(client: MemoryAPIClient) -> None:
    await client.append_messages_to_working_memory("talk", [{"role": "user", "content": "one", "id": "t-1"}], user_id="ana")
    answer = await client.append_messages_to_working_memory(
        "talk",
        [{"role": "assistant", "content": "two"}, message("three", "tool", id="t-3")],
        user_id="ana",
        context_window_max=16_000,
    )

    assert [(one.role, one.content) for one in answer.messages] == [("user", "one"), ("assistant", "two"), ("tool", "three")]
    assert (answer.messages[0].id, answer.messages[2].id, answer.messages[2].created_at) == ("t-1", "t-3", MORNING)
    assert answer.context_percentage_total_used is not None
    assert await contents(client, "talk", user_id="ana") == ["one", "two", "three"]
    with pytest.raises(ValueError, match="'role' and 'content'"):
        await client.append_messages_to_working_memory("talk", [{"role": "user"}])


async def test_percentages_are_of_the_window_that_was_named(client: MemoryAPIClient) -> None:
    said = WorkingMemory(session_id="window", messages=[message("Hello world")])  # "user: Hello world" has four tokens
    named = await client.put_working_memory("window", said, context_window_max=100)
    model = await client.get_working_memory("window", model_name="gpt-4")
    bare = await client.get_working_memory("window")
    empty = await client.put_working_memory("window-empty", WorkingMemory(session_id="window-empty"), model_name="gpt-4o")

    assert named.context_percentage_total_used == pytest.approx(4 / 100 * 100)
    assert named.context_percentage_until_summarization == pytest.approx(4 / 70 * 100)
    assert model.context_percentage_total_used == pytest.approx(4 / 8_192 * 100)
    assert model.context_percentage_until_summarization == pytest.approx(4 / 5_734 * 100)
    assert (bare.context_percentage_total_used, bare.context_percentage_until_summarization) == (None, None)
    assert (empty.context_percentage_total_used, empty.context_percentage_until_summarization) == (0.0, 0.0)


async def test_the_window_of_the_client_counts_when_a_call_names_none(gateway_url: str, namespace: str) -> None:
    async with await create_memory_client(
        gateway_url, default_namespace=namespace, default_model_name="gpt-4", default_context_window_max=50
    ) as client:
        answer = await client.put_working_memory("window", WorkingMemory(session_id="window", messages=[message("Hello world")]))
    assert answer.context_percentage_total_used == pytest.approx(4 / 50 * 100)


async def test_reading_with_a_small_window_gives_the_newest_messages_that_fit(client: MemoryAPIClient) -> None:
    words = [message(f"message number {number}", id=f"w-{number}") for number in range(10)]  # six tokens each
    await client.put_working_memory("long", WorkingMemory(session_id="long", messages=words))
    answer = await client.get_working_memory("long", context_window_max=20)

    assert [one.id for one in answer.messages] == ["w-7", "w-8", "w-9"]
    assert len(await contents(client, "long")) == 10


async def test_what_does_not_fit_is_summarised_oldest_first_and_the_rest_is_kept(client: MemoryAPIClient) -> None:
    said = [message(f"On day {day} the ferry to Ischia was {day} minutes late.", id=f"d-{day}") for day in range(40)]
    answer = await client.put_working_memory("ferry", WorkingMemory(session_id="ferry", messages=said), context_window_max=500)

    kept = [one.id for one in answer.messages]
    assert answer.context
    assert "ferry" in answer.context
    assert 0 < len(kept) < 40
    assert kept == [one.id for one in said[-len(kept) :]]
    assert answer.context_percentage_until_summarization is not None
    assert answer.context_percentage_until_summarization < 100
    assert await contents(client, "ferry") == [one.content for one in said[-len(kept) :]]


@pytest.mark.parametrize(
    ("given", "parameters", "status", "detail"),
    [
        ({"messages": [message(" ", id="blank")]}, {}, 400, "Message content cannot be empty (message ID: blank)"),
        ({"memories": [memory("", id="none")]}, {}, 422, "Memory at index 0 has empty text"),
        ({}, {"model_name": "gpt-0"}, 422, "gpt-3.5-turbo"),
    ],
)
async def test_what_is_wrong_is_said(
    client: MemoryAPIClient, given: dict[str, Any], parameters: dict[str, Any], status: int, detail: str
) -> None:
    with pytest.raises(MemoryServerError) as refused:
        await client.put_working_memory("wrong", WorkingMemory(session_id="wrong", **given), **parameters)
    assert refused.value.status_code == status
    assert detail in str(refused.value)
    assert (await client.list_sessions()).sessions == []


async def test_a_client_that_is_closed_sends_nothing_more(gateway_url: str) -> None:
    client = MemoryAPIClient(MemoryClientConfig(base_url=gateway_url, timeout=60))
    assert (await client.health_check()).now > 0
    await client.close()
    with pytest.raises(RuntimeError, match="closed"):
        await client.health_check()
