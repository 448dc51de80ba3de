"""How near texts are to each other, by their vectors. Pure."""

from collections.abc import Mapping
from typing import Any

import numpy as np


class Nearness:
    """Cosine distances between things of which the vectors (float32, little-endian) are known."""

    def __init__(self, vectors: Mapping[str, bytes]) -> None:
        self._units = {name: _unit(vector) for name, vector in vectors.items()}

    def distance(self, one: str, other: str) -> float:
        """0 to 2; what has no vector is far from everything."""
        first, second = self._units.get(one), self._units.get(other)
        return 2.0 if first is None or second is None else 1.0 - float(first @ second)


def _unit(vector: bytes) -> "np.ndarray[Any, np.dtype[np.float32]]":
    values = np.frombuffer(vector, dtype=np.float32)
    length = np.linalg.norm(values)
    return values if length == 0 else (values / length).astype(np.float32)
