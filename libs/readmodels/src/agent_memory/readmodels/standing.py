"""What stands in working memory, searched as long-term memories are: by the same filters, the same modes, in a total order. Pure.

Working memory has no index: what a scope's living sessions hold is little, and changes with every message. It is compared whole.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from heapq import merge
from typing import NamedTuple, Protocol

import msgspec
import numpy as np

from agent_memory.contracts.codec import encode
from agent_memory.contracts.queries import Recency, SearchMemories
from agent_memory.contracts.records import MemoryRecord, Message, content_hash
from agent_memory.readmodels.documents import INDEXED_CHARACTERS, micros
from agent_memory.readmodels.filters import matches
from agent_memory.readmodels.plans import Hit
from agent_memory.readmodels.ranking import fuse, fuse_ranks, recency
from agent_memory.readmodels.words import Wanted, stem, wanted, words

K1, B = 1.2, 0.75
"""Constants of BM25, as the search index has them."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A document of a living session, and whose it is. `messages`: JSON objects joined by commas."""

    session_id: str
    namespace: str = ""
    user_id: str = ""
    meta: bytes
    messages: bytes


class _Meta(msgspec.Struct):
    memories: list[MemoryRecord] = []
    last_accessed: datetime | None = None
    namespace: str | None = None
    user_id: str | None = None


class Scored(Protocol):
    """A result of either side."""

    @property
    def record(self) -> bytes: ...
    @property
    def score(self) -> float | None: ...
    @property
    def dist(self) -> float: ...
    @property
    def score_type(self) -> str | None: ...


class Found(NamedTuple):
    """A result, and where it comes in the order of the search: the smaller its place, the earlier."""

    place: float
    hit: Scored


_meta = msgspec.json.Decoder(_Meta).decode
_messages = msgspec.json.Decoder(list[Message]).decode


def records_of(document: Standing, *, messages_too: bool = True) -> list[MemoryRecord]:
    """What a session holds, as memories: its messages, and the memories that are not long-term memories already.

    Nothing when the document is somebody else's: a session that has just gone may have been taken for another of its name.
    """
    meta = _meta(document.meta)
    if (meta.namespace or "", meta.user_id or "") != (document.namespace, document.user_id):
        return []
    said = _messages(b"[" + document.messages + b"]") if messages_too else []
    return [
        *(_of_message(message, document, meta.last_accessed) for message in said),
        *(_owned(memory, document) for memory in meta.memories if memory.persisted_at is None),
    ]


def _owned(memory: MemoryRecord, document: Standing) -> MemoryRecord:
    """A memory of a session with what it does not name itself."""
    return msgspec.structs.replace(
        memory,
        session_id=memory.session_id or document.session_id,
        namespace=memory.namespace or document.namespace or None,
        user_id=memory.user_id or document.user_id or None,
    )


def _of_message(message: Message, document: Standing, last_accessed: datetime | None) -> MemoryRecord:
    return MemoryRecord(
        id=message.id,
        text=message.content,
        session_id=document.session_id,
        namespace=document.namespace or None,
        user_id=document.user_id or None,
        last_accessed=last_accessed or message.created_at,
        created_at=message.created_at,
        updated_at=message.created_at,
        memory_type="message",
        persisted_at=message.persisted_at,
        discrete_memory_extracted=message.discrete_memory_extracted,
        extracted_from=[message.id],
        extraction_strategy="message",
        metadata={"role": message.role},
    )


def passing(query: SearchMemories, records: Iterable[MemoryRecord]) -> list[MemoryRecord]:
    """Those that the filters let pass and, where words are asked for, that have them."""
    passed = [record for record in records if matches(query.filters, record)]
    asked = wanted(query.text) if query.text else Wanted()
    if query.text and query.mode == "keyword":
        return [record for record in passed if _has_any(asked, _words(record))]
    if query.text and query.mode == "hybrid" and asked.phrases:
        return [record for record in passed if all(_times(phrase, _words(record)) for phrase in asked.phrases)]
    return passed


def texts_to_compare(query: SearchMemories, records: Sequence[MemoryRecord]) -> dict[str, bytes]:
    """The texts whose vectors a search needs, and the hashes that these are kept by."""
    if not query.text or query.mode == "keyword":
        return {}
    return {record.text: content_hash(record.text) for record in records}


def ordered(
    query: SearchMemories, records: Sequence[MemoryRecord], vectors: Mapping[str, bytes], vector: bytes | None, now: datetime
) -> list[Found]:
    """All of the records that match, in the order of the search. `vectors`: by text; `vector`: of the query."""
    if not query.text:
        newest = sorted(records, key=lambda record: (-micros(record.created_at), record.id))
        return [Found(-float(micros(one.created_at)), _hit(one, 0.0, None, None)) for one in newest]
    asked = wanted(query.text)
    keys = [f"{number:08d}".encode() for number in range(len(records))]
    distances = dict(zip(keys, _distances(records, vectors, vector), strict=True)) if vector is not None else {}
    scores: dict[bytes, float] = {}
    if query.mode != "semantic":
        said = [_words(record) for record in records]
        by_phrase, by_stem = bm25(said, asked.phrases), bm25([list(map(stem, each)) for each in said], asked.telling)
        scores = {key: one + other for key, one, other in zip(keys, by_phrase, by_stem, strict=True)}
    ranked = _ranked(query, distances, scores)
    at = micros(now)
    found = []
    for key, dist, score in ranked:
        record = records[int(key)]
        place = dist if query.recency is None else -_value(query.recency, record, dist, at)
        found.append((place, record.id, key, _hit(record, dist, score, query.mode)))
    return [Found(place, hit) for place, _, _, hit in sorted(found, key=lambda one: one[:3])]


def _ranked(
    query: SearchMemories, distances: Mapping[bytes, float], scores: Mapping[bytes, float]
) -> list[tuple[bytes, float, float]]:
    """Key, distance and score of each that matches, as a search of the index says them."""
    if query.mode == "semantic":
        limit = math.inf if query.distance_threshold is None else query.distance_threshold
        return [(key, dist, max(0.0, 1.0 - dist)) for key, dist in distances.items() if dist <= limit]
    if query.mode == "keyword":
        best = max(scores.values(), default=0.0)
        shares = {key: score / best if best > 0 else 0.0 for key, score in scores.items()}
        return [(key, 1.0 - share, share) for key, share in shares.items()]
    scores = {key: score for key, score in scores.items() if score > 0}
    fusing = fuse if query.fusion == "weighted" else fuse_ranks
    return [(key, 1.0 - score, score) for key, score in fusing(distances, scores, query.hybrid_alpha)]


def placed(query: SearchMemories, hits: Iterable[Scored], now: datetime) -> list[Found]:
    """Hits of the index with the place that `ordered` would give them; their order stays as it is."""
    at = micros(now)
    found = []
    for hit in hits:
        place = hit.dist
        if not query.text:
            place = -float(micros(_record(hit.record).created_at))
        elif query.recency is not None:
            place = -_value(query.recency, _record(hit.record), hit.dist, at)
        found.append(Found(place, hit))
    return found


_record = msgspec.json.Decoder(MemoryRecord).decode


def merged(long_term: Sequence[Found], working: Sequence[Found]) -> list[tuple[Scored, bool]]:
    """Both in one order, each side in its own; and whether each stands in working memory.

    What comes before a place depends on what is before it alone, so pages neither overlap nor miss.
    """
    sides = (((one, False) for one in long_term), ((one, True) for one in working))
    return [(one.hit, is_working) for one, is_working in merge(*sides, key=lambda pair: (pair[0].place, pair[1]))]


def bm25(documents: Sequence[Sequence[str]], parts: Sequence[tuple[str, ...]]) -> list[float]:
    """Score of each document, 0 where it has none of the parts (words, or words next to each other).

    Robertson and Zaragoza, The Probabilistic Relevance Framework (2009), with the inverse document frequency of Lucene.
    """
    if not documents or not parts:
        return [0.0] * len(documents)
    average = sum(map(len, documents)) / len(documents) or 1.0
    counted = [Counter(document) for document in documents]
    scores = [0.0] * len(documents)
    for part in dict.fromkeys(parts):
        times = [_counted(part, document, count) for document, count in zip(documents, counted, strict=True)]
        having = sum(1 for each in times if each)
        rarity = math.log(1 + (len(documents) - having + 0.5) / (having + 0.5))
        for at, frequency in enumerate(times):
            if frequency:
                scores[at] += rarity * frequency * (K1 + 1) / (frequency + K1 * (1 - B + B * len(documents[at]) / average))
    return scores


def _counted(part: tuple[str, ...], document: Sequence[str], count: Counter[str]) -> int:
    return count[part[0]] if len(part) == 1 else _times(part, document)


def _has_any(asked: Wanted, said: Sequence[str]) -> bool:
    """Whether a text has any of the phrases, or of the words as stems; common ones count for being found, not for the score."""
    stems = list(map(stem, said))
    return any(_times(phrase, said) for phrase in asked.phrases) or any(
        _times(term, stems) for term in asked.telling + asked.common
    )


def _times(part: tuple[str, ...], document: Sequence[str]) -> int:
    """How often words stand next to each other."""
    size = len(part)
    return sum(1 for at in range(len(document) - size + 1) if tuple(document[at : at + size]) == part)


def _words(record: MemoryRecord) -> list[str]:
    return words(record.text[:INDEXED_CHARACTERS])


def _distances(records: Sequence[MemoryRecord], vectors: Mapping[str, bytes], vector: bytes | None) -> list[float]:
    """Cosine distances, 0 to 2; a vector without direction is at 1 from all, as in the index."""
    if not records or vector is None:
        return []
    matrix = np.frombuffer(b"".join([vectors[record.text] for record in records]), "<f4").reshape(len(records), -1)
    query = np.frombuffer(vector, "<f4")
    lengths = np.linalg.norm(matrix, axis=1) * float(np.linalg.norm(query))
    cosines = np.divide(matrix @ query, lengths, out=np.zeros(len(records), "<f4"), where=lengths > 0)
    return [max(0.0, float(1.0 - cosine)) for cosine in cosines]


def _value(weights: Recency, record: MemoryRecord, dist: float, at: int) -> float:
    fresh = recency(weights, created_at=micros(record.created_at), last_accessed=micros(record.last_accessed), now=at)
    return weights.semantic_weight * (1.0 - dist) + weights.recency_weight * fresh


def _hit(record: MemoryRecord, dist: float, score: float | None, kind: str | None) -> Hit:
    return Hit(record.id, encode(record), dist, score, kind)
