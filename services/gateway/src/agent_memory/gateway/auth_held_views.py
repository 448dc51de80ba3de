"""Summary views as a bound credential sees them: those that are about nothing but what it is for."""

from collections.abc import Sequence

from msgspec.structs import replace

from agent_memory.auth.principal import Principal
from agent_memory.contracts.errors import Forbidden, NotFound
from agent_memory.contracts.queries import TagFilter
from agent_memory.contracts.records import Partition, SummaryView, Task
from agent_memory.gateway.ports import SummaryViews
from agent_memory.readmodels.view_filters import view_filters


class HeldViews:
    """A view of more than the principal reaches is not found, and neither are its partitions and tasks."""

    def __init__(self, views: SummaryViews, principal: Principal) -> None:
        self._views = views
        self._principal = principal

    async def view(self, tenant: str, view_id: str) -> SummaryView | None:
        """As the port says."""
        found = await self._views.view(self._principal.tenant, view_id)
        return found if found is not None and reaches(self._principal, found) else None

    async def views(self, tenant: str) -> list[SummaryView]:
        """As the port says."""
        return [view for view in await self._views.views(self._principal.tenant) if reaches(self._principal, view)]

    async def partitions(self, tenant: str, view_id: str) -> Sequence[Partition]:
        """As the port says."""
        return [] if await self.view(tenant, view_id) is None else await self._views.partitions(self._principal.tenant, view_id)

    async def task(self, tenant: str, task_id: str) -> Task | None:
        """As the port says."""
        found = await self._views.task(self._principal.tenant, task_id)
        return found if found is not None and await self.view(tenant, found.view_id or "") is not None else None

    async def run(self, tenant: str, view_id: str, group: dict[str, str]) -> Partition:
        """As the port says."""
        if await self.view(tenant, view_id) is None:
            raise NotFound(f"SummaryView {view_id} not found")
        return await self._views.run(self._principal.tenant, view_id, group)


def reaches(principal: Principal, view: SummaryView) -> bool:
    """Whether the view's filters let nothing pass but what the principal is for."""
    filters = view_filters(view.filters)
    return all(allowed is None or _within(getattr(filters, field), allowed) for field, allowed in _bounds(principal).items())


def narrowed_view(view: SummaryView, principal: Principal) -> SummaryView:
    """The view about nothing but what the principal is for: filters that it does not name are put in.

    Raises Forbidden when it names somebody else.
    """
    filters = dict(view.filters)
    for field, allowed in _bounds(principal).items():
        if allowed is not None and field not in filters:
            filters[field] = allowed[0] if len(allowed) == 1 else list(allowed)
    view = replace(view, filters=filters)
    if not reaches(principal, view):
        raise Forbidden("this credential does not reach that namespace or user_id")
    return view


def _bounds(principal: Principal) -> dict[str, tuple[str, ...] | None]:
    return {"namespace": principal.namespaces, "user_id": None if principal.user_id is None else (principal.user_id,)}


def _within(given: TagFilter | None, allowed: tuple[str, ...]) -> bool:
    if given is None:
        return False
    if given.none:
        return "" in allowed
    named = given.any if given.any is not None else [given.eq]
    return all(value in allowed for value in named)
