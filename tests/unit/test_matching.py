"""One order of what two indexes found."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_memory.contracts.queries import SearchMode, SearchTimeline
from agent_memory.contracts.records import Scope
from agent_memory.readmodels.matching import Match, merged, weighed
from agent_memory.readmodels.plans import Hit, Side

SCORES = st.lists(st.sampled_from([0.0, 1e-9, 0.3, 0.5, 0.500001, 0.9, 1.0]) | st.floats(0, 1), max_size=12)
SHARES = st.sampled_from([0.0, 0.5, 1.0]) | st.floats(0, 1)
MODES = st.sampled_from(["hybrid", "semantic", "keyword"])


def query(mode: SearchMode = "hybrid", alpha: float = 0.5) -> SearchTimeline:
    return SearchTimeline(scope=Scope(), text="x", mode=mode, hybrid_alpha=alpha)


def side(prefix: str, scores: list[float], nearest: float = 1.0, *, worded: bool = True) -> Side:
    """What an index found, best first."""
    ordered = sorted(scores, reverse=True)
    hits = [Hit(f"{prefix}{number}", b"{}", 1.0 - score, score, "hybrid") for number, score in enumerate(ordered)]
    return Side(hits, len(hits), nearest, worded)


def ids(matches: list[Match]) -> list[str]:
    return [match.id for match in matches]


@given(SCORES, SCORES, SHARES, SHARES, st.booleans(), st.booleans(), SHARES, MODES)
def test_the_merged_order_is_total_and_each_side_keeps_its_own(
    written: list[float], said: list[float], near: float, far: float, words: bool, more: bool, alpha: float, mode: SearchMode
) -> None:
    sides = side("toc:", written, near, worded=words), side("e", said, far, worded=more)
    found = merged(query(mode, alpha), *sides)
    for one in sides:
        assert [match.id for match in found if match.id in {hit.id for hit in one.hits}] == [hit.id for hit in one.hits]
    assert len(found) == len(written) + len(said)
    assert all(0.0 <= match.score <= 1.0 for match in found)
    places = [(-match.score, match.kind == "event") for match in found]
    assert all(one <= other for one, other in pairwise(places))


@given(SCORES, SCORES, SHARES, SHARES, st.integers(0, 12), st.integers(1, 6))
def test_a_page_is_the_same_whatever_comes_after_it(
    written: list[float], said: list[float], near: float, far: float, offset: int, limit: int
) -> None:
    sides, end = [side("toc:", written, near), side("e", said, far)], offset + limit
    first = [one._replace(hits=one.hits[:end]) for one in sides]
    assert merged(query(), *first)[offset:end] == merged(query(), *sides)[offset:end]


def test_at_equal_scores_what_is_written_comes_first() -> None:
    found = merged(query("semantic"), side("toc:", [0.5, 0.2]), side("e", [0.9, 0.5]))
    assert ids(found) == ["e0", "toc:0", "e1", "toc:1"]


def test_an_index_whose_best_is_far_off_and_without_a_word_comes_after() -> None:
    near, far = side("toc:", [1.0, 0.9], 0.8), side("e", [1.0], 0.4, worded=False)
    assert weighed(query(), near, far) == [1.0, pytest.approx(0.25)]
    assert ids(merged(query(), near, far)) == ["toc:0", "toc:1", "e0"]


def test_by_words_the_best_of_each_index_is_as_good_and_by_meaning_the_nearer_one_is_better() -> None:
    sides = side("toc:", [1.0], 0.1, worded=False), side("e", [1.0], 0.9)
    assert weighed(query("keyword"), *sides) == weighed(query("semantic"), *sides) == [1.0, 1.0]
    assert weighed(query(alpha=0.0), *sides) == [0.0, 1.0]


def test_where_nothing_is_near_nearness_tells_nothing_apart() -> None:
    assert weighed(query(), side("toc:", [], 0.0, worded=False), side("e", [], 0.0)) == [0.5, 1.0]


def test_a_match_says_what_it_is() -> None:
    written = Side([Hit("grip:1", b"{}", 0.0, 1.0, "hybrid"), Hit("toc:year:2026", b"{}", 0.5, 0.5, "hybrid")], 2, 1.0, True)
    assert [(one.kind, one.id) for one in merged(query(), written, side("grip:", [0.7]))] == [
        ("grip", "grip:1"),
        ("event", "grip:0"),
        ("node", "toc:year:2026"),
    ]
