"""FT.SEARCH statements, and what their replies say. Pure; user text gets in as words and tags of letters and digits only."""

import math
from collections.abc import Sequence
from typing import cast

import msgspec

from agent_memory.contracts.queries import Recency
from agent_memory.readmodels.ranking import MICROS_PER_DAY
from agent_memory.readmodels.words import Wanted

Statement = tuple[str | bytes | int, ...]

_TAIL: Statement = ("TIMEOUT", 5_000, "DIALECT", 2)
EXACT_UP_TO = 2_000
"""With this many matching documents or fewer, comparing each of them is exact and as fast as walking the graph."""
_COMMON_SHARE = 0.2


class Row(msgspec.Struct, frozen=True):
    """A document that a statement found: key, text score if asked for, the fields asked for, and `dist` among them as a number."""

    key: bytes
    score: float | None
    fields: dict[bytes, bytes]
    dist: float


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """How many documents match, as of a token that changes with every write; `documents` is the most that any count has seen."""

    token: bytes | None
    matches: int
    documents: int


def count(index: str, where: str) -> Statement:
    """How many documents match."""
    return ("FT.SEARCH", index, where, "LIMIT", 0, 0, *_TAIL)


def nearest(index: str, where: str, vector: bytes, k: int, known: Count | None, fields: Sequence[str]) -> Statement:
    """The k nearest of the documents that match; `dist` holds the cosine distance."""
    query = f"({where})=>[KNN {k} @vector $vector{_policy(known)} AS dist]"
    returned: Statement = ("RETURN", len(fields) + 1, "dist", *fields)
    return ("FT.SEARCH", index, query, "PARAMS", 2, "vector", vector, "SORTBY", "dist", *returned, "LIMIT", 0, k, *_TAIL)


def within(index: str, where: str, vector: bytes, radius: float, k: int, fields: Sequence[str]) -> Statement:
    """The k nearest of the documents that match and are no farther than `radius`."""
    query = f"{where} @vector:[VECTOR_RANGE $radius $vector]=>{{$YIELD_DISTANCE_AS: dist}}"
    params = ("PARAMS", 4, "vector", vector, "radius", repr(float(radius)))
    returned: Statement = ("RETURN", len(fields) + 1, "dist", *fields)
    return ("FT.SEARCH", index, query, *params, "SORTBY", "dist", *returned, "LIMIT", 0, k, *_TAIL)


def best(index: str, where: str, k: int, fields: Sequence[str]) -> Statement:
    """The k best of the documents that match, by BM25."""
    returned: Statement = ("RETURN", len(fields), *fields)
    return ("FT.SEARCH", index, where, "SCORER", "BM25STD", "WITHSCORES", *returned, "LIMIT", 0, k, *_TAIL)


def listing(index: str, where: str, offset: int, limit: int) -> Statement:
    """A page of the documents that match, newest first, then by id."""
    return ("FT.SEARCH", index, where, "SORTBY", "listing", "ASC", "RETURN", 1, "record", "LIMIT", offset, limit, *_TAIL)


def freshest(
    index: str, where: str, vector: bytes, k: int, known: Count | None, weights: Recency, now: int, offset: int, limit: int
) -> Statement:
    """A page of the k nearest in the order of `ranking.by_recency`, so that the others need not be read."""
    query = f"({where})=>[KNN {k} @vector $vector{_policy(known)} AS dist]"
    fresh = f"{_number(weights.freshness_weight)} * {_halved('last_accessed', now, weights.half_life_last_access_days)}"
    novel = f"{_number(weights.novelty_weight)} * {_halved('created_at', now, weights.half_life_created_days)}"
    # There is no minimum among the functions: (x + 1 - |x - 1|) / 2 is the smaller of x and 1.
    recency = f"(({fresh} + {novel}) + 1 - abs(({fresh} + {novel}) - 1)) / 2"
    rank = f"{_number(weights.semantic_weight)} * (1 - @dist) + {_number(weights.recency_weight)} * ({recency})"
    order = ("LOAD", 1, "@__key", "APPLY", rank, "AS", "rank", "SORTBY", 4, "@rank", "DESC", "@__key", "ASC")
    page: Statement = (*order, "LIMIT", offset, limit, "LOAD", 1, "@record")
    return ("FT.AGGREGATE", index, query, "PARAMS", 2, "vector", vector, *page, *_TAIL)


def any_word(wanted: Wanted) -> str:
    """A clause for documents that have each phrase and, where there are other words, any of them."""
    required = all_phrases(wanted)
    optional = f"@text:({'|'.join(_clause(term) for term in wanted.terms)})" if wanted.terms else ""
    return " ".join(filter(None, (required, optional)))


def any_part(wanted: Wanted) -> str:
    """A clause for documents that have any of the words or phrases."""
    return f"@text:({'|'.join(_clause(part) for part in wanted.phrases + wanted.terms)})"


def all_phrases(wanted: Wanted) -> str:
    """A clause for documents that have each phrase; empty without phrases."""
    return " ".join(f"@text:({_clause(phrase)})" for phrase in wanted.phrases)


def rows(reply: list[object], *, scored: bool = False) -> tuple[int, list[Row]]:
    """Number of matches and the documents of an FT.SEARCH reply."""
    found = []
    at = 1
    while at < len(reply):
        key, score, fields = reply[at], None, []
        at += 1
        if scored:
            score = float(cast(bytes, reply[at]))
            at += 1
        # A search without fields answers keys alone, and a document that went away while it ran comes with nil.
        if at < len(reply) and not isinstance(reply[at], bytes):
            fields = cast(list[bytes], reply[at] or [])
            at += 1
        named = dict(zip(fields[::2], fields[1::2], strict=True))
        found.append(Row(cast(bytes, key), score, named, _distance(named.get(b"dist"))))
    return cast(int, reply[0]), found


def aggregated(reply: list[object]) -> list[Row]:
    """The documents of an FT.AGGREGATE reply, in its order."""
    found = []
    for parts in cast(list[list[bytes]], reply[1:]):
        named = dict(zip(parts[::2], parts[1::2], strict=True))
        found.append(Row(named[b"__key"], None, named, _distance(named.get(b"dist"))))
    return found


def _distance(given: bytes | None) -> float:
    """Cosine distance, 0 to 2; a vector without direction is at 1 from all."""
    if given is None:
        return 0.0
    dist = float(given)
    return 1.0 if dist != dist else max(0.0, dist)


def _halved(field: str, now: int, half_life_days: float) -> str:
    if half_life_days <= 0:
        return "0"
    elapsed = f"(({now} - @{field}) + abs({now} - @{field})) / 2"
    return f"exp(0 - {elapsed} / {_number(max(1e-6, half_life_days * MICROS_PER_DAY / math.log(2)))})"


def _number(value: float) -> str:
    # Exponents and signs are not read everywhere in an expression.
    return f"{value:.15f}" if value >= 0 else f"(0 - {-value:.15f})"


def _policy(known: Count | None) -> str:
    if known is None:
        return ""
    if known.matches <= EXACT_UP_TO:
        return " HYBRID_POLICY ADHOC_BF"
    return " HYBRID_POLICY BATCHES" if known.matches >= known.documents * _COMMON_SHARE else ""


def _clause(part: Sequence[str]) -> str:
    if len(part) == 1 and part[0].isalpha() and part[0].isascii() and part[0] not in ("inf", "nan"):
        return part[0]
    return '"' + " ".join(part) + '"'
