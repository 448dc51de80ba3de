"""In-memory twin of the port `Contents`."""

from collections.abc import Sequence

from agent_memory.contracts.records import Scope, TimelineEvent
from agent_memory.contracts.toc import Grip, TocNode
from agent_memory.eventlog.neighbours import Around


class MemoryContents:
    """What a test puts in: nodes and grips by scope path."""

    def __init__(self) -> None:
        self.nodes: dict[tuple[str, str], TocNode] = {}
        self.grips: dict[tuple[str, str], Grip] = {}
        self.said: dict[tuple[str, str], list[TimelineEvent]] = {}

    def put(self, scope: Scope, *nodes: TocNode) -> None:
        """Nodes of a scope, in order of time."""
        self.nodes |= {(scope.path, node.node_id): node for node in nodes}

    async def years(self, scope: Scope) -> Sequence[TocNode]:
        """The years, newest first."""
        return [node for (path, _), node in self.nodes.items() if path == scope.path and node.level == "year"][::-1]

    async def node(self, scope: Scope, node_id: str) -> TocNode | None:
        """The node."""
        return self.nodes.get((scope.path, node_id))

    async def node_at(self, scope: Scope, node_id: str, version: int) -> TocNode | None:
        """The node, if that is its version."""
        node = await self.node(scope, node_id)
        return node if node is not None and node.version == version else None

    async def named(self, scope: Scope, node_ids: Sequence[str]) -> Sequence[TocNode]:
        """Those of the nodes that are there."""
        return [node for node_id in node_ids if (node := await self.node(scope, node_id)) is not None]

    async def children(self, scope: Scope, parent_id: str, *, offset: int, limit: int) -> tuple[Sequence[TocNode], bool]:
        """A page of children, and whether there is more."""
        parent = await self.node(scope, parent_id)
        ids = () if parent is None else parent.child_node_ids
        found = [node for node_id in ids if (node := await self.node(scope, node_id)) is not None]
        return found[offset : offset + limit], len(found) > offset + limit

    async def grip(self, scope: Scope, grip_id: str) -> Grip | None:
        """The grip."""
        return self.grips.get((scope.path, grip_id))

    async def around(self, scope: Scope, session_id: str, first: str, last: str, *, before: int, after: int) -> Around:
        """What a session holds from one event to another, and beside them."""
        said = sorted(self.said.get((scope.path, session_id), []), key=lambda one: (one.timestamp_ms, one.event_id))
        ids = [one.event_id for one in said]
        if first not in ids or last not in ids:
            return Around()
        begin, end = ids.index(first), ids.index(last) + 1
        return Around(
            before=tuple(said[max(0, begin - before) : begin]), within=tuple(said[begin:end]), after=tuple(said[end : end + after])
        )
