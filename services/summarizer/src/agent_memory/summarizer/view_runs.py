"""Full runs of summary views: tasks in the log, done by whichever replica gets the lease, and made for continuous views."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

import structlog
from msgspec.structs import replace
from redis.asyncio import Redis
from redis.exceptions import RedisError

from agent_memory.contracts.codec import decode_event
from agent_memory.contracts.commands import ChangeTask
from agent_memory.contracts.envelope import EventEnvelope
from agent_memory.contracts.errors import MemoryFault, NotFound, Refused, Unavailable
from agent_memory.contracts.events import SummaryViewCreated, TaskChanged
from agent_memory.contracts.records import Task, TaskStatus, to_datetime
from agent_memory.contracts.streams import SUMMARY_VIEWS, owner_of, task_stream, view_streams
from agent_memory.readmodels import tasks
from agent_memory.runtime.commanding import Commanding
from agent_memory.runtime.leases import Leases
from agent_memory.summarizer.summary_views import Log, NoSummary, commanded

TYPES: frozenset[str] = frozenset({TaskChanged.__name__})
ATTEMPTS = 6
"""A run that fails so often, at growing pauses, has failed: about half a minute in all, beside what its calls took."""

log = structlog.get_logger(__name__)


class Runs(Protocol):
    """Summarises all groups of a view (`SummaryViews`)."""

    async def all(self, tenant: str, view_id: str) -> None: ...


class KeepTasks:
    """Projection TASKS. Idempotent: an open task is entered, one that ended is taken out; the log has the last word."""

    def __init__(self, redis: Redis, found: Callable[[], None] = lambda: None) -> None:
        self._redis = redis
        self._found = found

    async def apply(self, batch: list[EventEnvelope]) -> None:
        """Note the tasks of the batch. Raises redis.RedisError; the batch may then be given again."""
        changes = []
        for envelope in sorted(batch, key=lambda envelope: envelope.position):
            event = decode_event(envelope.type, envelope.data)
            if isinstance(event, TaskChanged):
                changes.append((envelope.stream, event.task))
        await tasks.changed(self._redis, changes)
        self._found()


class ViewRuns:
    """Work: tasks that have not ended. One that was running when its worker died is run again: what it has recorded is not
    paid for again. Done once, because each step of a task is a command of its own id.
    """

    name = SUMMARY_VIEWS
    ready = True

    def __init__(
        self,
        redis: Redis,
        log: Log,
        runs: Runs,
        commands: Commanding,
        leases: Leases,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._redis = redis
        self._log = log
        self._runs = runs
        self._commands = commands
        self._leases = leases
        self._clock = clock

    async def waiting(self) -> int:
        """How many tasks are open."""
        return len(await tasks.opened(self._redis))

    async def due(self, limit: int) -> list[str]:
        """Streams of open tasks, the oldest first."""
        found = await tasks.opened(self._redis)
        return sorted(found, key=lambda stream: (found[stream].created_at, stream))[:limit]

    async def do(self, item: str) -> bool:
        """Sees one task through. Raises NoSummary when it is to be tried again, Unavailable, redis.RedisError."""
        event = await self._log.newest(item)
        if not isinstance(event, TaskChanged) or event.task.status in tasks.ENDED:
            await self._redis.hdel(tasks.OPEN, item)
            return True
        tenant, task = owner_of(item)[0].tenant, event.task
        if task.status == "pending":
            task = await self._change(tenant, replace(task, status="running", started_at=self._clock()))
        try:
            await self._runs.all(tenant, task.view_id or "")
        except NotFound as error:
            await self._end(tenant, task, "failed", error.detail)
        except Exception as error:
            # Outermost loop of one task: servers that are away are waited for as long as it takes, anything else only so often.
            if _away(error) or await self._leases.failures(item) + 1 < ATTEMPTS:
                raise
            await self._end(tenant, task, "failed", _words(error))
        else:
            await self._end(tenant, task, "success")
        return True

    async def _end(self, tenant: str, task: Task, status: TaskStatus, error: str | None = None) -> None:
        await self._change(tenant, replace(task, status=status, completed_at=self._clock(), error_message=error))

    async def _change(self, tenant: str, task: Task) -> Task:
        stream = task_stream(tenant, task.id)
        await commanded(self._commands, tenant, f"{stream}/{task.status}", ChangeTask(task=task))
        # Not left to the projection alone: the same task would be found again until it has come so far.
        await tasks.changed(self._redis, [(stream, task)])
        log.info("task changed", task_id=task.id, view_id=task.view_id, status=task.status, error=task.error_message)
        return task


class Refreshing:
    """Gives continuous views a task when the job is run. Its id names view and due time, so that doing it again makes no more."""

    def __init__(self, redis: Redis, log: Log, commands: Commanding) -> None:
        self._redis = redis
        self._log = log
        self._commands = commands

    async def run(self, due_ms: int) -> dict[str, str]:
        """Body of the job SUMMARY_VIEWS. Raises MemoryFault, redis.RedisError."""
        made = await self.made(due_ms)
        return {"tasks": str(len(made))}

    async def made(self, due_ms: int) -> list[str]:
        """Makes the tasks and returns their ids; a view that has one already gets none."""
        busy = {(owner_of(stream)[0].tenant, task.view_id) for stream, task in (await tasks.opened(self._redis)).items()}
        made = []
        for state in await self._log.newest_under(view_streams()):
            tenant = owner_of(state.stream)[0].tenant
            if not isinstance(state.event, SummaryViewCreated) or not state.event.view.continuous:
                continue
            if (tenant, state.event.view.id) not in busy:
                made.append(await self._task(tenant, state.event.view.id, due_ms))
        return made

    async def _task(self, tenant: str, view_id: str, due_ms: int) -> str:
        task = Task(id=f"{view_id}-{due_ms}", view_id=view_id, created_at=to_datetime(due_ms))
        try:
            await commanded(self._commands, tenant, f"{task_stream(tenant, task.id)}/pending", ChangeTask(task=task))
        except (NotFound, Refused):
            log.info("nothing to refresh", view_id=view_id)  # deleted meanwhile, or done by another replica already
        return task.id


def _away(error: Exception) -> bool:
    return isinstance(error, RedisError | OSError | Unavailable) and not isinstance(error, NoSummary)


def _words(error: Exception) -> str:
    return error.detail if isinstance(error, MemoryFault) else f"{type(error).__name__}: {error}"
