"""Vectors of texts: those that are kept with the log, and computed for what is missing."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from agent_memory.contracts.records import content_hash
from agent_memory.runtime.embed_vectors import Embedder, Floats, unpacked


class Kept(Protocol):
    """Vectors by model and hash of the text (`EmbeddingStore`)."""

    async def find(self, model: str, hashes: Sequence[bytes]) -> dict[bytes, bytes]: ...
    async def keep(self, model: str, vectors: Mapping[bytes, bytes]) -> dict[bytes, bytes]: ...


class KnownVectors:
    """Looks vectors up; what is computed is kept, so it is computed once."""

    def __init__(self, embedder: Embedder, kept: Kept) -> None:
        self._embedder = embedder
        self._kept = kept

    async def of(self, texts: Sequence[str], shorter: Sequence[str] | None = None) -> Floats:
        """One row per text; where the vector of a text is not known, that of its `shorter` form, which is sooner had.

        Raises Unavailable, and EmbeddingRefused.
        """
        found = await self._find(texts)
        if shorter is not None:
            texts = [text if text in found else short for text, short in zip(texts, shorter, strict=True)]
            found |= await self._find([text for text in texts if text not in found])
        missing = list(dict.fromkeys(text for text in texts if text not in found))
        if missing:
            fresh = dict(zip(missing, await self._embedder.embed(missing), strict=True))
            kept = await self._kept.keep(self._embedder.model, {content_hash(text): vector for text, vector in fresh.items()})
            found |= {text: kept[content_hash(text)] for text in fresh}
        return unpacked([found[text] for text in texts])

    async def _find(self, texts: Sequence[str]) -> dict[str, bytes]:
        hashes = {text: content_hash(text) for text in texts}
        known = await self._kept.find(self._embedder.model, list(hashes.values())) if hashes else {}
        return {text: known[digest] for text, digest in hashes.items() if digest in known}
