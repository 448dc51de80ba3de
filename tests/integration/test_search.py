"""Search of memories and of the timeline: what is found, in which order, and how pages fit together."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from agent_memory.contracts.errors import Unavailable
from agent_memory.contracts.queries import MemoryFilters, Recency, SearchMemories, SearchTimeline, TagFilter
from agent_memory.contracts.records import MemoryRecord, Scope, TimelineEvent
from agent_memory.contracts.streams import index_alias
from agent_memory.readmodels import generations
from agent_memory.readmodels.documents import memory_document, micros, timeline_document
from agent_memory.readmodels.ranking import recency
from agent_memory.readmodels.search import MemorySearch, SearchPage, TimelineSearch
from agent_memory.readmodels.writes import apply
from support.controls import wait_until

NOW = datetime(2026, 3, 1, tzinfo=UTC)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40) | st.sampled_from(
    ["inf", "nan", "1e5", "not", "OR"]
)
ALGORITHMS = pytest.mark.parametrize("algorithm", ["FLAT", "HNSW"])


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url, protocol=2) as client:
        yield client


def at_angle(degrees: float) -> bytes:
    return np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], "<f4").tobytes()


def memory(number: int, text: str = "", **fields: object) -> MemoryRecord:
    made = NOW - timedelta(days=number)
    plain = MemoryRecord(
        id=f"m{number:03}", text=text or f"memory number {number}", last_accessed=made, created_at=made, updated_at=made
    )
    return msgspec.structs.replace(plain, **fields)


async def stored(
    redis: Redis, records: list[MemoryRecord], angles: list[float] | None = None, *, tenant: str = "t", algorithm: str = "FLAT"
) -> MemorySearch:
    """Memories in an index; without angles each lies one degree farther from 0 than the one before."""
    live = await generations.ensure(redis, "memory", "m", 2, algorithm)
    placed = enumerate(zip(records, angles or range(len(records)), strict=True), start=1)
    await apply(redis, [live], [memory_document(one, tenant, at, at_angle(angle)) for at, (one, angle) in placed], model="m")
    return MemorySearch(redis, now=lambda: NOW)


def ids(page: SearchPage) -> list[str]:
    return [hit.id for hit in page.hits]


async def all_pages(search: MemorySearch, query: SearchMemories, vector: bytes | None) -> list[str]:
    found: list[str] = []
    offset: int | None = 0
    while offset is not None:
        page = await search.search(msgspec.structs.replace(query, offset=offset), vector)
        found += ids(page)
        offset = page.next_offset
    assert len(found) == page.total
    return found


@ALGORITHMS
async def test_the_nearest_come_first_with_their_distance_and_record(redis: Redis, algorithm: str) -> None:
    records = [memory(number) for number in range(30)]
    search = await stored(redis, records, algorithm=algorithm)
    page = await search.search(SearchMemories(tenant="t", text="anything", limit=3), at_angle(0))
    assert ids(page) == ["m000", "m001", "m002"]
    assert (page.total, page.next_offset) == (30, 3)
    assert page.hits[0].record == msgspec.json.encode(records[0])
    assert page.hits[2].dist == pytest.approx(1 - np.cos(np.radians(2)), abs=1e-6)
    assert page.hits[2].score == pytest.approx(np.cos(np.radians(2)), abs=1e-6)
    assert page.hits[2].score_type == "semantic"


@ALGORITHMS
async def test_a_distance_threshold_bounds_hits_and_total(redis: Redis, algorithm: str) -> None:
    search = await stored(redis, [memory(number) for number in range(60)], algorithm=algorithm)
    query = SearchMemories(tenant="t", text="x", distance_threshold=1 - float(np.cos(np.radians(20.5))), limit=8)
    assert await all_pages(search, query, at_angle(0)) == [f"m{number:03}" for number in range(21)]


@ALGORITHMS
@pytest.mark.parametrize("mode", ["semantic", "keyword", "hybrid"])
@pytest.mark.parametrize("recency", [None, Recency()])
async def test_pages_neither_overlap_nor_miss(redis: Redis, algorithm: str, mode: str, recency: Recency | None) -> None:
    records = [memory(number, "tea " * (number % 7 + 1) + "common") for number in range(150)]
    search = await stored(redis, records, [number // 4 for number in range(150)], algorithm=algorithm)
    query = SearchMemories(tenant="t", text="tea", mode=mode, limit=37, recency=recency)  # type: ignore[arg-type]
    found = await all_pages(search, query, at_angle(0))
    assert sorted(found) == [one.id for one in records]
    assert found == await all_pages(search, msgspec.structs.replace(query, limit=100), at_angle(0))


async def test_equals_are_ordered_by_id(redis: Redis) -> None:
    records = [memory(number, "same") for number in (9, 3, 7, 1, 5)]
    search = await stored(redis, records, [1.0] * 5)
    for mode in ("semantic", "keyword", "hybrid"):
        query = SearchMemories(tenant="t", text="same", mode=mode, limit=2)
        assert await all_pages(search, query, at_angle(0)) == ["m001", "m003", "m005", "m007", "m009"]


async def test_a_listing_is_newest_first_then_by_id_with_its_real_total(redis: Redis) -> None:
    records = [memory(number, created_at=NOW - timedelta(hours=number // 3)) for number in range(25)]
    search = await stored(redis, records[::-1])
    page = await search.search(SearchMemories(tenant="t", text="  ", limit=10), None)
    assert (page.total, page.next_offset, page.hits[0].score, page.hits[0].dist) == (25, 10, None, 0.0)
    assert await all_pages(search, SearchMemories(tenant="t", limit=4), None) == [one.id for one in records]
    beyond = await search.search(SearchMemories(tenant="t", offset=5_000_000), None)
    assert beyond == SearchPage(hits=[], total=25, next_offset=None)


async def test_recency_lifts_fresh_memories_over_the_whole_candidate_set(redis: Redis) -> None:
    search = await stored(redis, [memory(50 - number) for number in range(50)])
    query = SearchMemories(tenant="t", text="x", limit=1)
    assert ids(await search.search(query, at_angle(0))) == ["m050"]
    weights = Recency(semantic_weight=0.1, recency_weight=0.9)
    page = await search.search(msgspec.structs.replace(query, recency=weights), at_angle(0))
    assert ids(page) == ["m001"]
    assert page.hits[0].score == pytest.approx(np.cos(np.radians(49)), abs=1e-6)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    st.lists(st.tuples(st.integers(-2, 60), st.integers(-2, 60), st.integers(0, 90)), min_size=1, max_size=20),
    st.builds(
        Recency,
        semantic_weight=st.sampled_from([0.0, 0.8, 1.0]),
        recency_weight=st.sampled_from([0.0, 0.2, 1.0]),
        freshness_weight=st.sampled_from([0.0, 0.6, 2.0]),
        half_life_created_days=st.sampled_from([0.0, 0.5, 30.0, 1e308]),
    ),
)
async def test_the_server_ranks_by_recency_exactly_as_the_formula(
    redis: Redis, places: list[tuple[int, int, int]], weights: Recency
) -> None:
    records = [
        memory(number, created_at=NOW - timedelta(days=created), last_accessed=NOW - timedelta(days=accessed))
        for number, (created, accessed, _) in enumerate(places)
    ]
    search = await stored(redis, records, [angle for *_, angle in places])
    page = await search.search(SearchMemories(tenant="t", text="x", limit=100, recency=weights), at_angle(0))
    dist_of = {hit.id: hit.dist for hit in page.hits}

    def combined(one: MemoryRecord) -> float:
        fresh = recency(weights, created_at=micros(one.created_at), last_accessed=micros(one.last_accessed), now=micros(NOW))
        return weights.semantic_weight * (1 - dist_of[one.id]) + weights.recency_weight * fresh

    value_of = {one.id: combined(one) for one in records}
    assert [value_of[one] for one in ids(page)] == pytest.approx(sorted(value_of.values(), reverse=True), abs=1e-9)
    await redis.flushall()


@pytest.mark.parametrize("mode", ["keyword", "hybrid"])
@pytest.mark.parametrize("weights", [Recency(), Recency(semantic_weight=0.3, recency_weight=0.7), Recency(freshness_weight=3.0)])
async def test_recency_reorders_what_words_found_as_the_formula_says(redis: Redis, mode: str, weights: Recency) -> None:
    moments = [NOW - timedelta(days=number * 37 % 60 - 1) for number in range(90)]
    records = [
        memory(number, "tea " * (number % 5 + 1) + "x " * (number % 3), created_at=at, last_accessed=at)
        for number, at in enumerate(moments)
    ]
    search = await stored(redis, records, [number * 53 % 90 for number in range(90)])

    async def settled() -> bool:
        info = await redis.execute_command("FT.INFO", index_alias("memory"))
        return float(dict(zip(info[::2], info[1::2], strict=True))[b"indexing"]) == 0

    # The scan that follows a new index takes documents in once more, and until it ends text scores shift a little.
    await wait_until(settled, "the new index has been scanned")
    plain = SearchMemories(tenant="t", text="tea", mode=mode, limit=100)  # type: ignore[arg-type]
    score_of = {hit.id: hit.score or 0.0 for hit in (await search.search(plain, at_angle(0))).hits}

    def value(one: MemoryRecord) -> float:
        fresh = recency(weights, created_at=micros(one.created_at), last_accessed=micros(one.last_accessed), now=micros(NOW))
        return weights.semantic_weight * score_of[one.id] + weights.recency_weight * fresh

    expected = [one.id for one in sorted(records, key=lambda one: (-value(one), one.id))]
    for limit in (1, 10, 100):
        page = await search.search(msgspec.structs.replace(plain, recency=weights, limit=limit), at_angle(0))
        assert (ids(page), page.total) == (expected[:limit], 90)


async def test_a_long_run_of_equals_is_paged_through_by_id(redis: Redis) -> None:
    records = [memory(number, "same words") for number in range(400)]
    search = await stored(redis, records, [1.0] * 400)
    for mode in ("semantic", "keyword", "hybrid"):
        query = SearchMemories(tenant="t", text="words", mode=mode, limit=30)  # type: ignore[arg-type]
        assert await all_pages(search, query, at_angle(0)) == [one.id for one in records]


async def test_any_word_is_enough_and_quoted_words_stay_together(redis: Redis) -> None:
    texts = ["green tea in Lisbon", "tea that is green", "coffee only", "Grüner Tee, naïve CAFÉ", "我喜欢绿茶", "done 🎉"]
    search = await stored(redis, [memory(number, text) for number, text in enumerate(texts)])

    async def found(text: str) -> set[str]:
        return set(ids(await search.search(SearchMemories(tenant="t", text=text, mode="keyword"), None)))

    assert await found("green coffee") == {"m000", "m001", "m002"}
    assert await found('"green tea"') == {"m000"}
    assert await found('"green tea" coffee') == {"m000", "m002"}
    assert await found("café") == await found("GRÜNER") == {"m003"}
    assert await found("绿茶") == {"m004"}
    assert await found("🎉") == {"m005"}
    assert await found("is") == {"m001"}
    assert await found("—?!… * | @text") == set()


async def test_the_best_keyword_hit_scores_one(redis: Redis) -> None:
    search = await stored(redis, [memory(1, "tea tea"), memory(2, "tea and a lot of other words beside it"), memory(3, "none")])
    page = await search.search(SearchMemories(tenant="t", text="tea", mode="keyword"), None)
    assert ids(page) == ["m001", "m002"]
    assert page.hits[0].score == 1.0
    assert 0.0 < (page.hits[1].score or 0) < 1.0
    assert page.hits[1].dist == pytest.approx(1 - (page.hits[1].score or 0))
    assert page.total == 2


async def test_hybrid_weighs_meaning_against_words_and_requires_quoted_ones(redis: Redis) -> None:
    records = [memory(1, "alpha"), memory(2, "beta"), memory(3, "gamma delta"), memory(4, "delta gamma")]
    search = await stored(redis, records, [0, 10, 40, 80])
    query = SearchMemories(tenant="t", text="delta", mode="hybrid")
    near = await search.search(msgspec.structs.replace(query, hybrid_alpha=1.0), at_angle(0))
    worded = await search.search(msgspec.structs.replace(query, hybrid_alpha=0.0), at_angle(0))
    assert ids(near) == ["m001", "m002", "m003", "m004"]
    assert ids(worded)[:2] == ["m003", "m004"]
    assert near.total == worded.total == 4
    quoted = await search.search(msgspec.structs.replace(query, text='"gamma delta"'), at_angle(0))
    assert (ids(quoted), quoted.total) == (["m003"], 1)
    unworded = await search.search(msgspec.structs.replace(query, text="?!"), at_angle(0))
    assert ids(unworded) == ["m001", "m002", "m003", "m004"]


async def test_no_search_sees_another_tenant(redis: Redis) -> None:
    await stored(redis, [memory(1, "tea")], tenant="theirs")
    search = await stored(redis, [memory(2, "coffee")], tenant="mine")
    for mode in ("semantic", "keyword", "hybrid"):
        page = await search.search(SearchMemories(tenant="mine", text="tea", mode=mode, limit=100), at_angle(0))
        assert "m001" not in ids(page)
    assert ids(await search.search(SearchMemories(tenant="mine"), None)) == ["m002"]


async def test_a_count_that_is_kept_follows_every_write(redis: Redis) -> None:
    search = await stored(redis, [memory(1, topics=["a"])])
    query = SearchMemories(tenant="t", text="x", filters=MemoryFilters(topics=TagFilter(eq="a")))
    assert [(await search.search(query, at_angle(0))).total for _ in range(2)] == [1, 1]
    live = (await generations.registry(redis, "memory")).active
    await apply(redis, live, [memory_document(memory(2, topics=["a"]), "t", 9, at_angle(3))], model="m")
    assert (await search.search(query, at_angle(0))).total == 2
    await redis.flushall()
    await stored(redis, [memory(1, topics=["a"])])
    assert (await search.search(query, at_angle(0))).total == 1


async def test_without_an_index_or_a_server_search_is_unavailable_rather_than_empty(redis: Redis) -> None:
    for mode in ("semantic", "keyword", "hybrid"):
        with pytest.raises(Unavailable):
            await MemorySearch(redis).search(SearchMemories(tenant="t", text="tea", mode=mode), at_angle(0))
    with pytest.raises(Unavailable):
        await MemorySearch(redis).search(SearchMemories(tenant="t"), None)
    async with Redis(port=1, protocol=2, retry=Retry(NoBackoff(), 0)) as nowhere:
        with pytest.raises(Unavailable, match="not reachable"):
            await MemorySearch(nowhere).search(SearchMemories(tenant="t"), None)


async def test_vectors_of_another_model_are_named_as_the_reason(redis: Redis) -> None:
    search = await stored(redis, [memory(1)])
    with pytest.raises(Unavailable, match="another embedding model"):
        await search.search(SearchMemories(tenant="t", text="x"), b"\0" * 12)
    with pytest.raises(ValueError, match="needs a vector"):
        await search.search(SearchMemories(tenant="t", text="x"), None)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(TEXTS)
async def test_any_text_can_be_searched_for_and_finds_a_memory_that_says_it(redis: Redis, text: str) -> None:
    search = await stored(redis, [memory(1, f"before {text} after"), memory(2, "else")])
    query = SearchMemories(tenant="t", text=f"before {text}", mode="keyword")
    assert "m001" in ids(await search.search(query, None))
    assert "m001" in ids(await search.search(msgspec.structs.replace(query, mode="hybrid", text=text + " before"), at_angle(0)))
    await redis.flushall()


async def test_the_graph_finds_what_comparing_everything_finds(redis: Redis) -> None:
    random = np.random.default_rng(7)
    vectors = random.standard_normal((3_000, 32)).astype("<f4")
    live = await generations.ensure(redis, "memory", "m", 32, "HNSW")
    writes = [memory_document(memory(number), "t", number + 1, vector.tobytes()) for number, vector in enumerate(vectors)]
    await apply(redis, [live], writes, model="m")
    search = MemorySearch(redis)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    right = 0
    for vector in random.standard_normal((20, 32)).astype("<f4"):
        expected = {f"m{number:03}" for number in np.argsort(-(unit @ vector))[:10]}
        await search.search(SearchMemories(tenant="t", text="x"), vector.tobytes())
        right += len(expected & set(ids(await search.search(SearchMemories(tenant="t", text="x"), vector.tobytes()))))
    assert right >= 190


async def timeline(redis: Redis) -> TimelineSearch:
    live = await generations.ensure(redis, "timeline", "m", 2, "FLAT")
    writes = [
        timeline_document(
            TimelineEvent(event_id=f"e{number}", session_id=f"s{number % 2}", timestamp_ms=number * 1000, text=f"tea {number}"),
            Scope(tenant="t", user_id=user),
            number + 1,
            at_angle(number),
        )
        for user in ("ann", "bob")
        for number in range(10)
    ]
    await apply(redis, [live], writes, model="m")
    return TimelineSearch(redis)


@pytest.mark.parametrize("mode", ["semantic", "keyword", "hybrid"])
async def test_a_timeline_search_stays_in_its_scope_session_and_time(redis: Redis, mode: str) -> None:
    search = await timeline(redis)
    query = SearchTimeline(scope=Scope(tenant="t", user_id="ann"), text="tea", mode=mode, limit=100)  # type: ignore[arg-type]
    assert (await search.search(query, at_angle(0))).total == 10
    narrow = msgspec.structs.replace(query, session_id="s1", from_ms=3000, to_ms=7000)
    page = await search.search(narrow, at_angle(0))
    assert sorted(ids(page)) == ["e3", "e5", "e7"]
    assert msgspec.json.decode(page.hits[0].record, type=TimelineEvent).session_id == "s1"
    assert (await search.search(msgspec.structs.replace(query, scope=Scope(tenant="t")), at_angle(0))).total == 0
    assert (await search.search(msgspec.structs.replace(query, text=" "), None)).total == 0


async def test_forms_of_a_word_are_one_and_quoted_words_stay_as_they_are(redis: Redis) -> None:
    texts = ["she runs every day", "running in the rain", "the runner", "книга о чае", "she walks in all the rain"]
    search = await stored(redis, [memory(number, text) for number, text in enumerate(texts)])

    async def found(text: str) -> list[str]:
        return ids(await search.search(SearchMemories(tenant="t", text=text, mode="keyword"), None))

    assert sorted(await found("run")) == ["m000", "m001"]
    assert await found('"runs"') == ["m000"]
    assert await found('"run"') == []
    assert await found("книги") == ["m003"]
    assert await found("does she walk in the rain") == ["m004", "m001", "m000", "m002"]


async def test_a_filter_changes_no_score_wherever_the_documents_lie(redis: Redis) -> None:
    records = [memory(1, "tea"), memory(2, "tea with milk, cake and a very long afternoon", topics=["a"])]
    # Others between them: a server that skips over those must still count every word of the next.
    others = [memory(number, "none", topics=["b"]) for number in range(3, 30)]
    search = await stored(redis, [*others[:5], records[0], *others[5:9], records[1], *others[9:]])
    query = SearchMemories(tenant="t", text="tea milk", mode="keyword")
    plain = {hit.id: hit.score for hit in (await search.search(query, None)).hits}
    everything = MemoryFilters(memory_type=TagFilter(any=["semantic", "episodic", "message"]), session_id=TagFilter(none=True))
    filtered = await search.search(msgspec.structs.replace(query, filters=everything), None)
    assert {hit.id: hit.score for hit in filtered.hits} == plain
