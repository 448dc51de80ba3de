"""Callers that come together are asked for together; what was asked is remembered."""

import asyncio
from collections.abc import Sequence

import pytest

from agent_memory.contracts.errors import Unavailable
from agent_memory.runtime.embed_hash import HashEmbedder
from agent_memory.runtime.embed_queries import Coalescing, Remembering
from agent_memory.runtime.embed_vectors import EmbeddingRefused
from support.controls import wait_until


class Gated(HashEmbedder):
    """Answers while the gate is open, and notes what it was asked."""

    def __init__(self) -> None:
        super().__init__(8)
        self.gate = asyncio.Event()
        self.asked: list[list[str]] = []

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        self.asked.append(list(texts))
        await self.gate.wait()
        if "bad" in texts:
            raise EmbeddingRefused("cannot read that", status=400)
        if "down" in texts:
            raise Unavailable("down")
        return await super().embed(texts)


def ask(embedder: Coalescing, *texts: str) -> "asyncio.Task[list[bytes]]":
    return asyncio.create_task(embedder.embed(texts))


async def started(gated: Gated, waiting: Coalescing, *texts: str) -> "list[asyncio.Task[list[bytes]]]":
    """One request in flight, then one per text behind it."""
    first = ask(waiting, "first")
    await wait_until(lambda: gated.asked, "the first request is in flight")
    rest = [ask(waiting, text) for text in texts]
    await asyncio.sleep(0)
    return [first, *rest]


async def test_requests_behind_one_in_flight_are_joined_and_each_gets_its_own() -> None:
    gated = Gated()
    asked = await started(gated, Coalescing(gated, lanes=1), "a", "b", "a")
    gated.gate.set()
    expected = gated.vectors(["first", "a", "b", "a"])
    assert [await task for task in asked] == [[vector] for vector in expected]
    assert gated.asked == [["first"], ["a", "b"]]


async def test_an_idle_embedder_is_asked_at_once() -> None:
    gated = Gated()
    embedder = Coalescing(gated, lanes=2)
    first, second = ask(embedder, "a"), ask(embedder, "b")
    await wait_until(lambda: len(gated.asked) == 2, "both are in flight")
    gated.gate.set()
    await asyncio.gather(first, second)


async def test_one_refused_text_is_refused_to_its_owner_alone() -> None:
    gated = Gated()
    _, good, bad = await started(gated, Coalescing(gated, lanes=1), "good", "bad")
    gated.gate.set()
    assert await good == gated.vectors(["good"])
    with pytest.raises(EmbeddingRefused):
        await bad


async def test_when_the_provider_is_down_everybody_hears_so_and_the_next_is_asked_again() -> None:
    gated = Gated()
    embedder = Coalescing(gated, lanes=1)
    _, one, other = await started(gated, embedder, "down", "other")
    gated.gate.set()
    for task in (one, other):
        with pytest.raises(Unavailable):
            await task
    assert await embedder.embed(["again"]) == gated.vectors(["again"])


async def test_a_caller_that_gives_up_does_not_disturb_the_others() -> None:
    gated = Gated()
    first, gone, stays = await started(gated, Coalescing(gated, lanes=1), "gone", "stays")
    gone.cancel()
    first.cancel()
    gated.gate.set()
    assert await stays == gated.vectors(["stays"])


async def test_closing_refuses_those_who_wait() -> None:
    gated = Gated()
    embedder = Coalescing(gated, lanes=1)
    first, waiting = await started(gated, embedder, "waiting")
    await embedder.close()
    with pytest.raises(Unavailable, match="shutting down"):
        await waiting
    gated.gate.set()
    await first


async def test_what_was_asked_lately_is_not_asked_again() -> None:
    gated = Gated()
    gated.gate.set()
    embedder = Remembering(gated, most=2)
    for texts in (["a", "b"], ["a"], ["c", "a"], ["b"]):
        assert await embedder.embed(texts) == gated.vectors(texts)
    assert gated.asked == [["a", "b"], ["c"], ["b"]]
