"""What can be asked of the views. Filters of different fields are AND-ed, and so are the operators of one filter."""

from datetime import datetime
from typing import Literal, get_args

import msgspec

from agent_memory.contracts.records import Scope

SearchMode = Literal["semantic", "keyword", "hybrid"]
TextScorer = Literal["BM25STD", "BM25", "TFIDF", "TFIDF.DOCNORM", "DISMAX"]
Fusion = Literal["weighted", "rank"]
TimelineKind = Literal["node", "grip", "event"]
TIMELINE_KINDS: tuple[TimelineKind, ...] = get_args(TimelineKind)


class TagFilter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Exact strings. `none=True`: the field is absent; `none=False`: it is present. All given operators must hold."""

    eq: str | None = None
    ne: str | None = None
    any: list[str] | None = None
    all: list[str] | None = None
    not_in: list[str] | None = None
    startswith: str | None = None
    none: bool | None = None


class DateFilter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Times, compared at microsecond precision. All given operators must hold; `between` by default includes both ends."""

    eq: datetime | None = None
    ne: datetime | None = None
    gt: datetime | None = None
    gte: datetime | None = None
    lt: datetime | None = None
    lte: datetime | None = None
    between: tuple[datetime, datetime] | None = None
    inclusive: Literal["both", "neither", "left", "right"] = "both"


TAG_FIELDS = ("session_id", "namespace", "user_id", "topics", "entities", "memory_type", "extraction_strategy")
DATE_FIELDS = ("created_at", "last_accessed", "event_date")


class MemoryFilters(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which memories. None: not filtered by that field."""

    session_id: TagFilter | None = None
    namespace: TagFilter | None = None
    user_id: TagFilter | None = None
    topics: TagFilter | None = None
    entities: TagFilter | None = None
    memory_type: TagFilter | None = None
    extraction_strategy: TagFilter | None = None
    created_at: DateFilter | None = None
    last_accessed: DateFilter | None = None
    event_date: DateFilter | None = None


class Recency(msgspec.Struct, frozen=True, kw_only=True):
    """Weights of the recency re-ranking; half-lives in days."""

    semantic_weight: float = 0.8
    recency_weight: float = 0.2
    freshness_weight: float = 0.6
    novelty_weight: float = 0.4
    half_life_last_access_days: float = 7.0
    half_life_created_days: float = 30.0


class SearchMemories(msgspec.Struct, frozen=True, kw_only=True):
    """Search of long-term memories. Without text, a listing by filter. `limit` 1 to 100, `offset` from 0. `fusion`: whether a
    hybrid search adds scaled scores or reciprocal ranks, `hybrid_alpha` of the nearness and the rest of the words.
    """

    tenant: str
    text: str | None = None
    mode: SearchMode = "semantic"
    filters: MemoryFilters = MemoryFilters()
    hybrid_alpha: float = 0.7
    fusion: Fusion = "weighted"
    text_scorer: TextScorer = "BM25STD"
    distance_threshold: float | None = None
    limit: int = 10
    offset: int = 0
    recency: Recency | None = None


class SearchTimeline(msgspec.Struct, frozen=True, kw_only=True):
    """Search of what was said and of what was written about it, within one scope. Times are UTC milliseconds, both ends included; a
    node is in them when a part of it is. `kinds`: nodes of the table of contents, grips, events. `session_id`: of nodes, segments
    alone are of one. `hybrid_alpha`: the weight of nearness, the rest is that of the words. `group_by` "session": sessions are
    found, with their best events.
    """

    scope: Scope
    text: str
    mode: SearchMode = "hybrid"
    kinds: tuple[TimelineKind, ...] = TIMELINE_KINDS
    session_id: str | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    hybrid_alpha: float = 0.5
    limit: int = 10
    offset: int = 0
    group_by: Literal["session"] | None = None


def backwards(from_ms: int | None, to_ms: int | None) -> bool:
    """Whether a search's time ends before it begins: a slip that would be answered by nothing found."""
    return from_ms is not None and to_ms is not None and to_ms < from_ms


class GetEvents(msgspec.Struct, frozen=True, kw_only=True):
    """Raw events of one scope by time, both ends included, in order of (timestamp_ms, event_id); `cursor` continues a page."""

    scope: Scope
    from_ms: int | None = None
    to_ms: int | None = None
    session_id: str | None = None
    limit: int = 50
    cursor: str | None = None


class ListSessions(msgspec.Struct, frozen=True, kw_only=True):
    """Sessions that have a working memory, newest change first. None: not filtered."""

    tenant: str
    namespace: str | None = None
    user_id: str | None = None
    limit: int = 20
    offset: int = 0
