"""Vectors as they travel, texts as they are cut, and the word vectors that other tests stand on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_memory.runtime.embed_hash import HashEmbedder
from agent_memory.runtime.embed_lane import MOST_TEXTS, MOST_TOKENS
from agent_memory.runtime.embed_local import runs
from agent_memory.runtime.embed_tokens import Limits, requests, shortened, size
from agent_memory.runtime.embed_vectors import EmbeddingUnusable, clean, packed, unpacked


def test_a_vector_is_float32_little_endian_of_length_one() -> None:
    [vector] = packed(np.array([[3.0, 4.0]]), "here")
    assert vector == np.array([0.6, 0.8], dtype="<f4").tobytes()


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf"), 1e300])
def test_a_vector_without_a_direction_is_not_used(number: float) -> None:
    with pytest.raises(EmbeddingUnusable, match="no direction"):
        packed(np.array([[1.0, 0.0], [number, 1.0]]), "here")
    with pytest.raises(EmbeddingUnusable, match="no direction"):
        packed(np.zeros((1, 2)), "here")


async def test_word_vectors_are_the_same_every_time_and_near_when_words_are_shared() -> None:
    texts = ["The cat sat on the mat", "The CAT sat on a mat", "quarterly revenue rose"]
    first, second, third = unpacked(await HashEmbedder(256).embed(texts))
    assert await HashEmbedder(256).embed(texts) == await HashEmbedder(256).embed(texts)
    assert first @ second > 0.5 > abs(first @ third)


@given(st.lists(st.text(st.characters(codec=None, exclude_categories=())), max_size=5), st.integers(1, 64))
def test_any_text_has_a_word_vector(texts: list[str], dimensions: int) -> None:
    vectors = HashEmbedder(dimensions).vectors(texts)
    assert [len(vector) for vector in vectors] == [4 * dimensions] * len(texts)


@given(st.text(st.characters(codec=None, exclude_categories=())))
def test_a_cleaned_text_can_always_be_sent(text: str) -> None:
    assert clean(text).encode()


@given(st.lists(st.text(max_size=40), max_size=60), st.integers(1, 8), st.integers(1, 30), st.integers(30, 100))
def test_requests_keep_every_text_in_order_and_the_limits(texts: list[str], most: int, each: int, together: int) -> None:
    cut = requests(texts, Limits(texts=most, text_tokens=each, request_tokens=together))
    assert [at for part in cut for at in part] == list(range(len(texts)))
    for part in cut:
        assert 0 < len(part) <= most
        assert sum(min(size(texts[at]), each) for at in part) <= together


@given(st.lists(st.integers(2, 256), min_size=1, max_size=50))
def test_runs_of_the_model_keep_every_text_and_stay_small(sizes: list[int]) -> None:
    order = sorted(range(len(sizes)), key=sizes.__getitem__)
    cut = runs(order, sizes)
    assert [at for part in cut for at in part] == order
    for part in cut:
        assert len(part) <= MOST_TEXTS
        assert len(part) == 1 or len(part) * sizes[part[-1]] <= MOST_TOKENS


def test_a_long_text_is_cut_by_real_tokens_not_by_bytes() -> None:
    text = "a memory of something that happened " * 400
    assert shortened(text, Limits()) == text
    cut = shortened(text, Limits(text_tokens=1000))
    assert text.startswith(cut)
    assert 5000 < len(cut) < 7000


@pytest.mark.parametrize("count", [True, False])
def test_a_cut_never_ends_inside_a_character(count: bool) -> None:
    assert set(shortened("日本🎉" * 900, Limits(text_tokens=500, count=count))) == set("日本🎉")
