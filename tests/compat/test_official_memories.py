"""Long-term memory through the official client."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from agent_memory_client import ForgetPolicy, ForgetResponse, MemoryAPIClient
from agent_memory_client.exceptions import MemoryNotFoundError, MemoryServerError, MemoryValidationError
from agent_memory_client.models import ClientMemoryRecord, ExtractedMemoryRecord, MemoryRecord, RecencyConfig, WorkingMemory
from ulid import ULID

from agent_memory.client import MemoryClient

pytestmark = pytest.mark.filterwarnings("ignore:get_working_memory is deprecated:DeprecationWarning")

MORNING = datetime(2026, 3, 1, 8, 0, 0, 250_000, tzinfo=UTC)
NO_RECENCY = RecencyConfig(recency_boost=False)


def memory(text: str, **more: Any) -> ClientMemoryRecord:
    return ClientMemoryRecord(text=text, **{"memory_type": "semantic", **more})


async def texts(client: MemoryAPIClient, **filters: Any) -> list[str]:
    """What a listing finds, sorted."""
    return sorted(one.text for one in (await client.search_long_term_memory("", limit=100, **filters)).memories)


async def test_a_memory_is_stored_with_all_that_was_said_of_it(client: MemoryAPIClient, namespace: str) -> None:
    given = MemoryRecord(
        id=f"{namespace}-full",
        text="Ana moved to Lisbon",
        session_id="s-1",
        user_id="ana",
        topics=["home", "travel"],
        entities=["Ana", "Lisbon"],
        memory_type="episodic",
        created_at=MORNING,
        last_accessed=MORNING + timedelta(hours=1),
        event_date=datetime(2025, 6, 25),
        extracted_from=["m-1"],
        discrete_memory_extracted="t",
        persisted_at=MORNING,
    )
    acknowledged = await client.create_long_term_memory([given])
    stored = await client.get_long_term_memory(given.id)

    assert acknowledged.status == "ok"
    same = (
        "id",
        "text",
        "session_id",
        "user_id",
        "topics",
        "entities",
        "memory_type",
        "created_at",
        "last_accessed",
        "extracted_from",
    )
    assert stored.model_dump(include=set(same)) == given.model_dump(include=set(same))
    assert (stored.namespace, stored.event_date) == (namespace, datetime(2025, 6, 25, tzinfo=UTC))
    assert (stored.discrete_memory_extracted, len(stored.memory_hash or ""), stored.persisted_at) == ("t", 64, None)


async def test_what_is_not_said_is_as_the_client_has_it(client: MemoryAPIClient, namespace: str) -> None:
    plain, extracted = f"{namespace}-plain", f"{namespace}-extracted"
    await client.create_long_term_memory([MemoryRecord(id=plain, text="a"), ExtractedMemoryRecord(id=extracted, text="b")])
    stored = [await client.get_long_term_memory(one) for one in (plain, extracted)]

    assert [(one.memory_type, one.discrete_memory_extracted) for one in stored] == [("message", "f"), ("semantic", "t")]
    assert [(one.topics, one.entities, one.user_id, one.session_id) for one in stored] == [([], [], None, None)] * 2


async def test_a_memory_without_an_id_gets_one(client: MemoryAPIClient) -> None:
    given = MemoryRecord(id="", text="nameless")
    await client.create_long_term_memory([given])
    found = await client.search_long_term_memory("")
    assert [(one.id, one.text) for one in found.memories] == [(given.id, "nameless")]


async def test_a_memory_that_is_not_there_is_not_found(client: MemoryAPIClient, namespace: str) -> None:
    with pytest.raises(MemoryNotFoundError):
        await client.get_long_term_memory(f"{namespace}-nothing")
    with pytest.raises(MemoryNotFoundError):
        await client.edit_long_term_memory(f"{namespace}-nothing", {"text": "x"})


async def test_an_id_may_have_any_shape(client: MemoryAPIClient, namespace: str) -> None:
    ids = [f"{namespace}-ab12cd34-1", f"{namespace}/a/b", f"{namespace}_ä"]
    await client.create_long_term_memory([memory(one, id=one) for one in ids])
    assert [(await client.get_long_term_memory(one)).id for one in ids] == ids
    assert (await client.delete_long_term_memories(ids)).status == "ok, deleted 3 memories"


async def test_the_same_id_again_replaces_the_memory(client: MemoryAPIClient, namespace: str) -> None:
    for text in ("first", "second"):
        await client.create_long_term_memory([memory(text, id=f"{namespace}-one")])
    assert await texts(client) == ["second"]


async def test_an_exact_duplicate_is_one_memory_unless_duplicates_are_wanted(client: MemoryAPIClient, namespace: str) -> None:
    for number in range(2):
        await client.create_long_term_memory([memory("said twice", id=f"{namespace}-{number}")])
        await client.create_long_term_memory([memory("kept twice", id=f"{namespace}-k{number}")], deduplicate=False)
    assert await texts(client) == ["kept twice", "kept twice", "said twice"]


async def test_whoever_stores_what_is_known_is_told_its_id(gateway_url: str, namespace: str) -> None:
    async with MemoryClient(gateway_url, namespace=namespace) as ours:

        async def kept(number: int) -> list[str]:
            given = {f"{namespace}-{number}": "said often", f"{namespace}-n{number}": f"number {number}"}
            stored = await ours.create_long_term_memory([{"id": id_, "text": text} for id_, text in given.items()])
            return stored.memory_ids or list(given)

        told = await asyncio.gather(*map(kept, range(16)))
        assert {second for _, second in told} == {f"{namespace}-n{number}" for number in range(16)}
        (survivor,) = {first for first, _ in told}
        assert (await ours.get_long_term_memory(survivor)).text == "said often"


async def test_what_cannot_be_stored_is_refused(client: MemoryAPIClient) -> None:
    with pytest.raises(MemoryServerError) as refused:
        await client.create_long_term_memory([memory("x", topics=["a,b"])])
    assert refused.value.status_code == 422
    assert "topics[0] contains a comma: 'a,b'" in str(refused.value)
    assert await texts(client) == []


async def test_an_edit_changes_what_it_names_and_nothing_else(client: MemoryAPIClient, namespace: str) -> None:
    before = memory("Ana likes tea", id=f"{namespace}-edit", topics=["drinks"], user_id="ana", created_at=MORNING)
    await client.create_long_term_memory([before])
    old = await client.get_long_term_memory(before.id)
    updates = {"text": "Ana likes coffee", "entities": ["Ana"], "memory_type": "episodic", "event_date": "2025-06-25T00:00:00"}
    answer = await client.edit_long_term_memory(before.id, updates)
    stored = await client.get_long_term_memory(before.id)

    assert answer == stored
    assert (stored.text, stored.entities, stored.memory_type) == ("Ana likes coffee", ["Ana"], "episodic")
    assert stored.event_date == datetime(2025, 6, 25, tzinfo=UTC)
    assert (stored.topics, stored.user_id, stored.namespace, stored.created_at) == (["drinks"], "ana", namespace, MORNING)
    assert stored.updated_at > old.updated_at
    assert stored.memory_hash != old.memory_hash
    assert await texts(client) == ["Ana likes coffee"]


async def test_an_edit_that_names_nothing_is_refused(client: MemoryAPIClient, namespace: str) -> None:
    await client.create_long_term_memory([memory("x", id=f"{namespace}-x")])
    with pytest.raises(MemoryServerError, match="No fields provided for update") as refused:
        await client.edit_long_term_memory(f"{namespace}-x", {})
    assert refused.value.status_code == 400


async def test_deleting_says_how_many_there_were(client: MemoryAPIClient, namespace: str) -> None:
    await client.create_long_term_memory([memory(text, id=f"{namespace}-{text}") for text in ("a", "b", "c")])
    none = await client.delete_long_term_memories([])
    two = await client.delete_long_term_memories([f"{namespace}-a", f"{namespace}-b", f"{namespace}-nothing"])

    assert (none.status, two.status) == ("ok, deleted 0 memories", "ok, deleted 2 memories")
    assert await texts(client) == ["c"]


async def test_the_total_is_real_and_pages_neither_overlap_nor_miss(client: MemoryAPIClient, namespace: str) -> None:
    await client.create_long_term_memory([memory(f"fact number {n}", id=f"{namespace}-{n}") for n in range(7)])
    for text in ("", "fact number 3"):
        pages = [await client.search_long_term_memory(text, limit=3, offset=offset, recency=NO_RECENCY) for offset in (0, 3, 6, 9)]
        assert [page.total for page in pages] == [7] * 4
        assert [page.next_offset for page in pages] == [3, 6, None, None]
        assert sorted(one.id for page in pages for one in page.memories) == [f"{namespace}-{n}" for n in range(7)]


async def test_a_search_by_meaning_has_the_nearest_first_and_knows_how_near(client: MemoryAPIClient, namespace: str) -> None:
    await client.create_long_term_memory([memory("the harbour at night"), memory("invoices of last year")])
    found = await client.search_long_term_memory("the harbour at night", recency=NO_RECENCY)
    near = await client.search_long_term_memory("the harbour at night", distance_threshold=0.05)

    assert [one.text for one in found.memories] == ["the harbour at night", "invoices of last year"]
    assert found.memories[0].dist == pytest.approx(0, abs=1e-5)
    assert found.memories[0].dist < found.memories[1].dist
    assert ([one.text for one in near.memories], near.total) == (["the harbour at night"], 1)


async def test_recency_may_outweigh_meaning_over_all_that_was_found(client: MemoryAPIClient) -> None:
    now = datetime.now(UTC)
    old, new = (
        memory(text, created_at=at, last_accessed=at) for text, at in (("the harbour", now - timedelta(900)), ("a mill", now))
    )
    await client.create_long_term_memory([old, new])
    only_recency = RecencyConfig(
        recency_boost=True,
        semantic_weight=0.0,
        recency_weight=1.0,
        freshness_weight=0.5,
        novelty_weight=0.5,
        half_life_last_access_days=10.0,
        half_life_created_days=20.0,
        server_side_recency=True,
    )

    async def first(recency: RecencyConfig) -> str:
        return (await client.search_long_term_memory("the harbour", recency=recency, limit=1)).memories[0].text

    assert await first(NO_RECENCY) == "the harbour"
    assert await first(only_recency) == "a mill"


async def test_a_query_that_no_model_can_rewrite_is_searched_for_as_it_is(client: MemoryAPIClient) -> None:
    await client.create_long_term_memory([memory("the harbour at night")])
    found = await client.search_long_term_memory("the harbour at night", optimize_query=True)
    assert [one.text for one in found.memories] == ["the harbour at night"]


async def test_nothing_found_in_one_namespace_is_not_looked_for_in_another(
    client: MemoryAPIClient, anywhere: MemoryAPIClient
) -> None:
    await client.create_long_term_memory([memory("the harbour", topics=["sea"])])
    found = await anywhere.search_long_term_memory("the harbour", namespace={"eq": "compat-nobody"}, topics={"any": ["sea"]})
    assert (found.memories, found.total) == ([], 0)


@pytest.mark.parametrize("text", ["", "fact number 3"])
async def test_going_through_all_results_meets_each_once(client: MemoryAPIClient, namespace: str, text: str) -> None:
    await client.create_long_term_memory([memory(f"fact number {n}", id=f"{namespace}-{n}") for n in range(5)])
    met = [one.id async for one in client.search_all_long_term_memories(text, batch_size=2)]
    none = [one async for one in client.search_all_long_term_memories(text, topics={"any": ["nothing"]}, batch_size=2)]

    assert sorted(met) == [f"{namespace}-{n}" for n in range(5)]
    assert none == []


async def test_many_are_stored_in_batches(client: MemoryAPIClient, namespace: str) -> None:
    batches = [[memory(f"{batch}-{n}", id=f"{namespace}-{batch}-{n}") for n in range(5)] for batch in range(2)]
    acknowledged = await client.bulk_create_long_term_memories(batches, batch_size=2, delay_between_batches=0)

    assert [one.status for one in acknowledged] == ["ok"] * 6
    assert await texts(client) == [f"{batch}-{n}" for batch in range(2) for n in range(5)]


async def test_memories_of_a_session_are_promoted_once(client: MemoryAPIClient, namespace: str) -> None:
    notes = [memory(text, id=f"{namespace}-{text}", topics=["notes"]) for text in ("tea", "milk")]
    await client.put_working_memory("notes", WorkingMemory(session_id="notes", memories=notes))
    answers = [
        await client.promote_working_memories_to_long_term("notes"),
        await client.promote_working_memories_to_long_term("notes", memory_ids=[f"{namespace}-tea"], namespace=namespace),
        await client.promote_working_memories_to_long_term("notes", memory_ids=["nothing"]),
        await client.promote_working_memories_to_long_term("no-such-session"),
    ]
    working = await client.get_working_memory("notes")

    assert [one.status for one in answers] == ["ok"] * 4
    assert await texts(client, topics={"all": ["notes"]}) == ["milk", "tea"]
    assert [(one.text, one.persisted_at is not None) for one in working.memories] == [("tea", True), ("milk", True)]


async def aged(client: MemoryAPIClient, namespace: str, **days: int) -> dict[str, str]:
    """Memories by name, as many days old; their ids."""
    now = datetime.now(UTC)
    made = {
        name: memory(name, id=f"{namespace}-{name}", created_at=now - timedelta(age), last_accessed=now - timedelta(age))
        for name, age in days.items()
    }
    await client.create_long_term_memory(list(made.values()))
    return {name: one.id for name, one in made.items()}


async def test_what_a_policy_would_forget_is_told_and_stays(client: MemoryAPIClient, namespace: str) -> None:
    ids = await aged(client, namespace, old=40, new=1)
    told = await client.forget_long_term_memories(ForgetPolicy(max_age_days=30), namespace=namespace, dry_run=True)

    assert told == ForgetResponse(scanned=2, deleted=1, deleted_ids=[ids["old"]], dry_run=True)
    assert await texts(client) == ["new", "old"]


async def test_nothing_is_forgotten_unless_the_request_says_so(client: MemoryAPIClient, namespace: str) -> None:
    """This version of the client says only that it wants a dry run, never that it wants none."""
    await aged(client, namespace, old=40)
    told = await client.forget_long_term_memories(ForgetPolicy(max_age_days=30), namespace=namespace, dry_run=False)

    assert (told.deleted, told.dry_run) == (1, True)
    assert await texts(client) == ["old"]


async def test_what_a_policy_forgets_is_gone_and_pinned_ids_stay(
    client: MemoryAPIClient, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await aged(client, namespace, older=50, old=40, new=1)
    monkeypatch.setattr(client._client, "params", {"dry_run": "false"})
    told = await client.forget_long_term_memories(ForgetPolicy(max_age_days=30), namespace=namespace, pinned_ids=[ids["older"]])

    assert told == ForgetResponse(scanned=3, deleted=1, deleted_ids=[ids["old"]], dry_run=False)
    assert await texts(client) == ["new", "older"]
    with pytest.raises(MemoryNotFoundError):
        await client.get_long_term_memory(ids["old"])


@pytest.mark.parametrize(
    ("policy", "more", "forgotten"),
    [
        ({"budget": 1}, {}, ["middle", "old"]),
        ({"max_inactive_days": 30}, {}, ["middle", "old"]),
        ({"max_age_days": 30, "max_inactive_days": 45}, {}, ["old"]),
        ({"max_age_days": 30, "memory_type_allowlist": ["episodic"]}, {}, []),
        ({"max_age_days": 30, "memory_type_allowlist": ["semantic"]}, {}, ["middle", "old"]),
        ({"max_age_days": 30}, {"user_id": "nobody"}, []),
        ({"max_age_days": 30}, {"session_id": "nothing"}, []),
        ({}, {}, []),
    ],
)
async def test_every_rule_of_a_policy_counts(
    client: MemoryAPIClient, namespace: str, policy: dict[str, Any], more: dict[str, Any], forgotten: list[str]
) -> None:
    await aged(client, namespace, old=50, middle=40, new=1)
    told = await client.forget_long_term_memories(ForgetPolicy(**policy), namespace=namespace, dry_run=True, **more)
    assert sorted(told.deleted_ids) == [f"{namespace}-{name}" for name in forgotten]


async def test_no_more_is_forgotten_at_once_than_may_be(client: MemoryAPIClient, namespace: str) -> None:
    ids = await aged(client, namespace, middle=40, old=50, new=1)
    told = await client.forget_long_term_memories(ForgetPolicy(max_age_days=30), namespace=namespace, limit=1, dry_run=True)
    assert (told.scanned, told.deleted_ids) == (3, [ids["old"]])


def test_a_memory_is_checked_before_it_is_sent(client: MemoryAPIClient) -> None:
    client.validate_memory_record(memory("x", id=str(ULID())))
    for wrong in (memory(" "), memory("x", id="no ulid"), memory("x").model_copy(update={"memory_type": "odd"})):
        with pytest.raises(MemoryValidationError):
            client.validate_memory_record(wrong)


def test_filters_are_checked_before_they_are_sent(client: MemoryAPIClient) -> None:
    client.validate_search_filters(limit=1, offset=0, distance_threshold=0.5, topics={"any": ["a"]})
    for wrong in ({"color": 1}, {"limit": 0}, {"offset": -1}, {"distance_threshold": -1}):
        with pytest.raises(MemoryValidationError):
            client.validate_search_filters(**wrong)


@pytest.mark.parametrize("wrong", [{"limit": 1_000}, {"offset": -1}, {"memory_type": {"eq": "odd"}}, {"topics": {"any": []}}])
async def test_a_search_that_cannot_be_is_refused(client: MemoryAPIClient, wrong: dict[str, Any]) -> None:
    with pytest.raises(MemoryServerError) as refused:
        await client.search_long_term_memory("x", **wrong)
    assert refused.value.status_code == 422
