"""Embeddings from an OpenAI-compatible server, asked directly: a provider, or the local model in its own process."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from agent_memory.runtime import telemetry
from agent_memory.runtime.embed_tokens import Limits, requests, shortened, size
from agent_memory.runtime.embed_vectors import EmbeddingRefused, EmbeddingUnusable, clean, packed
from agent_memory.runtime.llm_http import ProviderHttp

AT_ONCE = 4
"""Requests of one call that are in flight together."""


class _Item(msgspec.Struct):
    embedding: bytes | list[float | None]
    index: int = -1


class _Answer(msgspec.Struct):
    data: list[_Item]


_decode = msgspec.json.Decoder(_Answer).decode


class RemoteEmbedder:
    """Asks one model by `name`. `identity` is what its vectors are kept under; `shorten` asks for vectors cut to `dimensions`."""

    def __init__(
        self,
        http: ProviderHttp,
        *,
        name: str,
        identity: str,
        dimensions: int,
        shorten: bool = False,
        limits: Limits | None = None,
    ) -> None:
        self.model = identity
        self.dimensions = dimensions
        self._http = http
        self._name = name
        self._shorten = shorten
        self._limits = limits or Limits()

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        """One vector per text. Raises EmbeddingRefused, EmbeddingUnusable, Unavailable; then no text of the call has one."""
        ready = [clean(text) for text in texts]
        if any(size(text) > self._limits.text_tokens for text in ready):
            ready = await asyncio.to_thread(lambda: [shortened(text, self._limits) for text in ready])
        parts = requests(ready, self._limits)
        if len(parts) == 1:
            return await self._ask(ready)
        turns = asyncio.Semaphore(AT_ONCE)

        async def in_turn(part: list[int]) -> list[bytes]:
            async with turns:
                return await self._ask([ready[at] for at in part])

        try:
            async with asyncio.TaskGroup() as group:
                asked = [group.create_task(in_turn(part)) for part in parts]
        except BaseExceptionGroup as errors:
            # Callers know the errors of one request, not groups of them.
            raise errors.exceptions[0] from None
        return [vector for task in asked for vector in task.result()]

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def _ask(self, texts: list[str]) -> list[bytes]:
        body: dict[str, Any] = {"input": texts, "model": self._name, "encoding_format": "base64"}
        if self._shorten:
            body["dimensions"] = self.dimensions
        with telemetry.EMBED_SECONDS.labels(self.model).time():
            answered = await self._http.post("/embeddings", msgspec.json.encode(body), refused=EmbeddingRefused)
        telemetry.EMBEDDED.labels("model").inc(len(texts))
        return vectors(answered, len(texts), self.dimensions, self._http.where.name)


def vectors(body: bytes, count: int, dimensions: int, source: str) -> list[bytes]:
    """The vectors of a response, in the order of the request. Raises EmbeddingUnusable naming what is wrong with it."""
    try:
        items = _decode(body).data
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EmbeddingUnusable(f"{source} answered with something that is not a list of embeddings: {error}") from None
    if len(items) != count:
        raise EmbeddingUnusable(f"{source} answered with {len(items)} vectors for {count} texts")
    if any(item.index not in (-1, at) for at, item in enumerate(items)):
        items = sorted(items, key=lambda item: item.index)
        if [item.index for item in items] != list(range(count)):
            raise EmbeddingUnusable(f"{source} numbered its vectors in a way that does not match the texts")
    rows = [_row(item.embedding) for item in items]
    wrong = next((len(row) // 4 for row in rows if len(row) != 4 * dimensions), None)
    if wrong is not None:
        raise EmbeddingUnusable(
            f"{source} answered with a vector of {wrong} floats where {dimensions} are expected: "
            "REDISVL_VECTOR_DIMENSIONS and EMBEDDING_MODEL do not fit each other"
        )
    return packed(np.frombuffer(b"".join(rows), dtype="<f4").reshape(count, dimensions), source)


def _row(embedding: bytes | list[float | None]) -> bytes:
    if isinstance(embedding, bytes):
        return embedding
    return np.array([float("nan") if number is None else number for number in embedding], dtype="<f4").tobytes()
