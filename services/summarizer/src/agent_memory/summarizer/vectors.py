"""Vectors of texts: those that are kept with the log, and computed for what is missing."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from agent_memory.contracts.records import content_hash
from agent_memory.runtime.embed_vectors import Embedder, Floats, unpacked


class Kept(Protocol):
    """Vectors by model and hash of the text (`EmbeddingStore`)."""

    async def find(self, model: str, hashes: Sequence[bytes]) -> dict[bytes, bytes]: ...
    async def keep(self, model: str, vectors: Mapping[bytes, bytes]) -> None: ...


class KnownVectors:
    """Looks vectors up; what is computed is kept, so it is computed once."""

    def __init__(self, embedder: Embedder, kept: Kept) -> None:
        self._embedder = embedder
        self._kept = kept

    async def of(self, texts: Sequence[str]) -> Floats:
        """One row per text. Raises Unavailable, and EmbeddingRefused."""
        hashes = {text: content_hash(text) for text in texts}
        known = await self._kept.find(self._embedder.model, list(hashes.values()))
        missing = [text for text, digest in hashes.items() if digest not in known]
        if missing:
            fresh = dict(zip([hashes[text] for text in missing], await self._embedder.embed(missing), strict=True))
            await self._kept.keep(self._embedder.model, fresh)
            known |= fresh
        return unpacked([known[hashes[text]] for text in texts])
