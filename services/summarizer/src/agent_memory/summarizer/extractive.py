"""A summary without a model: whole sentences of the messages that the rest is about, none like another.

Which texts those are is told by maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998) over their vectors, with the mean
of all as the query. Pure.
"""

import re
from collections.abc import Sequence

import numpy as np

from agent_memory.runtime.embed_vectors import Floats

RELEVANCE = 0.7
"""How much being near to the centre counts, against being unlike what is chosen already."""
EXCERPT = 300
"""Characters of one message at most: a summary of many beats a copy of few."""
CHARACTERS_A_TOKEN = 4
_END = re.compile(r"(?<=[.!?…])\s+|(?<=[.!?…][\"'”’)\]])\s+|(?<=[。！？])\s*|\n+")


def budget(limit: int) -> int:
    """Characters that a summary may have, for a model that takes `limit` tokens: a tenth of it, at most two thousand tokens."""
    return min(max(limit // 10, 50), 2_000) * CHARACTERS_A_TOKEN


def sentences(text: str) -> list[str]:
    """The sentences of a text; a line break ends one."""
    return [part.strip() for part in _END.split(text) if part and part.strip()]


def excerpt(text: str) -> str:
    """The first whole sentences of a text that fit; of a sentence that does not, the beginning."""
    taken = ""
    for sentence in sentences(text):
        longer = f"{taken} {sentence}".strip()
        if len(longer) > EXCERPT:
            break
        taken = longer
    if taken or not text.strip():
        return taken
    words = " ".join(text.split())[: EXCERPT - 2]
    return f"{words.rpartition(' ')[0] or words} …"


def chosen(vectors: Floats, sizes: Sequence[int], room: int) -> list[int]:
    """Which texts to take, in their order, so that their sizes fit the room; the most central one is taken in any case."""
    if not len(sizes):
        return []
    centre = vectors.mean(axis=0)
    length = float(np.linalg.norm(centre))
    near = vectors @ (centre / length) if length else np.zeros(len(sizes), dtype=np.float32)
    like = np.full(len(sizes), -1.0, dtype=np.float32)
    open_ = np.ones(len(sizes), dtype=bool)
    taken: list[int] = []
    while open_.any():
        score = RELEVANCE * near - (1 - RELEVANCE) * np.maximum(like, 0.0)
        at = int(np.where(open_, score, -np.inf).argmax())
        open_[at] = False
        if taken and sizes[at] > room:
            continue
        taken.append(at)
        room -= sizes[at]
        if room <= 0:
            break
        like = np.maximum(like, vectors @ vectors[at])
    return sorted(taken)
