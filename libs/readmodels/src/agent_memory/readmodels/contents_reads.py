"""The table of contents as readers see it: nodes with what was written about them, children by page, grips."""

import re
from collections.abc import Sequence
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

import msgspec

from agent_memory.contracts.records import Scope, escape
from agent_memory.contracts.toc import GRIP_PREFIX, SEGMENT_PREFIX, Grip, Revision, TocNode, by_weight
from agent_memory.readmodels.calendar import ROOT, Period, local_ms, period
from agent_memory.readmodels.contents import UTC_ALWAYS, SegmentHead, Zoned, generations, key
from agent_memory.readmodels.cutting import provisional_title

if TYPE_CHECKING:
    from redis.asyncio import Redis

MOST_KEYWORDS = 7
_DATED = re.compile(r"toc:segment:\d{4}-\d\d-\d\d:(.+)")
_TIMED = re.compile(r"grip:-?\d+:(.+)")
_head = msgspec.json.Decoder(SegmentHead)
_revision = msgspec.json.Decoder(Revision)
_grip = msgspec.json.Decoder(Grip)


class TableOfContents:
    """The live generation of the view. Every method raises redis.RedisError."""

    def __init__(self, redis: "Redis", zones: Zoned = UTC_ALWAYS) -> None:
        self._redis = redis
        self._zones = zones

    async def years(self, scope: Scope) -> list[TocNode]:
        """The years, newest first."""
        found, _ = await self._under(scope, ROOT, 0, -1)
        return found[::-1]

    async def node(self, scope: Scope, node_id: str) -> TocNode | None:
        """The node, also by an older form of its id; None when nothing was said in that time or there is no such node."""
        live = (await generations(self._redis)).live
        found = await self._nodes(live, scope, [canonical(node_id)])
        return found[0] if found else None

    async def children(self, scope: Scope, parent_id: str, *, offset: int, limit: int) -> tuple[list[TocNode], bool]:
        """A page of what stands directly under a node, in order of time, and whether there is more."""
        found, more = await self._under(scope, canonical(parent_id), offset, limit)
        return found, more

    async def grip(self, scope: Scope, grip_id: str) -> Grip | None:
        """The grip, also by an older form of its id; None when there is none."""
        timed = _TIMED.fullmatch(grip_id)
        name = GRIP_PREFIX + timed[1] if timed else grip_id
        live = (await generations(self._redis)).live
        kept = await self._redis.get(key(live, scope, "grip", escape(name)))
        return None if kept is None else _grip.decode(kept)

    async def nodes(self, scope: Scope, node_ids: Sequence[str]) -> list[TocNode]:
        """Those of the nodes that are there, in the order asked for."""
        return await self._nodes((await generations(self._redis)).live, scope, [canonical(one) for one in node_ids])

    async def revised(self, scope: Scope, node_id: str) -> tuple[int, Revision | None]:
        """How many revisions of a node there are, and the newest one; also of a segment that is none any more."""
        live = (await generations(self._redis)).live
        version, kept = await self._redis.hmget(key(live, scope, "node", node_id), ["revised", "revision"])
        return int(version or 0), None if kept is None else _revision.decode(kept)

    async def head(self, scope: Scope, node_id: str) -> SegmentHead | None:
        """What is known of a segment; None when there is none of that id."""
        kept = await self._redis.get(key((await generations(self._redis)).live, scope, "segment", node_id))
        return None if kept is None else _head.decode(kept)

    async def _under(self, scope: Scope, parent: str, offset: int, limit: int) -> tuple[list[TocNode], bool]:
        live = (await generations(self._redis)).live
        last = -1 if limit < 0 else offset + limit
        ids = [one.decode() for one in await self._redis.zrange(key(live, scope, "children", parent), offset, last)]
        page = ids if limit < 0 else ids[:limit]
        return await self._nodes(live, scope, page), len(ids) > len(page)

    async def _nodes(self, generation: int, scope: Scope, node_ids: Sequence[str]) -> list[TocNode]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for node_id in node_ids:
                pipe.hmget(key(generation, scope, "node", node_id), ["events", "revised", "revision"])
                if node_id.startswith(SEGMENT_PREFIX):
                    pipe.get(key(generation, scope, "segment", node_id))
                else:
                    pipe.zrange(key(generation, scope, "children", node_id), 0, -1)
                pipe.hlen(key(generation, scope, "sessions", node_id))
            answers = await pipe.execute()
        zone = self._zones.of(scope.tenant)
        found = [
            _segment(node_id, fields, below, zone)
            if node_id.startswith(SEGMENT_PREFIX)
            else _period(period(node_id, zone), fields, below, sessions)
            for node_id, fields, below, sessions in zip(node_ids, answers[0::3], answers[1::3], answers[2::3], strict=True)
        ]
        return [one for one in found if one is not None]


def canonical(node_id: str) -> str:
    """The id as it is kept: years, months, weeks and days in the newer form, segments without their date."""
    dated = _DATED.fullmatch(node_id)
    if dated:
        return SEGMENT_PREFIX + dated[1]
    found = period(node_id)
    return node_id if found is None else found.node_id


def shown(
    revision: Revision, *, version: int, title: str, parent: str | None, children: Sequence[str] | None = None, **counted: Any
) -> TocNode:
    """A node with what was written about it."""
    return TocNode(
        node_id=revision.node_id,
        level=revision.level,
        title=title,
        summary=revision.summary or None,
        bullets=revision.bullets,
        keywords=by_weight(revision.keywords)[:MOST_KEYWORDS],
        child_node_ids=tuple(revision.child_ids if children is None else children),
        version=version + 1,
        parent_node_id=parent,
        **counted,
    )


def _segment(node_id: str, fields: Sequence[bytes | None], kept: bytes | None, zone: tzinfo) -> TocNode | None:
    if kept is None:
        return None
    head = _head.decode(kept)
    counted: dict[str, Any] = {
        "start_time_ms": head.first_ms,
        "end_time_ms": max(head.first_ms, head.last_ms),
        "events": head.events,
        "sessions": 1,
        "session_id": head.session_id,
    }
    title, revision = provisional_title(local_ms(head.first_ms, zone)), _written(fields)
    if revision is None:
        return TocNode(node_id=node_id, level="segment", title=title, parent_node_id=head.day, **counted)
    version, written = revision
    return shown(written, version=version, title=written.title or title, parent=head.day, children=(), **counted)


def _period(entry: Period | None, fields: Sequence[bytes | None], below: Sequence[bytes], sessions: int) -> TocNode | None:
    if entry is None or fields[0] is None:
        return None
    children = tuple(one.decode() for one in below)
    counted: dict[str, Any] = {
        "start_time_ms": entry.start_ms,
        "end_time_ms": entry.end_ms,
        "events": int(fields[0]),
        "sessions": sessions,
    }
    parent, revision = entry.parent or None, _written(fields)
    if revision is None:
        return TocNode(
            node_id=entry.node_id, level=entry.level, title=entry.title, child_node_ids=children, parent_node_id=parent, **counted
        )
    version, written = revision
    return shown(written, version=version, title=entry.title, parent=parent, children=children, **counted)


def _written(fields: Sequence[bytes | None]) -> tuple[int, Revision] | None:
    _, version, kept = fields
    if version is None or kept is None:
        return None
    revision = _revision.decode(kept)
    return None if revision.gone else (int(version), revision)
