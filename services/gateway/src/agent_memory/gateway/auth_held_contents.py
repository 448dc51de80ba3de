"""The table of contents as a bound credential sees it."""

from collections.abc import Sequence

from agent_memory.auth.principal import Principal
from agent_memory.contracts.errors import Forbidden
from agent_memory.contracts.records import Scope
from agent_memory.contracts.toc import Grip, TocNode
from agent_memory.eventlog.neighbours import Around
from agent_memory.gateway.ports import Contents


class HeldContents:
    """Every method is as the port says, and raises Forbidden for a scope that the credential is not for."""

    def __init__(self, contents: Contents, principal: Principal) -> None:
        self._contents = contents
        self._principal = principal

    async def years(self, scope: Scope) -> Sequence[TocNode]:
        """As the port says."""
        return await self._contents.years(self._in(scope))

    async def node(self, scope: Scope, node_id: str) -> TocNode | None:
        """As the port says."""
        return await self._contents.node(self._in(scope), node_id)

    async def node_at(self, scope: Scope, node_id: str, version: int) -> TocNode | None:
        """As the port says."""
        return await self._contents.node_at(self._in(scope), node_id, version)

    async def named(self, scope: Scope, node_ids: Sequence[str]) -> Sequence[TocNode]:
        """As the port says."""
        return await self._contents.named(self._in(scope), node_ids)

    async def children(self, scope: Scope, parent_id: str, *, offset: int, limit: int) -> tuple[Sequence[TocNode], bool]:
        """As the port says."""
        return await self._contents.children(self._in(scope), parent_id, offset=offset, limit=limit)

    async def grip(self, scope: Scope, grip_id: str) -> Grip | None:
        """As the port says."""
        return await self._contents.grip(self._in(scope), grip_id)

    async def around(self, scope: Scope, session_id: str, first: str, last: str, *, before: int, after: int) -> Around:
        """As the port says."""
        return await self._contents.around(self._in(scope), session_id, first, last, before=before, after=after)

    def _in(self, scope: Scope) -> Scope:
        if not self._principal.holds(scope):
            raise Forbidden("this credential does not reach that namespace or user_id")
        return scope
