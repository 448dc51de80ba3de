"""One order of what two indexes found: what is written about the timeline, with its grips, and what was said. Pure.

Each index keeps its own order; where one stands beside the other, the scores decide. Cosines mean the same in both, scores of
words do not, so these are relative to the best of each index.
"""

from collections.abc import Sequence
from heapq import merge

import msgspec

from agent_memory.contracts.queries import SearchTimeline, TimelineKind
from agent_memory.contracts.toc import GRIP_PREFIX
from agent_memory.readmodels.plans import Hit, Side


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """Something found: a node, a grip or an event, by its id; `record` is its Revision, Grip or TimelineEvent. `score`: 0 to 1."""

    kind: TimelineKind
    id: str
    score: float
    record: bytes


def merged(query: SearchTimeline, written: Side, said: Side) -> list[Match]:
    """Both in one order: by score, at equal scores what is written first, and each in its own.

    What comes before a place depends on what is before it alone, so pages neither overlap nor miss.
    """
    weights = weighed(query, written, said)
    sides = [written_matches(written.hits, weights[0]), said_matches(said.hits, weights[1])]
    return list(merge(*sides, key=lambda match: (-match.score, match.kind == "event")))


def weighed(query: SearchTimeline, *sides: Side) -> list[float]:
    """What the best of each index is worth beside the best of the others, 0 to 1.

    By meaning each hit has its cosine already, and by words the best of each index is as good as that of another. Of both together:
    the nearness of the nearest, against the nearest of all, and whether anything has a word, weighed as in each order itself.
    """
    if query.mode != "hybrid":
        return [1.0] * len(sides)
    nearest = max((side.nearest for side in sides), default=0.0)
    alpha = query.hybrid_alpha
    return [alpha * (side.nearest / nearest if nearest > 0 else 1.0) + (1.0 - alpha) * side.worded for side in sides]


def written_matches(hits: Sequence[Hit], weight: float = 1.0) -> list[Match]:
    """Nodes and grips."""
    return [_match("grip" if hit.id.startswith(GRIP_PREFIX) else "node", hit, weight) for hit in hits]


def said_matches(hits: Sequence[Hit], weight: float = 1.0) -> list[Match]:
    """Events."""
    return [_match("event", hit, weight) for hit in hits]


def _match(kind: TimelineKind, hit: Hit, weight: float) -> Match:
    return Match(kind=kind, id=hit.id, score=weight * (hit.score or 0.0), record=hit.record)
