"""Events that support each other: neighbours, sessions, and two sides on one scale."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_memory.readmodels.conversation import BEST, NEIGHBOUR, SESSION, Place, by_session, grouped, ordered, standard, supported

KEYS = st.sampled_from([b"a", b"b", b"c", b"d", b"e"])
SCORES = st.dictionaries(KEYS, st.floats(0, 1e3), max_size=5)
PLACES = st.fixed_dictionaries({key: st.builds(Place, st.sampled_from([b"s", b"t"]), st.none() | KEYS) for key in KEYS.elements})  # type: ignore[attr-defined]


def test_scores_of_two_kinds_come_onto_one_scale() -> None:
    small, large = {b"a": 0.1, b"b": 0.3}, {b"a": 100.0, b"b": 300.0}
    assert standard(small, 0.0) == pytest.approx(standard(large, 0.0))
    assert standard({b"a": 5.0, b"b": 5.0}, 5.0) == {b"a": 0.0, b"b": 0.0}
    assert standard({}, 1.0) == {}


def test_the_only_one_with_the_words_stands_out() -> None:
    assert standard({b"a": 7.0}, 0.0)[b"a"] == pytest.approx(2.0)


def test_an_event_gains_from_the_one_before_it_and_the_one_after_it() -> None:
    places = {b"question": Place(b"s"), b"answer": Place(b"s", b"question"), b"other": Place(b"s", b"not found")}
    found = supported({b"question": 2.0}, {b"answer": 1.0, b"other": 1.0}, 0.5, places)
    assert found == pytest.approx({b"question": 1.0 + NEIGHBOUR * 0.5, b"answer": 0.5 + NEIGHBOUR * 1.0, b"other": 0.5})


def test_alpha_weighs_nearness_against_words() -> None:
    places = {b"near": Place(b"s"), b"worded": Place(b"t")}
    assert [key for key, _ in ordered(supported({b"near": 1.0}, {b"worded": 1.0}, 0.6, places), places)] == [b"near", b"worded"]
    assert [key for key, _ in ordered(supported({b"near": 1.0}, {b"worded": 1.0}, 0.4, places), places)] == [b"worded", b"near"]


def test_a_session_that_is_about_it_comes_before_one_that_says_it_once() -> None:
    places = {key: Place(b"about") for key in (b"a", b"b", b"c")} | {b"once": Place(b"chance")}
    scores = {b"a": 1.0, b"b": 0.9, b"c": 0.8, b"once": 1.5}
    assert by_session(scores, places) == pytest.approx({b"about": 0.9, b"chance": 0.5})
    (_, about), (_, chance) = grouped(scores, places)
    assert [key for key, _ in about] == [b"a", b"b", b"c"]
    assert [key for key, _ in chance] == [b"once"]
    assert dict(ordered(scores, places))[b"a"] == pytest.approx((1.0 + SESSION * 0.9) / (1.5 + SESSION * 0.5))


@given(SCORES, SCORES, st.floats(0, 1), PLACES)
def test_every_candidate_has_one_place_in_an_order_that_nothing_else_decides(
    near: dict[bytes, float], worded: dict[bytes, float], alpha: float, everywhere: dict[bytes, Place]
) -> None:
    places = {key: place for key, place in everywhere.items() if key in near or key in worded}
    found = ordered(supported(near, worded, alpha, places), places)
    assert found == sorted(found, key=lambda pair: (-pair[1], pair[0]))
    assert {key for key, _ in found} == near.keys() | worded.keys()
    assert all(0.0 <= score <= 1.0 for _, score in found)
    again = dict(reversed(places.items()))
    assert [key for key, _ in ordered(supported(near, worded, alpha, again), again)] == [key for key, _ in found]


@given(SCORES, PLACES)
def test_groups_hold_the_best_of_each_session(scores: dict[bytes, float], everywhere: dict[bytes, Place]) -> None:
    places = {key: everywhere[key] for key in scores}
    groups = grouped(scores, places)
    assert len(groups) == len({place.session for place in places.values()})
    assert all(1 <= len(best) <= BEST for _, best in groups)
    assert [score for score, _ in groups] == sorted((score for score, _ in groups), reverse=True)
