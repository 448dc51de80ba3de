"""In-memory twin of the port `SummaryViews`: what the commands that were sent amount to."""

from collections.abc import Iterator, Sequence

from agent_memory.contracts import commands
from agent_memory.contracts.errors import NotFound
from agent_memory.contracts.records import Partition, Scope, SummaryView, Task
from agent_memory.gateway.gateway import utc_now

Sent = Sequence[tuple[Scope, commands.AnyCommand]]


class MemoryViews:
    """Views and tasks are those of the commands in `sent`; a run summarises `memories`, one text after the other."""

    def __init__(self, sent: Sent) -> None:
        self._sent = sent
        self.memories: list[str] = []
        self.recorded: list[tuple[str, Partition]] = []

    def _commands(self, tenant: str) -> Iterator[commands.AnyCommand]:
        return (command for scope, command in self._sent if scope.tenant == tenant)

    async def views(self, tenant: str) -> list[SummaryView]:
        """All views, the oldest first."""
        found: dict[str, SummaryView] = {}
        for command in self._commands(tenant):
            if isinstance(command, commands.CreateSummaryView):
                found[command.view.id] = command.view
            elif isinstance(command, commands.DeleteSummaryView):
                found.pop(command.view_id, None)
        return list(found.values())

    async def view(self, tenant: str, view_id: str) -> SummaryView | None:
        """One view."""
        return next((view for view in await self.views(tenant) if view.id == view_id), None)

    async def task(self, tenant: str, task_id: str) -> Task | None:
        """One task, as it was first sent."""
        sent = (command.task for command in self._commands(tenant) if isinstance(command, commands.ChangeTask))
        return next((task for task in sent if task.id == task_id), None)

    async def partitions(self, tenant: str, view_id: str) -> list[Partition]:
        """What was run."""
        return [partition for owner, partition in self.recorded if (owner, partition.view_id) == (tenant, view_id)]

    async def run(self, tenant: str, view_id: str, group: dict[str, str]) -> Partition:
        """Summarise `memories` as one group."""
        if await self.view(tenant, view_id) is None:
            raise NotFound(f"SummaryView {view_id} not found")
        partition = Partition(
            view_id=view_id,
            group=group,
            summary="\n".join(self.memories),
            memory_count=len(self.memories),
            empty=not self.memories,
            empty_reason=None if self.memories else "no_matching_memories",
            computed_at=utc_now(),
            memory_ids=[str(number) for number, _ in enumerate(self.memories)],
            fingerprint="f",
        )
        self.recorded.append((tenant, partition))
        return partition
