"""Embeddings from providers that do not speak the OpenAI way, through litellm."""

import asyncio
from collections.abc import Sequence

import numpy as np

from agent_memory.runtime import telemetry
from agent_memory.runtime.embed_tokens import Limits, requests, shortened
from agent_memory.runtime.embed_vectors import EmbeddingRefused, EmbeddingUnusable, clean, packed
from agent_memory.runtime.llm_litellm import Litellm

LIMITS = Limits(texts=96)
"""Cohere takes 96 texts a request, the fewest of the large providers."""


class LitellmEmbedder:
    """Asks `provider/model` for vectors of `dimensions` floats. `shorten`: say so in the request."""

    def __init__(self, litellm: Litellm, *, dimensions: int, shorten: bool = False) -> None:
        self.model = f"{litellm.model}@{dimensions}"
        self.dimensions = dimensions
        self._litellm = litellm
        self._asked = dimensions if shorten else None

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        """One vector per text. Raises EmbeddingRefused, EmbeddingUnusable, Unavailable."""
        ready = await asyncio.to_thread(lambda: [shortened(clean(text), LIMITS) for text in texts])
        found: list[bytes] = []
        for part in requests(ready, LIMITS):
            with telemetry.EMBED_SECONDS.labels(self.model).time():
                rows = await self._litellm.embed([ready[at] for at in part], refused=EmbeddingRefused, dimensions=self._asked)
            telemetry.EMBEDDED.labels("model").inc(len(part))
            if len(rows) != len(part) or any(len(row) != self.dimensions for row in rows):
                lengths = sorted({len(row) for row in rows})
                raise EmbeddingUnusable(
                    f"{self._litellm.model} answered with {len(rows)} vectors of {lengths} floats for {len(part)} texts of "
                    f"{self.dimensions}: set REDISVL_VECTOR_DIMENSIONS to what the model gives"
                )
            found += packed(np.array(rows, dtype=np.float32), self._litellm.model)
        return found

    async def close(self) -> None:
        """Nothing is held open."""
