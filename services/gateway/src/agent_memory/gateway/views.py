"""Summary views, their partitions and tasks: read from the log, and partitions asked of the summarizer."""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from agent_memory.contracts.codec import encode
from agent_memory.contracts.errors import Unavailable
from agent_memory.contracts.events import PartitionSummarized, SummaryViewCreated, TaskChanged
from agent_memory.contracts.partition_runs import PartitionAnswer, RunPartition
from agent_memory.contracts.records import Partition, SummaryView, Task
from agent_memory.contracts.streams import (
    DATA_FIELD,
    PARTITION_RUNS,
    partition_answer_key,
    partition_streams,
    task_stream,
    view_stream,
    view_streams,
)
from agent_memory.eventlog.newest import NewestReader
from agent_memory.runtime import telemetry
from agent_memory.runtime.service import is_alive

KEPT = timedelta(days=7)
"""How long a task that has ended is shown."""
FIRST_PAUSE_SECONDS, LAST_PAUSE_SECONDS = 0.005, 0.1
LOOK_SECONDS = 2.0
"""How often it is made sure that a request still lies on its stream, which a flush takes away, and that somebody works."""
MOST_MISSED = 5
"""Looks in turn without a summarizer after which nobody waits any more: a restart takes less."""

_answer = msgspec.json.Decoder(PartitionAnswer).decode


class LoggedViews:
    """The port `SummaryViews` over the log and Redis. `patience`: seconds that a partition is waited for."""

    def __init__(
        self, log: NewestReader, redis: Redis, *, patience: float, new_id: Callable[[], str], clock: Callable[[], datetime]
    ) -> None:
        self._log = log
        self._redis = redis
        self._patience = patience
        self._new_id = new_id
        self._clock = clock

    async def view(self, tenant: str, view_id: str) -> SummaryView | None:
        """One view; None when it is not there."""
        event = await self._log.newest(view_stream(tenant, view_id))
        return event.view if isinstance(event, SummaryViewCreated) else None

    async def views(self, tenant: str) -> list[SummaryView]:
        """All views, the oldest first."""
        found = sorted(await self._log.newest_under(view_streams(tenant)), key=lambda state: state.position)
        return [state.event.view for state in found if isinstance(state.event, SummaryViewCreated)]

    async def partitions(self, tenant: str, view_id: str) -> list[Partition]:
        """All partitions of a view, in order of their groups."""
        found = await self._log.newest_under(partition_streams(tenant, view_id))
        return [state.event.partition for state in found if isinstance(state.event, PartitionSummarized)]

    async def task(self, tenant: str, task_id: str) -> Task | None:
        """One task; None when it is not there, or ended more than a week ago."""
        event = await self._log.newest(task_stream(tenant, task_id))
        if not isinstance(event, TaskChanged):
            return None
        ended = event.task.completed_at
        return event.task if ended is None or ended > self._clock() - KEPT else None

    async def run(self, tenant: str, view_id: str, group: dict[str, str]) -> Partition:
        """Have one group summarised now. Raises NotFound without such a view, Unavailable when there was no answer in time."""
        request = RunPartition(
            id=self._new_id(), tenant=tenant, view_id=view_id, group=group, traceparent=telemetry.traceparent_of()
        )
        try:
            answer = await self._exchange(request)
        except (RedisError, OSError) as error:
            raise Unavailable(f"the summarizer cannot be reached ({type(error).__name__}); try again") from error
        if answer is None:
            raise Unavailable("the partition is still being summarised; it will be among the partitions of the view")
        if answer.partition is None:
            raise (
                Unavailable("the partition could not be summarised; try again") if answer.fault is None else answer.fault.error("")
            )
        return answer.partition

    async def _exchange(self, request: RunPartition) -> PartitionAnswer | None:
        key, fields = partition_answer_key(request.id), {DATA_FIELD: encode(request)}
        now = time.monotonic()
        deadline, look_at, pause = now + self._patience, now + LOOK_SECONDS, FIRST_PAUSE_SECONDS
        entry, missed = await self._redis.xadd(PARTITION_RUNS, fields), 0
        while (found := await self._redis.get(key)) is None:
            now = time.monotonic()
            if now > deadline:
                return None
            if now > look_at:
                look_at = now + LOOK_SECONDS
                missed = 0 if await is_alive(self._redis, "summarizer") else missed + 1
                if missed >= MOST_MISSED:
                    raise Unavailable("no replica of the summarizer is alive; try again")
                if not await self._redis.xrange(PARTITION_RUNS, entry, entry) and not await self._redis.exists(key):
                    entry = await self._redis.xadd(PARTITION_RUNS, fields)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LAST_PAUSE_SECONDS)
        return _answer(found)
