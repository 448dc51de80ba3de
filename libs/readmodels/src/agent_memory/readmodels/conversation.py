"""The order of what was said: nearness and words on one scale, and each event supported by its neighbours and its session. Pure.

A question is answered by the event after it, and talk of one thing stays together. So an event counts for more where the events
beside it are found too, and in a session that is about the matter. Scores are of candidates; what is none scores nothing.
"""

from collections.abc import Mapping, Sequence
from math import sqrt

import msgspec

NEIGHBOUR = 0.3
"""Share of the scores of the event before and the event after that is added to an event's own."""
SESSION = 0.5
"""Share of its session's score that is added to an event's."""
BEST = 3
"""A session scores as its so many best events do on average: one that says it once by chance is none that is about it."""


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where a candidate stands: its session, and the key of the event before it there."""

    session: bytes
    previous: bytes | None = None


def standard(scores: Mapping[bytes, float], floor: float) -> dict[bytes, float]:
    """Scores as standard deviations above the floor, which is what those score that are no candidates."""
    if not scores:
        return {}
    values = [floor, *scores.values()]
    mean = sum(values) / len(values)
    deviation = sqrt(sum((value - mean) ** 2 for value in values) / len(values))
    return {key: (score - floor) / deviation if deviation > 0 else 0.0 for key, score in scores.items()}


def supported(
    near: Mapping[bytes, float], worded: Mapping[bytes, float], alpha: float, places: Mapping[bytes, Place]
) -> dict[bytes, float]:
    """Each candidate's share of both sides, `alpha` of the first and the rest of the second, and what its neighbours add."""
    own = {key: alpha * near.get(key, 0.0) + (1.0 - alpha) * worded.get(key, 0.0) for key in places}
    score_of = dict(own)
    # In one order always: sums of the same numbers in another one may differ in their last digit.
    for key in sorted(places):
        previous = places[key].previous
        if previous is not None and previous in own:
            score_of[key] += NEIGHBOUR * own[previous]
            score_of[previous] += NEIGHBOUR * own[key]
    return score_of


def by_session(scores: Mapping[bytes, float], places: Mapping[bytes, Place]) -> dict[bytes, float]:
    """Score of each session that has a candidate."""
    found: dict[bytes, list[float]] = {}
    for key, score in scores.items():
        found.setdefault(places[key].session, []).append(score)
    return {session: sum(sorted(best, reverse=True)[:BEST]) / BEST for session, best in found.items()}


def ordered(scores: Mapping[bytes, float], places: Mapping[bytes, Place]) -> list[tuple[bytes, float]]:
    """Candidates with their session's support, best first, then by key; the best scores 1."""
    session_of = by_session(scores, places)
    return scaled({key: score + SESSION * session_of[places[key].session] for key, score in scores.items()})


def grouped(scores: Mapping[bytes, float], places: Mapping[bytes, Place]) -> list[tuple[float, Sequence[tuple[bytes, float]]]]:
    """Sessions, best first, then by name: the score of each (the best has 1), and its best candidates as `ordered` has them."""
    members: dict[bytes, list[tuple[bytes, float]]] = {}
    for key, score in ordered(scores, places):
        members.setdefault(places[key].session, []).append((key, score))
    return [(score, members[session][:BEST]) for session, score in scaled(by_session(scores, places))]


def scaled(scores: Mapping[bytes, float]) -> list[tuple[bytes, float]]:
    """Best first, then by name; the best becomes 1."""
    top = max(scores.values(), default=0.0)
    placed = sorted((-score / top if top > 0 else 0.0, key) for key, score in scores.items())
    return [(key, abs(score)) for score, key in placed]
