"""Recall of evidence: pure functions of what was found, in order, and what should have been."""

from collections.abc import Iterable, Sequence, Set
from math import ceil, log2

import msgspec


class Scores(msgspec.Struct, frozen=True):
    """Of one question, or the means of many: the share of the evidence among the first so many, any of it, all of it."""

    frac_5: float
    frac_10: float
    any_10: float
    all_10: float
    ndcg_5: float
    ndcg_10: float
    hit_1: float


def scored(found: Sequence[str], evidence: Set[str]) -> Scores:
    """Scores of one question."""
    frac_10 = fraction(found, evidence, 10)
    return Scores(
        frac_5=fraction(found, evidence, 5),
        frac_10=frac_10,
        any_10=float(frac_10 > 0),
        all_10=float(frac_10 == 1),
        ndcg_5=ndcg(found, evidence, 5),
        ndcg_10=ndcg(found, evidence, 10),
        hit_1=float(found[:1] != [] and found[0] in evidence),
    )


def fraction(found: Sequence[str], evidence: Set[str], first: int) -> float:
    """Share of the evidence among the first."""
    return len(evidence & set(found[:first])) / len(evidence)


def ndcg(found: Sequence[str], evidence: Set[str], first: int) -> float:
    """Normalised discounted cumulative gain (Järvelin and Kekäläinen, 2002): evidence counts the less the later it comes."""
    gain = sum(1 / log2(rank + 1) for rank, one in enumerate(found[:first], start=1) if one in evidence)
    return gain / sum(1 / log2(rank + 1) for rank in range(1, min(first, len(evidence)) + 1))


def mean(many: Iterable[Scores]) -> Scores:
    """Each score's mean over the questions."""
    columns = zip(*map(msgspec.structs.astuple, many), strict=True)
    return Scores(*(sum(column) / len(column) for column in columns))


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share of them does not exceed."""
    return sorted(values)[max(0, ceil(share * len(values)) - 1)]
