"""Search of long-term memories and of the timeline, over the live generation of each index."""

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
from redis.asyncio import Redis

from agent_memory.contracts.queries import SearchMemories, SearchTimeline
from agent_memory.readmodels.documents import micros
from agent_memory.readmodels.filters import compile_filters, compile_timeline, uses_prefix
from agent_memory.readmodels.plans import Ask, Group, Hit, Plan, Searching, asking
from agent_memory.readmodels.words import Wanted, wanted

__all__ = ["Group", "Hit", "MemorySearch", "SearchPage", "SessionPage", "TimelineSearch"]


class SearchPage(msgspec.Struct, frozen=True, kw_only=True):
    """Hits in order. `total` counts all documents that match; `next_offset` is None on the last page."""

    hits: list[Hit]
    total: int
    next_offset: int | None


class SessionPage(msgspec.Struct, frozen=True, kw_only=True):
    """Sessions in order, each with its best events. `total` counts those with an event among the best candidates of either side."""

    groups: list[Group]
    total: int
    next_offset: int | None


def _now() -> datetime:
    return datetime.now(UTC)


class MemorySearch:
    """Long-term memories of one tenant at a time.

    Raises Unavailable when the index is not there, or is of another embedding model: absence is never answered as emptiness.
    """

    def __init__(self, redis: Redis, *, now: Callable[[], datetime] = _now, ask: Ask | None = None) -> None:
        self._searching = Searching(ask or asking(redis), "memory")
        self._now = now

    async def search(self, query: SearchMemories, vector: bytes | None) -> SearchPage:
        """A page of memories. `vector` is the text's embedding (float32); None for a listing or a keyword search."""
        text = query.text if query.text and query.text.strip() else None
        plan = Plan(
            where=compile_filters(query.tenant, query.filters),
            mode=query.mode if text else "listing",
            wanted=wanted(text) if text else Wanted(),
            vector=vector,
            alpha=query.hybrid_alpha,
            fusion=query.fusion,
            scorer=query.text_scorer,
            threshold=query.distance_threshold if query.mode == "semantic" else None,
            recency=query.recency if text else None,
            now=micros(self._now()),
            limit=query.limit,
            offset=query.offset,
            prefixes=uses_prefix(query.filters),
        )
        return _page(plan, *await self._searching.run(plan))


class TimelineSearch:
    """Timeline events of one scope. Raises Unavailable as `MemorySearch` does; each hit's record is a TimelineEvent."""

    def __init__(self, redis: Redis, *, ask: Ask | None = None) -> None:
        self._searching = Searching(ask or asking(redis), "timeline")

    async def search(self, query: SearchTimeline, vector: bytes | None) -> SearchPage:
        """A page of events. `vector` is the text's embedding (float32); None for a keyword search. No text finds nothing."""
        if not query.text.strip():
            return SearchPage(hits=[], total=0, next_offset=None)
        plan = _plan(query, vector)
        return _page(plan, *await self._searching.run(plan))

    async def search_sessions(self, query: SearchTimeline, vector: bytes | None) -> SessionPage:
        """A page of the sessions that such events are of."""
        if not query.text.strip():
            return SessionPage(groups=[], total=0, next_offset=None)
        plan = _plan(query, vector)
        total, groups = await self._searching.groups(plan)
        return SessionPage(groups=groups, total=total, next_offset=_next(plan, total, bool(groups)))


def _plan(query: SearchTimeline, vector: bytes | None) -> Plan:
    return Plan(
        where=compile_timeline(query),
        mode=query.mode,
        wanted=wanted(query.text),
        vector=vector,
        alpha=query.hybrid_alpha,
        limit=query.limit,
        offset=query.offset,
    )


def _page(plan: Plan, total: int, hits: list[Hit]) -> SearchPage:
    return SearchPage(hits=hits, total=total, next_offset=_next(plan, total, bool(hits)))


def _next(plan: Plan, total: int, found: bool) -> int | None:
    end = plan.offset + plan.limit
    return end if found and end < total else None
