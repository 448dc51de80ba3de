"""Around any embedder, for those who search: concurrent callers are asked for together, and what was asked is remembered."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Sequence

from agent_memory.contracts.errors import MemoryFault, Unavailable
from agent_memory.runtime import telemetry
from agent_memory.runtime.embed_vectors import Embedder, EmbeddingRefused

Waiter = tuple[list[str], "asyncio.Future[list[bytes]]"]


class Coalescing:
    """Joins requests that arrive while `lanes` are in flight; an idle embedder is asked at once.

    One process of 32 concurrent searches makes a few requests of many texts instead of 32 of one.
    """

    def __init__(self, inner: Embedder, *, lanes: int = 2, most: int = 64) -> None:
        self.model = inner.model
        self.dimensions = inner.dimensions
        self._inner = inner
        self._lanes = lanes
        self._most = most
        self._flying = 0
        self._waiting: deque[Waiter] = deque()
        self._flights: set[asyncio.Task[None]] = set()

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        """One vector per text. One caller's refused text or cancellation does not touch the others."""
        if self._flying < self._lanes:
            self._flying += 1
            try:
                return await self._inner.embed(texts)
            finally:
                self._landed()
        answer: asyncio.Future[list[bytes]] = asyncio.get_running_loop().create_future()
        self._waiting.append((list(texts), answer))
        return await answer

    async def close(self) -> None:
        """Refuse who waits, end what flies, close the inner embedder."""
        for _, answer in self._waiting:
            if not answer.done():
                answer.set_exception(Unavailable("embeddings are shutting down"))
        self._waiting.clear()
        for flight in list(self._flights):
            flight.cancel()
        await asyncio.gather(*self._flights, return_exceptions=True)
        await self._inner.close()

    def _landed(self) -> None:
        self._flying -= 1
        joined: list[Waiter] = []
        count = 0
        while self._waiting and (not joined or count + len(self._waiting[0][0]) <= self._most):
            waiter = self._waiting.popleft()
            if not waiter[1].done():
                joined.append(waiter)
                count += len(waiter[0])
        if joined:
            self._flying += 1
            flight = asyncio.create_task(self._fly(joined))
            self._flights.add(flight)
            flight.add_done_callback(self._flights.discard)

    async def _fly(self, joined: list[Waiter]) -> None:
        try:
            await self._answer(joined)
        finally:
            for _, answer in joined:
                if not answer.done():
                    answer.set_exception(Unavailable("the embedding request was given up"))
            self._landed()

    async def _answer(self, joined: list[Waiter]) -> None:
        distinct = list(dict.fromkeys(text for texts, _ in joined for text in texts))
        try:
            found = dict(zip(distinct, await self._inner.embed(distinct), strict=True))
        except EmbeddingRefused as refusal:
            if refusal.about_input and len(joined) > 1:
                # One text spoils a joined request: everybody is asked for alone, so that only its owner hears of it.
                for waiter in joined:
                    await self._answer([waiter])
                return
            _fail(joined, refusal)
        except MemoryFault as fault:
            _fail(joined, fault)
        else:
            for texts, answer in joined:
                if not answer.done():
                    answer.set_result([found[text] for text in texts])


def _fail(joined: list[Waiter], fault: MemoryFault) -> None:
    for _, answer in joined:
        if not answer.done():
            answer.set_exception(fault)


class Remembering:
    """Keeps the vectors of the `most` texts asked for last: people and agents repeat their searches."""

    def __init__(self, inner: Embedder, *, most: int = 1024) -> None:
        self.model = inner.model
        self.dimensions = inner.dimensions
        self._inner = inner
        self._most = most
        self._known: OrderedDict[str, bytes] = OrderedDict()

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        """One vector per text; only unknown texts are asked for."""
        found = {text: self._known[text] for text in texts if text in self._known}
        telemetry.EMBEDDED.labels("cache").inc(len(found))
        unknown = [text for text in dict.fromkeys(texts) if text not in found]
        if unknown:
            found.update(zip(unknown, await self._inner.embed(unknown), strict=True))
        for text, vector in found.items():
            self._known[text] = vector
            self._known.move_to_end(text)
        while len(self._known) > self._most:
            self._known.popitem(last=False)
        return [found[text] for text in texts]

    async def close(self) -> None:
        """Close the inner embedder."""
        await self._inner.close()
