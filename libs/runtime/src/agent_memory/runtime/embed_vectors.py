"""What an embedder is, how vectors travel, and what may go wrong with them."""

import unicodedata
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from agent_memory.contracts.errors import Unavailable
from agent_memory.runtime.llm_retry import ProviderRefused

Floats = NDArray[np.float32]

_NEAR_ONE = 1e-6
"""As near to 1 as the square of a length comes when thousands of float32 are added up."""


class Embedder(Protocol):
    """Turns texts into vectors. `model` is the identity under which vectors are kept: same identity, comparable vectors."""

    @property
    def model(self) -> str:
        """Name of the model, with the length of the vector where the model leaves a choice."""

    @property
    def dimensions(self) -> int:
        """Floats in a vector."""

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        """One vector per text, in order: float32, little-endian, of length 1.

        Raises EmbeddingRefused when the provider will not, Unavailable when it cannot now.
        """

    async def close(self) -> None:
        """Let go of connections and threads; texts in flight get Unavailable."""


class EmbeddingRefused(ProviderRefused):
    """The provider will not embed this. With `about_input`, one text of the batch may be at fault: ask for each alone."""


class EmbeddingUnusable(Unavailable):
    """The provider answered with something that is not a vector of the agreed length. Nothing of it was used."""


def clean(text: str) -> str:
    """The text as every provider takes it: never empty, no lone surrogates."""
    if not text.strip():
        return " "
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


def packed(matrix: NDArray[Any], source: str) -> list[bytes]:
    """Rows as float32 little-endian bytes of length 1. Raises EmbeddingUnusable for NaN, infinity and zero vectors."""
    with np.errstate(over="ignore", invalid="ignore"):
        if matrix.dtype == np.float32 and bool((np.abs(np.einsum("ij,ij->i", matrix, matrix) - 1) < _NEAR_ONE).all()):
            # Most providers answer so. To measure in float64 and divide takes several times as long, for a last digit.
            return _rows(matrix)
        lengths = np.sqrt(np.einsum("ij,ij->i", matrix, matrix, dtype=np.float64))
    if not bool(np.isfinite(lengths).all()) or not bool((lengths > 0).all()):
        raise EmbeddingUnusable(f"{source} answered with a vector that has no direction (NaN, infinite or zero)")
    return _rows(matrix / lengths[:, None])


def _rows(matrix: NDArray[Any]) -> list[bytes]:
    flat = matrix.astype("<f4", copy=False).tobytes()
    step = 4 * matrix.shape[1]
    return [flat[at : at + step] for at in range(0, len(flat), step)]


def unpacked(vectors: Sequence[bytes]) -> Floats:
    """The matrix of vectors that are kept as bytes, one row each."""
    return np.frombuffer(b"".join(vectors), dtype="<f4").reshape(len(vectors), -1)


def letters(text: str) -> list[str]:
    """Words of a text, folded so that case and compatibility forms do not matter."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(character if character.isalnum() else " " for character in folded).split()
