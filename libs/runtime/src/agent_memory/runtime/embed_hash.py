"""Vectors from the words alone, without a model: for tests, where the same words must simply be near each other."""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from agent_memory.runtime.embed_vectors import Floats, clean, letters, packed

ROWS = 1024


class HashEmbedder:
    """Adds one fixed random direction per word. Deterministic on every machine; texts that share words are near."""

    def __init__(self, dimensions: int = 384) -> None:
        self.dimensions = dimensions
        self.model = f"hash@{dimensions}"
        self._directions: Floats = np.random.Generator(np.random.PCG64(0)).standard_normal((ROWS, dimensions), dtype=np.float32)

    def vectors(self, texts: Sequence[str]) -> list[bytes]:
        """The vectors, without an event loop."""
        return packed(np.stack([self._sum(clean(text)) for text in texts]), "hash") if texts else []

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        """One vector per text."""
        return self.vectors(texts)

    async def close(self) -> None:
        """Nothing to let go of."""

    def _sum(self, text: str) -> Floats:
        # Two rows a word: a pair is a million combinations, so that different words hardly ever meet.
        digests = [int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "little") for word in letters(text) or [text]]
        rows = [digest % ROWS for digest in digests] + [(digest >> 32) % ROWS for digest in digests]
        total: Floats = self._directions[rows].sum(axis=0, dtype=np.float32)
        return total
