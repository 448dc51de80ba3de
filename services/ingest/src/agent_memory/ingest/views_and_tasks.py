"""What summary views and tasks decide. Pure. The newest event of their streams is their state."""

from datetime import datetime

import msgspec

from agent_memory.contracts.commands import ChangeTask, CreateSummaryView, DeleteSummaryView, RecordPartition
from agent_memory.contracts.errors import Conflict, NotFound, Refused
from agent_memory.contracts.events import Event, PartitionSummarized, SummaryViewCreated, SummaryViewDeleted, TaskChanged

NEXT = {"pending": {"running", "failed"}, "running": {"success", "failed"}, "success": set[str](), "failed": set[str]()}
"""What a task may become."""


class Newest(msgspec.Struct, kw_only=True):
    """Where a stream stands."""

    version: int = 0
    event: Event | None = None


def create_view(command: CreateSummaryView, known: Newest, now: datetime) -> list[Event]:
    """Raises Conflict when the id stands for another view, or did."""
    match known.event:
        case None:
            return [SummaryViewCreated(view=command.view, at=now)]
        case SummaryViewCreated(view=view) if view == command.view:
            return []
        case _:
            raise Conflict(f"there is a summary view {command.view.id} already; choose another id")


def delete_view(command: DeleteSummaryView, known: Newest, now: datetime) -> list[Event]:
    """That there is none is as well."""
    return [SummaryViewDeleted(view_id=command.view_id, at=now)] if is_there(known) else []


def record_partition(command: RecordPartition, view: Newest, known: Newest) -> list[Event]:
    """Keeps the newest summary of a group. Raises NotFound when the view is gone."""
    partition = command.partition
    if not is_there(view):
        raise NotFound(f"SummaryView {partition.view_id} not found")
    if isinstance(known.event, PartitionSummarized) and known.event.partition.computed_at >= partition.computed_at:
        return []
    return [PartitionSummarized(partition=partition, use=command.use)]


def change_task(command: ChangeTask, view: Newest | None, known: Newest) -> list[Event]:
    """Moves a task on; what it is already changes nothing.

    Raises NotFound for a new task of a view that is not there, Refused for a step that no task takes.
    """
    task = command.task
    if not isinstance(known.event, TaskChanged):
        if view is not None and not is_there(view):
            raise NotFound(f"SummaryView {task.view_id} not found")
        return [TaskChanged(task=task)]
    before = known.event.task
    if before.status == task.status:
        return []
    if task.status not in NEXT[before.status]:
        raise Refused(f"task {task.id} is {before.status} and cannot become {task.status}")
    return [TaskChanged(task=task)]


def is_there(known: Newest) -> bool:
    """Whether a view's stream holds a view that was not deleted."""
    return isinstance(known.event, SummaryViewCreated)
