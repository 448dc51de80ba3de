"""Time onto the bus, and what the log says about jobs into Redis."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from agent_memory.contracts.codec import decode_event, encode
from agent_memory.contracts.commands import Tick
from agent_memory.contracts.envelope import EventEnvelope
from agent_memory.contracts.job_catalogue import Job, milliseconds
from agent_memory.contracts.streams import COMMANDS, DATA_FIELD
from agent_memory.readmodels import jobs
from agent_memory.readmodels.jobs import TYPES
from agent_memory.runtime import telemetry
from agent_memory.scheduler.domain import command, due, next_due
from agent_memory.scheduler.settings import SchedulerSettings

HOUR_MS = 3_600_000

__all__ = ["TYPES", "KeepJobs", "SendTicks"]

log = structlog.get_logger(__name__)


class KeepJobs:
    """Projection JOBS. Idempotent by the versions of the jobs' streams: an older state never replaces a newer one."""

    def __init__(self, redis: Redis, found: Callable[[], None] = lambda: None) -> None:
        self._redis = redis
        self._found = found

    async def apply(self, batch: list[EventEnvelope]) -> None:
        """Keep where each job of the batch stands. Raises redis.RedisError; the batch may then be given again."""
        await jobs.changed(self._redis, [(one.version, decode_event(one.type, one.data)) for one in batch])
        self._found()


class SendTicks:
    """Compares the clock with the schedules. Any number of these may run: a tick's id is its job and due time."""

    def __init__(
        self,
        redis: Redis,
        schedule: Sequence[Job],
        own: SchedulerSettings,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._redis = redis
        self._schedule = schedule
        self._own = own
        self._clock = clock
        self._sent: dict[Tick, int] = {}
        self._looked_at = self._look_at = 0
        for job in schedule:
            telemetry.TICKS.labels(job.name)  # none yet: who watches must tell that from a scheduler that is not there

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            try:
                await self.look()
            except (RedisError, OSError) as error:
                telemetry.ERRORS.labels("job.tick", type(error).__name__).inc()
                log.warning("ticks put off", error=f"{type(error).__name__}: {error}")
            await asyncio.sleep(self._own.look_every_seconds)

    async def look(self) -> list[Tick]:
        """Send what is due and was not sent lately. Raises redis.RedisError."""
        now = self._clock()
        if not self._sent and self._looked_at <= milliseconds(now) < self._look_at:
            return []  # going through the calendars twice a second for nothing would be most of what an idle machine does
        self._looked_at = milliseconds(now)  # a clock that went back since is looked at anew
        self._look_at = min(next_due(self._schedule, now).values(), default=milliseconds(now) + HOUR_MS)
        again_before = milliseconds(now) - round(self._own.send_again_seconds * 1000)
        waiting = due(self._schedule, await jobs.last_due(self._redis), now)
        self._sent = {tick: at for tick, at in self._sent.items() if tick in waiting and at > again_before}
        ticks = [tick for tick in waiting if tick not in self._sent]
        for tick in ticks:
            await self._send(tick, now)
            self._sent[tick] = milliseconds(now)
        return ticks

    async def _send(self, tick: Tick, now: datetime) -> None:
        await self._redis.xadd(COMMANDS, {DATA_FIELD: encode(command(tick, now))})
        telemetry.TICKS.labels(tick.job).inc()
        log.info("job due", job=tick.job, due_ms=tick.due_ms)
