"""The local model against plain arithmetic, and who is served first."""

import asyncio
import json
import math
import threading
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest
import tokenizers
from numpy.typing import NDArray

from agent_memory.contracts.errors import Unavailable
from agent_memory.runtime.embed_graph import model_folder
from agent_memory.runtime.embed_lane import Lane, Piece
from agent_memory.runtime.embed_local import LocalEmbedder
from agent_memory.runtime.embed_vectors import unpacked
from support.controls import wait_until

Floats = NDArray[np.float64]
TEXTS = [
    "hello world",
    "User prefers dark mode in the editor, but only at night.",
    "Grüße aus Köln: 東京タワー 🎉 naïve café",
    "word " * 400,
    " ",
    "a",
]


class Reference:
    """BERT as its paper writes it, in float64, one text at a time."""

    def __init__(self) -> None:
        raw = (model_folder() / "model.safetensors").read_bytes()
        start = 8 + int.from_bytes(raw[:8], "little")
        self.weights: dict[str, Floats] = {}
        for name, entry in json.loads(raw[8:start]).items():
            if entry.get("dtype") == "F32":
                begin, end = (start + offset for offset in entry["data_offsets"])
                self.weights[name] = np.frombuffer(raw[begin:end], "<f4").reshape(entry["shape"]).astype(np.float64)
        self.tokenizer = tokenizers.Tokenizer.from_file(str(model_folder() / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(256)

    def linear(self, x: Floats, name: str) -> Floats:
        return np.asarray(x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"])

    def norm(self, x: Floats, name: str) -> Floats:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
        return np.asarray(scaled * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"])

    def layer(self, x: Floats, name: str) -> Floats:
        parts = [self.linear(x, f"{name}.attention.self.{part}") for part in ("query", "key", "value")]
        query, key, value = (part.reshape(len(x), 12, 32).transpose(1, 0, 2) for part in parts)
        scores = query @ key.transpose(0, 2, 1) / math.sqrt(32)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        joined = (weights / weights.sum(-1, keepdims=True) @ value).transpose(1, 0, 2).reshape(len(x), 384)
        x = self.norm(x + self.linear(joined, f"{name}.attention.output.dense"), f"{name}.attention.output.LayerNorm")
        wide = self.linear(x, f"{name}.intermediate.dense")
        wide = wide * 0.5 * (1 + np.vectorize(math.erf)(wide / math.sqrt(2)))
        return self.norm(x + self.linear(wide, f"{name}.output.dense"), f"{name}.output.LayerNorm")

    def vector(self, text: str) -> Floats:
        ids = self.tokenizer.encode(text).ids
        x = self.weights["embeddings.word_embeddings.weight"][ids]
        x = x + self.weights["embeddings.position_embeddings.weight"][: len(ids)]
        x = self.norm(x + self.weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        for number in range(6):
            x = self.layer(x, f"encoder.layer.{number}")
        mean = x.mean(0)
        return np.asarray(mean / np.linalg.norm(mean))


@pytest.fixture(scope="module")
async def local() -> AsyncIterator[LocalEmbedder]:
    embedder = LocalEmbedder(threads=1)
    yield embedder
    await embedder.close()


async def test_vectors_in_integers_are_near_those_of_plain_arithmetic(local: LocalEmbedder) -> None:
    reference = Reference()
    expected = np.stack([reference.vector(text) for text in TEXTS])
    cosines = (unpacked(await local.embed(TEXTS)) * expected).sum(axis=1)
    assert cosines.mean() > 0.99
    assert cosines.min() > 0.97


async def test_a_vector_does_not_depend_on_its_company(local: LocalEmbedder) -> None:
    texts = [f"{text} {number}" for number in range(20) for text in TEXTS[:3]] + ["longer " * 100]
    together = unpacked(await local.embed(texts))
    alone = unpacked([vector for text in texts[::7] for vector in await local.embed([text])])
    assert np.abs(together[::7] - alone).max() < 1e-5


async def test_meaning_is_near_where_words_are_not_shared(local: LocalEmbedder) -> None:
    ask, near, far = unpacked(
        await local.embed(["Which food does she avoid?", "Maria is allergic to peanuts", "The build failed on Tuesday"])
    )
    assert ask @ near > ask @ far + 0.1


async def test_any_text_has_a_vector(local: LocalEmbedder) -> None:
    vectors = await local.embed(["", "\x00", "\ud800 lone", "x" * 2_000_000, "\n\t"])
    assert np.isfinite(unpacked(vectors)).all()
    assert await local.embed([]) == []


async def test_after_closing_the_model_is_unavailable() -> None:
    embedder = LocalEmbedder()
    await embedder.close()
    with pytest.raises(Unavailable):
        await embedder.embed(["late"])


class Slow:
    """A model whose runs are let go one by one."""

    def __init__(self) -> None:
        self.runs: list[list[str]] = []
        self.turn = threading.Semaphore(0)

    def __call__(self, texts: Sequence[str]) -> list[bytes]:
        self.runs.append(list(texts))
        self.turn.acquire()
        if "broken" in texts:
            raise ValueError("no such word")
        return [text.encode() for text in texts]


def pieces(*groups: str, longest: int = 500) -> list[Piece[str]]:
    loop = asyncio.get_running_loop()
    return [Piece(texts=group.split(), longest=longest, answer=loop.create_future(), loop=loop) for group in groups]


async def test_a_small_request_is_served_before_the_rest_of_a_big_one() -> None:
    slow = Slow()
    lane = Lane("test", slow)
    big, small = pieces("a b", "c d", "e f", "g h"), pieces("x")
    lane.put(big)
    await wait_until(lambda: slow.runs, "the first piece runs")
    lane.put(small)
    slow.turn.release(5)
    assert [await piece.answer for piece in [*big, *small]] == [[b"a", b"b"], [b"c", b"d"], [b"e", b"f"], [b"g", b"h"], [b"x"]]
    assert slow.runs.index(["x"]) <= 2
    lane.close()


async def test_pieces_that_wait_together_run_together_but_for_those_given_up() -> None:
    slow = Slow()
    lane = Lane("test", slow)
    first, one, gone, two = (pieces(name, longest=10)[0] for name in ("first", "one", "gone", "two"))
    lane.put([first])
    await wait_until(lambda: slow.runs, "the first piece runs")
    for piece in (one, gone, two):
        lane.put([piece])
    gone.answer.cancel()
    slow.turn.release(2)
    assert (await one.answer, await two.answer) == ([b"one"], [b"two"])
    assert slow.runs == [["first"], ["one", "two"]]
    lane.close()


async def test_a_failing_run_fails_its_pieces_only_and_closing_refuses_the_rest() -> None:
    slow = Slow()
    lane = Lane("test", slow)
    broken, fine, late = pieces("broken", "fine", "late")
    lane.put([broken, fine, late])
    await wait_until(lambda: slow.runs, "the first piece runs")
    slow.turn.release()
    with pytest.raises(Unavailable, match="no such word"):
        await broken.answer
    await wait_until(lambda: len(slow.runs) == 2, "the second piece runs")
    closing = asyncio.create_task(asyncio.to_thread(lane.close))
    with pytest.raises(Unavailable, match="shutting down"):
        await late.answer
    slow.turn.release()
    await closing
    assert await fine.answer == [b"fine"]
    with pytest.raises(Unavailable):
        lane.put(pieces("after"))


async def test_the_threads_of_a_lane_run_side_by_side() -> None:
    slow = Slow()
    lane = Lane("test", slow, threads=2)
    both = pieces("one", "two")
    lane.put(both)
    await wait_until(lambda: len(slow.runs) == 2, "both run before either has ended")
    slow.turn.release(2)
    assert [await piece.answer for piece in both] == [[b"one"], [b"two"]]
    lane.close()
