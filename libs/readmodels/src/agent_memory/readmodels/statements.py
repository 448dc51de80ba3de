"""FT.SEARCH statements, and what their replies say. Pure; user text gets in as words and tags of letters and digits only."""

import math
import re
from collections.abc import Sequence
from operator import neg
from typing import Any, NamedTuple

import msgspec

from agent_memory.contracts.queries import Recency
from agent_memory.readmodels.ranking import MICROS_PER_DAY
from agent_memory.readmodels.words import Wanted

Statement = tuple[str | bytes | int, ...]

_TAIL: Statement = ("TIMEOUT", 5_000, "DIALECT", 2)
_TAGS = re.compile(r"(?<!-)@(\w+):\{([^}]*)\}")
_NO_TAG = "v_"
_UNSCORED = "{$weight:0}"
_PAIR_WEIGHT = 0.5
STEMS, STEMS_IN_CONTEXT = "stems", "stems|before"
"""Where words are looked for: in a document, or in it and in what was said before it."""
EXACT_UP_TO = 2_000
"""With this many matching documents or fewer, comparing each of them is exact and as fast as walking the graph."""
_COMMON_SHARE = 0.2


class Row(NamedTuple):
    """A document that a statement found. Rows sort by themselves: `rank` is the distance, or the text score with a minus.

    `fields`: names and values in turn, as they were asked for.
    """

    rank: float
    key: bytes
    fields: list[bytes]

    def get(self, name: bytes) -> bytes | None:
        """A field's value; None where it was not asked for or the document has none."""
        fields = self.fields
        return next((fields[at + 1] for at in range(0, len(fields), 2) if fields[at] == name), None)


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


def count_within(index: str, where: str, vector: bytes, radius: float) -> Statement:
    """About how many documents match and are no farther than `radius`."""
    query = f"{where} @vector:[VECTOR_RANGE $radius $vector]"
    return ("FT.SEARCH", index, query, "PARAMS", 4, "vector", vector, "radius", repr(float(radius)), "LIMIT", 0, 0, *_TAIL)


def best(index: str, where: str, k: int, fields: Sequence[str], scorer: str = "BM25STD") -> Statement:
    """The k best of the documents that match, by a scorer of the server's."""
    returned: Statement = ("RETURN", len(fields), *fields)
    return ("FT.SEARCH", index, unscored(where), "VERBATIM", "SCORER", scorer, "WITHSCORES", *returned, "LIMIT", 0, k, *_TAIL)


def listing(index: str, where: str, offset: int, limit: int) -> Statement:
    """A page of the documents that match, newest first, then by id."""
    return ("FT.SEARCH", index, where, "SORTBY", "listing", "ASC", "RETURN", 1, "record", "LIMIT", offset, limit, *_TAIL)


def freshest(
    index: str, where: str, vector: bytes, k: int, known: Count | None, weights: Recency, now: int, offset: int, limit: int
) -> Statement:
    """A page of the k nearest as `ranking.by_recency` values them, so that the others need not be read. Equals: as in a listing."""
    query = f"({where})=>[KNN {k} @vector $vector{_policy(known)} AS dist]"
    # Loading a key costs as much as comparing two vectors, so equals are told apart by what the index has at hand.
    order = (*_ranking(weights, now), "SORTBY", 4, "@rank", "DESC", "@listing", "ASC")
    page: Statement = (*order, "LIMIT", offset, limit, "LOAD", 2, "@__key", "@record")
    return ("FT.AGGREGATE", index, query, "PARAMS", 2, "vector", vector, *page, *_TAIL)


def any_word(wanted: Wanted, fields: str = STEMS) -> str:
    """Documents that have each phrase and, where there are other words, any of the telling ones as stems."""
    having = f"@{fields}:{_any(wanted.telling)}=>{_UNSCORED}" if wanted.telling else ""
    return " ".join(filter(None, (all_phrases(wanted), having, *_scoring(wanted, fields))))


def any_part(wanted: Wanted, fields: str = STEMS, *, common: bool = True) -> str:
    """Documents that themselves have any of the words as stems, common ones too unless told otherwise, or of the phrases.

    `fields`: where what they have is scored.
    """
    terms = wanted.telling + (wanted.common if common else ())
    phrases = _phrases(wanted)
    having = [*phrases, *([f"@{STEMS}:{_any(terms)}"] if terms else [])]
    scoring = (*(f"~{phrase}" for phrase in phrases), *_scoring(wanted, fields))
    return " ".join((f"({'|'.join(having)})=>{_UNSCORED}", *scoring))


def all_phrases(wanted: Wanted) -> str:
    """A clause for documents that have each phrase, word by word; empty without phrases."""
    return " ".join(_phrases(wanted))


def unscored(where: str) -> str:
    """The same filters, earning no score: a tag would add as much as a rare word, and the more the shorter the document is."""
    return _TAGS.sub(rf"(@\1:{{\2|{_NO_TAG}}})=>{_UNSCORED}", where)


def _scoring(wanted: Wanted, fields: str) -> list[str]:
    """Each telling word earns its score; two side by side earn half of theirs again (sequential dependence: Metzler, Croft, 2005).

    As options of their own: of the words in a union, the server counts but some wherever it came upon the document by skipping.
    """
    words = [f"~@{fields}:({_clause(term)})" for term in wanted.telling]
    return words + [f"(~@{fields}:({_clause(pair)}))=>{{$weight:{_PAIR_WEIGHT}}}" for pair in wanted.pairs]


def _any(terms: Sequence[tuple[str, ...]]) -> str:
    # Where the index knows but one of them there is no union, and no weight: that one then counts twice, for all that have it.
    return f"({'|'.join(map(_clause, terms))})"


def _phrases(wanted: Wanted) -> list[str]:
    return [f"@text:({_clause(phrase)})" for phrase in wanted.phrases]


def listed(reply: list[Any]) -> tuple[int, list[Row]]:
    """Number of matches and the documents of a listing, in its order."""
    return reply[0], [Row(0.0, key, fields or []) for key, fields in zip(reply[1::2], reply[2::2], strict=True)]


def best_first(reply: list[Any], fields: Sequence[str]) -> tuple[int, list[Row]]:
    """Number of matches and the documents of a search by words, given the fields it asked for: by score, then key."""
    scores = map(neg, map(float, reply[2 :: 3 if fields else 2]))
    if not fields:
        return reply[0], sorted(Row(score, key, []) for score, key in zip(scores, reply[1::2], strict=True))
    # A document that went away while the search ran comes with nil.
    return reply[0], sorted(map(Row._make, zip(scores, reply[1::3], [given or [] for given in reply[3::3]], strict=True)))


def nearest_first(reply: list[Any]) -> tuple[int, list[Row]]:
    """Number of matches and the documents of a search by vector, by distance, then key. Those that went away are left out."""
    found = zip(reply[1::2], reply[2::2], strict=True)
    return reply[0], sorted(Row(_distance(fields), key, fields) for key, fields in found if fields)


def aggregated(reply: list[Any]) -> list[Row]:
    """The documents of an FT.AGGREGATE reply, in its order; those that went away while it ran are left out."""
    found = (Row(_distance(fields), b"", fields) for fields in reply[1:])
    return [row._replace(key=key) for row in found if (key := row.get(b"__key")) is not None]


def _distance(fields: list[bytes]) -> float:
    """Cosine distance, 0 to 2, which always comes first; a vector without direction is at 1 from all."""
    dist = float(fields[1])
    return dist if dist >= 0.0 else 0.0 if dist < 0.0 else 1.0


def _ranking(weights: Recency, now: int) -> Statement:
    """Steps that give each document its `rank`, which differs from the value of `ranking.by_recency` by a constant at most."""
    fresh = _halved("last_accessed", now, weights.half_life_last_access_days, weights.freshness_weight)
    novel = _halved("created_at", now, weights.half_life_created_days, weights.novelty_weight)
    recency = f"{fresh} + {novel}"
    steps: Statement = ()
    if weights.freshness_weight + weights.novelty_weight > 1:
        # There is no minimum among the functions: (x + 1 - |x - 1|) / 2 is the smaller of x and 1.
        steps, recency = ("APPLY", recency, "AS", "sum"), "(@sum + 1 - abs(@sum - 1)) / 2"
    rank = f"{_number(weights.recency_weight)} * ({recency}) - {_number(weights.semantic_weight)} * @dist"
    return (*steps, "APPLY", rank, "AS", "rank")


_ENDLESS = 1e30
"""Microseconds in which nothing is halved that anybody could store; of infinity the server knows no spelling."""


def _halved(field: str, now: int, half_life_days: float, weight: float) -> str:
    if half_life_days <= 0 or weight == 0:
        return "0"
    # x - |x| is twice x before `now`, and 0 after it.
    age = f"@{field} - {now} - abs(@{field} - {now})"
    halving = max(1e-6, min(2 * half_life_days * MICROS_PER_DAY / math.log(2), _ENDLESS))
    return f"{_number(weight)} * exp(({age}) / {_number(halving)})"


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
    """Quoted, words stand side by side and each as it is."""
    return '"' + " ".join(part) + '"'
