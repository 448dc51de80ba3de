"""Summaries without a model."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agent_memory.runtime.embed_hash import HashEmbedder
from agent_memory.runtime.embed_vectors import unpacked
from agent_memory.summarizer.extractive import EXCERPT, budget, chosen, excerpt, sentences

EMBEDDER = HashEmbedder(64)


def vectors(*texts: str) -> np.ndarray:
    return unpacked(EMBEDDER.vectors(texts))


def test_what_most_is_about_comes_before_what_stands_alone() -> None:
    texts = ["tea is hot", "tea is green", "tea is cheap", "trains run late"]
    assert 3 not in chosen(vectors(*texts), [10] * 4, 30)


def test_of_equals_one_is_taken_before_a_second() -> None:
    texts = ["tea is hot", "tea is hot", "tea was green"]
    assert chosen(vectors(*texts), [10] * 3, 20) != [0, 1]


def test_what_is_taken_keeps_its_order_and_fits() -> None:
    texts = [f"tea number {number} is hot" for number in range(40)]
    taken = chosen(vectors(*texts), [10] * 40, 105)
    assert taken == sorted(taken)
    assert len(taken) == 10


def test_the_most_central_text_is_taken_even_when_it_does_not_fit() -> None:
    assert len(chosen(vectors("tea", "cake"), [50, 50], 10)) == 1
    assert chosen(vectors("tea")[:0], [], 10) == []


def test_sentences_end_where_they_end() -> None:
    assert sentences('He said "no." Then he left!  Version 1.5 came\nNew line') == [
        'He said "no."',
        "Then he left!",
        "Version 1.5 came",
        "New line",
    ]


def test_an_excerpt_is_whole_sentences_or_says_that_it_is_not() -> None:
    long = "This is a sentence of some length. " * 30
    assert excerpt(long).endswith("length.")
    assert len(excerpt(long)) <= EXCERPT
    assert excerpt("word " * 200).endswith("word …")
    assert excerpt(" ") == ""


@given(st.text(max_size=2_000))
def test_an_excerpt_is_never_longer_than_it_may_be(text: str) -> None:
    assert len(excerpt(text)) <= EXCERPT


def test_the_room_of_a_summary_grows_with_the_model_within_bounds() -> None:
    assert [budget(limit) for limit in (10, 16_000, 1_000_000)] == [200, 6_400, 8_000]
