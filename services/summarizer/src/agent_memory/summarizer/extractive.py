"""A summary without a model: whole sentences of the messages that the rest is about, none like another.

Which texts those are is told by maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998) over their vectors, with the mean
of all as the query. Pure.
"""

import re
import unicodedata
from collections.abc import Sequence

import numpy as np

from agent_memory.runtime.embed_vectors import Floats

RELEVANCE = 0.7
"""How much being near to the centre counts, against being unlike what is chosen already."""
EXCERPT = 300
"""Characters of one message at most: a summary of many beats a copy of few."""
CHARACTERS_A_TOKEN = 4
_END = re.compile(r"(?<=[.!?…])\s+|(?<=[.!?…][\"'”’)\]])\s+|(?<=[。！？])\s*|\n+")
_NO_END = re.compile(
    r"(?:(?:^|\n)[ \t]*\d{1,3}|(?:^|\s)(?:am|vom|zum|bis|ab|den|der|dem|seit)\s\d{1,2}"
    r"|(?:^|[\s(])(?:[^\W\d_]|(?i:dr|mrs?|ms|prof|st|vs|no|nr|approx|ca|bzw|vgl|bspw|sr|sra|dra|e\.g|i\.e|z\.\s?b|d\.\s?h|u\.\s?a"
    r"|p\.\s?ex)))\.$"
)
"""A full stop that ends no sentence: after a number in a list, an initial, an abbreviation."""
_WRAPPED = 40
"""A line of so many characters may be one that an editor broke in the middle of a sentence."""


def budget(limit: int) -> int:
    """Characters that a summary may have, for a model that takes `limit` tokens: a tenth of it, at most two thousand tokens."""
    return min(max(limit // 10, 50), 2_000) * CHARACTERS_A_TOKEN


def sentences(text: str) -> list[str]:
    """The sentences of a text; a line break ends one, except where a long line goes on in lower case."""
    return [" ".join(text[start:end].split()) for start, end in sentence_spans(text)]


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Where the sentences of a text begin and end, in characters, without the white space around them."""
    found: list[tuple[int, int]] = []
    start = 0
    for end, after in [*((gap.start(), gap.end()) for gap in _END.finditer(text)), (len(text), len(text))]:
        if after < len(text) and _goes_on(text, start, end, after):
            continue
        part = text[start:end]
        if bare := part.strip():
            first = start + len(part) - len(part.lstrip())
            found.append((first, first + len(bare)))
        start = after
    return found


def _goes_on(text: str, start: int, end: int, after: int) -> bool:
    """Whether the sentence from `start` goes on after what looks like its end."""
    following = text[after]
    if unicodedata.category(following)[0] == "M" or following == "\u200d":
        return True
    if "\n" in text[end:after]:
        line = max(text.rfind("\n", start, end) + 1, start)
        return after - end == 1 and following.islower() and end - line >= _WRAPPED and text[end - 1] not in ".!?…:;"
    return text[end - 1] == "." and (following.islower() or _NO_END.search(text, max(start - 1, end - 12, 0), end) is not None)


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
