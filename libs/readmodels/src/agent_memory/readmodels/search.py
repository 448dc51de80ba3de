"""Search of long-term memories and of the timeline, over the live generation of each index."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
from redis.asyncio import Redis

from agent_memory.contracts.queries import SearchMemories, SearchTimeline
from agent_memory.readmodels.documents import micros
from agent_memory.readmodels.filters import compile_contents, compile_filters, compile_timeline, uses_prefix
from agent_memory.readmodels.matching import Match, merged, said_matches, written_matches
from agent_memory.readmodels.plans import Ask, Group, Hit, Plan, Searching, asking
from agent_memory.readmodels.words import Wanted, wanted

__all__ = ["Group", "Hit", "Match", "MatchPage", "MemorySearch", "SearchPage", "SessionPage", "TimelineSearch"]


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


class MatchPage(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes, grips and events in one order. `total` counts all that match."""

    matches: list[Match]
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
    """What was said in one scope, and what was written about it. Raises Unavailable as `MemorySearch` does."""

    def __init__(self, redis: Redis, *, ask: Ask | None = None) -> None:
        self._searching = Searching(ask or asking(redis), "timeline")
        self._contents = Searching(ask or asking(redis), "contents")

    async def search(self, query: SearchTimeline, vector: bytes | None) -> SearchPage:
        """A page of events (TimelineEvent). `vector`: the text's embedding (float32); None by keyword. No text finds nothing."""
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

    async def search_all(self, query: SearchTimeline, vector: bytes | None) -> MatchPage:
        """A page of nodes, grips and events, of the kinds asked for. Of events with others, a page costs what stands before it."""
        if not query.text.strip() or not query.kinds:
            return MatchPage(matches=[], total=0, next_offset=None)
        plan, written = _plan(query, vector), _plan(query, vector, compile_contents(query))
        if query.kinds == ("event",):
            said = await self._searching.side(plan)
            return _matched(plan, said.total, said_matches(said.hits))
        if "event" not in query.kinds:
            side = await self._contents.side(written)
            return _matched(plan, side.total, written_matches(side.hits))
        end = plan.offset + plan.limit
        first = [msgspec.structs.replace(one, offset=0, limit=end) for one in (written, plan)]
        both = await asyncio.gather(self._contents.side(first[0]), self._searching.side(first[1]))
        return _matched(plan, both[0].total + both[1].total, merged(query, *both)[plan.offset : end])


def _plan(query: SearchTimeline, vector: bytes | None, where: str = "") -> Plan:
    return Plan(
        where=where or compile_timeline(query),
        mode=query.mode,
        wanted=wanted(query.text),
        vector=vector,
        alpha=query.hybrid_alpha,
        limit=query.limit,
        offset=query.offset,
    )


def _page(plan: Plan, total: int, hits: list[Hit]) -> SearchPage:
    return SearchPage(hits=hits, total=total, next_offset=_next(plan, total, bool(hits)))


def _matched(plan: Plan, total: int, matches: list[Match]) -> MatchPage:
    return MatchPage(matches=matches, total=total, next_offset=_next(plan, total, bool(matches)))


def _next(plan: Plan, total: int, found: bool) -> int | None:
    end = plan.offset + plan.limit
    return end if found and end < total else None
