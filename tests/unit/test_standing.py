"""What stands in working memory, searched by comparing all of it."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agent_memory.contracts.codec import encode
from agent_memory.contracts.queries import Fusion, MemoryFilters, Recency, SearchMemories, SearchMode, TagFilter
from agent_memory.contracts.records import MemoryRecord, Message
from agent_memory.readmodels.plans import Hit
from agent_memory.readmodels.standing import Found, Standing, bm25, merged, ordered, passing, placed, records_of, texts_to_compare

NOW = datetime(2026, 1, 31, tzinfo=UTC)


def record(id_: str, text: str = "x", *, age: int = 0, **fields: object) -> MemoryRecord:
    at = NOW - timedelta(days=age)
    return MemoryRecord(id=id_, text=text, last_accessed=at, created_at=at, updated_at=at, **fields)  # type: ignore[arg-type]


def vector(degrees: float) -> bytes:
    radians = np.radians(degrees)
    return np.array([np.cos(radians), np.sin(radians)], "<f4").tobytes()


def query(text: str | None = "tea", mode: SearchMode = "semantic", **more: object) -> SearchMemories:
    return SearchMemories(tenant="t", text=text, mode=mode, **more)  # type: ignore[arg-type]


def ids(found: list[Found]) -> list[str]:
    return [one.hit.id for one in found if isinstance(one.hit, Hit)]


def test_messages_and_memories_that_are_not_long_term_yet_are_what_a_session_holds() -> None:
    message = Message(id="m", role="assistant", content="Hi", created_at=NOW)
    meta = {
        "namespace": "n",
        "user_id": "u",
        "last_accessed": NOW + timedelta(days=1),
        "memories": [record("a"), record("b", namespace="own"), record("c", persisted_at=NOW)],
    }
    held = Standing(session_id="s", namespace="n", user_id="u", meta=encode(meta), messages=encode(message))
    first, second, third = records_of(held)
    assert (first.id, first.text, first.memory_type, first.metadata) == ("m", "Hi", "message", {"role": "assistant"})
    assert (first.session_id, first.namespace, first.user_id, first.last_accessed) == ("s", "n", "u", meta["last_accessed"])
    assert (second.id, second.session_id, second.namespace, second.user_id) == ("a", "s", "n", "u")
    assert (third.id, third.namespace) == ("b", "own")
    assert [one.id for one in records_of(held, messages_too=False)] == ["a", "b"]
    assert records_of(Standing(session_id="s", meta=b"{}", messages=b"")) == []
    for namespace, user_id in (("", "u"), ("n", ""), ("other", "u")):
        assert records_of(replace(held, namespace=namespace, user_id=user_id)) == []


def test_filters_and_words_choose() -> None:
    records = [
        record("a", "Teas are green", topics=["t"]),
        record("b", "green tea"),
        record("c", "and then"),
        record("d", "coffee"),
    ]

    def chosen(asked: SearchMemories) -> list[str]:
        return [one.id for one in passing(asked, records)]

    assert chosen(query()) == ["a", "b", "c", "d"]
    assert chosen(query(filters=MemoryFilters(topics=TagFilter(eq="t")))) == ["a"]
    assert chosen(query("tea and", "keyword")) == ["a", "b", "c"]
    assert chosen(query('"green tea"', "keyword")) == ["b"]
    assert chosen(query('tea "green tea"', "hybrid")) == ["b"]
    assert chosen(query('tea "green tea"', "keyword")) == ["a", "b"]
    assert chosen(query("...", "keyword")) == []


def test_only_searches_by_meaning_need_vectors() -> None:
    records = [record("a", "one"), record("b", "one"), record("c", "two")]
    assert list(texts_to_compare(query(), records)) == ["one", "two"]
    assert texts_to_compare(query(mode="keyword"), records) == texts_to_compare(query(None), records) == {}


def test_the_nearest_come_first_then_those_of_smaller_ids_and_none_beyond_the_threshold() -> None:
    records = [record("c", "far"), record("b", "near"), record("a", "near"), record("d", "nowhere")]
    vectors = {"near": vector(10), "far": vector(80), "nowhere": np.zeros(2, "<f4").tobytes()}
    assert ids(ordered(query(), records, vectors, vector(0), NOW)) == ["a", "b", "c", "d"]
    assert ids(ordered(query(distance_threshold=0.5), records, vectors, vector(0), NOW)) == ["a", "b"]
    first = ordered(query(), records, vectors, vector(0), NOW)[0].hit
    assert (first.dist, first.score) == (pytest.approx(1 - np.cos(np.radians(10)), abs=1e-6), pytest.approx(0.9848, abs=1e-4))


def test_a_listing_is_newest_first_then_by_id() -> None:
    records = [record("b"), record("a"), record("c", age=1)]
    assert ids(ordered(query(None), records, {}, None, NOW)) == ["a", "b", "c"]


def test_recency_counts_as_it_does_in_the_index() -> None:
    records = [record("old", "near", age=365), record("new", "far")]
    vectors = {"near": vector(10), "far": vector(30)}
    assert ids(ordered(query(), records, vectors, vector(0), NOW)) == ["old", "new"]
    assert ids(ordered(query(recency=Recency()), records, vectors, vector(0), NOW)) == ["new", "old"]
    hits = [one.hit for one in ordered(query(), records, vectors, vector(0), NOW)]
    assert [one.place for one in placed(query(recency=Recency()), hits, NOW)] == pytest.approx([-0.7879, -0.8928], abs=1e-4)


@pytest.mark.parametrize("fusion", ["weighted", "rank"])
def test_a_hybrid_search_adds_meaning_and_words(fusion: Fusion) -> None:
    records = [record("words", "tea tea tea"), record("meaning", "infusion"), record("both", "tea"), record("none", "car")]
    vectors = {"tea tea tea": vector(60), "infusion": vector(0), "tea": vector(5), "car": vector(90)}
    found = ids(ordered(query(mode="hybrid", fusion=fusion), records, vectors, vector(0), NOW))
    assert (found[0], found[-1]) == ("both", "none")
    assert ids(ordered(query(mode="hybrid", hybrid_alpha=0.0, fusion=fusion), records, vectors, vector(0), NOW))[0] == "words"


def test_rare_words_and_short_texts_weigh_more() -> None:
    documents = [["tea", "green"], ["tea", "black"], ["tea"], ["coffee"]]
    tea, rare = bm25(documents, [("tea",)]), bm25(documents, [("green",)])
    assert tea[2] > tea[0] > tea[3] == 0
    assert rare[0] > tea[0]
    assert bm25(documents, [("tea", "green")])[1:] == [0.0, 0.0, 0.0]
    assert bm25([], [("tea",)]) == []
    assert bm25(documents, []) == [0.0] * 4


def test_common_words_find_but_do_not_rank() -> None:
    records = [record("a", "where is the tea"), record("b", "where are you")]
    found = ordered(query("where tea", "keyword"), records, {}, None, NOW)
    assert [(one.hit.score, one.hit.dist) for one in found] == [(1.0, 0.0), (0.0, 1.0)]


PLACES = st.lists(st.integers(0, 5).map(float), max_size=8)


@given(PLACES, PLACES, st.integers(0, 16))
def test_the_beginning_of_both_in_one_order_does_not_depend_on_what_follows(
    long_term: list[float], working: list[float], wanted: int
) -> None:
    def found(places: list[float], kind: str) -> list[Found]:
        return [Found(place, Hit(f"{kind}{at}", b"", place, None, None)) for at, place in enumerate(places)]

    whole = merged(found(long_term, "l"), found(working, "w"))
    assert len(whole) == len(long_term) + len(working)
    assert whole[:wanted] == merged(found(long_term, "l")[:wanted], found(working, "w"))[:wanted]
    assert [hit for hit, is_working in whole if is_working] == [one.hit for one in found(working, "w")]
