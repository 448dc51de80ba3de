"""Orders of search results."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_memory.contracts.queries import Recency
from agent_memory.readmodels.ranking import Ranked, by_recency, contenders, fuse, fuse_ranks, in_blocks, recency

DAY = 86_400_000_000
NOW = 1_800_000_000_000_000


def test_recency_halves_with_each_half_life() -> None:
    weights = Recency()
    assert recency(weights, created_at=NOW, last_accessed=NOW, now=NOW) == pytest.approx(1.0)
    assert recency(weights, created_at=NOW - 30 * DAY, last_accessed=NOW - 7 * DAY, now=NOW) == pytest.approx(0.5)
    assert recency(weights, created_at=NOW - 60 * DAY, last_accessed=NOW, now=NOW) == pytest.approx(0.6 + 0.4 * 0.25)


def test_times_in_the_future_count_as_now_and_a_half_life_of_nothing_as_old() -> None:
    assert recency(Recency(), created_at=NOW + DAY, last_accessed=NOW + DAY, now=NOW) == pytest.approx(1.0)
    weights = Recency(half_life_created_days=0, half_life_last_access_days=0)
    assert recency(weights, created_at=NOW, last_accessed=NOW, now=NOW) == 0.0


def test_a_fresh_memory_passes_a_slightly_nearer_old_one_and_keeps_its_own_score() -> None:
    old = Ranked(key=b"old", dist=0.10, score=0.90, created_at=NOW - 365 * DAY, last_accessed=NOW - 365 * DAY)
    new = Ranked(key=b"new", dist=0.15, score=0.85, created_at=NOW, last_accessed=NOW)
    assert by_recency([old, new], Recency(), NOW) == [new, old]
    assert by_recency([old, new], Recency(semantic_weight=1, recency_weight=0), NOW) == [old, new]


def test_alpha_decides_between_meaning_and_words() -> None:
    distances = {b"near": 0.1, b"middle": 0.3, b"far": 0.5}
    scores = {b"far": 9.0, b"words": 3.0}
    assert [key for key, _ in fuse(distances, scores, 1.0)][:2] == [b"near", b"middle"]
    assert [key for key, _ in fuse(distances, scores, 0.0)][:2] == [b"far", b"words"]


@given(
    st.dictionaries(st.binary(max_size=2), st.floats(0, 2), max_size=6),
    st.dictionaries(st.binary(max_size=2), st.floats(0, 1e6), max_size=6),
    st.floats(0, 1),
)
def test_fusion_keeps_every_candidate_once_between_nothing_and_one(
    distances: dict[bytes, float], scores: dict[bytes, float], alpha: float
) -> None:
    fused = fuse(distances, scores, alpha)
    assert {key for key, _ in fused} == distances.keys() | scores.keys()
    assert len(fused) == len({key for key, _ in fused})
    assert all(0.0 <= score <= 1.0 for _, score in fused)
    assert fused == sorted(fused, key=lambda pair: (-pair[1], pair[0]))


@given(st.integers(0, 1000), st.integers(1, 100))
def test_blocks_hold_the_whole_page(offset: int, limit: int) -> None:
    blocks = in_blocks(offset, limit, 100)
    assert blocks[0][0] <= offset < blocks[0][1]
    assert blocks[-1][0] < offset + limit <= blocks[-1][1]
    assert all(end == start for (_, end), (start, _) in pairwise(blocks))


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.5, 0.50001, 0.7, 1.0]), st.integers(-1, 90)), min_size=1, max_size=30),
    st.builds(Recency, semantic_weight=st.sampled_from([0.0, 0.8, 1.0]), recency_weight=st.sampled_from([0.0, 0.2, 1.0])),
    st.integers(1, 40),
)
def test_those_that_are_no_contenders_would_not_have_come_first(
    given: list[tuple[float, int]], weights: Recency, wanted: int
) -> None:
    placed = sorted(given, reverse=True)
    all_of_them = [
        Ranked(b"%d" % at, 1.0 - score, score, NOW - age * DAY, NOW - age * DAY) for at, (score, age) in enumerate(placed)
    ]
    some = all_of_them[: contenders([score for score, _ in placed], weights, wanted)]
    assert by_recency(some, weights, NOW)[:wanted] == by_recency(all_of_them, weights, NOW)[:wanted]


def test_who_is_too_far_behind_is_no_contender() -> None:
    assert contenders([1.0, 0.9, 0.8, 0.7, 0.6, 0.2], Recency(), 1) == 3
    assert contenders([1.0, 0.9], Recency(), 5) == 2


def test_rank_fusion_looks_at_places_only() -> None:
    near = {b"a": 0.1, b"b": 0.100001, b"c": 1.9}
    words = {b"c": 12.0, b"b": 11.9}
    fused = fuse_ranks(near, words, 0.5)
    assert [key for key, _ in fused] == [b"c", b"b", b"a"]
    assert fused[0][1] == 1.0
    assert fuse_ranks({key: 10 * dist for key, dist in near.items()}, words, 0.5) == fused
    assert [key for key, _ in fuse_ranks(near, words, 1.0)] == [b"a", b"b", b"c"]
    assert [key for key, _ in fuse_ranks(near, words, 0.0)] == [b"c", b"b", b"a"]
    assert fuse_ranks({}, {}, 0.5) == []


def test_rank_fusion_tells_equals_apart_by_key() -> None:
    assert [key for key, _ in fuse_ranks({b"b": 0.5, b"a": 0.5}, {}, 0.7)] == [b"a", b"b"]
    assert [key for key, _ in fuse_ranks({b"a": 0.1}, {b"b": 3.0}, 0.5)] == [b"a", b"b"]
