"""Orders of search results, as pure functions. Scores are 0 to 1, times are microseconds since 1970 UTC."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from math import exp2
from operator import itemgetter

import msgspec

from agent_memory.contracts.queries import Recency

MICROS_PER_DAY = 86_400_000_000
_ROUNDING = 1e-9
_RANK_CONSTANT = 60


class Ranked(msgspec.Struct, frozen=True, gc=False):
    """A candidate: its document key, and how near it is. `score` is None for a listing."""

    key: bytes
    dist: float
    score: float | None
    created_at: float = 0.0
    last_accessed: float = 0.0


def recency(weights: Recency, *, created_at: float, last_accessed: float, now: float) -> float:
    """0 to 1: freshness halves with the time since last access, novelty with the time since creation."""
    freshness = _halved(now - last_accessed, weights.half_life_last_access_days)
    novelty = _halved(now - created_at, weights.half_life_created_days)
    return min(1.0, max(0.0, weights.freshness_weight * freshness + weights.novelty_weight * novelty))


def by_recency(candidates: Iterable[Ranked], weights: Recency, now: int) -> list[Ranked]:
    """Candidates by weighted similarity and recency, then by key. Their own scores stay as they are."""
    similar, recent = weights.semantic_weight, weights.recency_weight
    placed = []
    for one in candidates:
        fresh = recency(weights, created_at=one.created_at, last_accessed=one.last_accessed, now=now)
        placed.append((-(similar * (1.0 - one.dist) + recent * fresh), one.key, one))
    placed.sort(key=itemgetter(0, 1))
    return [one for _, _, one in placed]


def contenders(scores: Sequence[float], weights: Recency, wanted: int) -> int:
    """How many of the scores, which descend, may come among the first `wanted` by recency: nothing adds more than its weight."""
    if wanted >= len(scores):
        return len(scores)
    least = weights.semantic_weight * scores[wanted - 1] - weights.recency_weight - _ROUNDING
    return bisect_right(scores, -least, key=lambda score: -weights.semantic_weight * score)


def fuse(distances: Mapping[bytes, float], scores: Mapping[bytes, float], alpha: float) -> list[tuple[bytes, float]]:
    """Candidates of a vector and a keyword search, by `alpha` of one and the rest of the other, each brought to 0 to 1.

    Distances are scaled between the nearest and the farthest candidate, scores between none and the best: a document that one
    side did not return is worth what lies beyond that side's candidates, nothing. The best sum becomes 1.
    """
    farthest = max(distances.values(), default=0.0)
    spread = farthest - min(distances.values(), default=0.0)
    if spread > 0:
        fused = {key: alpha * ((farthest - dist) / spread) for key, dist in distances.items()}
    else:
        fused = dict.fromkeys(distances, alpha)
    best = max(scores.values(), default=0.0)
    for key, score in scores.items():
        fused[key] = fused.get(key, 0.0) + ((1.0 - alpha) * (score / best) if best > 0 else 0.0)
    top = max(fused.values(), default=0.0)
    placed = sorted([(-score / top if top > 0 else 0.0, key) for key, score in fused.items()])
    return [(key, abs(score)) for score, key in placed]


def fuse_ranks(distances: Mapping[bytes, float], scores: Mapping[bytes, float], alpha: float) -> list[tuple[bytes, float]]:
    """As `fuse`, from places instead of values: reciprocal rank fusion (Cormack, Clarke and Büttcher, 2009), weighted."""
    fused: dict[bytes, float] = {}
    nearest = sorted(distances, key=lambda key: (distances[key], key))
    best = sorted(scores, key=lambda key: (-scores[key], key))
    for weight, ordered in ((alpha, nearest), (1.0 - alpha, best)):
        for rank, key in enumerate(ordered, start=1):
            fused[key] = fused.get(key, 0.0) + weight / (_RANK_CONSTANT + rank)
    top = max(fused.values(), default=0.0)
    placed = sorted([(-score / top if top > 0 else 0.0, key) for key, score in fused.items()])
    return [(key, abs(score)) for score, key in placed]


def in_blocks(offset: int, limit: int, size: int) -> Sequence[tuple[int, int]]:
    """Blocks of `size` ranks, as (start, end), that a page touches. Re-ranking inside fixed blocks keeps pages from overlapping."""
    first = offset // size
    last = (offset + limit - 1) // size
    return [(block * size, (block + 1) * size) for block in range(first, last + 1)]


def _halved(elapsed: float, half_life_days: float) -> float:
    if half_life_days <= 0:
        return 0.0
    return exp2(-elapsed / MICROS_PER_DAY / half_life_days) if elapsed > 0 else 1.0
