"""The table of contents, as the view has it; its earlier versions, as the log has them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from redis.exceptions import RedisError

from agent_memory.contracts.errors import Unavailable
from agent_memory.contracts.records import Scope
from agent_memory.contracts.toc import SEGMENT_PREFIX, Grip, TocNode
from agent_memory.eventlog.neighbours import Around, NeighbourReader
from agent_memory.eventlog.said import SaidReader
from agent_memory.readmodels.contents_reads import TableOfContents, canonical, shown


class LoggedContents:
    """The port `Contents` over Redis and the log."""

    def __init__(self, toc: TableOfContents, log: SaidReader, neighbours: NeighbourReader) -> None:
        self._toc = toc
        self._log = log
        self._neighbours = neighbours

    async def years(self, scope: Scope) -> Sequence[TocNode]:
        """The years, newest first."""
        async with _reachable():
            return await self._toc.years(scope)

    async def node(self, scope: Scope, node_id: str) -> TocNode | None:
        """The node as it is now."""
        async with _reachable():
            return await self._toc.node(scope, node_id)

    async def node_at(self, scope: Scope, node_id: str, version: int) -> TocNode | None:
        """The node as it was at a version; the first one has nothing but its name and its time."""
        now = await self.node(scope, node_id)
        if now is not None and now.version == version:
            return now
        if version == 1 and now is not None:
            title = now.title if now.level != "segment" else ""
            return TocNode(
                node_id=now.node_id, level=now.level, title=title, start_time_ms=now.start_time_ms, end_time_ms=now.end_time_ms
            )
        revision = await self._log.revision(scope, canonical(node_id), version - 1) if 1 < version < 2**31 else None
        if revision is None or revision.gone:
            return None
        return shown(
            revision,
            version=version - 1,
            title=revision.title,
            parent=None if now is None else now.parent_node_id,
            start_time_ms=revision.start_ms,
            end_time_ms=revision.end_ms,
            session_id=revision.session_id or None if revision.node_id.startswith(SEGMENT_PREFIX) else None,
        )

    async def named(self, scope: Scope, node_ids: Sequence[str]) -> Sequence[TocNode]:
        """Those of the nodes that are there now, in the order asked for."""
        if not node_ids:
            return []
        async with _reachable():
            return await self._toc.nodes(scope, node_ids)

    async def children(self, scope: Scope, parent_id: str, *, offset: int, limit: int) -> tuple[Sequence[TocNode], bool]:
        """A page of what stands directly under a node, and whether there is more."""
        async with _reachable():
            return await self._toc.children(scope, parent_id, offset=offset, limit=limit)

    async def grip(self, scope: Scope, grip_id: str) -> Grip | None:
        """The grip; None when there is none."""
        async with _reachable():
            return await self._toc.grip(scope, grip_id)

    async def around(self, scope: Scope, session_id: str, first: str, last: str, *, before: int, after: int) -> Around:
        """What a session holds from one event to another, and beside them."""
        return await self._neighbours.around(scope, session_id, first, last, before=before, after=after)


@asynccontextmanager
async def _reachable() -> AsyncIterator[None]:
    try:
        yield
    except (RedisError, OSError) as error:
        raise Unavailable(f"the table of contents cannot be read ({type(error).__name__}); try again") from error
